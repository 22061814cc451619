//! The one way a port says no. Not for members: services turn it into their own words.

use thiserror::Error;

/// What a port could not do. `Taken`, `Missing` and `Refused` are the caller's business,
/// `Damaged` the operator's, `Away` is worth a retry.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Something with this name is there already. Do not retry.
    #[error("{0} is taken already")]
    Taken(String),
    /// The row this one leans on does not exist. Do not retry.
    #[error("{0} does not exist")]
    Missing(String),
    /// The value is over a bound of the port or malformed. Do not retry.
    #[error("{what} is refused: {why}")]
    Refused {
        /// The offered thing, by name.
        what: String,
        /// The bound or rule it breaks.
        why: String,
    },
    /// What is on disk is not what was written there.
    #[error("{what} is damaged: {why}; restore it from a backup")]
    Damaged {
        /// File, table or object.
        what: String,
        /// What the check saw.
        why: String,
    },
    /// The engine did not answer; the same call may succeed later.
    #[error("the store could not {doing}; check free space and permissions of the state directory")]
    Away {
        /// What was being done.
        doing: &'static str,
        /// The engine's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Wraps an engine's error with what was being done.
    pub fn away(
        doing: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Away { doing, source: source.into() }
    }
}
