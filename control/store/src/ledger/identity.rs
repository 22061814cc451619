//! Ledger of how boxes become appliances: registration keys and certificates. Signs nothing.

use async_trait::async_trait;
use control_types::registration::RegistrationScope;
use control_types::{ApplianceId, IspId, RegistrationKeyId, UnixMillis};

use super::KeyHash;
use crate::StoreError;

/// SHA-256 of a certificate's DER.
pub type Fingerprint = [u8; 32];

/// One registration key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationKeyRow {
    /// Names it; unique.
    pub id: RegistrationKeyId,
    /// What it may be used for.
    pub scope: RegistrationScope,
    /// Who made it; absent: the operator.
    pub isp: Option<IspId>,
    /// Of the key shown when it was made.
    pub key_hash: KeyHash,
    /// How often it may still be used.
    pub uses_left: u32,
    /// When it was made.
    pub made_at: UnixMillis,
    /// From when on it is refused.
    pub expires_at: UnixMillis,
}

/// One certificate that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Names it.
    pub fingerprint: Fingerprint,
    /// Whose.
    pub appliance: ApplianceId,
    /// When it was issued.
    pub made_at: UnixMillis,
    /// From when on it is refused.
    pub expires_at: UnixMillis,
    /// SHA-256 of the authority's certificate that signed it; absent: nobody said yet.
    pub authority: Option<Fingerprint>,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The key was used once; the certificate is the only one of its appliance.
    Done,
    /// The key is gone, used up or over; nothing changed.
    Spent,
    /// The appliance has a certificate, and the key does not replace one; nothing changed.
    Taken,
}

/// Registration keys and certificates.
#[async_trait]
pub trait IdentityLedger: Send + Sync {
    /// Keeps a key, and forgets those that were over at its making; `Taken` when its id or hash is.
    async fn add_registration_key(&self, key: &RegistrationKeyRow) -> Result<(), StoreError>;

    /// Deletes one; says whether it was there.
    async fn remove_registration_key(&self, key: &RegistrationKeyId) -> Result<bool, StoreError>;

    /// All keys, by id.
    async fn registration_keys(&self) -> Result<Vec<RegistrationKeyRow>, StoreError>;

    /// The key of this hash.
    async fn registration_key(
        &self,
        key_hash: &KeyHash,
    ) -> Result<Option<RegistrationKeyRow>, StoreError>;

    /// Uses `key` once and makes `certificate` the only one of its appliance; with `only_first`,
    /// only if that has none that is not over. One transaction: of two boxes with the last use of a
    /// key, one gets it. `Missing` when the appliance is unknown.
    async fn register_certificate(
        &self,
        key: &RegistrationKeyId,
        certificate: &CertificateRow,
        only_first: bool,
    ) -> Result<Registered, StoreError>;

    /// Keeps a successor beside `presented`, which counts on until it ends or is replaced again,
    /// because its box may never hear of the new one; forgets all others of the appliance. False
    /// when `presented` does not count; nothing changed then.
    async fn renew_certificate(
        &self,
        presented: &Fingerprint,
        certificate: &CertificateRow,
    ) -> Result<bool, StoreError>;

    /// Makes all of an appliance's certificates void; says how many there were.
    async fn void_certificates(&self, appliance: &ApplianceId) -> Result<u64, StoreError>;

    /// Says of every certificate of which nobody said it that this authority signed it; answers how
    /// many there were.
    async fn claim_certificates(&self, authority: &Fingerprint) -> Result<u64, StoreError>;

    /// All certificates, by appliance, oldest first.
    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError>;
}
