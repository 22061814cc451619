//! How telemetry says no: only to callers, never to a play.

use control_types::{ErrorWord, PlayId};
use thiserror::Error;

/// What was refused; both are the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TelemetryError {
    /// Not begun here, or begun so long ago that it was forgotten. A caller that still knows the
    /// play calls `adopt` and repeats.
    #[error("play {0} is not known here")]
    UnknownPlay(PlayId),
    /// More events than one report may hold.
    #[error("{count} events are more than {max} in one report: send them in two")]
    TooManyEvents {
        /// How many there were.
        count: usize,
        /// The bound.
        max: usize,
    },
}

impl TelemetryError {
    /// The word of the answer's `ErrorBody`.
    #[must_use]
    pub fn word(&self) -> ErrorWord {
        match self {
            Self::UnknownPlay(_) => ErrorWord::NotFound,
            Self::TooManyEvents { .. } => ErrorWord::BadRequest,
        }
    }
}
