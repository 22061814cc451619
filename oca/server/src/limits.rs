//! Every maximum of the appliance's segment server, tied to its neighbours by const assertions.
//! Never read from a file: what an operator may turn is in `config`, bounded by these.

mod bounds;
mod memory;
mod sovereign;

use control_types::limits::{CHUNK_BYTES, TICKET_BYTES_MAX};

pub use bounds::{Bounds, Limit, TableSizes, in_words, table};
pub use memory::MemorySum;
pub use sovereign::*;

/// Most workers (one a core).
pub const WORKERS_MAX: usize = 256;

/// Most connections a worker holds; one more stays in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 65_536;

/// Operations that one connection may have under way, with those done on its behalf: a receive, a
/// send or the end of sending, the close, the chunk it waits for and the one read ahead. Idle
/// clients hold a receive each, so a ring that takes fewer operations than this could be filled,
/// and thereby stopped, by clients that do nothing at all.
pub const OPERATIONS_PER_CONNECTION: usize = 5;

/// Operations that one open file may have under way besides: its open or its seal's next piece, or
/// the close of the file that had its place before.
pub const OPERATIONS_PER_FILE: usize = 2;

/// Free slots at which a worker stops accepting, so that connections already on their way from the
/// kernel still find one.
pub const ACCEPT_HEADROOM: usize = 64;

/// Backlog of a listening socket.
pub const BACKLOG: i32 = 4096;

/// Longest request head, bytes: a ticket in the path, one in a cookie, CMCD, a browser's rest.
pub const HEAD_BYTES_MAX: usize = oca_http::HEAD_BYTES_MAX;

/// A body up to this long goes out in one piece with its head, bytes: a copy costs less than a
/// second send.
pub const SMALL_BODY_BYTES_MAX: u64 = 16 * 1024;

/// Longest send of a connection whose ticket caps its rate, bytes.
pub const PACED_SEND_BYTES_MAX: usize = 64 * 1024;

/// Fastest pace at which a wait of a few milliseconds is not noticed, bits a second: what a socket
/// holds lasts for several of them.
pub const CALM_BPS_MAX: u64 = 15_000_000;

/// For how long a worker lets completions gather while every connection is calm (its player has
/// said that it has enough to play from), milliseconds: the most that this adds to the first byte
/// of such a player's next answer. A new connection ends it.
pub const CALM_GATHER_MS: u64 = 32;

/// The same while connections are open whose players have said nothing of the kind: the most that
/// this adds to the first byte of their next answer.
pub const IDLE_GATHER_MS: u64 = 4;

/// The same while somebody waits for a turn on a device: what is open to few goes round fast.
pub const DEVICE_GATHER_MS: u64 = 1;

/// Connections that are not calm for each that is, at most: with more of them completions do not
/// gather.
pub const IDLE_PER_CALM_MAX: usize = 8;

/// Longest piece of a file handed to the page-cache engine at once, bytes.
pub const FILE_SEND_BYTES_MAX: u64 = 4 << 20;

/// What a paced stream of HTTP/2 may be ahead of its pace, milliseconds of it: what the kernel
/// queues for one stream, the streams beside it wait behind.
pub const STREAM_BURST_MS: u64 = 500;

/// A piece of a chunk from this length on is lent to the network where that pays off, bytes: below
/// it, telling when the memory is free again costs more than the copy.
pub const ZERO_COPY_BYTES_MIN: u64 = 32 * 1024;

/// One in so many chunk buffers of a worker may be lent to the network: how long it keeps them is
/// up to the peers. What is worth lending beyond that is copied.
pub const LENT_SHARE: usize = 4;

/// Loans of a worker that are not back, however few chunks they are of; beyond that, copies.
pub const LENT_SENDS_MAX: usize = 16_384;

/// The same of one connection: a peer that acknowledges nothing does not have everybody's.
pub const LENT_SENDS_PER_CONNECTION_MAX: usize = 64;

/// Doubts that come of a report that lent memory was copied; one that may be wrong gives one.
pub const COPY_DOUBTS: u32 = 4;

/// Doubts in a row after which a socket lends no more.
pub const DOUBTS_MAX: u32 = 64;

/// The same of all sockets of one way out, after which none of them lends.
pub const DOUBTS_BY_WAY_MAX: u32 = 192;

/// For how long a way out that copies is left alone, milliseconds: cards and routes change.
pub const ZERO_COPY_AGAIN_MS: u64 = 600_000;

/// Ways out (own addresses) that a worker remembers to copy.
pub const WAYS_OUT_MAX: usize = 64;

/// One receive buffer, bytes: most requests arrive in one piece.
pub const RECEIVE_BYTES: usize = 4096;

