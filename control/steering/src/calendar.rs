//! Maintenance that comes again: which appliances take nothing new at a moment because a rule says
//! so. Reads no clock; when a rule's times are is `fill_plan`'s to say, as it is for fill windows.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use control_store::ledger::MaintenanceRow;
use control_types::UnixMillis;
use control_types::fill::WindowScope;
use control_types::fleet::Maintenance;
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus, WindowSchedule};
use fill_plan::{Schedule, ScheduleError};

use crate::limits::{CALENDAR_AHEAD_MS, NIGHT_CLOSED_AHEAD_MS};

/// All rules, and their times around the moment last asked for.
#[derive(Debug, Default)]
pub struct Calendar {
    rules: Vec<Rule>,
    ahead: ArcSwapOption<Ahead>,
}

#[derive(Debug)]
struct Rule {
    row: MaintenanceRow,
    /// None when it was written by a release that knew more zones than this one: it is listed and
    /// never comes, because a control that does not start would serve nobody.
    sound: Option<Schedule>,
}

/// Times worked out once: a snapshot of the fleet is made many times a second.
#[derive(Debug)]
struct Ahead {
    from: UnixMillis,
    until: UnixMillis,
    times: Vec<Time>,
}

/// One time of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// For whom.
    pub scope: WindowScope,
    /// From when until when.
    pub when: Maintenance,
}

impl Calendar {
    /// Of these rules.
    #[must_use]
    pub fn of(rows: Vec<MaintenanceRow>) -> Self {
        let rule = |row: MaintenanceRow| Rule { sound: check(&row.schedule).ok(), row };
        Self { rules: rows.into_iter().map(rule).collect(), ahead: ArcSwapOption::empty() }
    }

    /// What the ledger says.
    pub fn rows(&self) -> impl Iterator<Item = &MaintenanceRow> {
        self.rules.iter().map(|rule| &rule.row)
    }

    /// The times under way at `now`.
    #[must_use]
    pub fn open_at(&self, now: UnixMillis) -> Vec<Time> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let kept = self.ahead.load_full();
        let ahead = match kept.filter(|ahead| ahead.from <= now && now < ahead.until) {
            Some(ahead) => ahead,
            None => {
                let ahead = Arc::new(self.look_ahead(now));
                self.ahead.store(Some(Arc::clone(&ahead)));
                ahead
            }
        };
        let open = |time: &&Time| time.when.from <= now && now < time.when.until;
        ahead.times.iter().filter(open).cloned().collect()
    }

    fn look_ahead(&self, now: UnixMillis) -> Ahead {
        let until = now.plus_millis(CALENDAR_AHEAD_MS);
        let sound = self.rules.iter().filter_map(|rule| Some((rule, rule.sound.as_ref()?)));
        let times = sound.flat_map(|(rule, sound)| {
            let times = sound.nights(now).take_while(|night| night.opens_at < until);
            times.map(|night| Time {
                scope: rule.row.schedule.scope.clone(),
                when: Maintenance { from: night.opens_at, until: night.closes_at },
            })
        });
        Ahead { from: now, until, times: times.collect() }
    }

    /// Every rule with the time under way or to come.
    #[must_use]
    pub fn status(&self, now: UnixMillis) -> Vec<MaintenanceStatus> {
        let far = now.plus_millis(NIGHT_CLOSED_AHEAD_MS);
        let status = |rule: &Rule| {
            let next = rule.sound.as_ref().and_then(|sound| sound.nights(now).next());
            let next = next.filter(|night| night.opens_at < far);
            MaintenanceStatus {
                schedule: rule.row.schedule.clone(),
                by: rule.row.isp.clone(),
                next: next
                    .map(|night| Maintenance { from: night.opens_at, until: night.closes_at }),
            }
        };
        self.rules.iter().map(status).collect()
    }
}

/// Reads a rule as fill's schedules are read.
///
/// # Errors
/// The first field that makes no sense.
pub fn check(rule: &MaintenanceSchedule) -> Result<Schedule, ScheduleError> {
    Schedule::check(WindowSchedule {
        id: rule.id.clone(),
        scope: rule.scope.clone(),
        start: rule.start.clone(),
        length_ms: rule.length_ms,
        days: rule.days.clone(),
        time_zone: rule.time_zone.clone(),
        except: rule.except.clone(),
        rate_bps_max: None,
        bytes_max: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use control_types::schedule::Weekday;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn moment(hours: u64) -> UnixMillis {
        // 2026-03-28 00:00 UTC, the day before Lisbon's summer time begins at 01:00 UTC.
        UnixMillis(1_774_656_000_000 + hours * HOUR_MS)
    }

    fn calendar() -> Calendar {
        let schedule = MaintenanceSchedule {
            id: "power".parse().unwrap(),
            scope: WindowScope::Site("here".parse().unwrap()),
            start: "03:00".to_owned(),
            length_ms: 2 * HOUR_MS,
            days: vec![Weekday::Sat, Weekday::Sun],
            time_zone: "Europe/Lisbon".to_owned(),
            except: Vec::new(),
        };
        Calendar::of(vec![MaintenanceRow { schedule, isp: None }])
    }

    #[test]
    fn a_rule_comes_in_its_own_wall_time_on_both_sides_of_summer_time() {
        let calendar = calendar();
        let open = |hours| !calendar.open_at(moment(hours)).is_empty();
        // Saturday 03:00 is 03:00 UTC, Sunday 03:00 is 02:00 UTC.
        let asked: Vec<u64> = (0..48).filter(|hours| open(*hours)).collect();
        assert_eq!(asked, [3, 4, 26, 27]);
        // A clock that goes back finds the same.
        assert!(open(3) && !open(2));
        assert_eq!(calendar.open_at(moment(27))[0].when.from, moment(26));
    }

    #[test]
    fn the_next_time_is_told_and_a_broken_rule_stays_quiet() {
        let calendar = calendar();
        let next = |hours| calendar.status(moment(hours))[0].next.clone().unwrap().from;
        assert_eq!((next(0), next(4), next(6)), (moment(3), moment(3), moment(26)));
        let mut row = calendar.rows().next().unwrap().clone();
        row.schedule.time_zone = "Mars/Olympus".to_owned();
        let broken = Calendar::of(vec![row]);
        assert!(broken.open_at(moment(3)).is_empty());
        assert!(broken.status(moment(3))[0].next.is_none());
    }
}
