//! Which days the outlook reads and how: whole days in UTC, the day a night is for, and the first
//! day of a launch. Reads no clock: the moment is an argument.
//!
//! Until `TURN_HOUR` a night is for the day that has begun, and the days before it count; from then
//! on it is for the next day, and the day under way is read as if it went on at its pace. So the
//! answer changes with the hour, never with the second.

use control_types::fill::{TitleHistory, WatchedDay};
use control_types::time::UnixMillis;

const HOUR_MS: u64 = 3_600_000;
/// From this hour on a night is for the next day.
const TURN_HOUR: u64 = 18;
/// A first day of fewer hours says nothing of a launch: a plan made an hour after it must not take
/// the silence of that hour for a verdict.
const FIRST_DAY_HOURS_MIN: u64 = 6;
/// Days looked back at most, whatever a state tells of.
const DAYS_MAX: u32 = 60;

/// Which day a night at `now` is for, in days since 1970-01-01.
#[must_use]
pub fn day_ahead(now: UnixMillis) -> u32 {
    days((hours(now) + 24 - TURN_HOUR) / 24)
}

/// Hours since 1970-01-01; a forecast holds for one.
pub(super) fn hours(now: UnixMillis) -> u64 {
    now.0 / HOUR_MS
}

/// Which days are observed, and how the last one is read.
pub(super) struct Days {
    /// The first day observed.
    pub(super) first: u32,
    /// The day forecast; the one before it is the last observed.
    pub(super) ahead: u32,
    /// Hours of the last day that were seen: 24 unless it is under way.
    last_hours: u64,
}

impl Days {
    /// None when nothing was watched on any day that is over: a fleet in its first day has no day
    /// to learn from.
    pub(super) fn new(history: &[TitleHistory], now: UnixMillis) -> Option<Self> {
        let today = days(hours(now) / 24);
        let watched = history.iter().flat_map(|one| &one.watched).filter(|day| day.bytes > 0);
        let first = watched.map(|one| one.day).filter(|day| *day < today).min()?;
        let ahead = day_ahead(now);
        let last_hours = if ahead > today { hours(now) % 24 } else { 24 };
        Some(Self { first: first.max(ahead.saturating_sub(DAYS_MAX)), ahead, last_hours })
    }

    /// How many days are observed; at least 1.
    pub(super) fn count(&self) -> usize {
        (self.ahead - self.first) as usize
    }

    /// The position of a day among those observed; none for one too old, or not to be read yet.
    pub(super) fn position(&self, watched: &WatchedDay) -> Option<usize> {
        let is_read = (self.first..self.ahead).contains(&watched.day);
        is_read.then(|| (watched.day - self.first) as usize)
    }

    /// What the bytes of `title` on the day at `position` are multiplied by, so that a day of which
    /// only some hours were seen reads as a whole one.
    pub(super) fn pace(&self, title: &TitleHistory, position: usize) -> f64 {
        let day = self.first.saturating_add(u32::try_from(position).unwrap_or(u32::MAX));
        let seen = self.hours_seen(day);
        let is_first = day == days(hours(title.published_at) / 24);
        let first = Some(self.first_hours(title)).filter(|hours| *hours >= FIRST_DAY_HOURS_MIN);
        let of_title = first.filter(|_| is_first).unwrap_or(seen);
        24.0 / of_title.max(1) as f64
    }

    /// The day from which what was watched of `title` counts: its first, when enough of that was
    /// seen, or else the day after; at the latest the day ahead.
    pub(super) fn published_day(&self, title: &TitleHistory) -> u32 {
        let day = days(hours(title.published_at) / 24);
        let waits = self.first_hours(title) < FIRST_DAY_HOURS_MIN;
        day.saturating_add(u32::from(waits)).min(self.ahead)
    }

    /// Hours of its first day that `title` could be watched in and were seen.
    fn first_hours(&self, title: &TitleHistory) -> u64 {
        let hour = hours(title.published_at);
        self.hours_seen(days(hour / 24)).saturating_sub(hour % 24)
    }

    fn hours_seen(&self, day: u32) -> u64 {
        if day >= self.ahead {
            0
        } else if day + 1 == self.ahead {
            self.last_hours
        } else {
            24
        }
    }
}

fn days(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64, hour: u64) -> UnixMillis {
        UnixMillis((day * 24 + hour) * HOUR_MS)
    }

    fn title(published_at: UnixMillis, days: &[u32]) -> TitleHistory {
        let watched =
            |day: &u32| WatchedDay { day: *day, site: "a".parse().unwrap(), height: 720, bytes: 1 };
        let watched = days.iter().map(watched).collect();
        TitleHistory { title: "t".parse().unwrap(), published_at, watched }
    }

    #[test]
    fn a_night_is_for_the_day_begun_until_the_evening() {
        assert_eq!((day_ahead(at(100, 0)), day_ahead(at(100, 17))), (100, 100));
        assert_eq!((day_ahead(at(100, 18)), day_ahead(at(100, 23))), (101, 101));
    }

    #[test]
    fn only_days_that_are_over_teach_a_fleet_its_first_forecast() {
        let history = [title(at(90, 0), &[100])];
        assert!(Days::new(&history, at(100, 10)).is_none());
        assert!(Days::new(&history, at(100, 22)).is_none());
        let next = Days::new(&history, at(101, 3)).unwrap();
        assert_eq!((next.first, next.ahead, next.count()), (100, 101, 1));
        assert!(Days::new(&[], at(101, 3)).is_none());
        // Of a very long history only the newest days are read.
        let long = [title(at(1, 0), &[5, 500])];
        assert_eq!(Days::new(&long, at(501, 3)).unwrap().count(), DAYS_MAX as usize);
    }

    #[test]
    fn a_day_under_way_is_read_at_its_pace_and_a_launch_from_its_hour() {
        let old = title(at(50, 0), &[99, 100]);
        let evening = Days::new(std::slice::from_ref(&old), at(100, 20)).unwrap();
        assert_eq!((evening.pace(&old, 0), evening.pace(&old, 1)), (1.0, 1.2));
        let launch = |hour| title(at(100, hour), &[100]);
        // Twelve of its hours were seen; then two, which say nothing.
        assert_eq!(evening.published_day(&launch(8)), 100);
        assert_eq!(evening.pace(&launch(8), 1), 2.0);
        assert_eq!(evening.published_day(&launch(18)), 101);
        let next = Days::new(std::slice::from_ref(&old), at(101, 3)).unwrap();
        assert_eq!(next.published_day(&launch(18)), 100, "six hours");
        assert_eq!(next.published_day(&launch(19)), 101);
        assert_eq!(next.published_day(&title(at(101, 2), &[])), 101, "at the latest the day ahead");
    }
}
