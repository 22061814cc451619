//! From what a player reports to how far a profile is. Pure: reads no clock and no store.
//!
//! Mechanics: each event happened at `pressed_at + since_press_ms`, by the player's monotonic
//! clock, so that reports may arrive late or out of order. The newest event that says where the
//! member is decides. A title is finished from 95 % on, or when the player says `ended`.

use control_store::{BookmarkRow, PlayRow};
use control_types::UnixMillis;
use control_types::catalog::HistoryItem;
use control_types::play::{PlayEvent, PlayEventKind};

/// Credits count as the end.
pub const FINISHED_PERCENT: u64 = 95;

/// Events that claim to be further ahead of control's clock than this are taken to be now: a
/// player that lies about time must not freeze its bookmark for years, milliseconds.
pub const FUTURE_MS_MAX: u64 = 5_000;

/// Whether the kind says where the member is. `Started` and `Switched` repeat the place a play
/// began at, `Error` may come with a position of 0.
fn tells_position(kind: PlayEventKind) -> bool {
    match kind {
        PlayEventKind::Heartbeat
        | PlayEventKind::Stalled
        | PlayEventKind::Resumed
        | PlayEventKind::Paused
        | PlayEventKind::Seeked
        | PlayEventKind::Started
        | PlayEventKind::Ended
        | PlayEventKind::Stopped => true,
        PlayEventKind::Switched | PlayEventKind::Error => false,
    }
}

/// The bookmark that `events` of one play lead to; `None` when none of them tells a position or
/// nothing was shown yet.
#[must_use]
pub fn progress(
    play: &PlayRow,
    duration_ms: u64,
    events: &[PlayEvent],
    now: UnixMillis,
) -> Option<BookmarkRow> {
    let latest = now.plus_millis(FUTURE_MS_MAX);
    let newest = events
        .iter()
        .filter(|event| tells_position(event.kind))
        .max_by_key(|event| event.since_press_ms)?;
    let watched_at = play.pressed_at.plus_millis(newest.since_press_ms).min(latest);
    // `ended` and the last `stopped` may carry the same time: the end counts whichever came last.
    let ended = events.iter().any(|event| {
        event.kind == PlayEventKind::Ended && event.since_press_ms >= newest.since_press_ms
    });
    let position_ms = if ended { duration_ms } else { newest.position_ms.min(duration_ms) };
    Some(BookmarkRow {
        profile: play.profile,
        title: play.title.clone(),
        position_ms,
        finished: ended || is_end(position_ms, duration_ms),
        watched_at,
    })
}

fn is_end(position_ms: u64, duration_ms: u64) -> bool {
    duration_ms > 0
        && u128::from(position_ms) * 100 >= u128::from(duration_ms) * u128::from(FINISHED_PERCENT)
}

/// Where to go on, milliseconds: the beginning for a title that is finished or unknown.
#[must_use]
pub fn resume_ms(bookmark: Option<&BookmarkRow>) -> u64 {
    bookmark.filter(|row| !row.finished).map_or(0, |row| row.position_ms)
}

/// Whether it belongs into "continue watching".
#[must_use]
pub fn is_under_way(bookmark: &BookmarkRow) -> bool {
    !bookmark.finished && bookmark.position_ms > 0
}

/// As the member sees it.
#[must_use]
pub fn item(bookmark: BookmarkRow) -> HistoryItem {
    HistoryItem {
        title: bookmark.title,
        position_ms: bookmark.position_ms,
        finished: bookmark.finished,
        watched_at: bookmark.watched_at,
    }
}
