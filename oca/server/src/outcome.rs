//! How an answer ended and why a connection closed: closed sets with one word for each member.
//! What was answered, and with which status, is `oca_http::Outcome`; these are about what followed.
//! The word is the log field, the metric label and what a test expects.

use control_token::TicketError;
use oca_http::Outcome;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$arm_doc:meta])* $arm:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$arm_doc])* $arm,)+ }

        impl $name {
            /// Every member, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$arm,)+];

            /// The one word that logs, metrics and tests use.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$arm => $word,)+ }
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What became of an answer.
    Ending {
        /// All of it went out.
        Complete = "complete",
        /// The disk failed or a chunk was bad after the head was sent: the connection was cut.
        Cut = "cut",
        /// The client went away before the end. Not an error.
        ClientGone = "client_gone",
        /// The client took nothing for `SEND_PROGRESS_MS_MAX`.
        Stalled = "stalled",
        /// The appliance ended first: the drain deadline passed.
        Abandoned = "abandoned",
    }
}

words! {
    /// Why a connection closed.
    CloseReason {
        /// The client closed it between requests.
        PeerClosed = "peer_closed",
        /// The client reset it, or the network did.
        PeerReset = "peer_reset",
        /// One side asked for `Connection: close`.
        NotKept = "not_kept",
        /// TLS was not finished in `HANDSHAKE_MS_MAX`.
        HandshakeDeadline = "handshake_deadline",
        /// TLS failed: no shared version or cipher, or not TLS at all.
        HandshakeFailed = "handshake_failed",
        /// The kernel's sealing key has to be renewed, which it cannot be.
        KeySpent = "key_spent",
        /// No request for `IDLE_MS_MAX`.
        IdleDeadline = "idle_deadline",
        /// A request head was not complete in `HEAD_MS_MAX`.
        HeadDeadline = "head_deadline",
        /// The client took no bytes for `SEND_PROGRESS_MS_MAX`.
        Stalled = "stalled",
        /// The client took less than `slow_reader_bps` for a whole window.
        SlowReader = "slow_reader",
        /// The client has all the connections that it may have.
        ClientFull = "client_full",
        /// What arrived cannot be trusted to frame a next request.
        Malformed = "malformed",
        /// The disk failed or a chunk was bad in the middle of a body.
        Cut = "cut",
        /// The appliance drains.
        Draining = "draining",
        /// No buffer in the middle of a body, and too many waited for one.
        OverBudget = "over_budget",
        /// It failed before we had it.
        NotAccepted = "not_accepted",
        /// No free slot when it came in.
        NoSlot = "no_slot",
    }
}

/// What a request with a refused ticket is answered.
#[must_use]
pub const fn ticket_outcome(error: TicketError) -> Outcome {
    match error {
        TicketError::TooLong
        | TicketError::NotBase64
        | TicketError::NotCose
        | TicketError::WrongAlgorithm
        | TicketError::BadClaims
        | TicketError::UnknownClaim
        | TicketError::NoLifetime => Outcome::TicketMalformed,
        TicketError::UnknownKey | TicketError::BadSignature => Outcome::TicketForged,
        TicketError::Expired => Outcome::TicketStale,
        TicketError::NotYet => Outcome::TicketEarly,
        TicketError::Revoked => Outcome::TicketRevoked,
    }
}

/// Whether the appliance is to blame for an answer: counted in the report's `errors_total`. Not for
/// a bundle that control did not give it.
#[must_use]
pub const fn is_ours(outcome: Outcome, ending: Ending) -> bool {
    let is_refusal = outcome.status() >= 500 && !matches!(outcome, Outcome::NoBundle);
    is_refusal || matches!(ending, Ending::Cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_fit_a_label() {
        let mut words: Vec<_> = Ending::ALL.iter().map(|e| e.word()).collect();
        words.extend(
            CloseReason::ALL.iter().map(|r| r.word()).filter(|w| *w != "stalled" && *w != "cut"),
        );
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn a_cut_body_is_our_fault_and_a_gone_client_is_not() {
        assert!(is_ours(Outcome::Whole, Ending::Cut));
        assert!(!is_ours(Outcome::Part, Ending::ClientGone));
        assert!(is_ours(Outcome::OverBudget, Ending::Complete));
    }
}
