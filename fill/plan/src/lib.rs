//! Decides what every appliance should hold tomorrow and where it gets it tonight: a pure function
//! from forecast, inventories and knobs to a [`NightPlan`]. Does no I/O and reads no clock.
//!
//! ```text
//! FillState -> demand of tomorrow, by object and site  outlook.rs, forecast.rs
//!           -> a title's core, and its rungs one by one ladder.rs, parcel.rs
//!           -> placement per site (who holds what)     place.rs, chance.rs, copies.rs,
//!                                                      seat.rs, shelf.rs
//!           -> routes (who gets it from where)         route.rs
//!           -> NightPlan                               plan.rs, planner.rs (what changed only)
//!
//! WindowSchedule + a moment -> nights (when)           schedule.rs
//! ```
//!
//! A plan is a list of intents. Stopping anywhere leaves valid appliances, and planning the state a
//! plan leads to yields no pulls.
//!
//! [`NightPlan`]: control_types::fill::NightPlan

#![forbid(unsafe_code)]

pub mod billing;
mod chance;
mod copies;
pub mod fleet;
pub mod forecast;
mod hash;
mod knobs;
pub mod ladder;
mod library;
mod live;
mod outlook;
mod parcel;
mod place;
mod plan;
mod planner;
mod room;
mod route;
mod schedule;
mod seat;
mod settled;
mod shelf;
mod shorten;
mod tier;
mod waits;
mod why;
mod wishes;
mod words;

pub use copies::copies;
pub use hash::{draw, name_key};
pub use knobs::{AskOrigin, Knobs};
pub use library::Library;
pub use live::{LIVE_COPIES, SiteLiveness, Standing, liveness};
pub use outlook::{Makings, Outlook, day_ahead, forecast_demand, makings};
pub use place::{SEATS_MAX, place, place_settled};
pub use plan::plan;
pub use planner::Planner;
pub use room::{Room, footprint};
pub use schedule::{Night, Nights, Schedule, ScheduleError};
pub use seat::{Candidate, Holdings, Seat, Shelf, Spot};
pub use settled::is_settled;
pub use tier::{Move, moves};
pub use why::{Reason, WhyNot, why_not};
