//! Ledger of accounts, sessions, profiles and subscriptions. Keeps hashes, never a password or a
//! token.

use async_trait::async_trait;
use control_types::{AccountId, ProfileId, UnixMillis};
use uuid::Uuid;

use crate::StoreError;

/// SHA-256 of a refresh token.
pub type TokenHash = [u8; 32];

/// One account.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Stable.
    pub id: AccountId,
    /// Normalized; unique.
    pub email: String,
    /// PHC string of Argon2id.
    pub password_hash: String,
    /// When it was opened.
    pub created_at: UnixMillis,
}

/// An account with all it starts with, written at once or not at all.
#[derive(Clone)]
pub struct NewAccountRow {
    /// The account.
    pub account: AccountRow,
    /// Its first profile.
    pub profile: ProfileRow,
    /// Its first subscription.
    pub subscription: SubscriptionRow,
}

/// One profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// Stable.
    pub id: ProfileId,
    /// Whose.
    pub account: AccountId,
    /// As shown; unique on the account without regard to case.
    pub name: String,
    /// When it was made; profiles are listed in this order.
    pub created_at: UnixMillis,
}

/// What became of a request to remove a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileRemoval {
    /// Gone.
    Removed,
    /// The account has no such profile.
    Absent,
    /// It is the account's last one, which stays.
    LastOne,
}

/// Whether a subscription is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// May play.
    Paid,
    /// May sign in, may not play.
    Lapsed,
}

/// What an account subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Whose.
    pub account: AccountId,
    /// Name of a plan.
    pub plan: String,
    /// Paid or not.
    pub standing: Standing,
    /// Since when both are so.
    pub since: UnixMillis,
}

/// One signed-in device: a family of refresh tokens, each made from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The family.
    pub session: Uuid,
    /// Whose.
    pub account: AccountId,
    /// Sign-in.
    pub began_at: UnixMillis,
}

/// A refresh token to be kept, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRefreshRow {
    /// Of the token.
    pub hash: TokenHash,
    /// Now.
    pub issued_at: UnixMillis,
    /// First moment it is refused.
    pub expires_at: UnixMillis,
}

/// What became of a refresh token that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was the newest, or was replaced less than the grace ago: the new token is kept.
    Rotated(SessionRow),
    /// It was replaced before the grace: somebody else holds a copy. The whole session has ended.
    Reused(SessionRow),
    /// Its time is over, or its session has ended.
    Ended,
    /// Never heard of.
    Unknown,
}

/// Accounts, sessions, profiles, subscriptions.
#[async_trait]
pub trait AccountsLedger: Send + Sync {
    /// Opens an account; `Taken` when the email is.
    async fn open_account(&self, new: &NewAccountRow) -> Result<(), StoreError>;

    /// By id.
    async fn account(&self, id: &AccountId) -> Result<Option<AccountRow>, StoreError>;

    /// By normalized email.
    async fn account_by_email(&self, email: &str) -> Result<Option<AccountRow>, StoreError>;

    /// Oldest first.
    async fn profiles(&self, account: &AccountId) -> Result<Vec<ProfileRow>, StoreError>;

    /// Adds one; `Taken` when the name is, `Refused` when there are `count_max` already.
    async fn add_profile(&self, profile: &ProfileRow, count_max: usize) -> Result<(), StoreError>;

    /// Removes one, but never the last.
    async fn remove_profile(
        &self,
        account: &AccountId,
        profile: &ProfileId,
    ) -> Result<ProfileRemoval, StoreError>;

    /// What the account subscribes to; `None` for an unknown account.
    async fn subscription(
        &self,
        account: &AccountId,
    ) -> Result<Option<SubscriptionRow>, StoreError>;

    /// Replaces the subscription; `Missing` for an unknown account.
    async fn put_subscription(&self, subscription: &SubscriptionRow) -> Result<(), StoreError>;

    /// Begins a session with its first refresh token.
    async fn begin_session(
        &self,
        session: &SessionRow,
        refresh: &NewRefreshRow,
    ) -> Result<(), StoreError>;

    /// Replaces `old` by `new`, or finds out why not, in one transaction. `new.issued_at` is now.
    async fn rotate_refresh(
        &self,
        old: &TokenHash,
        new: &NewRefreshRow,
        grace_ms: u64,
    ) -> Result<Rotation, StoreError>;

    /// Ends a session; its refresh tokens are refused from now on. Ending twice is no error.
    async fn end_session(&self, session: &Uuid, now: UnixMillis) -> Result<(), StoreError>;

    /// Ends every session of the account; returns how many were alive.
    async fn end_sessions(&self, account: &AccountId, now: UnixMillis) -> Result<u64, StoreError>;

    /// Deletes refresh tokens that expired before `before` and sessions without any; returns how
    /// many tokens.
    async fn sweep_refresh(&self, before: UnixMillis) -> Result<u64, StoreError>;
}
