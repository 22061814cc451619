//! Every maximum of the agent. A number that is not here is not a limit.

use control_types::limits::CHUNK_BYTES;

/// Most connections at once, whatever the configuration asks for.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// Longest run of chunks that one lane takes at once, one range request a chunk: long enough that a
/// lane stays in one part of the file, short enough that a source that turns bad is noticed soon.
pub(crate) const RUN_CHUNKS_MAX: u32 = 8;
/// Smallest piece asked for under a rate cap, bytes; its head and TLS are then under a tenth of it.
pub(crate) const PIECE_BYTES_MIN: u64 = 4096;
/// Smallest piece under a cap of which one second carries less than that, bytes.
pub(crate) const PIECE_BYTES_LEAST: u64 = 128;
/// Counted on top of each piece: the head of its answer, bytes.
pub(crate) const HEAD_BYTES: u64 = 400;
/// Counted for each connection made: what its handshakes take, with a chain of certificates, bytes.
pub(crate) const HANDSHAKE_BYTES: u64 = 6_144;
/// TLS adds one byte in this many: 22 to a record of 16 KiB, and a little for small records.
pub(crate) const TLS_ONE_IN: u64 = 500;
/// TCP/IP headers of one segment, bytes: IPv6 and time stamps.
pub(crate) const HEADER_BYTES: u64 = 72;
/// Payload of a TCP segment until a connection says better, bytes: that of Ethernet.
pub(crate) const SEGMENT_BYTES_DEFAULT: u64 = 1_428;
/// Smallest segment believed, bytes: a source must not talk the cap away.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 500;
/// An arrival counts under a cap for this long, milliseconds: a second, and one because clocks are
/// read in whole milliseconds.
pub(crate) const CAP_SPAN_MS: u64 = 1_001;
/// Longest wait before a lane asks for its grant again, milliseconds.
pub(crate) const GRANT_WAIT_MS_MAX: u64 = 10;
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
/// A peer that does not have it yet is waited for this many times `peer_wait_ms` as long as it
/// answers: it is up, and gets other things first.
pub(crate) const PEER_UP_TIMES: u64 = 6;
/// An object that no source gave is tried again after this long, milliseconds, doubling.
pub(crate) const TRY_AGAIN_MS: (u64, u64) = (30_000, 600_000);
/// An object there was no room for is tried again after this long, milliseconds.
pub(crate) const ROOM_AGAIN_MS: u64 = 60_000;
/// Share of a file system kept free, one in this many bytes: 1.5 %. Less than the plan leaves, so
/// that what the plan counts on fits: it knows of no directories and of no blocks that the file
/// system keeps for root. What objects take is promised before; this is for the two directories
/// and the map of a pull, and for a journal written anew (128 bytes an object).
pub(crate) const KEEP_FREE_ONE_IN: u64 = 66;
/// Looks at the room of a disk whose files grow meanwhile, before what was just taken may count
/// twice.
pub(crate) const ROOM_LOOKS_MAX: u32 = 8;
/// Longest wait for the room of what was pruned, milliseconds: readers follow journals several
/// times a second, and let go of a file with their last read of it.
pub(crate) const ROOM_BACK_MS: u64 = 5_000;
/// Most failures in one report.
pub(crate) const FAILURES_MAX: usize = 100;
/// Most troubles in one report.
pub(crate) const TROUBLES_MAX: usize = 100;
/// Boxes remembered as sources for repairs.
pub(crate) const KNOWN_SOURCES_MAX: usize = 32;
/// Windows before the present one whose spent bytes are remembered.
pub(crate) const EARLIER_WINDOWS_MAX: usize = 16;
/// Repairs waiting at once; more means a disk is dying and a plan is the better cure.
pub(crate) const REPAIRS_MAX: usize = 1_000;
/// How often control's time is kept on disk, milliseconds: 5 min.
pub(crate) const ANCHOR_KEEP_MS: u64 = 300_000;
/// After a boot, a clock further ahead of control's last word than this opens no window before
/// control has answered, milliseconds: 2 h, longer than any boot takes.
pub(crate) const AHEAD_MS_MAX: u64 = 2 * 3_600_000;
/// The same for one that is before control's last word, milliseconds: NTP may have been at work.
pub(crate) const BEHIND_MS_MAX: u64 = 60_000;
/// A wall clock that went this much faster or slower than the time since boot was set by somebody,
/// milliseconds.
pub(crate) const WALL_MOVED_MS_MAX: u64 = 60_000;
/// Longest name of a boot that is kept, bytes.
pub(crate) const BOOT_ID_BYTES_MAX: usize = 64;
/// Largest file of the state directory that is read, bytes: orders of a million objects.
pub(crate) const STATE_BYTES_MAX: u64 = 1 << 30;
/// A budget that could not be kept is asked of again after this long, milliseconds.
pub(crate) const SPEND_AGAIN_MS: u64 = 5_000;
/// What lasts is said again in the log after this long, milliseconds.
pub(crate) const SAY_AGAIN_MS: u64 = 60_000;
/// Objects that a disk may refuse to let go before no more of its list is tried for one pull.
pub(crate) const PRUNES_REFUSED_MAX: u32 = 4;
/// Bytes of a window's budget set aside in one write to disk, so that a kill cannot overspend.
pub(crate) const SET_ASIDE_BYTES: u64 = 8 << 20;
/// The same where a window has no budget: one byte in this many of what was spent.
pub(crate) const SET_ASIDE_ONE_IN: u64 = 8;
/// But no less and no more than this, bytes: a fast line must not wait for the disk all the time.
pub(crate) const SET_ASIDE_OPEN_BYTES: (u64, u64) = (64 << 20, 256 << 20);
/// How often the agent looks at clock, markers and lanes, milliseconds.
pub(crate) const TICK_MS: u64 = 100;
/// How often it reports and asks for orders while it fills, milliseconds.
pub(crate) const FILLING_POLL_MS: u64 = 1_000;
/// How often suspect markers are looked for, milliseconds.
pub(crate) const SUSPECTS_MS: u64 = 1_000;
/// An object whose disk was set aside is tried on another after this long, milliseconds.
pub(crate) const OTHER_DISK_MS: u64 = 200;
/// A disk whose write failed takes nothing new for this long, milliseconds.
pub(crate) const DISK_REST_MS: u64 = 600_000;
/// How often disks in use are looked for, milliseconds.
pub(crate) const DISKS_MS: u64 = 5_000;
/// How often a lost disk is looked for, milliseconds.
pub(crate) const LOST_LOOK_MS: u64 = 60_000;
/// How often `oca` is asked how members fare, milliseconds.
pub(crate) const FOREGROUND_MS: u64 = 500;
/// Longest wait for an answer of `oca`, milliseconds.
pub(crate) const METRICS_MS_MAX: u64 = 2_000;
/// An `oca` that is there and has answered nothing for this long counts as busy, milliseconds.
pub(crate) const SILENT_MS: u64 = 5_000;
/// Largest `/metrics` answer read, bytes.
pub(crate) const METRICS_BYTES_MAX: u64 = 4 << 20;
/// Fewer disk reads between two looks than this tell nothing.
pub(crate) const SLOW_READS_SEEN_MIN: f64 = 20.0;
/// One slow read in this many is busy.
pub(crate) const SLOW_READS_ONE_IN: f64 = 10.0;
/// Calm looks in a row that give a lane back.
pub(crate) const CALM_LOOKS: u32 = 3;
/// Calm looks in a row after which disks are idle.
pub(crate) const IDLE_LOOKS: u32 = 12;
/// Least heat of an object that heat alone brings to flash.
pub(crate) const PROMOTE_HEAT_MIN: f64 = 0.5;
/// What leaves flash for another must be this many times colder.
pub(crate) const HYSTERESIS: f64 = 2.0;
/// Errands worked out at once.
pub(crate) const ERRANDS_MAX: usize = 512;
/// Objects of a heat file that are looked at.
pub(crate) const HEAT_OBJECTS_MAX: usize = 1_000_000;
/// Largest heat file read, bytes.
pub(crate) const HEAT_FILE_BYTES_MAX: u64 = 256 << 20;
/// An object moved by heat or plan is not moved by heat again for this long, milliseconds: 6 h.
pub(crate) const MOVE_REST_MS: u64 = 6 * 3_600_000;
/// Moved objects remembered.
pub(crate) const MOVED_MAX: usize = 100_000;
/// How often errands are looked for, milliseconds.
pub(crate) const ERRANDS_MS: u64 = 2_000;
/// A copy that is off the list keeps its file this long, milliseconds: readers follow journals
/// several times a second.
pub(crate) const RETIRE_MS: u64 = 3_000;
/// Chunks read between two looks at whether members need the disk.
pub(crate) const STEP_CHUNKS: u32 = 16;
/// How often a scrub's place is kept on disk, milliseconds.
pub(crate) const SCRUB_KEEP_MS: u64 = 10_000;
/// Pause between two whole scrubs, milliseconds: 1 h.
pub(crate) const SCRUB_AGAIN_MS: u64 = 3_600_000;
/// How often quarantines are looked at, milliseconds.
pub(crate) const QUARANTINE_MS: u64 = 60_000;
/// Longest wait for lanes to put down their work at the end, milliseconds.
pub(crate) const STOP_MS_MAX: u64 = 3_000;

const _: () = assert!(PIECE_BYTES_MIN < CHUNK_BYTES && PIECE_BYTES_LEAST < PIECE_BYTES_MIN);
const _: () = assert!(PIECE_BYTES_MIN >= 8 * HEAD_BYTES);
const _: () = assert!(TICK_MS * 5 <= 1_000, "a closed window must stop fill within a second");
const _: () = assert!(FILLING_POLL_MS >= TICK_MS && SUSPECTS_MS >= TICK_MS);
const _: () = assert!(KEEP_FREE_ONE_IN > 60, "a plan that leaves 2 % must fit, root's 5 % and all");
const _: () = assert!(CAP_SPAN_MS > 1_000);
const _: () = assert!(SET_ASIDE_BYTES <= SET_ASIDE_OPEN_BYTES.0 && SET_ASIDE_ONE_IN > 1);
const _: () = assert!(SET_ASIDE_OPEN_BYTES.0 < SET_ASIDE_OPEN_BYTES.1);
const _: () = assert!(ANCHOR_KEEP_MS < AHEAD_MS_MAX / 2, "a boot must not be in doubt by itself");
const _: () = assert!(SILENT_MS > 2 * METRICS_MS_MAX, "one late answer is no silence");
