//! Every maximum and threshold of steering, in one place. Holds no logic.

use control_types::limits::RANKED_MAX;

/// Appliances one control process keeps. A report copies the fleet's table of pointers, so this
/// bounds the work of a report as well as the memory.
pub const APPLIANCES_MAX: usize = 2_000;

/// Prefixes of one site.
pub const PREFIXES_PER_SITE_MAX: usize = 10_000;
/// Shortest IPv4 prefix: no registry gave an ISP more than a /8, and two halves of the Internet are
/// a default route in disguise.
pub const PREFIX_BITS_MIN_V4: u8 = 8;
/// Shortest IPv6 prefix, for the same reason.
pub const PREFIX_BITS_MIN_V6: u8 = 16;

/// Keys of one ISP: one in use, one that replaces it, a few for machines.
pub const ISP_KEYS_MAX: usize = 16;

/// Longest site name, bytes.
pub const SITE_NAME_BYTES_MAX: usize = 120;

/// A report with at least this share of its requests answered 5xx is a bad one, per thousand.
pub const ERRORS_PER_MILLE_BAD: u64 = 50;
/// Fewer requests than this prove nothing either way: they wait for those of the next report.
pub const REQUESTS_JUDGED_MIN: u64 = 10;
/// Bad reports in a row before an appliance is sick: one burst is not a disease.
pub const BAD_REPORTS_TO_SICK: u32 = 2;
/// Good reports in a row before a sick appliance is well again.
pub const GOOD_REPORTS_TO_WELL: u32 = 5;
/// Punctual reports in a row before one that fell silent is offered again.
pub const REPORTS_TO_RETURN: u32 = 2;
/// Good and punctual reports in a row after which earlier falls are forgotten: five minutes.
pub const REPORTS_TO_FORGIVE: u32 = 300;
/// Falls that still double what it takes to come back: 2 reports become 128, 5 become 320.
pub const FALLS_DOUBLING_MAX: u32 = 6;

/// Most of the fleet that silence may leave out at once, per cent of those heard within
/// [`SILENCE_BELIEVED_MS`]. More is taken for a fault of control's own sight.
pub const SILENT_PERCENT_MAX: usize = 50;
/// As many may always be left out: in a small fleet half of it is one rack with one power cord.
pub const SILENT_ALWAYS: usize = 4;
/// Silence this long is believed whoever else is silent, milliseconds: 1 h, by when a person has
/// looked.
pub const SILENCE_BELIEVED_MS: u64 = 3_600_000;

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
/// Schedules at once; each poll of an agent works out the nights of those that reach it.
pub const SCHEDULES_MAX: usize = 200;
/// A schedule's nights are handed out this long before they open, milliseconds: 8 days, so that an
/// agent that control cannot reach for a week still has its nights.
pub const NIGHTS_AHEAD_MS: u64 = 8 * 24 * 3_600_000;
/// A night may be closed, and is looked for, this long before it opens, milliseconds: 400 days.
pub const NIGHT_CLOSED_AHEAD_MS: u64 = 400 * 24 * 3_600_000;

/// Failures kept of one fill report.
pub const FILL_FAILURES_MAX: usize = 100;
/// Longest reason kept of one failure, bytes.
pub const FILL_WHY_BYTES_MAX: usize = 512;

/// Volumes of one appliance.
pub const VOLUMES_MAX: usize = 128;
/// Longest text in a report (a volume's path, the content digest), bytes.
pub const REPORT_TEXT_BYTES_MAX: usize = 1_024;

const _: () = assert!(RANKED_MAX >= 2, "a list must have room for a choice and the origin");
const _: () =
    assert!(LOAD_BUSY_PERCENT < LOAD_HIGH_PERCENT && LOAD_HIGH_PERCENT < LOAD_FULL_PERCENT);
const _: () = assert!(REPORTS_TO_FORGIVE > REPORTS_TO_RETURN && FALLS_DOUBLING_MAX < 16);
