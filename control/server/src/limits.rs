//! Every maximum and pace of the process around the HTTP surface. The surface's own are in
//! `control_gateway::limits`.

/// Time a TLS handshake may take, milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;

/// Time from the end of one request (or from connecting) to the end of the next head, milliseconds;
/// longer than our own clients keep an idle connection.
pub const HEAD_MS_MAX: u64 = 30_000;

/// Largest request head, bytes; hyper answers 431 beyond it.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// Connections open at once; more wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 16_384;

/// Streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;

/// Time requests under way have to finish after SIGTERM, milliseconds.
pub const DRAIN_MS_MAX: u64 = 10_000;

/// Pause after an accept that failed for want of descriptors, milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// How often the registry, windows, plan and titles are compared with the ledger, milliseconds:
/// another process may have changed them.
pub const REFRESH_EVERY_MS: u64 = 15_000;

/// How often appliances' health is looked at for the log, milliseconds.
pub const HEALTH_EVERY_MS: u64 = 1_000;

/// How often the search index is compared with the catalog without a nudge, milliseconds.
pub const SEARCH_EVERY_MS: u64 = 300_000;

/// How often what is over is deleted: refresh tokens, presses of play, milliseconds.
pub const SWEEP_EVERY_MS: u64 = 3_600_000;

/// How often quiet addresses leave the rate limiter, milliseconds.
pub const RATES_EVERY_MS: u64 = 60_000;

/// Shortest wait after a reconciler failed, milliseconds; it doubles up to its own pace.
pub const RETRY_MS_MIN: u64 = 1_000;

const _: () = assert!(RETRY_MS_MIN < REFRESH_EVERY_MS && HANDSHAKE_MS_MAX <= HEAD_MS_MAX);
