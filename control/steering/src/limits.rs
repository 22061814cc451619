//! Every maximum and threshold of steering, in one place. Holds no logic.

use control_types::limits::RANKED_MAX;

/// Appliances one control process keeps: a report costs the same however many there are, the
/// fleet's snapshot is made anew at most every [`SNAPSHOT_MS_PER_100`] for each hundred of them.
pub const APPLIANCES_MAX: usize = 25_000;
/// Age that a snapshot of a hundred appliances may reach, milliseconds: a fleet of 20,000 is looked
/// at five times a second, one below a hundred at every question.
pub const SNAPSHOT_MS_PER_100: u64 = 1;
/// Maintenance windows of one appliance.
pub const MAINTENANCE_MAX: usize = 16;
/// Longest name of a failure domain, bytes.
pub const FAILURE_DOMAIN_BYTES_MAX: usize = 64;

/// Objects of all titles together: bounds a box's row of bits to 512 KiB.
pub const LIBRARY_OBJECTS_MAX: usize = 4 << 20;
/// Slots of titles taken down that are not worth numbering anew.
pub const RETIRED_SLOTS_MIN: usize = 10_000;
/// Objects of one box that no title has and that are kept by name, for the planner to prune.
pub const LOOSE_NAMED_MAX: usize = 100_000;

/// A tier's or origin's site that was not announced to the member is asked only if it is among this
/// many nearest.
pub const NEAR_TIERS_MAX: usize = 4;
/// The same of origins.
pub const NEAR_ORIGINS_MAX: usize = 2;

/// Prefixes of one site.
pub const PREFIXES_PER_SITE_MAX: usize = 10_000;
/// Shortest IPv4 prefix: no registry gave an ISP more than a /8, and two halves of the Internet are
/// a default route in disguise.
pub const PREFIX_BITS_MIN_V4: u8 = 8;
/// Shortest IPv6 prefix, for the same reason.
pub const PREFIX_BITS_MIN_V6: u8 = 16;

/// Registration keys that may be used, at once.
pub const REGISTRATION_KEYS_MAX: usize = 1_000;
/// Uses of one registration key.
pub const REGISTRATION_USES_MAX: u32 = 1_000;
/// Shortest life of a registration key, milliseconds.
pub const REGISTRATION_MS_MIN: u64 = 60_000;
/// Longest life of a registration key, milliseconds: 31 days.
pub const REGISTRATION_MS_MAX: u64 = 31 * 24 * 3_600_000;
/// Earlier runs of an appliance's process that are still known as such.
pub const RUNS_REMEMBERED_MAX: usize = 4;
/// A processor's load is averaged over about this many reports: one busy second is no load.
pub const CPU_REPORTS: u32 = 8;

/// Rules of maintenance that comes again.
pub const MAINTENANCE_RULES_MAX: usize = 1_000;
/// Of these, made by one ISP.
pub const MAINTENANCE_RULES_PER_ISP_MAX: usize = 50;
/// Maintenance is worked out this far ahead at once, milliseconds: a day.
pub const CALENDAR_AHEAD_MS: u64 = 24 * 3_600_000;

/// Keys of one ISP: one in use, one that replaces it, a few for machines.
pub const ISP_KEYS_MAX: usize = 16;

/// Longest site name, bytes.
pub const SITE_NAME_BYTES_MAX: usize = 120;

/// A report with at least this share of its requests answered 5xx is a bad one, per thousand.
pub const ERRORS_PER_MILLE_BAD: u64 = 50;
/// Fewer requests than this prove nothing either way: they wait for those of the next report.
pub const REQUESTS_JUDGED_MIN: u64 = 10;
/// Questions of one record of the log.
pub const ASKS_PER_RECORD_MAX: usize = 200;
/// Records that one reading of the log returns.
pub const RECORDS_READ_MAX: usize = 500;
/// Records before a moment in which a question is looked for: at one a second, an hour.
pub const RECORDS_SEARCHED_MAX: usize = 3_600;
/// Of these, held in memory at once.
pub const RECORDS_SEARCHED_AT_ONCE: usize = 60;
/// Windows not over that reach one ISP alone: no ISP's key fills the desk for all others.
pub const WINDOWS_PER_ISP_MAX: usize = 100;
/// Schedules of one ISP's own, for the same reason.
pub const SCHEDULES_PER_ISP_MAX: usize = 20;
/// Candidates kept of one question.
pub const CANDIDATES_RECORDED_MAX: usize = 24;
/// Questions that wait to be taken for the log, at most.
pub const ASKS_WAITING_MAX: usize = 5_000;
/// Appliances that were no candidates, listed in one explanation.
pub const EXPLAINED_MAX: usize = 500;

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

