//! How history says no; callers on the play path treat every one as "start at the beginning".

use control_store::StoreError;
use thiserror::Error;

/// What history could not do.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// More events than one report may hold. The player's to mend.
    #[error("a report holds {count} events; send at most {count_max}")]
    TooManyEvents {
        /// As sent.
        count: usize,
        /// The bound.
        count_max: usize,
    },
    /// The activity store; worth a retry when it is `Away`.
    #[error("history could not reach its store")]
    Store(#[from] StoreError),
}
