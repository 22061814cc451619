//! A title's own week: a show of Friday nights, cartoons of Saturday mornings. Over all sites
//! together, because one site sees too few plays of a title on one weekday. Knows no site.
//!
//! `factor(weekday) = (κ · usual + plays on it) ÷ (κ + plays due on it)`, the posterior mean of a
//! gamma prior around what the weekday is at the site. What is due is the mean of all days, for as
//! many days as were of this weekday. κ is `week_plays` and a quarter of what is due: even a title
//! of a million plays must show more than the luck of a day or two.

use super::Tuning;

/// Share of what is remembered that a day takes away: about six weeks count.
const FADE: f32 = 0.02;
/// Part of what is due that a week as usual counts for.
const USUAL_PART: f64 = 0.25;
/// Bounds of a factor.
const FACTOR_MIN: f64 = 0.1;
const FACTOR_MAX: f64 = 7.0;

/// Plays by weekday, and days of each, both fading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TitleWeek {
    plays: [f32; 7],
    days: [f32; 7],
}

impl TitleWeek {
    /// Takes in a day's plays, the launch curve taken out.
    pub fn observe(&mut self, weekday: usize, plays: f64) {
        self.plays.iter_mut().chain(&mut self.days).for_each(|kept| *kept *= 1.0 - FADE);
        self.plays[weekday % 7] += plays as f32;
        self.days[weekday % 7] += 1.0;
    }

    /// How many times its mean a title has on `weekday`, which is `usual` for others; that, too,
    /// until all seven were seen.
    #[must_use]
    pub fn factor(&self, weekday: usize, usual: f64, tuning: &Tuning) -> f64 {
        if self.days.contains(&0.0) {
            return usual;
        }
        let sum = |of: &[f32; 7]| of.iter().copied().map(f64::from).sum::<f64>();
        let due = sum(&self.plays) / sum(&self.days) * f64::from(self.days[weekday % 7]);
        let prior = tuning.week_plays + USUAL_PART * due;
        let seen = f64::from(self.plays[weekday % 7]);
        let factor = (prior * usual + seen) / (prior + due).max(f64::MIN_POSITIVE);
        factor.clamp(FACTOR_MIN, FACTOR_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weeks(count: usize, plays: impl Fn(usize) -> f64) -> [f64; 7] {
        let mut week = TitleWeek::default();
        (0..7 * count).for_each(|day| week.observe(day % 7, plays(day % 7)));
        std::array::from_fn(|day| week.factor(day, 1.0, &Tuning::default()))
    }

    #[test]
    fn a_show_of_one_day_is_of_that_day_and_few_plays_prove_nothing() {
        let friday = weeks(4, |day| if day == 4 { 90.0 } else { 0.0 });
        assert!(friday[4] > 3.5, "{friday:?}");
        assert!(friday[3] < 0.6, "{friday:?}");
        let rare = weeks(4, |day| if day == 4 { 1.0 } else { 0.0 });
        assert!(rare.iter().all(|factor| (0.95..1.15).contains(factor)), "{rare:?}");
    }

    #[test]
    fn an_even_week_is_as_usual_and_an_unfinished_one_too() {
        let even = weeks(5, |_| 1e6);
        assert!(even.iter().all(|factor| (factor - 1.0).abs() < 0.02), "{even:?}");
        let mut young = TitleWeek::default();
        (0..6).for_each(|day| young.observe(day, 100.0 * day as f64));
        assert_eq!(young.factor(5, 1.3, &Tuning::default()), 1.3);
    }
}
