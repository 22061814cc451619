//! Every way a ticket or a key is refused; the words double as log fields and metric labels.
//! Never carries a ticket's bytes, which are a credential.

use thiserror::Error;

/// Why a ticket was not accepted. A closed set: each variant has one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TicketError {
    /// More text than any ticket of ours; not even decoded.
    #[error("ticket is longer than {} bytes", control_types::limits::TICKET_BYTES_MAX)]
    TooLong,
    /// Not base64url without padding.
    #[error("ticket is not base64url text: it was cut or altered on its way")]
    NotBase64,
    /// Not exactly one COSE_Sign1 structure.
    #[error("ticket is not a COSE_Sign1 structure (RFC 9052)")]
    NotCose,
    /// Protected header says something other than ES256, or marks a header critical.
    #[error("ticket is not signed with ES256 in its protected header")]
    WrongAlgorithm,
    /// `kid` absent or not among the verifier's keys.
    #[error("ticket names a key this verifier does not hold: fetch /v1/keys/tickets again")]
    UnknownKey,
    /// The signature does not belong to these claims and this key.
    #[error("ticket's signature does not verify")]
    BadSignature,
    /// Claims are not a CWT map, or a claim has a wrong type or is out of bounds.
    #[error("ticket's claims are malformed")]
    BadClaims,
    /// A claim we do not enforce. It may be the one that narrows the ticket, so it is not ignored.
    #[error("ticket holds a claim this verifier does not enforce")]
    UnknownClaim,
    /// `exp` or `nbf` is missing.
    #[error("ticket has no end or no beginning: exp and nbf are both required")]
    NoLifetime,
    /// Past its end.
    #[error("ticket has expired: press play again")]
    Expired,
    /// Taken back before its end.
    #[error("ticket was taken back: press play again")]
    Revoked,
    /// Before its beginning by more than the clock leeway.
    #[error("ticket is not valid yet: compare the two machines' clocks")]
    NotYet,
}

impl TicketError {
    /// The log field and metric label of this refusal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "ticket_too_long",
            Self::NotBase64 => "ticket_not_base64",
            Self::NotCose => "ticket_not_cose",
            Self::WrongAlgorithm => "ticket_wrong_algorithm",
            Self::UnknownKey => "ticket_unknown_key",
            Self::BadSignature => "ticket_bad_signature",
            Self::BadClaims => "ticket_bad_claims",
            Self::UnknownClaim => "ticket_unknown_claim",
            Self::NoLifetime => "ticket_no_lifetime",
            Self::Expired => "ticket_expired",
            Self::Revoked => "ticket_revoked",
            Self::NotYet => "ticket_not_yet",
        }
    }
}

/// Why claims were not signed; always the caller's claims, never retried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// A claim would be refused by every verifier.
    #[error("cannot sign a ticket with this {claim}: use {wanted}")]
    Claim {
        /// Which claim.
        claim: &'static str,
        /// What would be signed.
        wanted: &'static str,
    },
    /// The finished ticket would be too long to verify.
    #[error("ticket would be {bytes} bytes, over the bound: shorten its prefixes")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// The cryptographic library refused to sign.
    #[error("the signing key failed to sign; make a new one")]
    Crypto,
}

/// Why a key could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes are not a P-256 private key in PKCS #8.
    #[error("signing key is not a P-256 key in PKCS #8: remove the file to have a new one made")]
    NotPkcs8,
    /// The system gave no randomness.
    #[error("no randomness to make a signing key from")]
    NoRandomness,
    /// A verification key is not an uncompressed P-256 point.
    #[error("verification key {kid:?} is not an uncompressed P-256 point in base64url")]
    NotPoint {
        /// Which.
        kid: String,
    },
    /// More keys than a verifier holds.
    #[error("{count} verification keys are more than {max}: drop the oldest")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many fit.
        max: usize,
    },
}
