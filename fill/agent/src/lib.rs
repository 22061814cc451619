//! The fill agent of one appliance: the only process that writes objects. It pulls in plan order
//! inside open windows, verifies, publishes, prunes and reports. It never decides what deserves a
//! place: that is the plan's business; nor does it serve anybody.
//!
//! ```text
//! orders (control, or the last ones on disk) -> board (what next, from whom)
//!   -> lanes (N connections: seal, then ranges of chunks) -> verify -> write (io_uring)
//!   -> publish -> report
//! ```
//!
//! Woken by a tick and by its lanes; it takes no other input. Killed at any point it goes on where
//! it was, at the cost of at most one chunk a lane.

#![forbid(unsafe_code)]

mod block;
mod board;
mod clock;
mod config;
mod courier;
mod error;
mod fetch;
mod foreground;
mod gate;
mod handshakes;
mod ink;
mod ladder;
mod lane;
mod ledger;
mod limits;
mod meter;
mod metrics;
mod mover;
mod night;
mod nurse;
mod orders;
mod pass;
mod pen;
mod porter;
mod said;
mod scrubber;
mod state_dir;
mod take;
mod vault;
mod watch;

pub use config::Config;
pub use error::AgentError;
pub use night::at_work::{Ended, run, run_on};
