//! History: how far each profile is in each title. An opinion about taste belongs to `recommend`.
//!
//! *Owns* presses of play and bookmarks. *Needs* the activity port and the event log. *Never* stops
//! a play: a press goes on without a resume point when history is away.

#![forbid(unsafe_code)]

mod error;
mod model;
mod service;

pub use error::HistoryError;
pub use model::{FINISHED_PERCENT, FUTURE_MS_MAX, progress};
pub use service::{History, PLAYS_KEPT_MS, TOPIC_PLAYS, TOPIC_POSITIONS};
