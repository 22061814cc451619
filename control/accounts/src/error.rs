//! How accounts says no. Messages are safe to show to members.

use control_store::StoreError;
use thiserror::Error;

/// What accounts could not or would not do.
#[derive(Debug, Error)]
pub enum AccountsError {
    /// A field is out of its bounds; the text names it and the cure.
    #[error("{0}")]
    Invalid(String),
    /// Unknown email or wrong password; which of the two is not told.
    #[error("email or password is wrong")]
    BadCredentials,
    /// The access token is malformed, forged, over or signed out.
    #[error("the access token is not valid; refresh the session or sign in")]
    BadToken,
    /// The refresh token is unknown or over, or its session was ended.
    #[error("the session has ended; sign in again")]
    SessionEnded,
    /// Another account has this email.
    #[error("this email has an account already; sign in instead")]
    EmailTaken,
    /// Another profile of the account has this name.
    #[error("a profile of this name exists already; choose another name")]
    NameTaken,
    /// The account has `PROFILES_MAX` profiles.
    #[error("an account has at most {count_max} profiles; remove one first")]
    ProfilesFull {
        /// The bound.
        count_max: usize,
    },
    /// The account would be left without a profile.
    #[error("the last profile of an account stays; add another first")]
    LastProfile,
    /// The account behind a valid token is gone.
    #[error("this account does not exist")]
    NoAccount,
    /// The account has no such profile.
    #[error("this account has no such profile")]
    NoProfile,
    /// Too many attempts.
    #[error("too many attempts; try again in {} s", retry_ms.div_ceil(1000))]
    TooMany {
        /// When trying again may help, milliseconds from now.
        retry_ms: u64,
    },
    /// All password hashing slots and their queue are taken; try again in a moment.
    #[error("too many sign-ins at this moment; try again")]
    Busy,
    /// Our own part failed in a way no caller can mend; the text is for the log.
    #[error("accounts is broken: {0}")]
    Broken(String),
    /// Ledger or cache; worth a retry when it is `Away`.
    #[error("accounts could not reach its store")]
    Store(#[from] StoreError),
}
