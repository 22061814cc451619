//! Goal: the forecast follows what was watched, where and at which height, fades, and never leaves
//! a new title without demand. Method: known watching in, bytes a day out.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_telemetry::demand::{Demand, ObjectShape, TitleObjects};
use control_telemetry::limits::DEMAND_CELLS_MAX;
use control_types::fill::PlaceableObject;
use control_types::{ObjectId, SiteId, TitleId, UnixMillis};

const DAY_MS: u64 = 86_400_000;
const LONG_AGO: UnixMillis = UnixMillis(0);
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const RUNG_BYTES: u64 = 1_000_000;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Rungs of 360 and 1080 lines, equally large, and audio of a tenth.
fn title(name: &str, published_at: UnixMillis) -> TitleObjects {
    let shape =
        |number: u8, bytes, height| ObjectShape { object: ObjectId([number; 32]), bytes, height };
    TitleObjects {
        title: id(name),
        published_at,
        objects: vec![
            shape(1, RUNG_BYTES, Some(360)),
            shape(2, RUNG_BYTES, Some(1080)),
            shape(3, RUNG_BYTES / 10, None),
        ],
    }
}

fn at_site(objects: &[PlaceableObject], at: usize, site: &str) -> f64 {
    let object = &objects[at];
    let own = object.demand_bytes.iter().find(|demand| demand.site == id::<SiteId>(site));
    own.map_or(object.demand_bytes_elsewhere, |demand| demand.bytes)
}

fn sites() -> Vec<SiteId> {
    vec![id("a"), id("b")]
}

#[test]
fn a_steady_rate_is_read_back() {
    let mut demand = Demand::default();
    for hour in 0..(30 * 24) {
        let at = UnixMillis(NOW.0 - hour * DAY_MS / 24);
        demand.watch(&id("night"), &id("a"), 1080, RUNG_BYTES, at);
    }
    let objects = demand.placeable(&[title("night", LONG_AGO)], &sites(), NOW);
    let total: f64 = (0..3).map(|at| at_site(&objects, at, "a")).sum();
    let wanted = 24.0 * RUNG_BYTES as f64;
    assert!((total / wanted - 1.0).abs() < 0.05, "{total} instead of {wanted}");
}

#[test]
fn the_watched_rung_gets_most_and_none_gets_nothing() {
    let mut demand = Demand::default();
    demand.watch(&id("night"), &id("a"), 1080, 100 * RUNG_BYTES, NOW);
    let objects = demand.placeable(&[title("night", LONG_AGO)], &sites(), NOW);
    let [low, high, audio] = [0, 1, 2].map(|at| at_site(&objects, at, "a"));
    assert!(high > 3.0 * low, "{high} and {low}");
    assert!(low > 0.1 * high, "{low} and {high}: a title with rungs missing is served badly");
    let per_byte = |bytes: f64, size: u64| bytes / size as f64;
    assert!(per_byte(audio, RUNG_BYTES / 10) > per_byte(low, RUNG_BYTES));
}

#[test]
fn taste_is_regional_and_elsewhere_is_guessed_lower() {
    let mut demand = Demand::default();
    demand.watch(&id("night"), &id("a"), 1080, 100 * RUNG_BYTES, NOW);
    demand.watch(&id("day"), &id("b"), 1080, 100 * RUNG_BYTES, NOW);
    let titles = [title("night", LONG_AGO), title("day", LONG_AGO)];
    let objects = demand.placeable(&titles, &sites(), NOW);
    let (night, day) = objects.split_at(3);
    assert!(at_site(night, 1, "a") > 2.0 * at_site(night, 1, "b"));
    assert!(at_site(day, 1, "b") > 2.0 * at_site(day, 1, "a"));
    assert!(at_site(night, 1, "b") > 0.0);
}

#[test]
fn what_was_watched_fades() {
    let mut demand = Demand::default();
    demand.watch(&id("night"), &id("a"), 1080, 1_000 * RUNG_BYTES, NOW);
    let after = |days: u64| {
        let later = NOW.plus_millis(days * DAY_MS);
        at_site(&demand.placeable(&[title("night", LONG_AGO)], &sites(), later), 1, "a")
    };
    assert!(after(2) < 0.51 * after(0));
    assert!(after(60) < 0.001 * after(0));
    assert!(after(60) > 0.0, "spare room is still used");
}

