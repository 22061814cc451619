//! Under which name members reach control: configured, or the one this request came to.
//! Makes absolute URLs only; whether a Host is acceptable at all is for `strict` to say.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use control_types::PlayId;

use crate::errors::Refusal;
use crate::gateway::Gateway;

/// `scheme://host[:port]`, without a trailing slash.
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// A URL of a play.
    pub fn of_play(&self, play: &PlayId, what: &str) -> String {
        format!("{}/v1/plays/{play}/{what}", self.0)
    }
}

impl FromRequestParts<Gateway> for PublicUrl {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        if let Some(url) = &gateway.settings().public_url {
            return Ok(Self(url.trim_end_matches('/').to_owned()));
        }
        let host = match parts.headers.get(header::HOST) {
            Some(host) => host.to_str().unwrap_or_default(),
            None => parts.uri.authority().map_or("", |authority| authority.as_str()),
        };
        let scheme = if gateway.settings().tls { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{host}")))
    }
}
