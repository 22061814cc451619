//! Bodies of accounts, sessions, profiles and plans.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ProfileId};
use crate::time::UnixMillis;

/// `POST /v1/accounts`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// Becomes the sign-in name; compared without case.
    pub email: String,
    /// `PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX` bytes; only an Argon2id hash of it is kept.
    pub password: String,
    /// Name of the first profile.
    pub profile_name: String,
}

/// `POST /v1/sessions`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// As given at sign-up; case does not matter.
    pub email: String,
    /// In clear, over HTTPS.
    pub password: String,
}

/// `POST /v1/sessions/refresh`. A browser sends no body and the HttpOnly cookie instead.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The newest refresh token of the session; using an older one ends the whole session.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Answer of sign-up, sign-in and refresh. The refresh token is also set as an HttpOnly cookie.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Who signed in.
    pub account: Account,
    /// Bearer JWT for the `Authorization` header, short-lived.
    pub access_token: String,
    /// When `access_token` ends.
    pub access_expires_at: UnixMillis,
    /// Rotates with every use.
    pub refresh_token: String,
    /// When the session ends if it is never refreshed again.
    pub refresh_expires_at: UnixMillis,
}

/// One account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Stable for the life of the account.
    pub id: AccountId,
    /// Lower-cased.
    pub email: String,
    /// At least one, at most `PROFILES_MAX`.
    pub profiles: Vec<Profile>,
    /// The plan's name, one of `GET /v1/plans`.
    pub plan: String,
    /// When it was opened.
    pub created_at: UnixMillis,
}

/// One person on an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Profile {
    /// Stable for the life of the profile.
    pub id: ProfileId,
    /// 1 to 40 characters, unique on the account.
    pub name: String,
}

/// `POST /v1/profiles`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// 1 to 40 characters.
    pub name: String,
}

/// What a plan entitles to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// `basic`, `standard`, `premium`.
    pub name: String,
    /// Concurrent plays on the account, 1 or more.
    pub streams_max: u32,
    /// Tallest rendition the plan may play, pixels.
    pub height_max: u32,
    /// Price in hundredths of the currency unit, a month.
    pub price_cents: u32,
    /// ISO 4217 code.
    pub currency: String,
}

/// `PUT /v1/account/plan`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChoosePlan {
    /// Name of a plan in `GET /v1/plans`.
    pub plan: String,
}
