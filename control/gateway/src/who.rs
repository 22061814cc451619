//! Who is calling: the four kinds of bearer, each an extractor that a handler asks for by type.
//! Decides nothing about what they may do beyond being who they are.

use aws_lc_rs::{constant_time, digest};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use control_accounts::Access;
use control_steering::Reach;
use control_types::{AccountId, ApplianceId, ErrorWord, ProfileId};

use crate::errors::Refusal;
use crate::gateway::Gateway;

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
        gateway.services().accounts.profile(self.account(), profile).await?;
        Ok(())
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

/// An appliance, by its own key. Looked up by the key's SHA-256, so that the time it takes tells
/// nothing about keys that exist.
pub(crate) struct Appliance(pub ApplianceId);

impl Appliance {
    /// An appliance speaks for itself only.
    pub fn is(&self, named: &ApplianceId) -> Result<(), Refusal> {
        if self.0 == *named {
            return Ok(());
        }
        let message = format!("this is the key of {} and the body says {named}", self.0);
        Err(Refusal::new(ErrorWord::Forbidden, message))
    }
}

impl FromRequestParts<Gateway> for Appliance {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let key = bearer(parts)?;
        gateway.services().steering.authenticate(key).map(Self).ok_or_else(|| {
            unauthenticated("no appliance has this key; register it and use the key shown then")
        })
    }
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
