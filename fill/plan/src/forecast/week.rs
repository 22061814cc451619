//! How much busier than the others a weekday is, at one site. Knows no title.

/// Weight of the newest week in a weekday's mean.
const NEWEST: f64 = 0.3;
/// Bounds of a factor: one strike or one final must not rule the next week.
const FACTOR_MIN: f64 = 0.5;
const FACTOR_MAX: f64 = 2.0;

/// Smoothed totals by weekday.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Week {
    totals: [Option<f64>; 7],
}

impl Week {
    /// Takes in a day's total; `weekday` counts from 0 to 6, from any day.
    pub fn observe(&mut self, weekday: usize, total: f64) {
        let known = &mut self.totals[weekday % 7];
        *known = Some(known.map_or(total, |before| before + NEWEST * (total - before)));
    }

    /// Total of a weekday over the mean of the weekdays seen; 1 until all seven were.
    #[must_use]
    pub fn factor(&self, weekday: usize) -> f64 {
        let sum: Option<f64> = self.totals.iter().copied().sum();
        match (sum, self.totals[weekday % 7]) {
            (Some(sum), Some(own)) if sum > 0.0 => (own * 7.0 / sum).clamp(FACTOR_MIN, FACTOR_MAX),
            _ => 1.0,
        }
    }

    /// A usual day's total.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let known: Vec<f64> = self.totals.iter().copied().flatten().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Week;

    #[test]
    fn factors_are_one_until_a_week_was_seen_and_then_average_to_one() {
        let mut week = Week::default();
        for day in 0..6 {
            week.observe(day, 100.0);
            assert_eq!(week.factor(day), 1.0);
        }
        week.observe(6, 170.0);
        assert!((week.factor(6) - 170.0 * 7.0 / 770.0).abs() < 1e-9);
        let sum: f64 = (0..7).map(|day| week.factor(day)).sum();
        assert!((sum - 7.0).abs() < 1e-9);
    }
}
