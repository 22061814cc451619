//! How a request ended: one closed list, one word each.
//! The word is the log field, the metric label, the body of a refusal and the test's expectation.

use crate::head::HeadError;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident $status:literal $word:literal)*) => {
        /// How a request ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Outcome {
            $($(#[$doc])* $name,)*
            /// The head could not be read as exactly one request; the error has the word.
            BadHead(HeadError),
        }

        impl Outcome {
            /// Every outcome but those of [`HeadError::ALL`].
            pub const PLAIN: &[Self] = &[$(Self::$name,)*];

            /// The status code it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::BadHead(error) => error.status(),
                }
            }

            /// The one word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::BadHead(error) => error.word(),
                }
            }
        }
    };
}

outcomes! {
    /// The whole object.
    Whole 200 "whole"
    /// One range of it.
    Part 206 "part"
    /// Several ranges of it.
    Parts 206 "parts"
    /// Where a session should stream from.
    Steered 200 "steered"
    /// A browser's permission question.
    Preflight 204 "preflight"
    /// The client has it already.
    NotModified 304 "not_modified"
    /// We do not have that object; another appliance does, and is named.
    Elsewhere 307 "elsewhere"
    /// No ticket came along.
    TicketAbsent 403 "ticket_absent"
    /// The ticket is not a Common Access Token we can read.
    TicketMalformed 403 "ticket_malformed"
    /// Nobody whose key we hold signed it.
    TicketForged 403 "ticket_forged"
    /// Its time is over.
    TicketStale 403 "ticket_stale"
    /// Its time has not come.
    TicketEarly 403 "ticket_early"
    /// The ticket was taken back before its end.
    TicketRevoked 403 "ticket_revoked"
    /// It is good, but for other paths.
    TicketElsewhere 403 "ticket_elsewhere"
    /// It is good, but for another client address.
    TicketNetwork 403 "ticket_network"
    /// The path is none of ours.
    NoRoute 404 "no_route"
    /// We do not hold that object.
    UnknownObject 404 "unknown_object"
    /// We hold it, as part of another title.
    OtherTitle 404 "other_title"
    /// We held it until its bytes turned out bad.
    Quarantined 404 "quarantined"
    /// Only GET, HEAD and OPTIONS are answered.
    MethodNotAllowed 405 "method_not_allowed"
    /// The client insists on another version than we hold.
    PreconditionFailed 412 "precondition_failed"
    /// The range begins past the end.
    Unsatisfiable 416 "unsatisfiable"
    /// The client expects what nobody here can do.
    ExpectationFailed 417 "expectation_failed"
    /// The disk did not give the bytes, and no other disk here has them.
    DiskFailed 503 "disk_failed"
    /// The disk gave bytes that are not the object's.
    ChunkBad 500 "chunk_bad"
    /// We are going away; another appliance has it.
    Draining 503 "draining"
    /// The budget of this appliance is spent for now.
    OverBudget 503 "over_budget"
    /// No buffer is free.
    NoBuffer 503 "no_buffer"
    /// We cannot say where a session should stream from; it stays where it is.
    NoBundle 503 "no_bundle"
}

impl Outcome {
    /// All of them, for the listing of labels and for tests.
    pub fn all() -> impl Iterator<Item = Self> {
        let heads = HeadError::ALL.iter().map(|error| Self::BadHead(*error));
        Self::PLAIN.iter().copied().chain(heads)
    }

    /// Whether a body that is the object follows, as opposed to a word of refusal or nothing.
    #[must_use]
    pub const fn is_media(self) -> bool {
        matches!(self, Self::Whole | Self::Part | Self::Parts)
    }

    /// Whether the connection must be closed after it: after a head we could not delimit, nobody
    /// knows where the next request starts.
    #[must_use]
    pub const fn must_close(self) -> bool {
        matches!(self, Self::BadHead(_) | Self::Draining)
    }

    /// The reason phrase of its status; clients ignore it, people with packet dumps do not.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.status() {
            200 => "OK",
            204 => "No Content",
            206 => "Partial Content",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            412 => "Precondition Failed",
            414 => "URI Too Long",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Unnamed",
        }
    }
}

impl From<HeadError> for Outcome {
    fn from(error: HeadError) -> Self {
        Self::BadHead(error)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_outcome_has_its_own_word_and_a_named_status() {
        let mut words = HashSet::new();
        for outcome in Outcome::all() {
            assert!(words.insert(outcome.word()), "two outcomes share {:?}", outcome.word());
            assert_ne!(outcome.reason(), "Unnamed", "{outcome:?}");
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(outcome.word().bytes().all(plain), "{:?} is not one word", outcome.word());
        }
    }
}
