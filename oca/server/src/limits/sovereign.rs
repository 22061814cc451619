//! Maxima of steering from the bundle, of looks at neighbours, and of a silent control.
//! Re-exported by `limits`, where they are tied to the others.

/// Longest time between a player's questions that a bundle may ask for, seconds.
pub const STEERING_TTL_S_MAX: u32 = 3_600;

/// Seconds after which a player that is sent to control for a fresh ticket asks there: a ticket may
/// end soon.
pub const CONTROL_TTL_S: u32 = 1;

/// Longest time over which a drain that was asked for moves sessions, milliseconds.
pub const DRAIN_SPREAD_MS_MAX: u64 = 300_000;

/// Longest steering answer, bytes; with its head it fits one send buffer.
pub const STEERING_BYTES_MAX: usize = 16 * 1024;

/// A bundle that was refused, or could not be had, is asked for again after this, milliseconds.
pub const BUNDLE_AGAIN_MS: u64 = 30_000;

/// Loads that a bundle tells count until control has been silent for this long, milliseconds.
pub const BUNDLE_LOADS_MS: u64 = 60_000;

/// Other appliances that this one looks at.
pub const NEIGHBOURS_MAX: usize = 16;

/// Names of neighbours that are remembered, those of the bundles before among them.
pub const NAMES_MAX: usize = 4 * NEIGHBOURS_MAX;

/// How long the addresses of a neighbour's name are believed, milliseconds; while no others are to
/// be had they still are.
pub const NAMES_MS: u64 = 30_000;

/// Of those, tiers and origins: who does not see them either is cut off itself.
pub const WITNESSES_MAX: usize = 2;

/// Of so many rounds of looks, one looks at witnesses.
pub const WITNESS_EVERY: u32 = 4;

/// Between two looks at a neighbour, milliseconds, give or take a tenth.
pub const PROBE_EVERY_MS: u64 = 1_000;

/// A neighbour answers within this, milliseconds.
pub const PROBE_MS_MAX: u64 = 800;

/// Looks in a row that a neighbour has to fail to be taken for dead.
pub const PROBE_MISSES: u8 = 2;

/// Looks in a row that a dead neighbour has to answer to be taken back.
pub const PROBE_GOODS: u8 = 3;

/// Reports whose time control has to be silent beyond, until it is taken for away.
pub const HEARTBEATS_MISSED: u32 = 2;

/// And for at least this long, milliseconds.
pub const SILENT_MS_MIN: u64 = 2_000;

/// Default time without control in which tickets that ended meanwhile are good, seconds.
pub const GRACE_S: u64 = 86_400;

/// How often the moment of the last word from control is written down, milliseconds.
pub const CONTACT_NOTE_MS: u64 = 60_000;

const _: () = assert!(PROBE_MS_MAX < PROBE_EVERY_MS && WITNESSES_MAX < NEIGHBOURS_MAX);