/// Longest time between two of its reports that an appliance may announce, milliseconds.
pub const NEXT_REPORT_MS_MAX: u64 = 60_000;
/// A report that is overdue by this share of its interval is late, per cent.
pub const LATE_PERCENT: u64 = 150;
/// A report overdue by this share makes one player's refusal enough, per cent.
pub const OVERDUE_PERCENT: u64 = 115;
/// Interval of an appliance that announces none or a shorter one, milliseconds.
pub const OVERDUE_MS_MIN: u64 = 500;
/// The same until an appliance is silent, per cent.
pub const SILENT_PERCENT: u64 = 250;
/// As many may always be left out: in a small fleet half of it is one rack with one power cord.
pub const SILENT_ALWAYS: usize = 4;
/// Silence this long is believed whoever else is silent, milliseconds: 1 h, by when a person has
/// looked.
pub const SILENCE_BELIEVED_MS: u64 = 3_600_000;

/// Load must fall this far below a step before the step is left, per cent of capacity.
pub const LOAD_BACK_PERCENT: u64 = 5;
/// A drain that was asked for moves sessions over this time unless set otherwise, milliseconds:
/// with a TTL of 10 s all are elsewhere in 40 s, and never all at once.
pub const DRAIN_SPREAD_MS: u64 = 30_000;

/// One span of counting what players say, milliseconds.
pub const BUCKET_MS: u64 = 5_000;
/// Members that must be refused before a box is shunned whose reports arrive.
pub const REFUSERS_MIN: usize = 2;
/// Within this time, milliseconds.
pub const REFUSED_MS: u64 = 10_000;
/// Fewer answers than this prove nothing.
pub const VOICES_MIN: u64 = 12;
/// Members that must complain before a box is shunned for bad answers.
pub const COMPLAINERS_MIN: usize = 3;
/// Bad answers of one member that count in one span: three who lie must not outvote a thousand.
pub const BAD_PER_VOICE_MAX: u32 = 4;
/// Share of bad answers that shuns, per cent.
pub const BAD_PERCENT_SHUN: u64 = 25;
/// Share of bad answers under which it is taken back, per cent.
pub const BAD_PERCENT_BACK: u64 = 10;
/// Shortest time a box is shunned, milliseconds.
pub const SHUN_MS: u64 = 10_000;
/// A fall this long after the last is a first one, milliseconds.
pub const SHUN_FORGIVEN_MS: u64 = 1_800_000;
/// Objects denied of one box.
pub const DENIALS_MAX: usize = 512;
/// Of these, by one member alone: a title or two, and room for others to be heard.
pub const DENIALS_PER_VOICE_MAX: usize = 64;
/// An object is denied this long on one member's word, milliseconds.
pub const DENIED_ALONE_MS: u64 = 60_000;
/// On two members' word, milliseconds.
pub const DENIED_MS: u64 = 600_000;
/// A box is asked for its whole set at most once in this time because of denials, milliseconds.
pub const RESYNC_MS: u64 = 30_000;
/// Time to the first byte that a player counts as a bad answer, milliseconds.
pub const FIRST_BYTE_MS_BAD: u32 = 2_000;

/// Shortest fill window, milliseconds.
pub const WINDOW_MS_MIN: u64 = 1_000;
/// Longest fill window, milliseconds: 24 h.
pub const WINDOW_MS_MAX: u64 = 24 * 3_600_000;
/// A window opens at most this long after it is asked for, milliseconds: 400 days. Later is a slip
/// of the hand, and would count as a window not over for as long.
pub const WINDOW_AHEAD_MS: u64 = 400 * 24 * 3_600_000;
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
/// Objects in quarantine that are kept of a report, to be shown; all of them count.
pub const QUARANTINED_KEPT_MAX: usize = 1_000;
/// Longest text in a report (a volume's path, a digest), bytes.
pub const REPORT_TEXT_BYTES_MAX: usize = 1_024;

const _: () = assert!(RANKED_MAX >= 2, "a list must have room for a choice and the origin");
const _: () = assert!(BAD_PERCENT_BACK < BAD_PERCENT_SHUN && LATE_PERCENT < SILENT_PERCENT);
const _: () = assert!(DENIED_ALONE_MS < DENIED_MS && LIBRARY_OBJECTS_MAX < u32::MAX as usize);
const _: () = assert!(REPORTS_TO_FORGIVE > REPORTS_TO_RETURN && FALLS_DOUBLING_MAX < 16);

/// A key of orders is followed by a fresh one after this long, milliseconds: 90 days.
pub const ORDERS_KEY_MS: u64 = 90 * 24 * 3_600_000;
/// A next key of orders is announced for this long before it signs, milliseconds: 14 days, so that
/// an agent that control cannot reach for a fortnight still follows.
pub const ORDERS_KEY_OVERLAP_MS: u64 = 14 * 24 * 3_600_000;

const _: () = assert!(ORDERS_KEY_OVERLAP_MS < ORDERS_KEY_MS, "one change is over before the next");
