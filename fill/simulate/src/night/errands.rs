//! What boxes lack, on its way to them inside the window: who brings it across the border, slot by
//! slot, and what leaves for it. Decides nothing about what should be where.

use std::collections::HashMap;

use control_types::fleet::DiskClass;

use super::Night;
use crate::boxes::Site;
use crate::demand::SLOT_SECONDS;
use crate::stock::Stock;

/// What came of an errand so far, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun {
    pub(super) bytes: u64,
    /// Of these, across the border.
    pub(super) crossed: u64,
}

/// One object on its way to one box.
pub(super) struct Errand {
    pub(super) site: usize,
    pub(super) cabinet: usize,
    pub(super) object: u32,
    pub(super) class: DiskClass,
    pub(super) left: u64,
    /// Across the border; otherwise from a box of the ISP, as soon as one has it.
    pub(super) crosses: bool,
    pub(super) heat: f32,
}

impl Night<'_> {
    /// Each object that no box of the ISP has is brought by one of those that lack it, the one that
    /// began it or else the first; the others wait for it.
    pub(super) fn elect(&mut self, isp: usize) {
        let sites: Vec<usize> =
            (0..self.sites.len()).filter(|site| self.stage.isp_of[*site] == isp).collect();
        let errands = &mut self.errands[isp];
        errands.sort_by(|a, b| {
            let key = |one: &Errand| (one.object, one.site, one.cabinet);
            b.heat.total_cmp(&a.heat).then(key(a).cmp(&key(b)))
        });
        let mut masters: HashMap<u32, usize> = HashMap::new();
        for (at, errand) in errands.iter().enumerate() {
            if sites.iter().any(|site| self.sites[*site].holds(errand.object)) {
                continue;
            }
            let begun =
                |one: &Errand| self.begun.contains_key(&(one.site, one.cabinet, one.object));
            let master = masters.entry(errand.object).or_insert(at);
            if begun(errand) && !begun(&errands[*master]) {
                *master = at;
            }
        }
        for (at, errand) in errands.iter_mut().enumerate() {
            errand.crosses = masters.get(&errand.object) == Some(&at);
        }
    }

    /// One slot of the window for one ISP; answers bytes across its border.
    pub(super) fn fill(&mut self, isp: usize) -> u64 {
        let slot_bytes = |bps: u64| (bps / 8).saturating_mul(u64::from(SLOT_SECONDS));
        let (border_max, mut border) = (slot_bytes(self.room[isp]), 0);
        let rate = slot_bytes(self.stage.setting.window.rate_bps_max);
        let mut left: Vec<Vec<u64>> =
            self.sites.iter().map(|site| vec![rate; site.cabinets.len()]).collect();
        let mut errands = std::mem::take(&mut self.errands[isp]);
        errands.retain_mut(|errand| {
            let budget = &mut left[errand.site][errand.cabinet];
            let mut take = errand.left.min(*budget);
            if errand.crosses {
                take = take.min(border_max - border);
            } else if !self.is_inside(isp, errand.object) {
                return true;
            }
            *budget -= take;
            errand.left -= take;
            self.account(errand, take, &mut border);
            if errand.left > 0 {
                return true;
            }
            self.finish(errand);
            false
        });
        self.errands[isp] = errands;
        border
    }

    pub(super) fn is_inside(&self, isp: usize, object: u32) -> bool {
        let mut own = self.sites.iter().zip(&self.stage.isp_of).filter(|(_, of)| **of == isp);
        own.any(|(site, _)| site.holds(object))
    }

    fn account(&mut self, errand: &Errand, take: u64, border: &mut u64) {
        if take == 0 {
            return;
        }
        let begun = self.begun.entry((errand.site, errand.cabinet, errand.object)).or_default();
        begun.bytes += take;
        if errand.crosses {
            begun.crossed += take;
            *border += take;
        }
        if self.measured {
            let again =
                errand.crosses && self.sites.iter().any(|site| site.holds_away(errand.object));
            self.filled.wasted += if again { take } else { 0 };
            self.filled.local += if errand.crosses { 0 } else { take };
        }
    }

    fn finish(&mut self, errand: &Errand) {
        self.begun.remove(&(errand.site, errand.cabinet, errand.object));
        let size = self.stock.size(errand.object);
        let (site, prunes) = (&mut self.sites[errand.site], &mut self.prunes[errand.site]);
        let prunes = &mut prunes[errand.cabinet];
        make_room(site, prunes, errand.cabinet, errand.class, size, &self.stock);
        site.put(errand.cabinet, errand.object, size, errand.class);
    }
}

pub(super) fn kind(class: DiskClass) -> usize {
    match class {
        DiskClass::Ssd => 0,
        DiskClass::Hdd => 1,
    }
}

/// Prunes from one kind of disk until `bytes` fit, as far as there is something to prune.
pub(super) fn make_room(
    site: &mut Site,
    prunes: &mut [Vec<u32>; 2],
    cabinet: usize,
    class: DiskClass,
    bytes: u64,
    stock: &Stock,
) {
    let one = |site: &Site| {
        let (mut used, mut capacity) =
            (site.cabinets[cabinet].used, site.cabinets[cabinet].capacity);
        *used.of(class) + bytes <= *capacity.of(class)
    };
    while !one(site) {
        let Some(object) = prunes[kind(class)].pop() else { return };
        site.remove(cabinet, object, stock.size(object));
    }
}
