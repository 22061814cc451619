//! Goal: fill by the profile never raises what is paid, in any month, finished or not. Method: any
//! samples, any split into past and future, any future inside the beliefs, fill at full profile.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use control_types::UnixMillis;
use control_types::fill::RateStep;
use fill_plan::billing::{
    Belief, Month, SLOT_MS, SLOTS_PER_DAY, beliefs, billed_bps, profile, profile_ahead,
};
use proptest::prelude::*;

#[test]
fn the_bill_is_what_is_left_when_the_twentieth_is_forgiven() {
    let samples: Vec<u64> = (1..=100).rev().collect();
    assert_eq!(billed_bps(&samples, 0.95), 95);
    assert_eq!(billed_bps(&samples, 1.0), 100);
    assert_eq!(billed_bps(&[7], 0.95), 7);
    assert_eq!(billed_bps(&[], 0.95), 0);
    // A month of thirty days: 36 hours are forgiven, not a slot less.
    let mut month = vec![1_u64; 30 * SLOTS_PER_DAY];
    month[..432].fill(9);
    assert_eq!(billed_bps(&month, 0.95), 1);
    month[432] = 9;
    assert_eq!(billed_bps(&month, 0.95), 9);
}

#[test]
fn without_any_knowledge_nothing_is_filled() {
    let ahead = beliefs(&[], 30 * SLOTS_PER_DAY);
    let month = Month { measured: &[], ahead: &ahead, percentile: 0.95 };
    assert!(month.room_bps().iter().all(|room| *room == 0));
}

#[test]
fn quiet_hours_of_a_daily_rhythm_have_room_and_evenings_have_none() {
    let day = |slot: usize| if (200..288).contains(&slot) { 10_000_000 } else { 1_000_000 };
    let history: Vec<u64> = (0..10 * SLOTS_PER_DAY).map(|slot| day(slot % SLOTS_PER_DAY)).collect();
    let ahead = beliefs(&history, 20 * SLOTS_PER_DAY);
    let month = Month { measured: &history, ahead: &ahead, percentile: 0.95 };
    assert_eq!(month.level_bps(), 10_000_000);
    let room = month.room_bps();
    assert_eq!(room[240], 0);
    // Half of seven tenths: a burst that nobody believed in still finds room.
    assert_eq!(room[24], 3_500_000);
    // The last sample was busy: nobody knows yet that the evening is over.
    assert_eq!(room[1], 0);
}

#[test]
fn a_burst_that_was_just_measured_leaves_no_room_for_half_an_hour() {
    let day = |slot: usize| if (200..288).contains(&slot) { 10_000_000 } else { 1_000_000 };
    let mut history: Vec<u64> =
        (0..10 * SLOTS_PER_DAY + 60).map(|slot| day(slot % SLOTS_PER_DAY)).collect();
    let slots = 19 * SLOTS_PER_DAY;
    let room = |history: &[u64]| {
        Month { measured: history, ahead: &beliefs(history, slots), percentile: 0.95 }.room_bps()
    };
    assert_eq!(room(&history)[0], 6_000_000);
    *history.last_mut().unwrap() = 9_000_000;
    let after = room(&history);
    assert!(after[..6].iter().all(|room| *room == 0), "{:?}", &after[..7]);
    assert!(after[30] > 0);
}

#[test]
fn the_steepest_rise_of_the_week_is_left_room_for_and_a_quarter_more() {
    let day = |slot: usize| if (200..288).contains(&slot) { 10_000_000 } else { 1_000_000 };
    let mut history: Vec<u64> =
        (0..10 * SLOTS_PER_DAY + 60).map(|slot| day(slot % SLOTS_PER_DAY)).collect();
    // Less than an hour from now, four days ago.
    history[6 * SLOTS_PER_DAY + 70] = 4_000_000;
    let ahead = beliefs(&history, 19 * SLOTS_PER_DAY);
    let room = Month { measured: &history, ahead: &ahead, percentile: 0.95 }.room_bps();
    // Seven tenths of ten, less what is carried now, less that rise and a quarter.
    assert_eq!(room[0], 2_250_000);
}

#[test]
fn months_of_any_length_their_first_day_and_gaps_have_a_profile_that_ends_shut() {
    let day = |slot: usize| if (200..288).contains(&slot) { 10_000_000 } else { 1_000_000 };
    let history: Vec<u64> = (0..20 * SLOTS_PER_DAY).map(|slot| day(slot % SLOTS_PER_DAY)).collect();
    let at = |text: &str| {
        let at: jiff::Timestamp = text.parse().unwrap();
        UnixMillis(at.as_millisecond().try_into().unwrap())
    };
    for (ends, now) in [
        ("2026-02-27T23:55:00Z", "2026-02-28T00:00:00Z"),
        ("2026-02-28T23:55:00Z", "2026-03-01T00:02:00Z"),
        ("2026-03-01T00:00:00Z", "2026-03-01T00:05:00Z"),
        ("2026-03-31T23:00:00Z", "2026-03-31T23:10:00Z"),
        ("2028-02-29T12:00:00Z", "2028-02-29T12:05:00Z"),
        // Nothing came for three days, and a clock that is an hour behind.
        ("2026-03-10T00:00:00Z", "2026-03-13T00:00:00Z"),
        ("2026-03-10T01:00:00Z", "2026-03-10T00:00:00Z"),
    ] {
        let made = profile_ahead(&history, &history, at(ends), at(now), 0.95);
        assert!(made.steps.windows(2).all(|two| two[0].starts_at < two[1].starts_at), "{now}");
        assert_eq!(made.steps.last().map(|step| step.rate_bps_max), Some(0), "{now}");
        let most = made.steps.iter().map(|step| step.rate_bps_max).max();
        assert!(most < Some(7_500_000), "{now}: {most:?}");
    }
}

