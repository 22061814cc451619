//! Goal: the forecast of a catalog follows weekdays, regions, launches and rungs, and the same days
//! give the same forecast. Method: days with a known law in, tomorrow's bytes out.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use fill_plan::forecast::{Forecast, TitleShape, Tuning};

const RUNG: u64 = 1_000_000;

/// Titles of two rungs, the upper four times the lower; genre by number.
fn titles(days: &[i32]) -> Vec<TitleShape> {
    let title = |(at, published_day): (usize, &i32)| TitleShape {
        published_day: *published_day,
        genre: at % 2,
        objects: vec![(2 * at as u32, 0, RUNG), (2 * at as u32 + 1, 1, 4 * RUNG)],
    };
    days.iter().enumerate().map(title).collect()
}

fn observed(
    published: &[i32],
    sites: usize,
    days: i32,
    law: impl Fn(usize, usize, i32) -> f64,
) -> Forecast {
    let objects = published.len() * 2;
    let mut forecast = Forecast::new(titles(published), objects, 2, sites, 0, Tuning::default());
    for day in 0..days {
        let bytes = (0..sites)
            .map(|site| (0..objects).map(|object| law(site, object, day) as f32).collect());
        forecast.observe(&bytes.collect::<Vec<Vec<f32>>>());
    }
    forecast
}

#[test]
fn a_steady_catalog_is_forecast_as_it_is() {
    let law = |_: usize, object: usize, _: i32| (object + 1) as f64 * 50.0 * RUNG as f64;
    let forecast = observed(&[-100, -100, -100], 1, 30, law);
    for (object, bytes) in forecast.tomorrow(0).iter().enumerate() {
        let ratio = f64::from(*bytes) / law(0, object, 0);
        assert!((0.9..1.1).contains(&ratio), "object {object}: {ratio}");
    }
}

#[test]
fn the_weekend_is_busier_when_it_always_was() {
    let law = |_: usize, _: usize, day: i32| {
        if day % 7 >= 5 { 150.0 * RUNG as f64 } else { 100.0 * RUNG as f64 }
    };
    let friday = observed(&[-100, -100], 1, 5 * 7 + 4, law).tomorrow(0)[1];
    let saturday = observed(&[-100, -100], 1, 5 * 7 + 5, law).tomorrow(0)[1];
    let ratio = saturday / friday;
    assert!((1.4..1.6).contains(&ratio), "{ratio}");
}

#[test]
fn regions_keep_their_taste_and_rare_titles_borrow_from_elsewhere() {
    // Title 0 is watched at site 0 only, title 1 at both; title 2 had one play at site 1, ever.
    let law = |site: usize, object: usize, day: i32| match (object / 2, site, day) {
        (0, 0, _) | (1, _, _) => 200.0 * RUNG as f64,
        (2, 1, 3) => RUNG as f64,
        _ => 0.0,
    };
    let forecast = observed(&[-100, -100, -100], 2, 30, law);
    let (here, there) = (forecast.tomorrow(0), forecast.tomorrow(1));
    assert!(here[0] > 20.0 * there[0]);
    assert!((0.8..1.25).contains(&(here[2] / there[2])));
    assert!(here[4] > 0.0 && here[4] < 0.1 * RUNG as f32);
}

#[test]
fn a_launch_is_expected_before_anyone_watched_and_fades_into_what_it_is() {
    // Launches of genre 0 settle to a hundred plays, of genre 1 to one; the last of each is new.
    let published: Vec<i32> = (0..20).map(|at| at / 2).chain([40, 40]).collect();
    let days = published.clone();
    let law = move |_: usize, object: usize, day: i32| {
        let title = object / 2;
        if day < days[title] {
            return 0.0;
        }
        if title.is_multiple_of(2) { 100.0 * RUNG as f64 } else { RUNG as f64 }
    };
    let before = observed(&published, 1, 40, law.clone()).tomorrow(0);
    assert!(before[40] > 5.0 * before[42], "{} and {}", before[40], before[42]);
    assert!(f64::from(before[40]) > 20.0 * RUNG as f64);
    assert!(observed(&published, 1, 39, law.clone()).tomorrow(0)[40] == 0.0, "a day too early");
    // A month later each is what it is, whatever its genre promised.
    let flop = move |site: usize, object: usize, day: i32| {
        if object / 2 == 20 { 0.0 } else { law(site, object, day) }
    };
    let after = observed(&published, 1, 70, flop).tomorrow(0);
    assert!(f64::from(after[40]) < 0.2 * RUNG as f64, "{}", after[40]);
}

#[test]
fn plays_go_to_the_rungs_that_are_watched() {
    let law = |_: usize, object: usize, _: i32| {
        // Title 0 is watched on its upper rung only, the nine others on their lower.
        if (object < 2) == (object % 2 == 1) { 100.0 * RUNG as f64 } else { 0.0 }
    };
    let forecast = observed(&[-100; 10], 1, 30, law).tomorrow(0);
    assert!(forecast[1] > 10.0 * forecast[0]);
    assert!(forecast[2] > 5.0 * forecast[3]);
}

#[test]
fn the_same_days_give_the_same_forecast() {
    let law = |site: usize, object: usize, day: i32| {
        ((site * 31 + object * 7) as i32 * day % 97) as f64 * 1e6
    };
    let one = observed(&[-9, 3, 5, 8], 3, 40, law);
    let two = observed(&[-9, 3, 5, 8], 3, 40, law);
    assert_eq!(one.tomorrow(2), two.tomorrow(2));
    assert!(one.tomorrow(1).iter().all(|bytes| bytes.is_finite() && *bytes >= 0.0));
}
