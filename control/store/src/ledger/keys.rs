//! Ledger of signing keys. The state directory is private to control: keys are kept in clear there.

use async_trait::async_trait;
use control_types::UnixMillis;

use crate::StoreError;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Access tokens of members.
    Access,
    /// Play and fill tickets.
    Ticket,
    /// Fill orders of appliances.
    Orders,
}

impl KeyPurpose {
    /// The word kept on disk.
    #[must_use]
    pub fn as_word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Ticket => "ticket",
            Self::Orders => "orders",
        }
    }
}

/// One private key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// What it signs.
    pub purpose: KeyPurpose,
    /// Names it in tokens; unique for the purpose.
    pub kid: String,
    /// DER of PKCS #8.
    pub pkcs8: Vec<u8>,
    /// When it was made.
    pub made_at: UnixMillis,
}

/// Tickets that are refused before their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// The `sub` of the tickets: a play id.
    pub subject: String,
    /// When the last of them ends by itself.
    pub until: UnixMillis,
}

/// Signing keys, and what they signed that is taken back.
#[async_trait]
pub trait KeysLedger: Send + Sync {
    /// Keys of a purpose, newest first.
    async fn signing_keys(&self, purpose: KeyPurpose) -> Result<Vec<SigningKeyRow>, StoreError>;

    /// Keeps `key` if the purpose has none yet, and returns the newest one there is: of processes
    /// that start at once, all go on with the same key.
    async fn first_signing_key(&self, key: &SigningKeyRow) -> Result<SigningKeyRow, StoreError>;

    /// Adds a newer key; `Taken` when the kid is.
    async fn add_signing_key(&self, key: &SigningKeyRow) -> Result<(), StoreError>;

    /// Deletes a key; says whether it was there.
    async fn remove_signing_key(&self, purpose: KeyPurpose, kid: &str) -> Result<bool, StoreError>;

    /// Keeps a revocation; a second one of the same subject keeps the later end.
    async fn revoke(&self, revoked: &RevocationRow) -> Result<(), StoreError>;

    /// Revocations that end after `now`, by subject, at most `limit` of them, latest end first when
    /// there are more.
    async fn revocations(
        &self,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<RevocationRow>, StoreError>;

    /// Deletes the revocations that ended; says how many.
    async fn sweep_revocations(&self, now: UnixMillis) -> Result<u64, StoreError>;
}
