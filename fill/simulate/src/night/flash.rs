//! How much flash a site would need: what it held on a day, most expected of each byte first, until
//! nine tenths of the day's served bytes are reached. Measures; moves nothing.

use crate::boxes::Site;
use crate::stock::Stock;

/// Share of served bytes that flash is to serve.
const SERVED_SHARE: f64 = 0.9;

/// Flash needed, and what it was needed for, over days and sites.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flash {
    /// Shares of storage, each times the bytes served.
    weighed: f64,
    served: f64,
}

impl Flash {
    /// Takes in a day of a site: bytes asked of each object, and what was expected of it.
    pub(super) fn day(&mut self, site: &Site, asked: &[f32], expected: &[f32], stock: &Stock) {
        let size = |object: u32| stock.size(object) as f64;
        let mut held: Vec<(f64, u32)> = (0..stock.len() as u32)
            .filter(|object| site.holds(*object))
            .map(|object| (f64::from(expected[object as usize]) / size(object), object))
            .collect();
        held.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let bytes = |object: u32| f64::from(asked[object as usize]);
        let served: f64 = held.iter().map(|(_, object)| bytes(*object)).sum();
        let storage: u64 = site.cabinets.iter().map(|one| one.capacity.total()).sum();
        let (mut reached, mut flash) = (0.0, 0.0);
        for (_, object) in held {
            if reached >= SERVED_SHARE * served {
                break;
            }
            reached += bytes(object);
            flash += size(object);
        }
        self.weighed += served * flash / storage.max(1) as f64;
        self.served += served;
    }

    /// The mean share of storage; 0 when nothing was served.
    pub(super) fn share(&self) -> f64 {
        self.weighed / self.served.max(1.0)
    }
}
