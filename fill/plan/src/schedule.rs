//! When "every weekday at two in the morning in Lisbon" is: a schedule and a moment become concrete
//! nights. Reads no clock and no file; the time zones are the ones built into the program.
//!
//! - A night opens at the first instant of its local date at which the wall clock shows `start` *or
//!   later*. In spring, when the clock jumps over `start`, that is the jump itself; in autumn, when
//!   it shows `start` twice, that is the first time.
//! - It stays open for `length_ms` of elapsed time, whatever the wall clock does meanwhile, but no
//!   longer than until the next night opens: 24 h at the start of summer time would overlap.
//! - It is called after the local date on which it opens: `tonight-2026-11-24`.
//!
//! The built-in zones were chosen over the machine's: `ocactl --dry-run` on a laptop and control on
//! a bare server then always agree. The cost: a country's new rules arrive with the next build.

use std::collections::BTreeSet;

use control_types::fill::Window;
use control_types::schedule::{Weekday, WindowSchedule};
use control_types::{UnixMillis, WindowId, limits::SLUG_BYTES_MAX};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

/// Shortest night, milliseconds: an agent asks for orders every few seconds, so less is no window.
pub const NIGHT_MS_MIN: u64 = 60_000;
/// Longest night, milliseconds: 24 h.
pub const NIGHT_MS_MAX: u64 = 24 * 3_600_000;
/// Most dates without a night.
pub const EXCEPT_MAX: usize = 400;
/// Longest name: a night's own is this, a dash and ten characters of date.
pub const NAME_BYTES_MAX: usize = SLUG_BYTES_MAX - "-2026-11-24".len();

/// Why a schedule is none. Always the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// No room for a date behind the name.
    #[error("the name {0} is longer than {NAME_BYTES_MAX} characters: its nights add their date")]
    Name(WindowId),
    /// `start` is no wall time.
    #[error("start {0:?} is not a time of day: write 02:00 or 23:30")]
    Start(String),
    /// `length_ms` is out of range.
    #[error("a length of {0} ms is not between 1 minute and 24 hours: write 5h or 90m")]
    Length(u64),
    /// `days` is empty.
    #[error("it names no day: write daily, mon-fri or sat,sun")]
    NoDays,
    /// `time_zone` is not known.
    #[error("there is no time zone {0:?}: write an IANA name such as Europe/Lisbon or UTC")]
    Zone(String),
    /// One of `except` is no date.
    #[error("{0:?} in except is not a date: write 2026-12-24")]
    Date(String),
    /// `except` is too long.
    #[error("{0} dates in except are more than {EXCEPT_MAX}: leave out those that are over")]
    Dates(usize),
    /// A cap of nothing.
    #[error("a cap of 0 is no window: leave the cap out or remove the schedule")]
    Cap,
}

/// A schedule that was found sound. The only way to nights.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: WindowSchedule,
    start: Time,
    zone: TimeZone,
    except: BTreeSet<Date>,
}

/// One occurrence of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Night {
    /// Local date on which it opens, by the rule: where midnight is skipped the clock may show the
    /// next.
    pub date: Date,
    /// First moment.
    pub opens_at: UnixMillis,
    /// First moment after it.
    pub closes_at: UnixMillis,
}

impl Schedule {
    /// Checks a rule.
    ///
    /// # Errors
    /// The first field that makes no sense, with the cure.
    pub fn check(mut rule: WindowSchedule) -> Result<Self, ScheduleError> {
        if rule.id.as_str().len() > NAME_BYTES_MAX {
            return Err(ScheduleError::Name(rule.id));
        }
        let start = start_of(&rule.start)?;
        if !(NIGHT_MS_MIN..=NIGHT_MS_MAX).contains(&rule.length_ms) {
            return Err(ScheduleError::Length(rule.length_ms));
        }
        // Each day once: the list is looked through for every date.
        rule.days.sort_unstable();
        rule.days.dedup();
        if rule.days.is_empty() {
            return Err(ScheduleError::NoDays);
        }
        let zone = TimeZoneDatabase::bundled().get(&rule.time_zone);
        let zone = zone.map_err(|_| ScheduleError::Zone(rule.time_zone.clone()))?;
        if rule.except.len() > EXCEPT_MAX {
            return Err(ScheduleError::Dates(rule.except.len()));
        }
        let except = rule.except.iter().map(|text| date_of(text)).collect::<Result<_, _>>()?;
        if rule.rate_bps_max == Some(0) || rule.bytes_max == Some(0) {
            return Err(ScheduleError::Cap);
        }
        Ok(Self { rule, start, zone, except })
    }

    /// What was checked, its days in order and each once.
    #[must_use]
    pub fn rule(&self) -> &WindowSchedule {
        &self.rule
    }

