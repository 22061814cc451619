//! Every maximum and threshold of steering, in one place. Holds no logic.

use control_types::limits::RANKED_MAX;

/// Appliances one control process keeps. A report copies the fleet's table of pointers, so this
/// bounds the work of a report as well as the memory.
pub const APPLIANCES_MAX: usize = 2_000;

/// Prefixes of one site.
pub const PREFIXES_PER_SITE_MAX: usize = 10_000;

/// Longest site name, bytes.
pub const SITE_NAME_BYTES_MAX: usize = 120;

/// A report with at least this share of its requests answered 5xx is a bad one, per thousand.
pub const ERRORS_PER_MILLE_BAD: u64 = 50;
/// Fewer requests than this between two reports prove nothing either way.
pub const REQUESTS_JUDGED_MIN: u64 = 10;
/// Bad reports in a row before an appliance is sick: one burst is not a disease.
pub const BAD_REPORTS_TO_SICK: u32 = 2;
/// Good reports in a row before a sick appliance is well again.
pub const GOOD_REPORTS_TO_WELL: u32 = 5;
/// Punctual reports in a row before one that fell silent is offered again.
pub const REPORTS_TO_RETURN: u32 = 2;

/// Load at which an appliance is no longer equal to an idle one, per cent of its capacity.
pub const LOAD_BUSY_PERCENT: u64 = 70;
/// See [`LOAD_BUSY_PERCENT`].
pub const LOAD_HIGH_PERCENT: u64 = 85;
/// Load at which an appliance stands behind all that have room, whatever else speaks for it.
pub const LOAD_FULL_PERCENT: u64 = 95;

/// Distances in one step of this many kilometres count as equal.
pub const DISTANCE_STEP_KM: f64 = 50.0;

/// Shortest fill window, milliseconds.
pub const WINDOW_MS_MIN: u64 = 1_000;
/// Longest fill window, milliseconds: 24 h.
pub const WINDOW_MS_MAX: u64 = 24 * 3_600_000;
/// Windows that ended longer ago are not listed, milliseconds: 30 days.
pub const WINDOW_KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Windows that are not over, at once.
pub const WINDOWS_OPEN_MAX: usize = 1_000;

/// Failures kept of one fill report.
pub const FILL_FAILURES_MAX: usize = 100;

const _: () = assert!(RANKED_MAX >= 2, "a list must have room for a choice and the origin");
const _: () =
    assert!(LOAD_BUSY_PERCENT < LOAD_HIGH_PERCENT && LOAD_HIGH_PERCENT < LOAD_FULL_PERCENT);
