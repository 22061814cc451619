//! How bodies come in: JSON, bounded, every unknown field named.
//! Accepts no other content type, so that a foreign page cannot post a form here.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use control_types::ErrorWord;
use serde::de::DeserializeOwned;

use crate::errors::Refusal;

/// A JSON body of type `T`.
pub(crate) struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/json")
        {
            let message = format!("the body is {kind:?}; send application/json");
            return Err(Refusal::bad(message));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        read(&bytes).map(Self)
    }
}

/// JSON that came without a content type of its own, as beacons do.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad(format!("the body is not what this path takes: {error}")))
}

/// A body that did not arrive whole.
pub(crate) fn unread(rejection: BytesRejection) -> Refusal {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::new(ErrorWord::TooLarge, "the body is larger than this path takes");
    }
    Refusal::bad("the body broke off before its end")
}
