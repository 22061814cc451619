//! Every maximum and pace of the process around the HTTP surface. The surface's own are in
//! `control_gateway::limits`.

/// Largest GeoIP database, bytes: several times the largest that is published.
pub const GEO_BYTES_MAX: u64 = 1 << 30;

/// Time a TLS handshake may take, milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;

/// TLS handshakes at once on one port: some tenths of a second of one core, so that each that has
/// begun ends within its time on a busy machine too.
pub const HANDSHAKES_MAX: usize = 512;

/// How long a connection waits for its turn at a handshake, milliseconds; those who connect give
/// up earlier, so a turn is seldom for nobody.
pub const HANDSHAKE_TURN_MS_MAX: u64 = 10_000;

/// Time from the end of one request (or from connecting) to the end of the next head, milliseconds;
/// longer than our own clients keep an idle connection.
pub const HEAD_MS_MAX: u64 = 30_000;

/// Largest request head, bytes; hyper answers 431 beyond it.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// Connections open at once. When one more comes, the one that has rested longest is closed; while
/// all have requests under way it waits in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 16_384;

/// The same on the appliances' port: a server and an agent of each of 25,000 boxes, and room for
/// those that connect anew before their old connections are known to be dead.
pub const APPLIANCE_CONNECTIONS_MAX: usize = 65_536;

/// Files and sockets open beside the connections of both ports: stores, logs, routers' sessions.
pub const FILES_BESIDE_MAX: usize = 4_096;

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

/// Routers that may be configured.
pub const ROUTERS_MAX: usize = 4_096;

/// BMP sessions open at once; more are closed as they come.
pub const BMP_SESSIONS_MAX: usize = 1_024;

/// Bytes of one read of a BMP session; with [`BMP_SESSIONS_MAX`] and the longest message, what
/// sessions may hold.
pub const BMP_READ_BYTES: usize = 64 << 10;

/// How long a router may be silent on the wire before it is probed, and between probes, seconds;
/// three without an answer end the session.
pub const BMP_KEEPALIVE_S: u64 = 10;

/// How often changes of routes become visible to decisions, milliseconds. The promise is one
/// second.
pub const ROUTES_PUBLISH_EVERY_MS: u64 = 200;

/// How often sites' records and held routes are looked at, milliseconds.
pub const ROUTES_TEND_EVERY_MS: u64 = 1_000;

/// How often noted questions are written to the steering log, milliseconds.
pub const STEERING_LOG_EVERY_MS: u64 = 1_000;

/// Shortest and longest time between two looks for steering bundles to make, milliseconds.
pub const BUNDLE_LOOK_MS_MIN: u64 = 50;
/// See [`BUNDLE_LOOK_MS_MIN`].
pub const BUNDLE_LOOK_MS_MAX: u64 = 1_000;

/// Rest after the making of a steering bundle, in times of what it took.
pub const BUNDLE_REST: u32 = 3;

/// How often what is over is deleted: refresh tokens, presses of play, milliseconds.
pub const SWEEP_EVERY_MS: u64 = 3_600_000;

/// How often ticket keys and revocations are looked at, milliseconds.
pub const TICKETS_EVERY_MS: u64 = 5_000;

/// How long a ticket key is known to appliances before it signs, milliseconds: they report every
/// second, and one that was away for longer is not offered before it has reported.
pub const KEY_PUBLISH_MS: u64 = 600_000;

/// Shortest time for which a key verifies after its successor began to sign, milliseconds.
pub const KEY_OVERLAP_MS_MIN: u64 = 86_400_000;

/// How often quiet addresses leave the rate limiter, milliseconds.
pub const RATES_EVERY_MS: u64 = 60_000;

/// Shortest wait after a reconciler failed, milliseconds; it doubles up to its own pace.
pub const RETRY_MS_MIN: u64 = 1_000;

const _: () = assert!(FILES_BESIDE_MAX > 2 * BMP_SESSIONS_MAX && HANDSHAKES_MAX < CONNECTIONS_MAX);
const _: () = assert!(RETRY_MS_MIN < REFRESH_EVERY_MS && HANDSHAKE_MS_MAX <= HEAD_MS_MAX);
