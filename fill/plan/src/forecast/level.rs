//! One series smoothed over days, with a trend that is damped and bounded. Knows no weekday and no
//! age: what it is shown has them taken out.
//!
//! How much the newest day counts depends on how much it can say. Demand that wanders by a share
//! `d` a day and is seen as `n` plays a day, each a matter of luck, is followed best (Kalman, of a
//! local level) by the weight `a` that solves `a² ÷ (1 - a) = n · d²`: a title of a play a week is
//! the mean of two months, one of twenty a day that of its last days.

use super::Tuning;

/// Least weight of the newest day: nothing is remembered for longer than two months.
const NEWEST_MIN: f64 = 0.03;

/// A smoothed daily value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    value: f32,
    trend: f32,
    days: f32,
}

impl Level {
    /// Takes in one day. The first days count in full, so that a young series is their mean.
    pub fn observe(&mut self, day: f64, tuning: &Tuning) {
        self.observe_part(day, 1.0, 1.0, tuning);
    }

    /// Takes in a day of which `part` times the mean was due, above 0: the silence of a day on
    /// which little is due says as little. `day` is plays over `lift`, which is at least 1.
    pub fn observe_part(&mut self, day: f64, part: f64, lift: f64, tuning: &Tuning) {
        let before = self.tomorrow(tuning);
        let is_first = self.days == 0.0;
        self.days += part as f32;
        let weight = weight(before * lift, tuning);
        let newest = (part * weight.max(1.0 / f64::from(self.days))).min(1.0);
        let value = newest * day / part + (1.0 - newest) * before;
        if !is_first {
            let change = value - f64::from(self.value);
            let kept = tuning.damp * f64::from(self.trend);
            let bound = tuning.trend_max * value;
            // A trend out of few plays is their luck.
            let turn = tuning.turn * weight / tuning.newest.max(f64::MIN_POSITIVE);
            let trend = turn * change + (1.0 - turn) * kept;
            self.trend = trend.clamp(-bound, bound) as f32;
        }
        self.value = value as f32;
    }

    /// What the next day is expected to bring; never negative.
    #[must_use]
    pub fn tomorrow(&self, tuning: &Tuning) -> f64 {
        (f64::from(self.value) + tuning.damp * f64::from(self.trend)).max(0.0)
    }

    /// How many days' observations the value is worth: all of a young series, and of an old one the
    /// days whose plain mean would be as steady, `(2 - a) / a` for a weight of `a`.
    #[must_use]
    pub fn evidence_days(&self, tuning: &Tuning) -> f64 {
        let weight = weight(self.tomorrow(tuning), tuning);
        f64::from(self.days).min((2.0 - weight) / weight.max(1e-6))
    }
}

/// Weight of the newest day of a series of `plays` a day.
fn weight(plays: f64, tuning: &Tuning) -> f64 {
    let told = plays * tuning.drift * tuning.drift;
    let weight = (told.mul_add(told, 4.0 * told).sqrt() - told) / 2.0;
    weight.max(NEWEST_MIN).min(tuning.newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_series_is_its_value_and_a_rising_one_is_ahead_of_its_mean() {
        let tuning = Tuning::default();
        let (mut steady, mut rising) = (Level::default(), Level::default());
        for day in 0..60 {
            steady.observe(100.0, &tuning);
            rising.observe(100.0 + f64::from(day), &tuning);
        }
        assert!((steady.tomorrow(&tuning) - 100.0).abs() < 0.5);
        assert!(rising.tomorrow(&tuning) > 155.0, "{}", rising.tomorrow(&tuning));
        assert!(rising.tomorrow(&tuning) < 165.0);
        assert_eq!(steady.evidence_days(&tuning), 9.0);
    }

    #[test]
    fn few_plays_are_remembered_for_long_and_many_for_days() {
        let tuning = Tuning::default();
        let (mut rare, mut often) = (Level::default(), Level::default());
        for day in 0..60 {
            rare.observe(if day % 7 == 0 { 1.0 } else { 0.0 }, &tuning);
            often.observe(100.0, &tuning);
        }
        let mean = rare.tomorrow(&tuning);
        assert!((0.11..0.18).contains(&mean), "one play is no news: {mean}");
        assert!(rare.evidence_days(&tuning) > 40.0 && often.evidence_days(&tuning) < 10.0);
        rare.observe(1.0, &tuning);
        assert!(rare.tomorrow(&tuning) < 1.4 * mean);
    }

    #[test]
    fn a_show_of_one_day_a_week_keeps_its_level_over_the_other_six() {
        let tuning = Tuning::default();
        let mut level = Level::default();
        for day in 0..70 {
            let is_its_day = day % 7 == 0;
            let due = if is_its_day { 6.4 } else { 0.1 };
            level.observe_part(if is_its_day { 70.0 } else { 0.0 }, due, 1.0, &tuning);
            let mean = level.tomorrow(&tuning);
            assert!((8.0..14.0).contains(&mean), "day {day}: {mean}");
        }
    }

    #[test]
    fn a_spike_does_not_run_away_and_silence_fades_to_nothing() {
        let tuning = Tuning::default();
        let mut level = Level::default();
        (0..10).for_each(|_| level.observe(10.0, &tuning));
        level.observe(1_000.0, &tuning);
        assert!(level.tomorrow(&tuning) < 260.0);
        (0..60).for_each(|_| level.observe(0.0, &tuning));
        assert!((0.0..0.02).contains(&level.tomorrow(&tuning)));
    }
}