/// Receive buffers of a worker: for bytes that have arrived and wait for a turn of the loop. A
/// connection that waits for its peer holds none.
pub const RECEIVE_BUFFERS_MAX: usize = 1024;

/// Room for request heads that a worker keeps between requests, pieces.
pub const SPARE_HEADS_MAX: usize = 256;

/// Largest TLS record on the wire: header, 16 KiB of content, type, tag, and what TLS 1.2 adds.
pub const RECORD_BYTES_MAX: usize = 5 + RECORD_CONTENT_BYTES_MAX + 256;

/// Largest content of a TLS record, bytes (RFC 8446 section 5.1).
pub const RECORD_CONTENT_BYTES_MAX: usize = 16384;

/// Records sealed with one key: below what AES-GCM allows (RFC 8446 section 5.5: 2^24.5), and below
/// the library's own limit.
pub const RECORDS_PER_KEY_MAX: u64 = 1 << 23;

/// Keys that the kernel may refuse to take over before a worker stops offering them.
pub const HAND_OVERS_FAILED_MAX: u32 = 16;

/// KeyUpdates that a peer may send without saying anything else: each costs us two keys.
pub const KEY_UPDATES_MAX: u32 = 32;

/// TLS bytes that wait for the rest of their record or handshake message, bytes a connection.
pub const INCOMING_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;

/// Clear bytes that wait to be parsed, a connection: one head, and the records its end came in.
pub const PLAIN_BYTES_MAX: usize = HEAD_BYTES_MAX + INCOMING_BYTES_MAX;

/// What one TLS session takes outside our pools, bytes: an estimate on the high side. During the
/// handshake it is more, for as long as that takes.
pub const SESSION_BYTES: usize = 16 * 1024;

/// Records encrypted into one send buffer before it goes out.
pub const RECORDS_PER_SEND: usize = 4;

/// One send buffer, bytes: a batch of records and a response head in a record of its own.
pub const SEND_BYTES: usize = 69_632;

/// Longest response head we write, bytes.
pub const RESPONSE_HEAD_BYTES_MAX: usize = oca_http::answer::ANSWER_BYTES_MAX;

/// How often a request is sent on to another appliance before a miss is a miss.
pub const HOPS_MAX: u32 = 2;

/// Fewest chunk buffers of a worker: below this, reading ahead starves the connections.
pub const CHUNK_BUFFERS_MIN: usize = 16;

/// Share of a worker's chunk buffers that all devices together may have under read, each an equal
/// part of it: a slow or silent disk fills its own part and no other's.
pub const DEVICE_READS_SHARE: usize = 2;

/// Operations that a worker may have under way on one flash device.
pub const SSD_OPERATIONS_MAX: usize = 64;

/// Operations that a worker may have under way on one rotating device: it does them one by one, and
/// those beyond a handful only wait in a queue where nothing can overtake them.
pub const HDD_OPERATIONS_MAX: usize = 8;

/// Of those, opens: an open on a silent device may hold a thread of the kernel.
pub const DEVICE_OPENS_MAX: usize = 4;

/// Chunks that one read of a rotating disk takes, when a reader goes forward: 1 MiB.
pub const RUN_CHUNKS_MAX: usize = 4;

/// Connections that may wait for their turn on one device, each worker: all of them. A new answer
/// waits only if its turn is likely to come within the time to its first byte, and is 503 at once
/// otherwise; a body under way is not given up for want of a place.
pub const DEVICE_WAITERS_MAX: usize = CONNECTIONS_MAX;

/// Time from one answer of a busy flash device to the next, microseconds: what one in order takes
/// for a chunk. Whoever waits for a slower one is answered 503 when his time is over.
pub const SSD_SPACING_US: u64 = 250;

/// The same of a rotating device: what finding a place takes.
pub const HDD_SPACING_US: u64 = 8_000;

/// A flash device that answers nothing for this long is taken out of rotation, milliseconds.
pub const SSD_SILENT_MS: u64 = 400;

/// A rotating device that answers nothing for this long is taken out of rotation, milliseconds.
pub const HDD_SILENT_MS: u64 = 450;

/// Looks at which a device's answer must have been missing before the device is blamed: a worker
/// that was away for longer than a device may be silent has looked once since.
pub const OVERDUE_LOOKS: u64 = 4;

/// Time from one of them to the next, milliseconds: enough for what was answered meanwhile to come.
pub const OVERDUE_LOOK_MS: u64 = 25;

/// A read of a device that answers others is given up after so many times its silence, and whoever
/// waits for it is sent to another copy.
pub const LATE_FACTOR: u64 = 4;

/// Copies that a worker avoids for a while because they could not be read.
pub const AVOIDED_MAX: usize = 64;

