//! Steering: which appliances exist, how they are, and which of them a member should stream from;
//! and the fill desk, which hands each appliance its windows and its part of the night's plan.
//!
//! *Owns* the fleet registry, prefixes, reports, content sets, windows, schedules, plan and fill
//! progress.
//! *Needs* the ledger's fleet and fill tables. *Never* speaks HTTP, signs a ticket or knows a
//! member.
//!
//! A ranked list is decided by [`decide`] and [`rank`], pure functions over one immutable
//! [`fleet::Fleet`]: no lock, no I/O, no clock. `explain` shows every candidate's verdict from that
//! same decision, and a replay makes it again from the log.

#![forbid(unsafe_code)]

mod asks;
pub mod bundle;
pub mod calendar;
mod checks;
pub mod complaints;
pub mod decide;
mod desks;
mod drains;
pub mod ear;
mod error;
mod fill_desk;
pub mod fleet;
pub mod health;
pub mod held;
mod identity;
pub mod index;
mod isp;
pub mod library;
pub mod limits;
mod live;
pub mod log;
mod maintenance;
mod past;
pub mod policy;
pub mod prefixes;
pub mod rank;
pub mod recorder;
pub mod replay;
mod service;
mod unproven;
mod words;

pub use asks::Counted;
pub use bundle::{BundleDesk, BundleSettings};
pub use decide::{Question, Ranked};
pub use error::{SteeringError, Unproven};
pub use fill_desk::FillDesk;
pub use identity::Admitted;
pub use isp::Reach;
pub use library::{LibraryObject, LibraryTitle};
pub use policy::Policy;
pub use service::{Heard, Settings, Steering};