#[test]
fn a_border_that_empties_is_believed_to_empty_further() {
    let level = |fade: f64| {
        let day = |slot: usize| {
            let busy = if (200..288).contains(&(slot % SLOTS_PER_DAY)) { 10e6 } else { 1e6 };
            (busy * fade.powf((slot / SLOTS_PER_DAY) as f64)) as u64
        };
        let history: Vec<u64> = (0..28 * SLOTS_PER_DAY).map(day).collect();
        let ahead = beliefs(&history, 28 * SLOTS_PER_DAY);
        let real: Vec<u64> = (28 * SLOTS_PER_DAY..56 * SLOTS_PER_DAY).map(day).collect();
        let level = Month { measured: &[], ahead: &ahead, percentile: 0.95 }.level_bps();
        (level, billed_bps(&real, 0.95))
    };
    for fade in [1.0, 0.98, 0.95] {
        let (believed, real) = level(fade);
        assert!(believed <= real && believed > real / 2, "{fade}: {believed} of {real}");
    }
}

#[test]
fn a_profile_joins_equal_slots_and_ends_shut() {
    let begin = UnixMillis(1_000_000);
    let made = profile(begin, &[5, 5, 7, 0, 9]);
    let at = |slot: u64, rate_bps_max| RateStep {
        starts_at: begin.plus_millis(slot * SLOT_MS),
        rate_bps_max,
    };
    assert_eq!(made.steps, [at(0, 5), at(2, 7), at(3, 0), at(4, 9), at(5, 0)]);
    assert_eq!(made.rate_bps_max(UnixMillis(999_999)), None);
    assert_eq!(made.rate_bps_max(begin.plus_millis(SLOT_MS)), Some(5));
    assert_eq!(made.rate_bps_max(begin.plus_millis(9 * SLOT_MS)), Some(0));
    // However long the night, the wire's bound holds and it still ends shut.
    let long = profile(begin, &(1..2_000).collect::<Vec<u64>>());
    assert!(long.steps.len() <= control_types::limits::RATE_STEPS_MAX);
    assert_eq!(long.steps.last().unwrap().rate_bps_max, 0);
}

/// A month: what was measured, what is believed of the rest, and what the rest really carries.
fn months() -> impl Strategy<Value = (Vec<u64>, Vec<Belief>, Vec<u64>, f64)> {
    let measured = prop::collection::vec(0_u64..1_000, 0..200);
    let ahead = prop::collection::vec((0_u64..1_000, 0_u64..600, 0.0..=1.0_f64), 0..200);
    (measured, ahead, 0.5..=1.0_f64).prop_map(|(measured, ahead, percentile)| {
        let belief = |(low_bps, more, _): &(u64, u64, f64)| Belief {
            low_bps: *low_bps,
            high_bps: low_bps + more,
            is_fresh: false,
        };
        let real = |(low, more, at): &(u64, u64, f64)| low + (*more as f64 * at) as u64;
        let (beliefs, truth) = (ahead.iter().map(belief).collect(), ahead.iter().map(real));
        (measured, beliefs, truth.collect(), percentile)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn fill_by_the_profile_never_raises_the_bill((measured, ahead, real, percentile) in months()) {
        let room = Month { measured: &measured, ahead: &ahead, percentile }.room_bps();
        let without: Vec<u64> = measured.iter().chain(&real).copied().collect();
        let filled = real.iter().zip(&room).map(|(real, room)| real + room);
        let with: Vec<u64> = measured.iter().copied().chain(filled).collect();
        prop_assert!(billed_bps(&with, percentile) <= billed_bps(&without, percentile));
    }

    #[test]
    fn nights_planned_one_after_the_other_are_as_free(
        (_, ahead, real, percentile) in months(),
        step in 1_usize..40,
    ) {
        // Each night sees what was measured so far, its own earlier fill included.
        let mut with: Vec<u64> = Vec::new();
        while with.len() < real.len() {
            let at = with.len();
            let room = Month { measured: &with, ahead: &ahead[at..], percentile }.room_bps();
            let night = real[at..].iter().zip(&room).take(step);
            with.extend(night.map(|(real, room)| real + room));
        }
        prop_assert!(billed_bps(&with, percentile) <= billed_bps(&real, percentile));
    }

    #[test]
    fn a_finished_month_has_no_room(measured in prop::collection::vec(0_u64..99, 0..99)) {
        let month = Month { measured: &measured, ahead: &[], percentile: 0.95 };
        prop_assert!(month.room_bps().is_empty());
        prop_assert_eq!(month.level_bps(), billed_bps(&measured, 0.95));
    }
}
