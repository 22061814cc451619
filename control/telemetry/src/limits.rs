//! Every maximum and threshold of telemetry, in one place. Holds no logic.

/// Plays kept in memory: those begun last. Under half a kilobyte each.
pub const PLAYS_MAX: usize = 100_000;

/// Events of one report.
pub const EVENTS_PER_REPORT_MAX: usize = 64;

/// Longest error text kept of a player, bytes.
pub const DETAIL_BYTES_MAX: usize = 512;

/// A play not heard of for this long is not shown as live, milliseconds.
pub const LIVE_MS: u64 = 30_000;

/// A play not heard of for this long does not count against its account's streams, milliseconds:
/// a player that crashed must not lock its member out.
pub const STREAM_MS: u64 = 60_000;

/// Plays shown by one live answer.
pub const LIVE_SESSIONS_MAX: usize = 200;

/// Start-up and stalls are over this many of the last plays.
pub const QUALITY_PLAYS: usize = 1_000;

/// Longest time between two events of one play that counts as watched, milliseconds. A laptop that
/// slept did not watch.
pub const GAP_WATCHED_MS_MAX: u64 = 60_000;

/// Reports waiting to be appended to the log; beyond this they are dropped and counted.
pub const LOG_QUEUE_MAX: usize = 4_096;

/// Log rows read again after a restart, to learn demand from.
pub const RESTORE_ROWS_MAX: u64 = 100_000;

/// Cells of the demand table (title, site, height). The smallest leave first.
pub const DEMAND_CELLS_MAX: usize = 200_000;

/// Heights kept of one title at one site: more than any ladder has. Players name the height, and
/// one that lies must not crowd out what others watch.
pub const HEIGHTS_PER_SITE_MAX: usize = 16;

/// Fastest a play is believed to have fetched since it was pressed, bytes per millisecond: 400
/// Mbit/s, several times the best picture. A player that says more must not fill a site's disks.
pub const PLAY_BYTES_PER_MS_MAX: u64 = 50_000;
/// What a play may have fetched beyond that, bytes: a first buffer over a fast line.
pub const PLAY_BYTES_AHEAD_MAX: u64 = 256 << 20;

/// Most bytes one event may add to demand: an hour of a very good picture between two reports is
/// already a lie.
pub const EVENT_BYTES_MAX: u64 = 16 << 30;

/// Days of watching told to the planner, before today: four weeks, so that each weekday was there
/// four times.
pub const HISTORY_DAYS: u32 = 28;

/// Cells of the table of days (title, site, day, height); 24 bytes each. Those out of date leave
/// first, then the smallest.
pub const HISTORY_CELLS_MAX: usize = 200_000;
