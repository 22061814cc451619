//! The numbers an operator may turn, each with its unit, default and danger. Not a policy by
//! itself: what they weigh is written where they are used.

use serde::{Deserialize, Serialize};

/// Knobs of the planner; the `[plan]` table of the director's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Share of each disk left empty, 0 to 0.5. Default 0.02. Below it file systems slow down, and
    /// the agent takes nothing above 0.985.
    pub headroom: f64,
    /// A parcel is fetched when the bytes it is expected to serve before it is pushed out again are
    /// at least this many times its size, and pushes out only what it beats by as much. Default
    /// 0.35. At 1 every fetched byte saves a byte at peak; below, a byte at night is held to be
    /// cheaper than one in the evening; at 0 whatever fits is fetched, most asked first.
    pub break_even: f64,
    /// How long what is fetched is expected to stay, days, 1 to 365. Default 14: a site changes a
    /// hundredth of its storage a night, and demand fades faster than it is pushed out. Too long
    /// and the night is spent on what will not last.
    pub keep_days: f64,
    /// How many times denser a newcomer must be to push out what is held, 1 or more. Default 1.25.
    /// At 1 the fleet churns with every small change of the forecast.
    pub sticky: f64,
    /// The titles that together make this share of a site's demand are hot and are kept on two
    /// boxes where there are two, 0 to 1. Default 0.2: a second copy costs the site variety.
    pub hot_share: f64,
    /// Copies of a title in a site of n boxes: its share of the site's demand times n times this,
    /// rounded up, at least 1. Default 1. Higher spreads load and costs variety.
    pub copy_spread: f64,
    /// Most bytes one box moves between its kinds of disk for one plan. Default 500 GB: an hour of
    /// two disks. 0 leaves every object where it first landed.
    pub moves_bytes_max: u64,
    /// Most pulls in one plan, 1 to 100,000, and no more than 3,000 for one box; the rest waits for
    /// the next plan. Default 60,000: 20 each for 3,000 boxes that are all empty, so that none is
    /// idle until the next look. Bounded because a plan is one JSON body of about 1,000 bytes a
    /// pull, which `limits::PLAN_BYTES_MAX` bounds.
    pub pulls_max: usize,
    /// Who asks an origin for what is not there in the ISP, `all`, `masters` or `tiers`. Default
    /// `all`. How long a box waits for another's pull before it asks further away is the agent's
    /// `limits.peer_wait_ms`.
    pub origin: AskOrigin,
    /// How far out a pull may go, 1 to 4: of the site, the ISP's other sites, tiers elsewhere and
    /// the origin that many are asked, from the nearest on that has it or is to have it. Default 4.
    /// At 1 nobody asks further when the nearest fails: what it lacks then waits for the next plan.
    pub hops_max: usize,
}

/// Who may ask an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AskOrigin {
    /// Every box, last of all: what fails elsewhere costs border bytes, and no member a title.
    #[default]
    All,
    /// Only where no box of the ISP has the object or is to bring it: each byte crosses the border
    /// once, and what a fill master fails to bring is not there before the next plan.
    Masters,
    /// Tiers only, and other origins: an edge gets nothing that no tier or edge has.
    Tiers,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            headroom: 0.02,
            break_even: 0.35,
            keep_days: 14.0,
            sticky: 1.25,
            hot_share: 0.2,
            copy_spread: 1.0,
            moves_bytes_max: 500_000_000_000,
            pulls_max: 60_000,
            origin: AskOrigin::All,
            hops_max: 4,
        }
    }
}

impl Knobs {
    /// Bytes a day, per byte stored, that a fetch must bring: the break-even rule.
    #[must_use]
    pub fn hurdle(&self) -> f64 {
        self.break_even / self.keep_days
    }

    /// Every knob out of range, in words; empty when all are well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let within = [
            ("headroom", self.headroom, 0.0, 0.5),
            ("break_even", self.break_even, 0.0, 1000.0),
            ("keep_days", self.keep_days, 1.0, 365.0),
            ("sticky", self.sticky, 1.0, 100.0),
            ("hot_share", self.hot_share, 0.0, 1.0),
            ("copy_spread", self.copy_spread, 0.0, 100.0),
            ("pulls_max", self.pulls_max as f64, 1.0, 100_000.0),
            ("hops_max", self.hops_max as f64, 1.0, 4.0),
        ];
        outside("plan", &within)
    }
}

/// What of `within` (name, value, least, most) is out of range in `table`, one sentence each; no
/// number is out of every range.
pub(crate) fn outside(table: &str, within: &[(&str, f64, f64, f64)]) -> Vec<String> {
    within
        .iter()
        .filter(|(_, value, low, high)| !(low..=high).contains(&value))
        .map(|(name, value, low, high)| {
            format!("{table}.{name} is {value}: use a number from {low} to {high}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Knobs;

    #[test]
    fn defaults_are_in_range_and_all_mistakes_are_told() {
        assert_eq!(Knobs::default().mistakes(), Vec::<String>::new());
        let wrong = Knobs { headroom: -1.0, sticky: f64::NAN, ..Knobs::default() };
        assert_eq!(wrong.mistakes().len(), 2);
    }
}
