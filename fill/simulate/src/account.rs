//! The accounts of a replay: what each slot carried, and what the measured ones add up to. Counts
//! for every policy alike; decides nothing.

use fill_plan::billing::billed_bps;

use crate::demand::{Read, SLOT_SECONDS, SLOTS_PER_DAY};
use crate::replay::Policy;
use crate::report::{PolicyReport, SiteReport, TierShares};
use crate::stage::Stage;

/// What one slot carried, by ISP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Border {
    /// Bits per second of misses, by slot.
    pub(crate) misses: Vec<u64>,
    /// Bits per second of fill, by slot.
    pub(crate) fill: Vec<u64>,
    /// Bits per second asked, by slot.
    asked: Vec<u64>,
}

/// Sums over the measured slots.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) asked: Vec<u64>,
    pub(crate) inside: Vec<u64>,
    pub(crate) peak: Vec<u64>,
    pub(crate) ram: u64,
    pub(crate) ssd: u64,
    pub(crate) hdd: u64,
    pub(crate) isp: u64,
    pub(crate) reads: Vec<f64>,
}

impl Stage<'_> {
    pub(crate) fn report(&self, policy: Policy, sums: &Sums, borders: &[Border]) -> PolicyReport {
        let (asked, inside): (u64, u64) = (sums.asked.iter().sum(), sums.inside.iter().sum());
        let first = (0..self.slots).find(|slot| self.is_measured(*slot)).unwrap_or(self.slots);
        let bytes = |bps: &u64| bps / 8 * u64::from(SLOT_SECONDS);
        let mut report = PolicyReport {
            policy: policy.word().to_owned(),
            days: (self.slots - first).div_ceil(SLOTS_PER_DAY),
            asked_bytes: asked,
            offload: inside as f64 / asked.max(1) as f64,
            ..PolicyReport::default()
        };
        let percentile = self.setting.percentile;
        for border in borders {
            let both: Vec<u64> =
                border.misses.iter().zip(&border.fill).map(|(miss, fill)| miss + fill).collect();
            let with = billed_bps(&both[first..], percentile);
            let without = billed_bps(&border.misses[first..], percentile);
            report.billed_bps += with;
            report.billed_without_fill_bps += without;
            report.billed_without_boxes_bps += billed_bps(&border.asked[first..], percentile);
            let ratio = if with == without { 1.0 } else { with as f64 / without.max(1) as f64 };
            report.billed_ratio_max = report.billed_ratio_max.max(ratio);
            report.fill_border_bytes += border.fill[first..].iter().map(bytes).sum::<u64>();
        }
        report.border_bytes = asked - inside + report.fill_border_bytes;
        report.fill_of_served = report.fill_border_bytes as f64 / inside.max(1) as f64;
        let filled = report.fill_border_bytes as f64;
        report.fill_of_storage_a_night = self.of_storage_a_night(filled, report.days);
        let share = |bytes: u64| bytes as f64 / inside.max(1) as f64;
        report.tiers = TierShares {
            ram: share(sums.ram),
            ssd: share(sums.ssd),
            hdd: share(sums.hdd),
            isp: share(sums.isp),
        };
        let mut reads = sums.reads.clone();
        reads.sort_by(f64::total_cmp);
        report.hdd_reads_max = reads.last().copied().unwrap_or(0.0);
        report.hdd_reads_p99 = reads.get(reads.len() * 99 / 100).copied().unwrap_or(0.0);
        for (at, site) in self.sites.iter().enumerate() {
            report.sites.push(SiteReport {
                site: site.site.clone(),
                asked_bytes: sums.asked[at],
                offload: sums.inside[at] as f64 / sums.asked[at].max(1) as f64,
                peak_bps: sums.peak[at] * 8 / u64::from(SLOT_SECONDS),
            });
        }
        report
    }
}

/// The account of one slot.
pub(crate) struct Account<'a> {
    stage: &'a Stage<'a>,
    /// After the warm-up.
    pub(crate) measured: bool,
    asked: Vec<u64>,
    missed: Vec<u64>,
}

impl<'a> Account<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, slot: usize) -> Self {
        let none = vec![0; stage.sites.len()];
        Self { stage, measured: stage.is_measured(slot), asked: none.clone(), missed: none }
    }

    /// A read of which `inside` bytes came from inside the ISP.
    pub(crate) fn asked(&mut self, read: &Read, inside: u64, sums: &mut Sums) {
        self.asked[read.site] += read.bytes;
        self.missed[read.site] += read.bytes - inside;
        if self.measured {
            sums.asked[read.site] += read.bytes;
            sums.inside[read.site] += inside;
        }
    }

    pub(crate) fn close(&self, sums: &mut Sums, borders: &mut [Border], fill: &[u64]) {
        let bps = |bytes: u64| bytes * 8 / u64::from(SLOT_SECONDS);
        let mut slots = vec![(0, 0); borders.len()];
        for (site, isp) in self.stage.isp_of.iter().enumerate() {
            slots[*isp].0 += self.asked[site];
            slots[*isp].1 += self.missed[site];
            if self.measured {
                sums.peak[site] = sums.peak[site].max(self.asked[site]);
            }
        }
        for ((border, (asked, missed)), fill) in borders.iter_mut().zip(slots).zip(fill) {
            border.asked.push(bps(asked));
            border.misses.push(bps(missed));
            border.fill.push(bps(*fill));
        }
    }
}
