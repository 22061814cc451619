//! Rates at which appliances may take bytes over one border of an ISP, and for how long what one
//! was told holds. Adds up nothing: the director divides a border's rate, control lends the parts.
//!
//! A part of a border's rate is lent, never given: the orders of a poll hold it until
//! [`lease_end`], and only the floor after that. So a box that hears nothing any more goes on at
//! its floor, and what it had beyond that may be lent to others once its lease is over.

use serde::{Deserialize, Serialize};

use crate::ids::IspId;
use crate::limits::RATE_LEASE_MS;
use crate::time::UnixMillis;

/// Leases end on this grid, milliseconds, so that orders change once in this time and not at every
/// poll.
const LEASE_GRID_MS: u64 = RATE_LEASE_MS / 2;

/// A cap that changes with time: what an appliance may take without raising what its ISP pays.
/// Before the first step the first one's rate holds: whoever wrote it may have had a clock that is
/// ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RateProfile {
    /// By time; each holds until the next begins, the last one for good. At most
    /// `limits::RATE_STEPS_MAX`.
    pub steps: Vec<RateStep>,
}

/// One step of a [`RateProfile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RateStep {
    /// First moment of the step.
    pub starts_at: UnixMillis,
    /// Cap, bits per second; 0 means take nothing.
    pub rate_bps_max: u64,
}

/// What an appliance's part of a border's rate rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BorderShare {
    /// Whose border.
    pub isp: IspId,
    /// What the appliance may take when its lease is over: kept free of others for as long as it
    /// has steps, whatever becomes of the appliance.
    pub floor: RateProfile,
    /// The most it may be taking by orders of the plans before this one. For the director's sums;
    /// not in anybody's orders.
    #[serde(default)]
    pub held: RateProfile,
}

impl RateProfile {
    /// The cap at `now`, bits per second; none before the first step.
    #[must_use]
    pub fn rate_bps_max(&self, now: UnixMillis) -> Option<u64> {
        let begun = self.steps.partition_point(|step| step.starts_at <= now);
        begun.checked_sub(1).map(|last| self.steps[last].rate_bps_max)
    }

    /// These rates until `until`, and those of `floor` from then on.
    #[must_use]
    pub fn until(mut self, until: UnixMillis, floor: &Self) -> Self {
        let first = floor.steps.first().map_or(0, |step| step.rate_bps_max);
        let lowest = floor.rate_bps_max(until).unwrap_or(first);
        self.steps.retain(|step| step.starts_at < until);
        self.steps.push(RateStep { starts_at: until, rate_bps_max: lowest });
        self.steps.extend(floor.steps.iter().filter(|step| step.starts_at > until));
        self.steps.dedup_by(|later, step| later.rate_bps_max == step.rate_bps_max);
        self
    }
}

/// When a part of a border's rate that is lent at `now` comes back: at least half of
/// [`RATE_LEASE_MS`] later and at most the whole.
#[must_use]
pub fn lease_end(now: UnixMillis) -> UnixMillis {
    UnixMillis((now.0 / LEASE_GRID_MS).saturating_add(2).saturating_mul(LEASE_GRID_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(steps: &[(u64, u64)]) -> RateProfile {
        let step =
            |(at, bps): &(u64, u64)| RateStep { starts_at: UnixMillis(*at), rate_bps_max: *bps };
        RateProfile { steps: steps.iter().map(step).collect() }
    }

    #[test]
    fn after_a_lease_the_floor_holds_to_its_own_end() {
        let (lent, floor) = (profile(&[(5, 80), (20, 60), (40, 0)]), profile(&[(5, 10), (30, 0)]));
        let left = |until| lent.clone().until(UnixMillis(until), &floor);
        assert_eq!(left(25), profile(&[(5, 80), (20, 60), (25, 10), (30, 0)]));
        // A lease that is over before it begins, or after everything, is the floor or what it was.
        assert_eq!(left(3), profile(&[(3, 10), (30, 0)]));
        assert_eq!(left(50), lent);
        assert_eq!(
            lent.clone().until(UnixMillis(25), &profile(&[])),
            profile(&[(5, 80), (20, 60), (25, 0)])
        );
    }

    #[test]
    fn a_lease_lasts_between_half_its_length_and_the_whole() {
        for now in (0..3 * RATE_LEASE_MS).step_by(997) {
            let lasts = lease_end(UnixMillis(now)).0 - now;
            assert!((RATE_LEASE_MS / 2..=RATE_LEASE_MS).contains(&lasts), "{lasts} at {now}");
        }
        assert_eq!(lease_end(UnixMillis(u64::MAX)), UnixMillis(u64::MAX));
    }
}
