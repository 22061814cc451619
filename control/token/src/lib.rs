//! Play tickets: Common Access Tokens (CTA-5007), CWT claims in a COSE_Sign1 signed with ES256.
//! Does no I/O and reads no clock; never decides who may have a ticket, only what one says.
//!
//! A ticket is `base64url(18([{1: -7, 4: kid}, {}, claims, signature]))` without padding:
//!
//! | claim | label | here |
//! |---|---|---|
//! | iss, sub | 1, 2 | who signed, and the play (or `fill`) it is for |
//! | exp, nbf | 4, 5 | both required, whole seconds |
//! | catv | 310 | 1 |
//! | catnip | 311 | one network (RFC 9164 tags 52, 54), when the ticket is bound to one |
//! | catu | 312 | `{3 (path): {1 (prefix): text}}` |
//! | catr | 323 | `{0 (type): 1 (cookie) or 2 (header), 1 (expadd): s, 2 (deadline): s}` |
//! | rate cap | -70001 | bits per second; ours, from the private range |
//!
//! Read as well: `iat`, `cti` (which narrow nothing), `catreplay` 0, and a `catm` that names GET
//! and HEAD. Any other claim is refused, because it may be the one that narrows the ticket.

#![forbid(unsafe_code)]

mod bundle;
mod change;
mod claims;
mod ed25519;
mod encoding;
mod error;
mod limits;
mod orders;
mod signer;
mod verifier;

pub use bundle::{BundleKeys, BundleSigner, is_bundle_signed, is_handover_signed};
pub use change::{bundle_change, bundle_changes, changed_bundle};
pub use claims::{Claims, Network, Renewal, RenewedBy, is_plain_path};
pub use encoding::{decode_claims, encode_claims};
pub use error::{KeyError, SignError, TicketError};
pub use limits::{CLOCK_LEEWAY_MS, KEYS_MAX, PREFIX_BYTES_MAX, PREFIXES_MAX, TEXT_BYTES_MAX};
pub use orders::{OrdersSigner, are_signed};
pub use signer::TicketSigner;
pub use verifier::Verifier;