/// How long a copy that could not be read is avoided, milliseconds.
pub const AVOID_MS: u64 = 30_000;

/// How long a copy whose file was not there is avoided, milliseconds: the index knows soon.
pub const AVOID_GONE_MS: u64 = 1_000;

/// Objects whose heat a worker remembers; the coldest quarter is forgotten when there are more.
pub const HEAT_OBJECTS_MAX: usize = 32_768;

/// Objects in `heat.json`, hottest first.
pub const HEAT_REPORT_OBJECTS_MAX: usize = 100_000;

/// Heat halves in this time, seconds: a day, so that yesterday's evening still counts tonight.
pub const HEAT_HALF_LIFE_S: u64 = 86_400;

/// Share of a worker's chunk buffers that sends may hold: the rest can be evicted at any time,
/// however slowly clients read.
pub const IN_FLIGHT_SHARE: usize = 2;

/// Connections that may wait for a buffer; past this, a new request is answered 503. All are told
/// within a second, and those whose time to the first byte is over are answered 503 as well.
pub const STARVED_MAX: usize = 16_384;

/// Chunk buffers that a worker keeps for sends of many TLS records to sockets that take them fast;
/// a sixteenth of its chunk buffers at most, and none of a small hot set's.
pub const LARGE_SENDS_MAX: usize = 64;

/// Below this many chunk buffers none is kept for large sends.
pub const LARGE_SENDS_CHUNKS_MIN: usize = 256;

/// Open files of a worker, with their decoded seals.
pub const FILES_MAX: usize = 2048;

/// Bytes of decoded seals a worker keeps; 32 bytes a chunk, so this covers 256 GiB of objects.
pub const SEAL_BYTES_MAX: usize = 32 << 20;

/// Verified tickets a worker remembers.
pub const TICKETS_MAX: usize = 8192;

/// Volumes of an appliance.
pub const VOLUMES_MAX: usize = 256;

/// Files that `oca lab` serves.
pub const LAB_FILES_MAX: usize = 1_000_000;

/// Access log bytes gathered before a batch is handed to the writer.
pub const LOG_BATCH_BYTES: usize = 32 * 1024;

/// Longest access log line, bytes; longer paths are cut.
pub const LOG_LINE_BYTES_MAX: usize = 4096;

/// Log batches on their way to the writer; when full, lines are dropped and counted.
pub const LOG_BATCHES_MAX: usize = 64;

/// Messages from workers to the admin thread on their way; when full, they are dropped and counted.
pub const TROUBLES_MAX: usize = 1024;

/// Commands from the admin thread to a worker on their way.
pub const COMMANDS_MAX: usize = 64;

/// A TLS handshake ends within this, milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;

/// A request head that has begun is complete within this, milliseconds.
pub const HEAD_MS_MAX: u64 = 10_000;

/// A connection without a request is closed after this, milliseconds. Longer than a player's pause
/// between two segments, so that a playing member never pays for a handshake.
pub const IDLE_MS_MAX: u64 = 75_000;

/// A connection whose peer takes not one byte for this long is closed, milliseconds.
pub const SEND_PROGRESS_MS_MAX: u64 = 20_000;

/// An answer begins within this after its request, milliseconds: a disk that takes longer is one
/// to go around.
pub const FIRST_BYTE_MS_MAX: u64 = 10_000;

/// A client that takes less than this while bytes wait for it holds memory for nothing, bits a
/// second: below any rendition that anybody watches.
pub const SLOW_READER_BPS: u64 = 32_000;

/// The slowest pace that what a player says of itself may lead to, bits a second: less would keep a
/// place and a socket for as long as it likes.
pub const CLAIMED_BPS_MIN: u64 = 256_000;

/// And at least so many times what a client has to take: who is sent to at the pace that it asked
/// for is then slow by itself.
pub const CLAIMED_TIMES_SLOW: u64 = 4;

/// How long a client has to take less than that, milliseconds.
pub const SLOW_READER_MS: u64 = 30_000;

/// Counters of connections by client: more than clients that are likely to be connected at once.
pub const CLIENT_BUCKETS: usize = 1 << 16;

/// Certificates by name.
pub const CERTIFICATES_MAX: usize = 64;

/// Longest session ticket that we seal or open, bytes.
pub const SESSION_TICKET_BYTES_MAX: usize = 2048;

/// Shortest secret that session keys are made from, bytes.
pub const SESSION_SECRET_BYTES_MIN: usize = 32;

/// Session secrets in one file: the one in use, the one to come, the one to go.
pub const SESSION_SECRETS_MAX: usize = 4;

/// Default length at which the access log begins a new file, bytes.
pub const LOG_FILE_BYTES: u64 = 1 << 30;

