//! How billing says no. A verdict of "may not play" is an answer, not an error.

use control_store::StoreError;
use control_types::AccountId;
use thiserror::Error;

/// What billing could not do.
#[derive(Debug, Error)]
pub enum BillingError {
    /// The member asked for a plan that is not sold. Theirs to mend.
    #[error("there is no plan {name:?}; choose one of {known}")]
    NoPlan {
        /// As asked.
        name: String,
        /// What is sold, comma separated.
        known: String,
    },
    /// No such account.
    #[error("account {0} does not exist")]
    NoAccount(AccountId),
    /// The ledger or the event log; worth a retry when it is `Away`.
    #[error("billing could not reach its store")]
    Store(#[from] StoreError),
}
