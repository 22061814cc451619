//! Who is calling: the four kinds of bearer, each an extractor that a handler asks for by type.
//! Decides nothing about what they may do beyond being who they are.

use aws_lc_rs::{constant_time, digest};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use control_accounts::Access;
use control_steering::{Reach, Unproven};
use control_store::ledger::CertificateRow;
use control_types::{AccountId, ApplianceId, ErrorWord, ProfileId};

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::guards;

/// A member with a valid access token.
pub(crate) struct Member {
    pub access: Access,
}

impl Member {
    pub fn account(&self) -> &AccountId {
        &self.access.account
    }

    /// Refuses a profile of somebody else, before anything is done in its name.
    pub async fn owns(&self, gateway: &Gateway, profile: &ProfileId) -> Result<(), Refusal> {
        guards::owned(gateway, self.account(), profile).await
    }
}

impl FromRequestParts<Gateway> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let token = bearer(parts)?;
        let access = gateway.services().accounts.verify_access(token, gateway.now())?;
        Ok(Self { access })
    }
}

/// Whoever holds the operator's key.
pub(crate) struct Operator;

impl FromRequestParts<Gateway> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let key = bearer(parts)?;
        if is_operators(key, gateway) {
            return Ok(Self);
        }
        if gateway.services().steering.authenticate_isp(key).is_some() {
            let message = "this is an ISP's key, and only the operator may do this";
            return Err(Refusal::new(ErrorWord::Forbidden, message));
        }
        Err(unauthenticated("this is not the operator's key; see operator.key_file"))
    }
}

/// The operator, or an ISP: whoever may act for sites, and for which.
pub(crate) struct Steward(pub Reach);

impl FromRequestParts<Gateway> for Steward {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let key = bearer(parts)?;
        if is_operators(key, gateway) {
            return Ok(Self(Reach::Everything));
        }
        let isp = gateway.services().steering.authenticate_isp(key);
        isp.map(|isp| Self(Reach::Isp(isp))).ok_or_else(|| {
            unauthenticated("this is neither the operator's key nor an ISP's; see `ocactl isp`")
        })
    }
}

fn is_operators(key: &str, gateway: &Gateway) -> bool {
    let offered = digest::digest(&digest::SHA256, key.as_bytes());
    let key = gateway.settings().operator_key.as_bytes();
    let wanted = digest::digest(&digest::SHA256, key);
    // Hashes of equal length, compared without a hint of where they differ.
    constant_time::verify_slices_are_equal(offered.as_ref(), wanted.as_ref()).is_ok()
}

/// What a connection to the appliances' port proved; put into its requests by whoever accepted it,
/// absent from those of any other port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No certificate was shown.
    Nothing,
    /// One of the fleet's authority, in its time, and its key: by SHA-256 of its DER.
    Certificate([u8; 32]),
    /// One was shown that proves nothing. Never as good as none.
    Refused(Unproven),
}

/// An appliance: by its certificate, or by its own key where that is enough. Keys are looked up by
/// their SHA-256, so that the time it takes tells nothing about keys that exist.
pub(crate) struct Appliance(pub ApplianceId, Seal);

/// What else is known of an appliance's call.
pub(crate) struct Seal {
    gateway: Gateway,
    certificate: Option<CertificateRow>,
}

impl Appliance {
    /// An appliance speaks for itself only.
    pub fn is(&self, named: &ApplianceId) -> Result<(), Refusal> {
        if self.0 == *named {
            return Ok(());
        }
        let why = Unproven::NotItself;
        self.1.gateway.services().steering.note_unproven(why);
        let message = format!("{why}: the caller is {} and the body says {named}", self.0);
        Err(Refusal::new(ErrorWord::Forbidden, message))
    }

    /// What it showed; absent when it came with its key.
    pub fn certificate(&self) -> Option<&CertificateRow> {
        self.1.certificate.as_ref()
    }
}

impl FromRequestParts<Gateway> for Appliance {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let seal = |certificate| Seal { gateway: gateway.clone(), certificate };
        if let Some(row) = shown(parts, gateway)? {
            return Ok(Self(row.appliance.clone(), seal(Some(row))));
        }
        if gateway.settings().require_certificate {
            return Err(unproven(gateway, Unproven::CertificateAbsent));
        }
        let key = bearer(parts)?;
        let found = gateway.services().steering.authenticate(key);
        let appliance = found.ok_or_else(|| {
            unauthenticated("no appliance has this key; register it and use the key shown then")
        })?;
        Ok(Self(appliance, seal(None)))
    }
}

/// An appliance by its certificate and by nothing else.
pub(crate) struct ByCertificate(pub CertificateRow);

impl FromRequestParts<Gateway> for ByCertificate {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let row = shown(parts, gateway)?;
        row.map(Self).ok_or_else(|| unproven(gateway, Unproven::CertificateAbsent))
    }
}

/// A call that came to the appliances' port, whoever makes it.
pub(crate) struct OnAppliancesPort;

impl FromRequestParts<Gateway> for OnAppliancesPort {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Refusal> {
        if parts.extensions.get::<Proof>().is_some() {
            return Ok(Self);
        }
        let message = "boxes register on the appliances' port; see appliances.listen";
        Err(Refusal::new(ErrorWord::Forbidden, message))
    }
}

/// The certificate shown, if one was and the ledger knows it.
fn shown(parts: &Parts, gateway: &Gateway) -> Result<Option<CertificateRow>, Refusal> {
    match parts.extensions.get::<Proof>() {
        None | Some(Proof::Nothing) => Ok(None),
        Some(Proof::Refused(why)) => Err(unproven(gateway, *why)),
        Some(Proof::Certificate(fingerprint)) => {
            let steering = &gateway.services().steering;
            let row = steering.authenticate_certificate(fingerprint, gateway.now());
            // Counted there.
            let row = row.map_err(|why| Refusal::new(why.error_word(), why.to_string()))?;
            // A connection outlives the authority in whose time it began.
            let authority = &gateway.services().authority;
            if row.authority.is_some_and(|hash| !authority.counts(&hash)) {
                return Err(unproven(gateway, Unproven::CertificateForeign));
            }
            Ok(Some(row))
        }
    }
}

fn unproven(gateway: &Gateway, why: Unproven) -> Refusal {
    gateway.services().steering.note_unproven(why);
    Refusal::new(why.error_word(), why.to_string())
}

fn bearer(parts: &Parts) -> Result<&str, Refusal> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthenticated("send one Authorization: Bearer header"));
    };
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() => Ok(key),
        _ => Err(unauthenticated("the Authorization header is not Bearer")),
    }
}

fn unauthenticated(message: &str) -> Refusal {
    Refusal::new(ErrorWord::Unauthenticated, message)
}
