//! How many copies of each parcel a group of boxes should have. Places none.
//!
//! A parcel's share of the site's demand times the boxes of the site, rounded up; at least two for
//! the hot ones where there are two boxes. For a core the demand of the whole title counts, because
//! its plays are spread by it; its rungs get no more copies than it has.

use crate::knobs::Knobs;
use crate::seat::Candidate;

/// Copies each candidate should have in a group of `seats` boxes: (at any price, in all).
/// `unlisted` is what is expected there of all that is no candidate, bytes.
#[must_use]
pub fn copies(
    candidates: &[Candidate],
    unlisted: f64,
    seats: usize,
    knobs: &Knobs,
) -> Vec<(u32, u32)> {
    let mut counts = vec![(1, 1); candidates.len()];
    if seats < 2 {
        return counts;
    }
    let total = candidates.iter().map(|candidate| candidate.demand).sum::<f64>() + unlisted;
    let mut demands: Vec<f64> = candidates.iter().map(|candidate| candidate.demand).collect();
    for one in candidates {
        if let Some(core) = one.core {
            demands[core as usize] += one.demand;
        }
    }
    let mut by_demand: Vec<u32> = (0..counts.len() as u32).collect();
    by_demand.sort_unstable_by(|a, b| {
        let demand = |at: &u32| demands[*at as usize];
        demand(b).total_cmp(&demand(a)).then(a.cmp(b))
    });
    let (mut before, seats) = (0.0, seats as u32);
    for at in by_demand {
        let demand = demands[at as usize];
        if demand <= 0.0 {
            break;
        }
        let least = if before < total * knobs.hot_share { 2 } else { 1 };
        let fair = (demand / total * f64::from(seats) * knobs.copy_spread).ceil() as u32;
        if least == 1 && fair <= 1 {
            // By demand: nobody after this one asks for more.
            break;
        }
        counts[at as usize] = (least, fair.clamp(least, seats));
        before += candidates[at as usize].demand;
    }
    for (at, one) in candidates.iter().enumerate() {
        if let Some(core) = one.core {
            let (least, all) = counts[core as usize];
            counts[at] = (counts[at].0.min(least), counts[at].1.min(all));
        }
    }
    counts
}
