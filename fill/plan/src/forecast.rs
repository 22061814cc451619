//! Tomorrow's bytes of every object at every site, from what was watched on the days before.
//! Knows no appliance; the same days give the same forecast, on every machine.
//!
//! Demand is estimated by title and spread over the title's objects, because an object alone is
//! asked too seldom to be measured, and placed by object, because objects of one title differ in
//! worth by orders of magnitude. All estimates are in *plays*: bytes over what one play takes.
//!
//! ```text
//! y(site, title, day)   plays of the day ÷ launch curve(age) ÷ what of a mean day is due on its
//!                       weekday at the site, to the title        launch.rs, week.rs, title_week.rs
//! x(site, title)        y smoothed over days, damped bounded trend            level.rs
//! X(title)              the same over all sites together
//! M(title)   = (κ + E·X) ÷ (κ ÷ m(genre) + E)      m: what launches of the genre came to
//! m(site)    = M · share of the genre's plays that are this site's
//! P(site)    = (ρ + E·x) ÷ (ρ ÷ m(site) + E)       E: days behind the smoothed value
//! bytes(object) = P · due(tomorrow) · curve(age) · share(rung) · bytes of a play of it
//! share(rung)   = (n(title, rung) + σ·p(site, rung)) ÷ (n(title) + σ)                  share.rs
//! ```
//!
//! The smoothing is Holt's (1957) with the damped trend of Gardner and McKenzie (1985), weekday
//! factors are Winters' (1960), and the four blends are posterior means of a gamma prior on a
//! Poisson rate and of a Dirichlet prior on shares: what is watched often speaks for itself, what
//! is new or rare borrows from its genre, its region and its ladder, and the loan fades as days of
//! observation come in.

mod launch;
mod level;
mod share;
mod table;
mod title_week;
mod week;

use serde::{Deserialize, Serialize};

pub use launch::Launches;
pub use level::Level;
pub use share::posterior_shares;
pub use table::{Forecast, Parts, TitleShape};
pub use title_week::TitleWeek;
pub use week::Week;

use crate::knobs::outside;

/// How strongly the forecast leans on what.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// Most weight of the newest day in a smoothed value, 0 to 1; see `drift`.
    pub newest: f64,
    /// How far a title's demand wanders from one day to the next, as a share of it: what is seen
    /// often enough to tell that from luck is followed, the rest is averaged over weeks.
    pub drift: f64,
    /// Weight of the newest change in a trend, 0 to 1.
    pub turn: f64,
    /// How much of a trend is left a day later, 0 to 1.
    pub damp: f64,
    /// Bound of a day's trend as a share of the level.
    pub trend_max: f64,
    /// κ: plays that the prior of a launch counts for.
    pub launch_plays: f64,
    /// ρ: plays that the other sites' word counts for at a site.
    pub region_plays: f64,
    /// σ: plays that the site's mix of rungs counts for in a title's.
    pub rung_plays: f64,
    /// Share of an object that one play of it takes.
    pub play_share: f64,
    /// Plays a day over all sites that a launch settles to, while there was none to learn from.
    pub usual_plays: f64,
    /// Plays that the usual week counts for in a title's own.
    pub week_plays: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            newest: 0.2,
            drift: 0.05,
            turn: 0.1,
            damp: 0.8,
            trend_max: 0.2,
            launch_plays: 0.7,
            region_plays: 5.0,
            rung_plays: 20.0,
            play_share: 0.7,
            usual_plays: 1.0,
            week_plays: 30.0,
        }
    }
}

/// Most plays that any prior may count for.
const PRIOR_PLAYS_MAX: f64 = 1e9;
/// Least: a prior of nothing leaves a title that nobody watched without any value.
const PRIOR_PLAYS_MIN: f64 = 1e-6;

impl Tuning {
    /// Every field out of range, in words; empty when all are well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let within = [
            ("newest", self.newest, 0.0, 1.0),
            ("drift", self.drift, 0.0, 10.0),
            ("turn", self.turn, 0.0, 1.0),
            ("damp", self.damp, 0.0, 1.0),
            ("trend_max", self.trend_max, 0.0, 10.0),
            ("launch_plays", self.launch_plays, PRIOR_PLAYS_MIN, PRIOR_PLAYS_MAX),
            ("region_plays", self.region_plays, PRIOR_PLAYS_MIN, PRIOR_PLAYS_MAX),
            ("rung_plays", self.rung_plays, PRIOR_PLAYS_MIN, PRIOR_PLAYS_MAX),
            ("play_share", self.play_share, 0.01, 1.0),
            ("usual_plays", self.usual_plays, 0.0, PRIOR_PLAYS_MAX),
            ("week_plays", self.week_plays, 0.0, PRIOR_PLAYS_MAX),
        ];
        outside("forecast", &within)
    }
}

#[cfg(test)]
mod tests {
    use super::Tuning;

    #[test]
    fn defaults_are_in_range_and_all_mistakes_are_told() {
        assert_eq!(Tuning::default().mistakes(), Vec::<String>::new());
        let wrong = Tuning { drift: -1.0, play_share: 0.0, damp: f64::NAN, ..Tuning::default() };
        let said = wrong.mistakes().join("; ");
        for name in ["forecast.drift", "forecast.play_share", "forecast.damp"] {
            assert!(said.contains(name), "{said}");
        }
    }
}
