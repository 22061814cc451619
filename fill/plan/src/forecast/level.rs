//! One series smoothed over days, with a trend that is damped and bounded. Knows no weekday and no
//! age: what it is shown has them taken out.

use super::Tuning;

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
        self.observe_part(day, 1.0, tuning);
    }

    /// Takes in a day of which `part` times the mean was due, above 0: the silence of a day on
    /// which little is due says as little.
    pub fn observe_part(&mut self, day: f64, part: f64, tuning: &Tuning) {
        let before = self.tomorrow(tuning);
        let is_first = self.days == 0.0;
        self.days += part as f32;
        let newest = (part * tuning.newest.max(1.0 / f64::from(self.days))).min(1.0);
        let value = newest * day / part + (1.0 - newest) * before;
        if !is_first {
            let change = value - f64::from(self.value);
            let kept = tuning.damp * f64::from(self.trend);
            let bound = tuning.trend_max * value;
            let trend = tuning.turn * change + (1.0 - tuning.turn) * kept;
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
        let steady = (2.0 - tuning.newest) / tuning.newest.max(1e-6);
        f64::from(self.days).min(steady)
    }
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
    fn a_show_of_one_day_a_week_keeps_its_level_over_the_other_six() {
        let tuning = Tuning::default();
        let mut level = Level::default();
        for day in 0..70 {
            let is_its_day = day % 7 == 0;
            let due = if is_its_day { 6.4 } else { 0.1 };
            level.observe_part(if is_its_day { 70.0 } else { 0.0 }, due, &tuning);
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
        assert!((0.0..0.01).contains(&level.tomorrow(&tuning)));
    }
}
