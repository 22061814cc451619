//! Every maximum of the agent. A number that is not here is not a limit.

use control_types::limits::CHUNK_BYTES;

/// Most connections at once, whatever the configuration asks for.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// Longest run of chunks that one lane takes at once, one range request a chunk: long enough that a
/// lane stays in one part of the file, short enough that a source that turns bad is noticed soon.
pub(crate) const RUN_CHUNKS_MAX: u32 = 8;
/// Smallest piece asked for under a rate cap, bytes; its head and TLS are then under a tenth of it.
pub(crate) const PIECE_BYTES_MIN: u64 = 4096;
/// Counted on top of each piece: request, head, TLS and TCP.
pub(crate) const OVERHEAD_BYTES: u64 = 512;
/// A cap for a second is kept over this long, milliseconds: what is granted at the end of one
/// second must not arrive in the next beside a full grant.
pub(crate) const CAP_SPAN_MS: u64 = 1050;
/// Repairs outside windows go no faster than this, bits per second: a bad object is urgent, and one
/// stream of 20 Mbit/s is what a single viewer costs the ISP.
pub(crate) const REPAIR_BPS_MAX: u64 = 20_000_000;
/// Most objects begun and unfinished at once, for each lane.
pub(crate) const RUNNING_PER_LANE_MAX: usize = 2;
/// Time to a connection with keys, milliseconds.
pub(crate) const CONNECT_MS_MAX: u64 = 5_000;
/// Slowest a source may be, bits per second, averaged over one request and beyond `stall_ms`.
pub(crate) const SOURCE_BPS_MIN: u64 = 200_000;
/// Faults of one source for one object before the next is tried; a lie counts as all of them.
pub(crate) const FAULTS_MAX: u32 = 2;
/// A source that failed is passed over for this long, milliseconds, doubling up to the second.
pub(crate) const COOL_MS: (u64, u64) = (2_000, 120_000);
/// A peer that does not have it yet is asked again after this long, milliseconds, doubling.
pub(crate) const ASK_AGAIN_MS: (u64, u64) = (500, 5_000);
/// An object that no source gave is tried again after this long, milliseconds, doubling.
pub(crate) const TRY_AGAIN_MS: (u64, u64) = (30_000, 600_000);
/// An object there was no room for is tried again after this long, milliseconds.
pub(crate) const ROOM_AGAIN_MS: u64 = 60_000;
/// Share of a file system kept free, one in this many bytes.
pub(crate) const KEEP_FREE_ONE_IN: u64 = 100;
/// Most failures in one report.
pub(crate) const FAILURES_MAX: usize = 100;
/// Boxes remembered as sources for repairs.
pub(crate) const KNOWN_SOURCES_MAX: usize = 32;
/// Repairs waiting at once; more means a disk is dying and a plan is the better cure.
pub(crate) const REPAIRS_MAX: usize = 1_000;
/// Bytes of a window's budget set aside in one write to disk, so that a kill cannot overspend.
pub(crate) const SET_ASIDE_BYTES: u64 = 8 << 20;
/// How often the agent looks at clock, markers and lanes, milliseconds.
pub(crate) const TICK_MS: u64 = 100;
/// How often it reports and asks for orders while it fills, milliseconds.
pub(crate) const FILLING_POLL_MS: u64 = 1_000;
/// How often suspect markers are looked for, milliseconds.
pub(crate) const SUSPECTS_MS: u64 = 1_000;
/// Longest wait for lanes to put down their work at the end, milliseconds.
pub(crate) const STOP_MS_MAX: u64 = 3_000;

const _: () = assert!(PIECE_BYTES_MIN < CHUNK_BYTES);
const _: () = assert!(PIECE_BYTES_MIN >= 8 * OVERHEAD_BYTES);
const _: () = assert!(TICK_MS * 5 <= 1_000, "a closed window must stop fill within a second");
const _: () = assert!(FILLING_POLL_MS >= TICK_MS && SUSPECTS_MS >= TICK_MS);
const _: () = assert!(CAP_SPAN_MS > 1_000);
