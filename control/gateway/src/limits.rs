//! Every maximum of the HTTP surface, in one place, each tied to its neighbours.
//! Bounds that both ends of a wire share live in `control_types::limits`.

use control_token::CLOCK_LEEWAY_MS;
use control_types::limits::BODY_BYTES_MAX;

/// Largest body of a member's request, bytes: a password, a profile name, a report of 64 events.
pub const MEMBER_BODY_BYTES_MAX: usize = 128 << 10;

/// Largest artwork image, bytes.
pub const ARTWORK_BYTES_MAX: usize = 4 << 20;

/// Time a request may take inside, its body's arrival included, milliseconds. A change goes on
/// behind the answer.
pub const REQUEST_MS_MAX: u64 = 10_000;

/// Time the ledger may take to say whose a profile is, and what a plan gives, before a press of
/// play goes on with what was last known, milliseconds. A read of it takes a tenth of one.
pub const LEDGER_MS_MAX: u64 = 40;

/// Time the ledger may take when nothing is known to go on with, milliseconds.
pub const LEDGER_PATIENT_MS_MAX: u64 = 3_000;

/// Time the resume point may take before play goes on without it, milliseconds.
pub const RESUME_MS_MAX: u64 = 100;

/// Time that a write beside an answer may hold the answer back, milliseconds. It goes on behind
/// it.
pub const WRITE_MS_MAX: u64 = 25;

/// Time that one caller waits for any of these when few are late, milliseconds.
pub const PATIENCE_MS_MAX: u64 = 1_000;

/// Callers that are late at once, from which on nobody waits.
pub const OVERDUE_MAX: usize = 8;

/// Writes of one kind under way behind answers; more are not begun, and counted.
pub const WRITES_BEHIND_MAX: usize = 4_096;

/// Misses of a dependency in a row after which nobody waits for it.
pub const MISSES_MAX: u32 = 3;

/// How often one that nobody waits for is asked whether it is back, milliseconds.
pub const PROBE_EVERY_MS: u64 = 1_000;

/// Plays, accounts and profiles that are remembered, each at most so many.
pub const PLAYS_REMEMBERED_MAX: usize = 100_000;
/// See [`PLAYS_REMEMBERED_MAX`].
pub const ACCOUNTS_REMEMBERED_MAX: usize = 200_000;
/// See [`PLAYS_REMEMBERED_MAX`].
pub const PROFILES_REMEMBERED_MAX: usize = 400_000;

/// Requests worked on at once; more are told to come back.
pub const RUNNING_MAX: usize = 4_096;

/// Addresses the rate limit remembers; beyond it, those long quiet are forgotten at once.
pub const ADDRESSES_MAX: usize = 100_000;

/// Longest request id taken over from a caller, bytes; a longer one is replaced by ours.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Longest path and query, bytes.
pub const TARGET_BYTES_MAX: usize = 4 << 10;

/// Longest message of an error answer, characters.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// Longest search text, bytes.
pub const QUERY_BYTES_MAX: usize = 400;

/// Titles of a profile's history that a page looks at or shows.
pub const HISTORY_MAX: usize = 200;

/// Most events of one report.
pub const EVENTS_MAX: usize = 64;

/// Refused routes of one listing.
pub const REFUSED_SHOWN_MAX: usize = 1_000;

/// Plays remembered to renew their tickets by themselves; one that is forgotten is offered more
/// than it needs.
pub const PLAYS_RENEWING_MAX: usize = 100_000;

/// Appliances named beside an authority.
pub const APPLIANCES_NAMED_MAX: usize = 20;

/// Changes of routes of one listing.
pub const ROUTE_CHANGES_SHOWN_MAX: usize = 1_000;

/// How often a change of routes is judged anew because another came in between.
pub const ROUTE_EDIT_TRIES_MAX: usize = 16;

/// Longest time after which a box asks again whether its certificate is due, milliseconds.
pub const ASK_AGAIN_MS_MAX: u64 = 3_600_000;

/// Shortest and longest life of a ticket the operator asks for, milliseconds.
pub const TICKET_MS_MIN: u64 = 1_000;
/// See [`TICKET_MS_MIN`].
pub const TICKET_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Longest life of a play from its press, milliseconds: for so long its tickets are renewed.
pub const PLAY_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Life of the fill ticket inside orders, milliseconds: an agent must get through a night, and a
/// day without control, on its last orders.
pub const FILL_TICKET_MS: u64 = 36 * 60 * 60 * 1_000;

/// Longest life of any ticket made here, milliseconds, with what verifiers' clocks may be off: a
/// key verifies and a revocation counts for as long.
pub const TICKET_LIFE_MS_MAX: u64 = FILL_TICKET_MS + CLOCK_LEEWAY_MS;

const _: () = assert!(TICKET_MS_MAX <= FILL_TICKET_MS && TICKET_MS_MAX <= PLAY_MS_MAX);
// A revocation lasts as long as any ticket: a play taken back is over before it is forgotten.
const _: () = assert!(PLAY_MS_MAX < TICKET_LIFE_MS_MAX);
const _: () = assert!(MEMBER_BODY_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(ARTWORK_BYTES_MAX <= BODY_BYTES_MAX);
const _: () = assert!(RESUME_MS_MAX < REQUEST_MS_MAX && LEDGER_PATIENT_MS_MAX < REQUEST_MS_MAX);
const _: () = assert!(RESUME_MS_MAX < PATIENCE_MS_MAX && PATIENCE_MS_MAX < REQUEST_MS_MAX);
const _: () = assert!(LEDGER_MS_MAX < LEDGER_PATIENT_MS_MAX && WRITE_MS_MAX < RESUME_MS_MAX);
