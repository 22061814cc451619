//! Steering: which appliances exist, how they are, and which of them a member should stream from;
//! and the fill desk, which hands each appliance its windows and its part of the night's plan.
//!
//! *Owns* the fleet registry, prefixes, reports, content sets, windows, schedules, plan and fill
//! progress.
//! *Needs* the ledger's fleet and fill tables. *Never* speaks HTTP, signs a ticket or knows a
//! member.
//!
//! A ranked list is decided by [`model`], a pure function over one immutable [`fleet::Fleet`]: no
//! lock, no I/O, no clock. `explain` shows every candidate's verdict from that same function.

#![forbid(unsafe_code)]

pub mod ear;
mod error;
mod fill_desk;
pub mod fleet;
pub mod health;
mod isp;
pub mod limits;
pub mod model;
pub mod prefixes;
mod service;
mod words;

pub use error::SteeringError;
pub use fill_desk::FillDesk;
pub use isp::Reach;
pub use model::{Question, Ranked};
pub use service::{Heard, Settings, Steering};