/// Connections listed at `/debug/connections`.
pub const LISTED_CONNECTIONS_MAX: usize = 1000;

/// Appliances that a refusal names, those of a bundle.
pub const NEXT_MAX: usize = 3;

/// Threads of the kernel that a worker's ring may keep for operations that block (opens, reads that
/// a disk does not take at once, ends of connections), and for what else cannot wait. Two flash
/// devices that hang with all they may have under way leave threads for the others.
pub const IO_THREADS_MAX: [u32; 2] = oca_sys::IO_THREADS_MAX;

/// Streams listed of each of them.
pub const LISTED_STREAMS_MAX: usize = 8;

/// Time for a new program to be ready to take over, milliseconds.
pub const TAKE_OVER_MS_MAX: u64 = 60_000;

/// Listening sockets handed over in one message: a bound of the kernel, with room to spare.
pub const SOCKETS_PER_MESSAGE: usize = 64;

/// Default time from an upgrade to the end of the old program, milliseconds: longer than a member
/// takes for the segment under way, and than a pause between two.
pub const UPGRADE_DRAIN_MS: u64 = 120_000;

/// A draining appliance hears a connection that has asked nothing yet until it is so old,
/// milliseconds: its request may be on its way, and nobody else would answer it.
pub const FIRST_REQUEST_MS: u64 = 3_000;

/// A connection that waits for its own end (FIN sent) is given up after this, milliseconds.
pub const LINGER_MS_MAX: u64 = 2_000;

/// A volume is reported sick for this long after its last error, milliseconds.
pub const VOLUME_SICK_MS: u64 = 60_000;

/// What `Retry-After` says with a 503, seconds.
pub const RETRY_AFTER_S: u32 = 5;

/// Default time from SIGTERM to exit, milliseconds.
pub const DRAIN_MS: u64 = 10_000;

const _: () = assert!(HEAD_BYTES_MAX > 2 * TICKET_BYTES_MAX + 2048);
const _: () = assert!(RECEIVE_BYTES <= INCOMING_BYTES_MAX);
const _: () = assert!(RECEIVE_BYTES <= PLAIN_BYTES_MAX);
const _: () = assert!(
    SEND_BYTES >= RECORDS_PER_SEND * RECORD_BYTES_MAX + RESPONSE_HEAD_BYTES_MAX + 256,
    "a batch of records and a head fit one send buffer"
);
const _: () = assert!(RESPONSE_HEAD_BYTES_MAX <= RECORD_CONTENT_BYTES_MAX);
const _: () = assert!(ACCEPT_HEADROOM * 4 <= CONNECTIONS_MAX);
const _: () = assert!(CONNECTIONS_MAX < 1 << 24, "a token has 24 bits for a slot");
const _: () = assert!(
    CONNECTIONS_MAX * OPERATIONS_PER_CONNECTION + FILES_MAX * OPERATIONS_PER_FILE + LENT_SENDS_MAX
        < 1 << 20,
    "a ring numbers a million operations"
);
const _: () = assert!(IDLE_GATHER_MS < CALM_GATHER_MS && CALM_GATHER_MS * 10 < SSD_SILENT_MS);
const _: () = assert!(HDD_SILENT_MS < 500 && SSD_SILENT_MS < 500, "out of rotation within 500 ms");
const _: () = assert!(OVERDUE_LOOKS > 1 && OVERDUE_LOOKS * OVERDUE_LOOK_MS * 2 < SSD_SILENT_MS);
const _: () = assert!(IO_THREADS_MAX[0] as usize > 2 * SSD_OPERATIONS_MAX);
const _: () = assert!(CLAIMED_BPS_MIN >= CLAIMED_TIMES_SLOW * SLOW_READER_BPS);
const _: () = assert!(STARVED_MAX <= CONNECTIONS_MAX);
const _: () = assert!(RUN_CHUNKS_MAX as u64 * CHUNK_BYTES >= 1 << 20);
const _: () = assert!(DEVICE_OPENS_MAX <= HDD_OPERATIONS_MAX);
const _: () = assert!(FILES_MAX < 1 << 24 && TICKETS_MAX < 1 << 24);
const _: () = assert!(UPGRADE_DRAIN_MS > IDLE_MS_MAX, "an idle client notices by itself");
const _: () = assert!(SESSION_TICKET_BYTES_MAX < RECORD_CONTENT_BYTES_MAX);
const _: () = assert!(CLIENT_BUCKETS.is_power_of_two());
const _: () = assert!(STEERING_BYTES_MAX + RESPONSE_HEAD_BYTES_MAX + 512 < SEND_BYTES);
const _: () = assert!(HANDSHAKE_MS_MAX < IDLE_MS_MAX && SEND_PROGRESS_MS_MAX < IDLE_MS_MAX);
