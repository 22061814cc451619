//! How the control plane says no: one body, one closed set of words.
//! Not an error type to pass around inside a process; each wall has its own.

use serde::{Deserialize, Serialize};

/// What went wrong, in a word a program can match on. The word decides the HTTP status, at the
/// edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorWord {
    /// 400: the request is malformed or a field is out of range.
    BadRequest,
    /// 401: no valid credentials.
    Unauthenticated,
    /// 402: the account's plan does not include this.
    PaymentRequired,
    /// 403: valid credentials that do not reach this far.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 405: the path exists, not with this method; see Allow.
    WrongMethod,
    /// 409: clashes with what is there (email taken, too many streams, window already open).
    Conflict,
    /// 413: body over the bound.
    TooLarge,
    /// 429: slow down; see Retry-After.
    TooMany,
    /// 451: not available in the member's region.
    NotHere,
    /// 503: a part we need is away; see Retry-After.
    Unavailable,
    /// 500: our fault; the request id finds it in the log.
    Internal,
}

/// Body of every answer with a status of 400 or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// For programs.
    pub error: ErrorWord,
    /// For people: names the thing and the cure. Never holds internals.
    pub message: String,
    /// Finds this request in the log; also in the `x-request-id` header.
    pub request_id: String,
}
