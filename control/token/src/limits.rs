//! Every maximum of a ticket, in one place. Holds no logic.

use control_types::limits::{SLUG_BYTES_MAX, TICKET_BYTES_MAX};

/// How far two machines' clocks may differ before a ticket is refused for it, milliseconds. Both
/// ends of a ticket's life are widened by this much.
pub const CLOCK_LEEWAY_MS: u64 = 5_000;

/// Longest issuer or subject, bytes.
pub const TEXT_BYTES_MAX: usize = 128;

/// Longest path prefix, bytes: room for `/v/TITLE/` with the longest title id.
pub const PREFIX_BYTES_MAX: usize = 96;

/// Most path prefixes in one ticket.
pub const PREFIXES_MAX: usize = 4;

/// Most verification keys an appliance holds at once: newest first, the rest are not read.
pub const KEYS_MAX: usize = 16;

const _: () = assert!(SLUG_BYTES_MAX + "/v//".len() <= PREFIX_BYTES_MAX);
// The largest claims, COSE framing (about 120 bytes with the signature), and base64's third on top.
const _: () =
    assert!((2 * TEXT_BYTES_MAX + PREFIXES_MAX * (PREFIX_BYTES_MAX + 3)) < TICKET_BYTES_MAX);