    /// The nights that close after `moment`, the earliest first: the one under way and all to come.
    #[must_use]
    pub fn nights(&self, moment: UnixMillis) -> Nights<'_> {
        // A night opens at most one gap (a day, in the one zone that ever skipped one) after its
        // date's start and lasts a day: none from three dates ago can still be open.
        let date = timestamp_of(moment)
            .and_then(|at| self.zone.to_datetime(at).date().checked_sub(3.days()).ok());
        let mut nights = Nights { schedule: self, date, ahead: None, moment };
        nights.ahead = nights.step();
        nights
    }

    /// The window that a night is to agents and the director.
    #[must_use]
    pub fn window(&self, night: &Night) -> Window {
        let text = format!("{}-{}", self.rule.id, night.date);
        Window {
            id: text.parse().expect("a short slug, a dash and a date are a slug"),
            scope: self.rule.scope.clone(),
            opens_at: night.opens_at,
            closes_at: night.closes_at,
            rate_bps_max: self.rule.rate_bps_max,
            bytes_max: self.rule.bytes_max,
            closed: false,
        }
    }

    /// Whether `id` is one that a night of this schedule has or could have.
    #[must_use]
    pub fn names(&self, id: &WindowId) -> bool {
        let date = id.as_str().strip_prefix(self.rule.id.as_str());
        date.and_then(|rest| rest.strip_prefix('-')).is_some_and(|date| date_of(date).is_ok())
    }

    /// A moment as the schedule's wall clock shows it, with the offset: `2026-11-24 02:00 +00:00`.
    #[must_use]
    pub fn local(&self, moment: UnixMillis) -> String {
        timestamp_of(moment).map_or_else(
            || format!("{} ms", moment.0),
            |at| at.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string(),
        )
    }

    fn is_on(&self, date: Date) -> bool {
        self.rule.days.contains(&weekday_of(date)) && !self.except.contains(&date)
    }

    /// The first instant at which the wall clock shows `date` and `start`, or later.
    fn opening(&self, date: Date) -> Option<UnixMillis> {
        let wall: DateTime = date.to_datetime(self.start);
        let at = match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the offset after the jump, a skipped wall time lies just before it.
                let just_before = after.to_timestamp(wall).ok()?;
                self.zone.following(just_before).next()?.timestamp()
            }
        };
        Some(UnixMillis(u64::try_from(at.as_millisecond()).ok()?))
    }
}

/// The nights of a schedule from some moment on; see [`Schedule::nights`]. Endless, but for the
/// end of the calendar.
pub struct Nights<'a> {
    schedule: &'a Schedule,
    /// The next date to look at; none at the end of the calendar.
    date: Option<Date>,
    /// The next night, not yet cut short by the one after it.
    ahead: Option<Night>,
    moment: UnixMillis,
}

impl Nights<'_> {
    fn step(&mut self) -> Option<Night> {
        loop {
            let date = self.date?;
            self.date = date.checked_add(1.day()).ok();
            if !self.schedule.is_on(date) {
                continue;
            }
            if let Some(opens_at) = self.schedule.opening(date) {
                let closes_at = opens_at.plus_millis(self.schedule.rule.length_ms);
                return Some(Night { date, opens_at, closes_at });
            }
        }
    }
}

impl Iterator for Nights<'_> {
    type Item = Night;

    fn next(&mut self) -> Option<Night> {
        loop {
            let mut night = self.ahead.take()?;
            self.ahead = self.step();
            if let Some(next) = &self.ahead {
                night.closes_at = night.closes_at.min(next.opens_at);
            }
            // Empty only when a zone skipped a whole day: that day has no night.
            if night.closes_at > self.moment && night.closes_at > night.opens_at {
                return Some(night);
            }
        }
    }
}

fn timestamp_of(moment: UnixMillis) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(moment.0).ok()?).ok()
}

/// Exactly `HH:MM`: jiff reads much more, but a schedule has one spelling.
fn start_of(text: &str) -> Result<Time, ScheduleError> {
    let refuse = || ScheduleError::Start(text.to_owned());
    let shape = text.len() == 5 && text.as_bytes()[2] == b':';
    if !shape {
        return Err(refuse());
    }
    Time::strptime("%H:%M", text).map_err(|_| refuse())
}

/// Exactly `YYYY-MM-DD`, as a night's name has it.
fn date_of(text: &str) -> Result<Date, ScheduleError> {
    let date: Option<Date> = Date::strptime("%Y-%m-%d", text).ok();
    date.filter(|date| date.to_string() == text).ok_or_else(|| ScheduleError::Date(text.to_owned()))
}

fn weekday_of(date: Date) -> Weekday {
    match date.weekday() {
        jiff::civil::Weekday::Monday => Weekday::Mon,
        jiff::civil::Weekday::Tuesday => Weekday::Tue,
        jiff::civil::Weekday::Wednesday => Weekday::Wed,
        jiff::civil::Weekday::Thursday => Weekday::Thu,
        jiff::civil::Weekday::Friday => Weekday::Fri,
        jiff::civil::Weekday::Saturday => Weekday::Sat,
        jiff::civil::Weekday::Sunday => Weekday::Sun,
    }
}
