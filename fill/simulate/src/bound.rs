//! The clairvoyant bound: what nobody can exceed who changes whole files at night only.
//!
//! For each site and day it takes the fractional knapsack of that day's own bytes per file within
//! the site's raw capacity: no headroom, no copies, no fill budget, no yesterday. A knapsack that
//! may cut its last item is at least the best whole one, and fill budgets and yesterdays only take
//! choices away; so it is an upper bound of the bytes any such policy serves, ours with perfect
//! foresight included. Caches that change during the day are not bound by it.

use crate::setting::SiteSetting;

/// What the bound comes to for one site over some days.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bound {
    /// Bytes served.
    pub(crate) served: f64,
    /// Bytes that were not there the day before.
    pub(crate) fetched: f64,
}

/// `days` are bytes asked by object, one vector a day; figures are of the days from `from` on.
pub(crate) fn bound(site: &SiteSetting, sizes: &[u64], days: &[Vec<f32>], from: usize) -> Bound {
    let capacity: u64 = site.boxes.iter().map(|one| one.ssd_bytes + one.hdd_bytes).sum();
    let mut bound = Bound::default();
    let mut before = vec![false; sizes.len()];
    for (day, bytes) in days.iter().enumerate() {
        let asked = |object: &u32| f64::from(bytes[*object as usize]);
        let size = |object: &u32| sizes[*object as usize] as f64;
        let mut order: Vec<u32> =
            (0..sizes.len() as u32).filter(|object| asked(object) > 0.0).collect();
        order.sort_unstable_by(|a, b| {
            (asked(b) / size(b)).total_cmp(&(asked(a) / size(a))).then(a.cmp(b))
        });
        let mut left = capacity as f64;
        let mut now = vec![false; sizes.len()];
        for object in order {
            let share = (left / size(&object)).min(1.0);
            if share <= 0.0 {
                break;
            }
            left -= share * size(&object);
            now[object as usize] = true;
            if day >= from {
                bound.served += share * asked(&object);
                if !before[object as usize] {
                    bound.fetched += share * size(&object);
                }
            }
        }
        before = now;
    }
    bound
}
