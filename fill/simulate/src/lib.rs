//! A demand trace replayed through forecast, plan, windows and tiers, beside the policies of
//! others. Pure: never reads a file or a clock, and a seed or a trace gives the same figures
//! everywhere.
//!
//! ```text
//! trace.rs     the line format: titles, objects, plays       generate.rs  one made from a seed
//! setting.rs   sites, boxes, the window, the knobs           chance.rs    its random numbers
//! character.rs how skewed, how young, how fast it changes
//! demand.rs    plays cut into 5-minute reads                 report.rs    what came of it
//! replay.rs    one policy over a whole trace
//!   stage.rs   the trace with its sites, slot by slot        account.rs   what the slots carried
//!   night.rs   ours: forecast -> stock.rs -> fill_plan::place -> window -> boxes.rs
//!   cache.rs   LRU and LFU on demand                         bound.rs     the clairvoyant bound
//! ```

#![forbid(unsafe_code)]

mod account;
mod bound;
mod boxes;
mod cache;
mod chance;
mod character;
mod demand;
mod error;
mod generate;
mod night;
mod replay;
mod report;
mod setting;
mod stage;
mod stock;
mod trace;

pub use character::Character;
pub use error::SimulateError;
pub use generate::{Generator, Known, Region, generate, generate_known};
pub use replay::{Policy, Progress, simulate, simulate_known};
pub use report::{MissShares, PolicyReport, SiteReport, TierShares};
pub use setting::{BoxSetting, MemoryKeeps, Setting, SiteSetting, Unit, WindowSetting};
pub use trace::{Object, Play, Title, Trace};
