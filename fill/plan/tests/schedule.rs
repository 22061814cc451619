//! Goal: nights are where the ISP's wall clock says, on the days when clocks change too.
//! Method: known nights in zones with every kind of change, then properties over random schedules.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_types::UnixMillis;
use control_types::fill::WindowScope;
use control_types::schedule::{Weekday, WindowSchedule};
use fill_plan::{Night, Schedule, ScheduleError};
use jiff::Timestamp;
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const DAILY: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

fn rule(zone: &str, start: &str, hours: u64) -> WindowSchedule {
    WindowSchedule {
        id: "nightly".parse().unwrap(),
        scope: WindowScope::Everyone,
        start: start.to_owned(),
        length_ms: hours * HOUR_MS,
        days: DAILY.to_vec(),
        time_zone: zone.to_owned(),
        except: Vec::new(),
        rate_bps_max: None,
        bytes_max: None,
    }
}

fn moment(text: &str) -> UnixMillis {
    let at: Timestamp = text.parse().unwrap();
    UnixMillis(u64::try_from(at.as_millisecond()).unwrap())
}

fn utc(at: UnixMillis) -> String {
    Timestamp::from_millisecond(i64::try_from(at.0).unwrap()).unwrap().to_string()
}

/// The nights of `rule` from `from` on, one a line: date, opening and closing in UTC.
fn check(rule: WindowSchedule, from: &str, expected: &[&str]) {
    let schedule = Schedule::check(rule).unwrap();
    let lines: Vec<String> = schedule
        .nights(moment(from))
        .take(expected.len())
        .map(|night| format!("{} {} {}", night.date, utc(night.opens_at), utc(night.closes_at)))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn lisbon_jumps_over_one_and_shows_one_twice() {
    check(
        rule("Europe/Lisbon", "01:30", 5),
        "2026-03-28T00:00:00Z",
        &[
            "2026-03-28 2026-03-28T01:30:00Z 2026-03-28T06:30:00Z",
            // 01:00 becomes 02:00: the first valid instant, not 02:30.
            "2026-03-29 2026-03-29T01:00:00Z 2026-03-29T06:00:00Z",
            "2026-03-30 2026-03-30T00:30:00Z 2026-03-30T05:30:00Z",
        ],
    );
    check(
        rule("Europe/Lisbon", "01:30", 5),
        "2026-10-24T12:00:00Z",
        &[
            // 01:30 comes at 00:30Z and again at 01:30Z; five hours are five hours.
            "2026-10-25 2026-10-25T00:30:00Z 2026-10-25T05:30:00Z",
            "2026-10-26 2026-10-26T01:30:00Z 2026-10-26T06:30:00Z",
        ],
    );
}

#[test]
fn new_york_jumps_over_two_and_shows_one_twice() {
    check(
        rule("America/New_York", "02:00", 5),
        "2026-03-07T12:00:00Z",
        &[
            "2026-03-08 2026-03-08T07:00:00Z 2026-03-08T12:00:00Z",
            "2026-03-09 2026-03-09T06:00:00Z 2026-03-09T11:00:00Z",
        ],
    );
    check(
        rule("America/New_York", "01:00", 5),
        "2026-10-31T12:00:00Z",
        &[
            "2026-11-01 2026-11-01T05:00:00Z 2026-11-01T10:00:00Z",
            "2026-11-02 2026-11-02T06:00:00Z 2026-11-02T11:00:00Z",
        ],
    );
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    check(
        rule("Australia/Lord_Howe", "02:15", 4),
        "2026-10-03T00:00:00Z",
        &[
            // 02:00 +10:30 becomes 02:30 +11:00.
            "2026-10-04 2026-10-03T15:30:00Z 2026-10-03T19:30:00Z",
            "2026-10-05 2026-10-04T15:15:00Z 2026-10-04T19:15:00Z",
        ],
    );
    check(
        rule("Australia/Lord_Howe", "01:45", 4),
        "2026-04-04T00:00:00Z",
        &[
            // 02:00 +11:00 becomes 01:30 +10:30: 01:45 comes twice.
            "2026-04-05 2026-04-04T14:45:00Z 2026-04-04T18:45:00Z",
            "2026-04-06 2026-04-05T15:15:00Z 2026-04-05T19:15:00Z",
        ],
    );
}

#[test]
fn a_day_long_night_ends_where_the_next_one_opens() {
    check(
        rule("Europe/Lisbon", "04:00", 24),
        "2026-03-28T12:00:00Z",
        &[
            "2026-03-28 2026-03-28T04:00:00Z 2026-03-29T03:00:00Z",
            "2026-03-29 2026-03-29T03:00:00Z 2026-03-30T03:00:00Z",
        ],
    );
    // In autumn a day has 25 hours: the length is kept and an hour is left between.
    check(
        rule("Europe/Lisbon", "04:00", 24),
        "2026-10-24T12:00:00Z",
        &[
            "2026-10-24 2026-10-24T03:00:00Z 2026-10-25T03:00:00Z",
            "2026-10-25 2026-10-25T04:00:00Z 2026-10-26T04:00:00Z",
        ],
    );
    // Samoa had no 30 December 2011: that night is none, or what is left of it.
    check(
        rule("Pacific/Apia", "00:00", 24),
        "2011-12-29T12:00:00Z",
        &[
            "2011-12-29 2011-12-29T10:00:00Z 2011-12-30T10:00:00Z",
            "2011-12-31 2011-12-30T10:00:00Z 2011-12-31T10:00:00Z",
        ],
    );
}

#[test]
fn only_named_days_and_no_excepted_date_have_a_night() {
    let mut weekend = rule("UTC", "23:00", 3);
    weekend.days = vec![Weekday::Sun, Weekday::Sat, Weekday::Sun];
    weekend.except = vec!["2026-11-28".to_owned()];
    check(
        weekend,
        "2026-11-24T00:00:00Z",
        &[
            "2026-11-29 2026-11-29T23:00:00Z 2026-11-30T02:00:00Z",
            "2026-12-05 2026-12-05T23:00:00Z 2026-12-06T02:00:00Z",
        ],
    );
}

#[test]
fn a_night_under_way_comes_first_and_its_end_is_exclusive() {
    let night = "2026-11-24 2026-11-24T02:00:00Z 2026-11-24T07:00:00Z";
    check(rule("UTC", "02:00", 5), "2026-11-24T06:59:59.999Z", &[night]);
    let next = "2026-11-25 2026-11-25T02:00:00Z 2026-11-25T07:00:00Z";
    check(rule("UTC", "02:00", 5), "2026-11-24T07:00:00Z", &[next]);
}

#[test]
fn a_night_is_a_window_named_by_its_date() {
    let mut nightly = rule("Europe/Lisbon", "02:00", 5);
    nightly.rate_bps_max = Some(7);
    let schedule = Schedule::check(nightly).unwrap();
    let night = schedule.nights(moment("2026-11-24T00:00:00Z")).next().unwrap();
    let window = schedule.window(&night);
    assert_eq!(window.id.as_str(), "nightly-2026-11-24");
    assert_eq!((window.rate_bps_max, window.closed), (Some(7), false));
    let names = |id: &str| schedule.names(&id.parse().unwrap());
    assert!(names("nightly-2026-11-24") && names("nightly-1999-01-01"));
    for other in
        ["nightly", "nightly-", "nightly-2026-11-31", "nightly-2026-1-1", "night-2026-11-24"]
    {
        assert!(!names(other), "{other}");
    }
}

#[test]
fn what_is_no_schedule_is_refused_with_the_cure() {
    let refused = |change: &dyn Fn(&mut WindowSchedule), cure: &str| {
        let mut bad = rule("Europe/Lisbon", "02:00", 5);
        change(&mut bad);
        let error: ScheduleError = Schedule::check(bad).unwrap_err();
        assert!(error.to_string().contains(cure), "{error}");
    };
    for zone in ["Europe/Lisboa", "", "../etc/passwd"] {
        refused(&|bad| bad.time_zone = zone.to_owned(), "Europe/Lisbon");
    }
    for start in ["2:00", "24:00", "02:60", "2am", "", "02:00:00", "é:00"] {
        refused(&|bad| bad.start = start.to_owned(), "02:00");
    }
    refused(&|bad| bad.days.clear(), "daily");
    refused(&|bad| bad.length_ms = 0, "24 hours");
    refused(&|bad| bad.length_ms = DAY_MS + 1, "24 hours");
    for date in ["2026-02-29", "24.12.2026", "2026-12-24T00:00", ""] {
        refused(&|bad| bad.except = vec![date.to_owned()], "2026-12-24");
    }
    refused(&|bad| bad.rate_bps_max = Some(0), "cap");
    refused(&|bad| bad.id = "n".repeat(54).parse().unwrap(), "53");
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Lisbon",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Sao_Paulo",
];

fn schedules() -> impl Strategy<Value = Schedule> {
    let day = prop::collection::btree_set(0_usize..7, 1..8);
    let start = (0..24_u64, 0..60_u64);
    (prop::sample::select(&ZONES[..]), start, 1..=24 * 60_u64, day).prop_map(
        |(zone, (hour, minute), minutes, days)| {
            let mut rule = rule(zone, &format!("{hour:02}:{minute:02}"), 0);
            rule.length_ms = minutes * 60_000;
            rule.days = days.into_iter().map(|day| DAILY[day]).collect();
            Schedule::check(rule).unwrap()
        },
    )
}

/// 1990 to 2060.
fn moments() -> impl Strategy<Value = UnixMillis> {
    (631_152_000_000_u64..2_840_140_800_000).prop_map(UnixMillis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nights_never_overlap_and_never_drift(schedule in schedules(), from in moments()) {
        let nights: Vec<Night> = schedule.nights(from).take(60).collect();
        prop_assert_eq!(nights.len(), 60);
        for night in &nights {
            let length = night.closes_at.millis_since(night.opens_at);
            prop_assert!(length > 0 && length <= schedule.rule().length_ms);
            // The first moment at which the wall clock shows what was asked for, or later.
            let asked = format!("{} {}", night.date, schedule.rule().start);
            let wall = |at| schedule.local(at)[4..20].to_owned();
            prop_assert!(wall(night.opens_at) >= asked, "{night:?} {asked}");
            prop_assert!(wall(UnixMillis(night.opens_at.0 - 1)) < asked, "{night:?} {asked}");
        }
        for pair in nights.windows(2) {
            prop_assert!(pair[0].closes_at <= pair[1].opens_at, "{pair:?}");
            prop_assert!(pair[0].date < pair[1].date);
            // Seven days, a change of the clock and, once, a day that never was.
            let apart = pair[1].opens_at.millis_since(pair[0].opens_at);
            prop_assert!(apart <= 15 * DAY_MS, "{pair:?}");
        }
    }

    #[test]
    fn the_next_night_is_the_same_from_wherever_one_looks(
        schedule in schedules(), from in moments(), later in 0..40 * DAY_MS,
    ) {
        let first = schedule.nights(from).next().unwrap();
        let to = from.plus_millis(later);
        let then = schedule.nights(to).next().unwrap();
        prop_assert!(first.opens_at <= then.opens_at);
        let walked = schedule.nights(from).find(|night| night.closes_at > to).unwrap();
        prop_assert_eq!(walked, then);
    }
}
