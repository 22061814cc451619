//! Bodies by which a box becomes an appliance: keys that register, certificates that then identify.
//! Holds no private key of a box: those never leave it.

use serde::{Deserialize, Serialize};

use crate::ids::{ApplianceId, IspId, RegistrationKeyId, SiteId};
use crate::time::UnixMillis;

/// What a registration key may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RegistrationScope {
    /// This appliance, again too: its earlier certificates are void then.
    Appliance(ApplianceId),
    /// Any appliance registered at this site that has no certificate.
    Site(SiteId),
}

/// `POST /v1/operator/registration-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRegistrationKey {
    /// What for.
    pub scope: RegistrationScope,
    /// How often it may be used, 1 to 1,000.
    pub uses: u32,
    /// How long it may be used, milliseconds, 1 min to 31 days.
    pub life_ms: u64,
}

/// Answer to [`NewRegistrationKey`]: the key, shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationKey {
    /// Names it in listings and for removal.
    pub id: RegistrationKeyId,
    /// The secret, a dot, and the SHA-256 of the fleet's authority in base64url: whoever holds it
    /// knows which control to believe.
    pub key: String,
    /// What for.
    pub scope: RegistrationScope,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// `GET /v1/operator/registration-keys`: one that may still be used, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationKeyListed {
    /// Name.
    pub id: RegistrationKeyId,
    /// What for.
    pub scope: RegistrationScope,
    /// The ISP that made it; absent: the operator.
    pub by: Option<IspId>,
    /// How often it may still be used.
    pub uses_left: u32,
    /// When it was made.
    pub made_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// `POST /v1/appliance/register`, on the appliances' port, without any other credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Who the box is to be; registered by the operator before.
    pub appliance: ApplianceId,
    /// The key its owner was given.
    pub key: String,
    /// PEM of a PKCS #10 request, which proves that the box has the private key. Nothing else in it
    /// is taken over.
    pub csr: String,
}

/// `POST /v1/appliance/certificate`, with the certificate in use: its successor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// PEM of a PKCS #10 request of a new private key.
    pub csr: String,
}

/// Answer to a registration or renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuedCertificate {
    /// For whom.
    pub appliance: ApplianceId,
    /// PEM.
    pub certificate: String,
    /// PEM of the fleet's authority: what control shows on the appliances' port ends there.
    pub authority: String,
    /// When it ends, by control's clock.
    pub expires_at: UnixMillis,
}

/// `GET /v1/appliance/certificate`: how the caller is known. Control's clock decides; the box's may
/// be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateStatus {
    /// Who the caller is.
    pub appliance: ApplianceId,
    /// When its certificate ends; absent: it called with its bearer key.
    pub expires_at: Option<UnixMillis>,
    /// Two thirds of the certificate's life are over: ask for the next one.
    pub renew: bool,
    /// Ask again after this, milliseconds.
    pub ask_again_ms: u64,
}

/// `GET /v1/appliance/authority`, public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetAuthority {
    /// PEM; the one that signs.
    pub authority: String,
    /// PEM of those before it that still count, youngest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
}

/// `GET /v1/operator/authorities`: one authority of the fleet that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorityListed {
    /// SHA-256 of its certificate, base64url: what registration keys end in.
    pub digest: String,
    /// It signs; the others are only believed.
    pub signs: bool,
    /// Certificates of appliances that hang on it and are good now.
    pub certificates: u64,
    /// Whose they are, by id; the first twenty.
    pub appliances: Vec<ApplianceId>,
}
