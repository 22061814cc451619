//! Goal: the director wants tonight what the days before say of tomorrow, gives a launch its boost,
//! and leaves alone the sites where nothing changed. Method: a history with a known law in, the
//! night's plan out; the clock is an argument.

// A panic is the report.
#![allow(clippy::unwrap_used)]

mod kit;

use control_types::UnixMillis;
use control_types::fill::{FillState, NightPlan, PlaceableObject, TitleHistory, WatchedDay};
use control_types::fleet::{DiskClass, HeldObject, Role};
use control_types::ids::ObjectId;
use fill_director::Memory;
use fill_plan::Knobs;

use kit::box_of;

const HOUR_MS: u64 = 3_600_000;
/// 2026-01-02, a Friday, in days since 1970-01-01.
const FRIDAY: u32 = 20_455;
const MIB: u64 = 1 << 20;
const TITLE_BYTES: u64 = 64 * MIB;

/// `hour` of `day`.
fn at(day: u32, hour: u64) -> UnixMillis {
    UnixMillis((u64::from(day) * 24 + hour) * HOUR_MS)
}

fn object_of(number: usize) -> ObjectId {
    ObjectId([number as u8 + 1; 32])
}

/// One title: its name, its first day, and (day, site, plays) of what was watched.
type Told<'a> = (&'a str, u32, Vec<(u32, &'a str, u64)>);

/// Titles of one object, all at the origin; edges of `capacity_bytes` at the sites named.
fn state(titles: &[Told<'_>], edges: &[&str], capacity_bytes: u64) -> FillState {
    let objects: Vec<ObjectId> = (0..titles.len()).map(object_of).collect();
    let placeable = |(number, (name, ..)): (usize, &Told<'_>)| PlaceableObject {
        object: object_of(number),
        bytes: TITLE_BYTES,
        title: name.parse().unwrap(),
        height: Some(720),
        demand_bytes: Vec::new(),
        demand_bytes_elsewhere: 0.0,
    };
    let history = |(name, first_day, watched): &Told<'_>| TitleHistory {
        title: name.parse().unwrap(),
        published_at: at(*first_day, 0),
        watched: watched.iter().map(|day| watched_day(*day)).collect(),
    };
    let origin = box_of("home-1", Role::Origin, 1 << 40, (&objects, TITLE_BYTES));
    let edges =
        edges.iter().map(|name| box_of(name, Role::Edge, capacity_bytes, (&[], TITLE_BYTES)));
    FillState {
        now: UnixMillis(1),
        objects: titles.iter().enumerate().map(placeable).collect(),
        appliances: std::iter::once(origin).chain(edges).collect(),
        windows: Vec::new(),
        history: titles.iter().map(history).collect(),
    }
}

fn watched_day((day, site, plays): (u32, &str, u64)) -> WatchedDay {
    WatchedDay { day, site: site.parse().unwrap(), height: 720, bytes: plays * TITLE_BYTES }
}

fn pulled(plan: &NightPlan, appliance: &str) -> Vec<String> {
    let part = plan.appliances.iter().find(|part| part.appliance.as_str() == appliance);
    let pulls = part.into_iter().flat_map(|part| &part.pulls);
    pulls.map(|pull| pull.title.to_string()).collect()
}

fn planned(state: &FillState, now: UnixMillis) -> NightPlan {
    Memory::default().plan(&mut state.clone(), &Knobs::default(), None, now)
}

fn wanted_bytes(state: &FillState, number: usize, now: UnixMillis) -> f64 {
    let mut state = state.clone();
    fill_plan::forecast_demand(&mut state, now);
    state.objects[number].demand_bytes[0].bytes
}

#[test]
fn a_show_of_fridays_has_the_disk_on_fridays_and_what_is_watched_daily_on_other_days() {
    // Sixty plays on each Friday are fewer a week than fifteen every day.
    let fridays = [28, 21, 14, 7].map(|ago| (FRIDAY - ago, "a", 60)).to_vec();
    let daily = (1..=28).map(|ago| (FRIDAY - ago, "a", 15)).collect();
    let old = FRIDAY - 300;
    let titles: [Told<'_>; 4] =
        [("daily", old, daily), ("friday", old, fridays), ("c", old, vec![]), ("d", old, vec![])];
    // Room for one title and no second.
    let state = state(&titles, &["a-1"], 100 * MIB);
    assert_eq!(pulled(&planned(&state, at(FRIDAY - 1, 22)), "a-1"), ["friday"], "Thursday night");
    assert_eq!(pulled(&planned(&state, at(FRIDAY, 3)), "a-1"), ["friday"], "after midnight");
    assert_eq!(pulled(&planned(&state, at(FRIDAY, 22)), "a-1"), ["daily"], "for Saturday");
    let friday = wanted_bytes(&state, 1, at(FRIDAY, 3));
    let monday = wanted_bytes(&state, 1, at(FRIDAY + 3, 3));
    assert!(friday > 5.0 * monday, "Friday is its day: {friday} after {monday}");
}

#[test]
fn a_launch_is_wanted_before_anyone_watched_it_and_less_once_nobody_did() {
    let steady = (1..=28).map(|ago| (FRIDAY - ago, "a", 3)).collect();
    let old = FRIDAY - 300;
    let titles: [Told<'_>; 3] =
        [("launch", FRIDAY, vec![]), ("steady", old, steady), ("unseen", old, vec![])];
    let state = state(&titles, &["a-1"], 100 * MIB);
    let that_night = at(FRIDAY, 3);
    assert_eq!(pulled(&planned(&state, that_night), "a-1"), ["launch"]);
    let (launch, unseen) =
        (wanted_bytes(&state, 0, that_night), wanted_bytes(&state, 2, that_night));
    assert!(launch > 10.0 * unseen, "{launch} and {unseen}");
    // Nobody came, for three weeks; the title that is watched is again the one to hold.
    let later = (1..=21).map(|on| (FRIDAY - 1 + on, "a", 3)).collect::<Vec<_>>();
    let mut state = state;
    state.history[1].watched.extend(later.iter().map(|day| watched_day(*day)));
    let three_weeks_on = at(FRIDAY + 21, 3);
    assert_eq!(pulled(&planned(&state, three_weeks_on), "a-1"), ["steady"]);
    assert!(wanted_bytes(&state, 0, three_weeks_on) < 0.2 * launch);
}

#[test]
fn a_title_that_fades_leaves_for_one_that_does_not() {
    // Was watched most of all, and loses a fifth every day.
    let fading = (1..=28_u32)
        .map(|ago| (FRIDAY - ago, "a", (80.0 * 0.8_f64.powi(28 - ago as i32)) as u64))
        .collect();
    let steady = (1..=28).map(|ago| (FRIDAY - ago, "a", 6)).collect();
    let old = FRIDAY - 300;
    let mut state = state(&[("fading", old, fading), ("steady", old, steady)], &["a-1"], 100 * MIB);
    let holds = |state: &mut FillState, number: usize| {
        let (object, bytes) = (object_of(number), TITLE_BYTES);
        let one = &mut state.appliances[1];
        one.holds = vec![HeldObject { object, bytes, class: DiskClass::Ssd }];
        one.volumes[0].used_bytes = fill_plan::footprint(bytes);
    };
    let mut young = state.clone();
    for one in &mut young.history {
        one.watched.retain(|day| day.day < FRIDAY - 20);
    }
    holds(&mut young, 1);
    let first = planned(&young, at(FRIDAY - 20, 3));
    assert_eq!(pulled(&first, "a-1"), ["fading"], "while it was hot");
    holds(&mut state, 0);
    let last = planned(&state, at(FRIDAY, 3));
    assert_eq!(pulled(&last, "a-1"), ["steady"]);
    let part = last.appliances.iter().find(|part| part.appliance.as_str() == "a-1").unwrap();
    assert_eq!(part.prunes, [object_of(0)]);
}

#[test]
fn a_fleet_without_a_day_behind_it_is_planned_as_control_says() {
    let titles: [Told<'_>; 2] =
        [("quiet", FRIDAY, vec![]), ("busy", FRIDAY, vec![(FRIDAY, "a", 90)])];
    let mut state = state(&titles, &["a-1"], 100 * MIB);
    // Control's own sum thinks otherwise, and counts: what was watched today is no day yet.
    state.objects[0].demand_bytes_elsewhere = 1e9;
    let before = state.clone();
    assert_eq!(pulled(&planned(&state, at(FRIDAY, 22)), "a-1"), ["quiet"]);
    assert!(!fill_plan::forecast_demand(&mut state, at(FRIDAY, 22)));
    assert_eq!(state, before);
    assert_eq!(fill_plan::makings(&state, at(FRIDAY, 22), &object_of(0)), None);
    assert_eq!(pulled(&planned(&state, at(FRIDAY + 1, 3)), "a-1"), ["busy"], "a day later");
}

#[test]
fn what_a_forecast_is_made_of_comes_to_the_forecast() {
    let old = FRIDAY - 300;
    let fridays = [28, 21, 14, 7].map(|ago| (FRIDAY - ago, "a", 60)).to_vec();
    let daily = (1..=28).flat_map(|ago| ["a", "b"].map(|site| (FRIDAY - ago, site, 15))).collect();
    let titles: [Told<'_>; 3] =
        [("friday", old, fridays), ("daily", old, daily), ("launch", FRIDAY - 1, vec![])];
    let state = state(&titles, &["a-1", "b-1", "c-1"], 1 << 40);
    for number in 0..3 {
        let mut forecast = state.clone();
        assert!(fill_plan::forecast_demand(&mut forecast, at(FRIDAY, 3)));
        let made = fill_plan::makings(&state, at(FRIDAY, 3), &object_of(number)).unwrap();
        assert_eq!(made.len(), 3);
        for (made, told) in made.iter().zip(&forecast.objects[number].demand_bytes) {
            assert_eq!((&made.site, made.bytes, made.weekday), (&told.site, told.bytes, "Friday"));
            assert_eq!(made.is_borrowed, made.site.as_str() == "c");
            if made.is_borrowed {
                continue;
            }
            let plays = made.plays_a_day
                * made.weekday_factor
                * made.own_weekday_factor
                * made.launch_factor
                * made.rung_share;
            let bytes = plays * 0.7 * TITLE_BYTES as f64 + made.floor_bytes;
            assert!((bytes / made.bytes - 1.0).abs() < 1e-3, "{made:?}");
            let said = made.sentence();
            assert!(said.contains("plays a day") && said.contains("Friday"), "{said}");
        }
    }
}

#[test]
fn a_dead_box_moves_its_own_site_only_and_remembering_changes_no_plan() {
    let old = FRIDAY - 300;
    let watched = |plays: u64| {
        let days = (1..=14).flat_map(move |ago| ["a", "b"].map(|site| (FRIDAY - ago, site, plays)));
        days.collect::<Vec<_>>()
    };
    let titles: [Told<'_>; 4] = [
        ("one", old, watched(9)),
        ("two", old, watched(7)),
        ("three", old, watched(5)),
        ("four", old, watched(3)),
    ];
    let mut state = state(&titles, &["a-1", "a-2", "b-1", "b-2"], 140 * MIB);
    let (knobs, now) = (Knobs::default(), at(FRIDAY, 2));
    let mut memory = Memory::default();
    let mut look = |state: &FillState, current: Option<&NightPlan>, now: UnixMillis| {
        let plan = memory.plan(&mut state.clone(), &knobs, current, now);
        let fresh = Memory::default().plan(&mut state.clone(), &knobs, current, now);
        assert_eq!(plan.appliances, fresh.appliances, "memory changed the plan");
        let placed: Vec<String> = memory.placed().iter().map(ToString::to_string).collect();
        (plan, placed)
    };
    let (plan, placed) = look(&state, None, now);
    assert_eq!(placed, ["a", "b"]);
    // Downloads that began lean to their box: what began is new, once.
    assert_eq!(look(&state, Some(&plan), now).1, ["a", "b"]);
    assert!(look(&state, Some(&plan), now).1.is_empty(), "nothing changed");
    let before = pulled(&plan, "b-1");
    assert_eq!(state.appliances[2].appliance.as_str(), "a-2");
    state.appliances[2].healthy = false;
    let (after, placed) = look(&state, Some(&plan), now);
    assert_eq!(placed, ["a"], "only the dead box's site");
    assert!(pulled(&after, "a-2").is_empty());
    assert_eq!(pulled(&after, "b-1"), before);
    // The next day has a forecast of its own.
    assert!(look(&state, Some(&plan), at(FRIDAY + 1, 2)).1.contains(&"b".to_owned()));
}
