//! Every maximum of routes. A full table refuses what is new, counts it, and keeps what it has.

/// Routes held together, accepted or refused; the Internet had about 1.3 million prefixes in 2026.
pub const ROUTES_MAX: usize = 4_000_000;

/// Routes held of one peer of one router.
pub const ROUTES_PER_PEER_MAX: usize = 1_500_000;

/// Announcements of one prefix that are told apart; more of it are refused.
pub const PATHS_PER_PREFIX_MAX: usize = 256;

/// Peers known at once, those held stale among them.
pub const PEERS_MAX: usize = 16_384;

/// Sites, appliances or ISPs named by routes.
pub const NAMES_MAX: usize = 1 << 20;

/// Prefixes holding one address that a lookup returns, longest first.
pub const COVERS_MAX: usize = 16;

/// An announcement shorter than this claims more than any ISP has.
pub const PREFIX_BITS_MIN_V4: u8 = 8;

/// See [`PREFIX_BITS_MIN_V4`].
pub const PREFIX_BITS_MIN_V6: u8 = 16;

/// Longest BMP message, bytes: a BGP message of RFC 8654 twice (peer up holds two) and its headers.
pub const BMP_MESSAGE_BYTES_MAX: usize = 160 << 10;

/// Peers of one router.
pub const PEERS_PER_ROUTER_MAX: usize = 4_096;

/// Longest text of a router that is kept (its name, its reason to end), bytes.
pub const ROUTER_TEXT_BYTES_MAX: usize = 256;

/// Longest MRT record, bytes: a prefix as a few thousand peers saw it.
pub const MRT_RECORD_BYTES_MAX: usize = 16 << 20;

/// Most bytes read from one file of routes, unpacked.
pub const IMPORT_BYTES_MAX: u64 = 4 << 30;

/// Longest line of a text file of routes, bytes.
pub const LINE_BYTES_MAX: usize = 4 << 10;

/// Mistakes of a text file that are told in one run.
pub const LINE_MISTAKES_MAX: usize = 20;

/// Prefixes a finding names; it counts the rest.
pub const FINDING_PREFIXES_MAX: usize = 5;

/// Findings of one report.
pub const FINDINGS_MAX: usize = 200;

/// How long routes of a lost session stay unless configured otherwise, milliseconds.
pub const STALE_MS_DEFAULT: u64 = 300_000;

/// Prefixes of one ISP's registration.
pub const NETWORKS_PER_ISP_MAX: usize = 200_000;

/// ASNs of one ISP's registration.
pub const ASNS_PER_ISP_MAX: usize = 4_096;

const _: () = assert!(ROUTES_PER_PEER_MAX < ROUTES_MAX && COVERS_MAX >= 8);
