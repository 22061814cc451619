//! How the control plane says no over HTTP: one body, one exhaustive match from word to status.
//! Services' errors become a [`Refusal`] here and nowhere else; their causes go to the log only.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_accounts::AccountsError;
use control_billing::BillingError;
use control_catalog::CatalogError;
use control_history::HistoryError;
use control_search::SearchError;
use control_steering::SteeringError;
use control_store::StoreError;
use control_token::SignError;
use control_types::{ErrorBody, ErrorWord};

use crate::limits::MESSAGE_CHARS_MAX;

/// A request that is not going to get what it asked for.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Decides the status.
    pub word: ErrorWord,
    /// For the caller; names the thing and the cure.
    pub message: String,
    /// Whole seconds until a retry makes sense.
    pub retry_after_s: Option<u32>,
    /// For the log; never leaves the process.
    pub cause: Option<String>,
}

impl Refusal {
    pub fn new(word: ErrorWord, message: impl Into<String>) -> Self {
        let retry_after_s =
            matches!(word, ErrorWord::Unavailable | ErrorWord::TooMany).then_some(1);
        Self { word, message: message.into(), retry_after_s, cause: None }
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorWord::BadRequest, message)
    }

    pub fn not_found(thing: impl std::fmt::Display) -> Self {
        Self::new(ErrorWord::NotFound, format!("there is no {thing}"))
    }

    /// A part of ours failed: the caller learns that, the log learns why.
    pub fn away(part: &str, cause: &dyn std::error::Error) -> Self {
        let message = format!("{part} did not answer; try again in a moment");
        Self { cause: Some(chain(cause)), ..Self::new(ErrorWord::Unavailable, message) }
    }

    /// A broken promise of ours.
    pub fn internal(cause: impl Into<String>) -> Self {
        let message = "something of ours broke; the request id finds it in the log";
        Self { cause: Some(cause.into()), ..Self::new(ErrorWord::Internal, message) }
    }
}

/// The error and all it stands on, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

