//! Every maximum of the embedded adapters, in one place. Bounds that a wire shares live in
//! `control_types::limits`.

/// Longest file of routes kept for a site, bytes: a full table as one peer saw it, packed, twice.
pub const ROUTE_FILE_BYTES_MAX: usize = 256 << 20;

/// Changes of routes that are remembered; the oldest go.
pub const ROUTE_CHANGES_MAX: u64 = 10_000;

/// Connections that only read a SQLite file; writers are always exactly one.
pub const SQLITE_READERS_MAX: u32 = 4;

/// How long a statement waits for SQLite's lock before it reports the store away, milliseconds.
pub const SQLITE_BUSY_MS_MAX: u64 = 5_000;

/// Memory of the in-process cache, bytes of keys and values; the least recently used leave first.
pub const CACHE_BYTES_MAX: u64 = 64 << 20;

/// Longest cache key, bytes.
pub const CACHE_KEY_BYTES_MAX: usize = 256;

/// Longest cache value, bytes.
pub const CACHE_VALUE_BYTES_MAX: usize = 1 << 20;

/// Longest event body, bytes of JSON.
pub const EVENT_BODY_BYTES_MAX: usize = 256 << 10;

/// Topics of one log; each holds one file open.
pub const EVENT_TOPICS_MAX: usize = 64;

/// Longest topic name, bytes.
pub const EVENT_TOPIC_BYTES_MAX: usize = 48;

/// A segment is closed and the next begun once it reaches this size, bytes.
pub const EVENT_SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// A topic drops its oldest segments once it holds more than this, bytes.
pub const EVENT_TOPIC_LOG_BYTES_MAX: u64 = 4 << 30;

/// Appends that share one fsync.
pub const EVENT_BATCH_MAX: usize = 256;

/// Appends waiting for the log's writer; beyond this, callers wait their turn.
pub const EVENT_QUEUE_MAX: usize = 1_024;

/// Events of one read.
pub const EVENT_READ_MAX: usize = 10_000;

/// Largest blob, bytes: an image, not a film.
pub const BLOB_BYTES_MAX: usize = 8 << 20;

/// Hits of one search.
pub const SEARCH_HITS_MAX: usize = 100;

/// Candidates the index hands to the re-ranking; each costs some microseconds of edit distance.
pub const SEARCH_CANDIDATES_MAX: usize = 200;

/// Words of a query that are looked at.
pub const SEARCH_WORDS_MAX: usize = 8;

/// Longest query that is looked at, characters.
pub const SEARCH_QUERY_CHARS_MAX: usize = 100;

/// Memory the search writer may use before it flushes, bytes.
pub const SEARCH_WRITER_BYTES: usize = 20_000_000;

/// Rows of one activity listing or scan.
pub const ACTIVITY_ROWS_MAX: usize = 10_000;

const _: () = assert!(EVENT_TOPIC_LOG_BYTES_MAX > 2 * EVENT_SEGMENT_BYTES_MAX);
const _: () = assert!(CACHE_BYTES_MAX > 4 * CACHE_VALUE_BYTES_MAX as u64);
const _: () = assert!(EVENT_SEGMENT_BYTES_MAX > 4 * EVENT_BODY_BYTES_MAX as u64);
const _: () = assert!(SEARCH_CANDIDATES_MAX >= SEARCH_HITS_MAX);
