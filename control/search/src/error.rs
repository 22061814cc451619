//! How search says no: only when its index does.

use control_store::StoreError;
use control_types::ErrorWord;
use thiserror::Error;

/// What could not be done.
#[derive(Debug, Error)]
#[error("the search index could not {doing}")]
pub struct SearchError {
    /// What was being done.
    pub doing: &'static str,
    /// Its own words.
    #[source]
    pub source: StoreError,
}

impl SearchError {
    /// The word of the answer's `ErrorBody`: search being away is never the member's fault.
    #[must_use]
    pub fn word(&self) -> ErrorWord {
        ErrorWord::Unavailable
    }

    pub(crate) fn index(doing: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self { doing, source }
    }
}