impl IntoResponse for Refusal {
    /// Status and `Retry-After` only: the edge writes the body, because it knows the request id.
    fn into_response(self) -> Response {
        let mut answer = status_of(self.word).into_response();
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

/// The one place where a word becomes a status.
pub(crate) fn status_of(word: ErrorWord) -> StatusCode {
    match word {
        ErrorWord::BadRequest => StatusCode::BAD_REQUEST,
        ErrorWord::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorWord::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        ErrorWord::Forbidden => StatusCode::FORBIDDEN,
        ErrorWord::NotFound => StatusCode::NOT_FOUND,
        ErrorWord::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        ErrorWord::Conflict => StatusCode::CONFLICT,
        ErrorWord::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorWord::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorWord::NotHere => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
        ErrorWord::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorWord::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The word for a status that a library of ours answered with (routing, extractors, files).
fn word_of(status: StatusCode) -> ErrorWord {
    match status {
        StatusCode::UNAUTHORIZED => ErrorWord::Unauthenticated,
        StatusCode::FORBIDDEN => ErrorWord::Forbidden,
        StatusCode::NOT_FOUND => ErrorWord::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorWord::WrongMethod,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorWord::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => ErrorWord::TooMany,
        StatusCode::SERVICE_UNAVAILABLE => ErrorWord::Unavailable,
        // 415 and 422 are extractors' ways to say that the body is not what the route takes.
        status if status.is_client_error() => ErrorWord::BadRequest,
        _ => ErrorWord::Internal,
    }
}

/// Gives every answer of 400 and more the one error body; others pass untouched. Answers the
/// refusal too, for the log.
pub(crate) async fn speak(answer: Response, request_id: &str) -> (Response, Option<Refusal>) {
    if answer.status().as_u16() < 400 {
        return (answer, None);
    }
    let (mut parts, body) = answer.into_parts();
    let refusal = match parts.extensions.remove::<Refusal>() {
        Some(refusal) => refusal,
        None => speak_for_library(parts.status, body).await,
    };
    let body = ErrorBody {
        error: refusal.word,
        message: refusal.message.chars().take(MESSAGE_CHARS_MAX).collect(),
        request_id: request_id.to_owned(),
    };
    parts.status = status_of(refusal.word);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal.word == ErrorWord::Unauthenticated {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let bytes = serde_json::to_vec(&body).expect("an ErrorBody is strings only");
    (Response::from_parts(parts, Body::from(bytes)), Some(refusal))
}

/// Extractors and the router answer with a line of text that says what was wrong: keep it.
async fn speak_for_library(status: StatusCode, body: Body) -> Refusal {
    let text = to_bytes(body, 4 * MESSAGE_CHARS_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let word = word_of(status);
    if word == ErrorWord::Internal {
        return Refusal::internal(format!("{status}: {text}"));
    }
    let message = match word {
        ErrorWord::WrongMethod => "this path takes other methods; see the Allow header".to_owned(),
        ErrorWord::TooLarge => "the body is larger than this path takes".to_owned(),
        ErrorWord::NotFound if text.is_empty() => {
            "there is nothing at this path; /openapi.json lists what there is".to_owned()
        }
        _ if text.is_empty() => status.to_string(),
        _ => text,
    };
    Refusal::new(word, message)
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Taken(_) => Self::new(ErrorWord::Conflict, error.to_string()),
            StoreError::Missing(_) => Self::new(ErrorWord::NotFound, error.to_string()),
            StoreError::Refused { .. } => Self::bad(error.to_string()),
            StoreError::Damaged { .. } => Self::internal(chain(&error)),
            StoreError::Away { .. } => Self::away("the store", &error),
        }
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        use AccountsError as E;
        let word = match error {
            E::Store(store) => return store.into(),
            E::Broken(_) => return Self::internal(chain(&error)),
            E::TooMany { retry_ms } => {
                let seconds = u32::try_from(retry_ms.div_ceil(1000)).unwrap_or(u32::MAX);
                let refusal = Self::new(ErrorWord::TooMany, error.to_string());
                return Self { retry_after_s: Some(seconds), ..refusal };
            }
            E::Invalid(_) => ErrorWord::BadRequest,
            E::BadCredentials | E::BadToken | E::SessionEnded => ErrorWord::Unauthenticated,
            E::EmailTaken | E::NameTaken | E::ProfilesFull { .. } | E::LastProfile => {
                ErrorWord::Conflict
            }
            E::NoAccount | E::NoProfile => ErrorWord::NotFound,
            E::Busy => ErrorWord::Unavailable,
        };
        Self::new(word, error.to_string())
    }
}

impl From<BillingError> for Refusal {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::NoPlan { .. } => Self::bad(error.to_string()),
            BillingError::NoAccount(_) => Self::new(ErrorWord::NotFound, error.to_string()),
            BillingError::Store(store) => store.into(),
        }
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Invalid { .. } | CatalogError::NotAnImage(_) => {
                Self::bad(error.to_string())
            }
            CatalogError::Unknown(_) => Self::new(ErrorWord::NotFound, error.to_string()),
            CatalogError::NotHere { .. } => Self::new(ErrorWord::NotHere, error.to_string()),
            CatalogError::Store(store) => store.into(),
        }
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::TooManyEvents { .. } => Self::bad(error.to_string()),
            HistoryError::Store(store) => store.into(),
        }
    }
}

impl From<SteeringError> for Refusal {
    fn from(error: SteeringError) -> Self {
        let word = error.word();
        let refusal = Self::new(word, error.to_string());
        match word {
            // What failed inside is for the log; what was being done is in the message.
            ErrorWord::Internal | ErrorWord::Unavailable => {
                Self { cause: Some(chain(&error)), ..refusal }
            }
            _ => refusal,
        }
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        Self { cause: Some(chain(&error)), ..Self::new(error.word(), error.to_string()) }
    }
}

impl From<SignError> for Refusal {
    fn from(error: SignError) -> Self {
        Self::internal(format!("a ticket could not be signed: {}", chain(&error)))
    }
}
