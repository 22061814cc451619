//! Accounts: who is asking. What they may do is for billing and the catalog to say.
//!
//! *Owns* accounts, profiles, sessions and the key that signs access tokens. *Needs* the ledger,
//! the cache (attempt counters) and the event log. *Never* keeps a password or a token in clear,
//! nor tells whether an email is known when a sign-in fails.
//!
//! A session's life:
//!
//! ```text
//! sign up / sign in -> refresh token 0 -> 1 -> 2 -> …  -> sign out, or unused for `refresh_ms`
//!                          |  each also gives an access token of `access_ms`
//!                          an old one offered again: within `refresh_grace_ms` another child,
//!                          after it the whole session ends
//! ```

#![forbid(unsafe_code)]

mod access;
mod error;
mod model;
mod passwords;
mod profiles;
mod service;
mod sessions;
mod settings;

pub use access::Access;
pub use error::AccountsError;
pub use model::{normalize_email, profile_name};
pub use service::{Accounts, TOPIC};
pub use settings::Settings;
