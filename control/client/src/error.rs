//! Why a call to the control plane did not give what was asked for: it was not reached, or it said
//! no.
//! Never hides which of the two it was, because the first is worth trying again and the second is
//! not.

use std::path::PathBuf;

use control_types::{ErrorBody, ErrorWord};

/// A call that failed. Messages name the URL or the refusal, and the likely cure.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The caller's URL; retrying cannot help.
    #[error(
        "{url:?} is not a control URL ({why}): write it as http://host:port or https://host:port"
    )]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The caller's CA file; retrying cannot help.
    #[error(
        "the CA for {url} holds no usable certificate ({why}): give PEM with BEGIN CERTIFICATE"
    )]
    Ca {
        /// Which control it was for.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key holds characters no header may carry; retrying cannot help.
    #[error("the key for {url} is not printable ASCII: check that the key file is the right one")]
    Key {
        /// Which control it was for.
        url: String,
    },
    /// The box has no identity that can be used. Worth trying again once somebody registered it.
    #[error(
        "this box is nobody to {url}: {path} is no identity ({why}); \
         `oca register` with a key of `ocactl appliance key-for` makes one"
    )]
    Identity {
        /// Which control it was for.
        url: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The box cannot register there; retrying cannot help.
    #[error("cannot register at {url}: {why}")]
    Registration {
        /// Which control.
        url: String,
        /// What is wrong, and the cure.
        why: String,
    },
    /// Nobody's fault yet: the network or control is away. Worth trying again later.
    #[error(
        "control is unreachable at {url}: {reason}; \
         check that `control serve` runs there and that the configured URL and CA are right"
    )]
    Unreachable {
        /// Method and URL.
        url: String,
        /// The deepest cause, for example `Connection refused`.
        reason: String,
        /// The connection was there and ended before a byte of an answer came: the server closes
        /// one that rested at the moment it is used again, or is gone. What was asked may or may
        /// not have happened.
        broke: bool,
    },
    /// Control was reached and did not finish in time. Worth trying again later; a change may or
    /// may not have happened.
    #[error("control did not answer {url} within {after_ms} ms; it may be overloaded, try again")]
    TimedOut {
        /// Method and URL.
        url: String,
        /// The bound that ran out.
        after_ms: u64,
    },
    /// Control said no.
    #[error("control refused {url} with {status}: {} (request {})", body.message, body.request_id)]
    Refused {
        /// Method and URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// Word, message and request id.
        body: Box<ErrorBody>,
    },
    /// What answered does not speak as control does: a proxy, another program, another version.
    #[error(
        "{url} answered {status} with something that is not control's: {why}; \
         check that the URL points at control itself and that both have the same version"
    )]
    Garbled {
        /// Method and URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What did not fit.
        why: String,
    },
}

impl ClientError {
    /// Control's word for its refusal; `None` when control did not refuse.
    #[must_use]
    pub fn word(&self) -> Option<ErrorWord> {
        match self {
            Self::Refused { body, .. } => Some(body.error),
            _ => None,
        }
    }

    /// True when control could not be reached or was too slow: go on from what is on disk.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
            || self.word() == Some(ErrorWord::Unavailable)
    }
}

impl ClientError {
    /// True when a connection broke without an answer: who may ask twice, asks at once again.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Unreachable { broke: true, .. })
    }
}

/// The innermost cause, which is the one that tells people something.
pub(crate) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let reason = cause.to_string();
    // What a TLS client makes of an answer in clear, in words that say what to do about it.
    if reason.contains("InvalidContentType") {
        return "it speaks plain HTTP there: write http:// or give its https port".into();
    }
    reason
}