#[test]
fn a_new_title_is_wanted_before_anyone_watched_it() {
    let demand = Demand::default();
    let titles = [title("fresh", NOW), title("old", LONG_AGO)];
    let objects = demand.placeable(&titles, &sites(), NOW);
    let (fresh, old) = objects.split_at(3);
    for at in 0..3 {
        assert!(at_site(fresh, at, "a") > 50.0 * at_site(old, at, "a"));
        assert!(at_site(old, at, "a") > 0.0);
    }
    // But not more than one that members really want.
    let mut demand = Demand::default();
    (0..20).for_each(|_| demand.watch(&id("hit"), &id("a"), 1080, 10 * RUNG_BYTES, NOW));
    let objects = demand.placeable(&[title("hit", LONG_AGO), title("fresh", NOW)], &sites(), NOW);
    assert!(at_site(&objects[..3], 1, "a") > at_site(&objects[3..], 1, "a"));
}

#[test]
fn a_late_event_counts_no_more_than_it_would_have_in_time() {
    let mut in_time = Demand::default();
    let mut late = Demand::default();
    let (early, then) = (NOW, NOW.plus_millis(4 * DAY_MS));
    let order = [(early, 7), (then, 5)];
    order.iter().for_each(|(at, n)| in_time.watch(&id("t"), &id("a"), 360, n * RUNG_BYTES, *at));
    order.iter().rev().for_each(|(at, n)| late.watch(&id("t"), &id("a"), 360, n * RUNG_BYTES, *at));
    let titles = [title("t", LONG_AGO)];
    let read = |demand: &Demand| at_site(&demand.placeable(&titles, &sites(), then), 0, "a");
    assert!((read(&in_time) / read(&late) - 1.0).abs() < 1e-9);
}

#[test]
fn an_unknown_height_counts_for_the_whole_title() {
    let mut demand = Demand::default();
    demand.watch(&id("night"), &id("a"), 0, 100 * RUNG_BYTES, NOW);
    let objects = demand.placeable(&[title("night", LONG_AGO)], &sites(), NOW);
    let [low, high, audio] = [0, 1, 2].map(|at| at_site(&objects, at, "a"));
    assert!((low - high).abs() < 1.0 && (audio * 10.0 - low).abs() < 1.0, "{low} {high} {audio}");
}

#[test]
fn the_table_is_bounded_and_keeps_what_is_watched_most() {
    let mut demand = Demand::default();
    let hit: TitleId = id("hit");
    demand.watch(&hit, &id("a"), 1080, 1 << 33, NOW);
    for number in 0..=DEMAND_CELLS_MAX {
        demand.watch(&id(&format!("t{number}")), &id("a"), 0, 1 + number as u64, NOW);
    }
    let rate =
        |name: &str| at_site(&demand.placeable(&[title(name, LONG_AGO)], &sites(), NOW), 1, "a");
    let floor = rate("never-watched");
    assert!(rate("hit") > 1_000.0 * floor);
    assert!((rate("t0") - floor).abs() < 1e-6, "the smallest made room");
}

#[test]
fn a_player_that_invents_heights_crowds_nobody_out() {
    let mut demand = Demand::default();
    demand.watch(&id("night"), &id("a"), 1080, RUNG_BYTES, NOW);
    let begin = std::time::Instant::now();
    for height in 0..100_000 {
        demand.watch(&id("night"), &id("a"), height, 1, NOW);
    }
    // Each among all others would be five thousand million steps.
    assert!(begin.elapsed().as_secs() < 5, "it took {:?}", begin.elapsed());
    // Enough of other titles to fill a table in which each invention has a cell.
    for number in 0..(DEMAND_CELLS_MAX - 90_000) {
        demand.watch(&id(&format!("title-{number}")), &id("a"), 1080, 1, NOW);
    }
    let objects = demand.placeable(&[title("title-7", LONG_AGO)], &sites(), NOW);
    assert_eq!(objects[1].demand_bytes.len(), 1, "an honest title was pushed out");
}
