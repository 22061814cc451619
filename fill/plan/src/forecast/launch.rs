//! How launches go: what titles of a genre settle to, and how far above that they begin. Learned
//! from launches seen, and from a usual curve until there were any.
//!
//! The curve is kept as ratios of one day to the next over all launches together, so that big
//! launches speak louder and no launch has to be over before it teaches anything.

/// Days a launch is young.
pub const YOUNG_DAYS: usize = 28;

/// The usual curve: `1 + BOOST · 2^(-age ÷ HALF_DAYS)`.
const BOOST: f64 = 4.0;
const HALF_DAYS: f64 = 4.0;
/// Plays that the usual curve counts for, on each day of age.
const USUAL_PLAYS: f64 = 200.0;
/// Launches that all genres together count for in one genre's.
const GENRE_LAUNCHES: f64 = 3.0;
/// Weight of the newest launch among a genre's: about a year of weekly ones.
const NEWEST: f64 = 0.02;

/// What launches taught.
#[derive(Clone, Debug, Default)]
pub struct Launches {
    /// Plays on days of age `d + 1`, and on days `d` before them.
    next: [f64; YOUNG_DAYS],
    this: [f64; YOUNG_DAYS],
    /// Settled strength by genre, and over all: (mean, launches).
    genres: Vec<(f64, f64)>,
    all: (f64, f64),
}

impl Launches {
    /// Knows `genres` genres and nothing of them, but that a title usually has `usual_plays` a day.
    #[must_use]
    pub fn new(genres: usize, usual_plays: f64) -> Self {
        Self { genres: vec![(0.0, 0.0); genres], all: (usual_plays, 1.0), ..Self::default() }
    }

    /// A title aged `age_days` had `today` plays, and `yesterday` the day before, weekdays taken
    /// out.
    pub fn observe_pair(&mut self, age_days: usize, yesterday: f64, today: f64) {
        if (1..=YOUNG_DAYS).contains(&age_days) {
            self.this[age_days - 1] += yesterday;
            self.next[age_days - 1] += today;
        }
    }

    /// A launch of `genre` has come to `strength` plays a day, its curve taken out.
    pub fn observe_strength(&mut self, genre: usize, strength: f64) {
        let learn = |(mean, count): &mut (f64, f64)| {
            *count += 1.0;
            *mean += NEWEST.max(1.0 / *count) * (strength - *mean);
        };
        if let Some(genre) = self.genres.get_mut(genre) {
            learn(genre);
        }
        learn(&mut self.all);
    }

    /// Plays a day that a launch of `genre` is expected to settle to; above 0.
    #[must_use]
    pub fn strength(&self, genre: usize) -> f64 {
        let (mean, count) = self.genres.get(genre).copied().unwrap_or_default();
        let blend = (mean * count + self.all.0 * GENRE_LAUNCHES) / (count + GENRE_LAUNCHES);
        blend.max(1e-9)
    }

    /// How many times its settled demand a title of each age has; 1 from `YOUNG_DAYS` on.
    #[must_use]
    pub fn curve(&self) -> [f64; YOUNG_DAYS + 1] {
        let usual = |age: usize| 1.0 + BOOST * (-(age as f64) / HALF_DAYS).exp2();
        let mut curve = [1.0; YOUNG_DAYS + 1];
        for age in (0..YOUNG_DAYS).rev() {
            let ratio = usual(age + 1) / usual(age);
            let learned = (self.next[age] + USUAL_PLAYS * ratio) / (self.this[age] + USUAL_PLAYS);
            curve[age] = curve[age + 1] / learned.clamp(0.2, 5.0);
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_the_usual_one_first_and_then_what_launches_did() {
        let mut launches = Launches::new(2, 10.0);
        let usual = launches.curve();
        assert!(usual[0] > 4.5 && usual[YOUNG_DAYS] == 1.0);
        assert!(usual.windows(2).all(|two| two[0] >= two[1]));
        // Launches that lose half every day for three days and then stay.
        let plays = |age: usize| 1e6 / f64::from(1 << age.min(3));
        for age in 1..=YOUNG_DAYS {
            launches.observe_pair(age, plays(age - 1), plays(age));
        }
        let learned = launches.curve();
        assert!((learned[0] - 8.0).abs() < 0.1, "{learned:?}");
        assert!((learned[4] - 1.0).abs() < 0.01, "{learned:?}");
    }

    #[test]
    fn a_genre_speaks_for_itself_after_some_launches() {
        let mut launches = Launches::new(2, 10.0);
        assert_eq!(launches.strength(0), 10.0);
        (0..30).for_each(|_| launches.observe_strength(0, 100.0));
        (0..30).for_each(|_| launches.observe_strength(1, 2.0));
        assert!(launches.strength(0) > 80.0);
        assert!(launches.strength(1) < 10.0);
    }
}
