//! One site with a tenth of the catalog on one box, under every policy: offload, border,
//! percentile, tiers. What a figure is bounded by is written in `nights.rs`.

use fill_simulate::{Generator, MemoryKeeps, Policy, PolicyReport, Unit, simulate};

use super::{Made, Nights, RAM_BYTES, made, setting, site};
use crate::row::{Reach, Row, Rows};

impl Nights<'_> {
    /// One site with a tenth of the catalog, under every policy.
    pub fn compare(&mut self, name: &str, peak_bps: f64) -> Vec<Row> {
        let mut rows = Rows::default();
        for seed in self.seeds {
            let made = made(*seed, "metro", peak_bps, &Generator::default());
            self.compare_one(&mut rows, &format!("10 % storage, {name}"), &made);
        }
        rows.0
    }

    fn compare_one(&mut self, rows: &mut Rows, name: &str, made: &Made) {
        Self::character(rows, name, &made.trace);
        let set = setting(site("metro", &made.trace, 1, 0.1), 0.0);
        // The longest first, so that two threads end at about the same time.
        let policies = [
            Policy::Lfu,
            Policy::Nightfill,
            Policy::KnownRates,
            Policy::Foresight,
            Policy::Lru,
            Policy::LruFiles,
            Policy::Optimum,
        ];
        let [lfu, ours, known, foresight, lru, files, best] = self.run(name, made, &set, policies);
        let points =
            |one: &PolicyReport, other: &PolicyReport| 100.0 * (one.offload - other.offload);
        let border = |other: &PolicyReport| ours.border_bytes as f64 / other.border_bytes as f64;
        let what = |what: &str| format!("{name}: {what}");
        rows.add_bounded(&what("offload"), Reach::Shown, ours.offload, best.offload);
        rows.add_bounded(
            &what("offload over the clairvoyant bound"),
            Reach::AtLeast(0.95),
            ours.offload / best.offload,
            known.offload / best.offload,
        );
        rows.add_bounded(
            &what("points over LRU of 5-minute pieces"),
            Reach::AtLeast(15.0),
            points(&ours, &lru),
            points(&best, &lru),
        );
        rows.add_bounded(
            &what("border bytes over LRU of pieces"),
            Reach::AtMost(0.95),
            border(&lru),
            best.border_bytes as f64 / lru.border_bytes as f64,
        );
        rows.add(
            &what("border bytes over LRU of whole files"),
            Reach::AtMost(0.95),
            border(&files),
        );
        rows.add(&what("points over LFU of pieces"), Reach::Shown, points(&ours, &lfu));
        Self::misses(rows, name, &ours);
        let mut set = set;
        set.unit = Unit::Titles;
        let [titles] =
            self.run(&format!("{name}, by whole titles"), made, &set, [Policy::Nightfill]);
        rows.add(&what("points over placing whole titles"), Reach::Shown, points(&ours, &titles));
        rows.add(
            &what("offload over the same plan with foresight"),
            Reach::Shown,
            ours.offload / foresight.offload,
        );
        rows.add(
            &what("billed percentile, with fill / without"),
            Reach::AtMost(1.0),
            ours.billed_ratio_max,
        );
        rows.add(&what("fill over served bytes"), Reach::Shown, ours.fill_of_served);
        rows.add_bounded(
            &what("fill of a night over storage"),
            Reach::Shown,
            ours.fill_of_storage_a_night,
            best.fill_of_storage_a_night,
        );
        self.tiers(rows, name, made, &ours, &best);
    }

    /// What memory and flash served, beside what any of that size could.
    fn tiers(
        &mut self,
        rows: &mut Rows,
        name: &str,
        made: &Made,
        ours: &PolicyReport,
        best: &PolicyReport,
    ) {
        // Twelve disks are sized for 10 Gb/s; one box alone before 40 is shown, not judged.
        let peak = ours.sites.iter().map(|site| site.peak_bps).max().unwrap_or(0);
        let reads_due = if peak < 20_000_000_000 { Reach::AtMost(60.0) } else { Reach::Shown };
        let what = |what: &str| format!("{name}: {what}");
        let disks = made.trace.catalog_bytes() as f64 * 0.1;
        let bound = |flash: f64| {
            let share = 0.1 * flash + RAM_BYTES as f64 / made.trace.catalog_bytes() as f64;
            let set = setting(site("metro", &made.trace, 1, share.min(0.1)), 0.0);
            let report = simulate(&made.trace, &set, Policy::Optimum, |_| {});
            report.expect("the setting is written out here").offload / best.offload
        };
        rows.add_bounded(
            &what("bytes from RAM and SSD, SSD a tenth of storage"),
            Reach::AtLeast(0.9),
            ours.tiers.ram + ours.tiers.ssd,
            bound(0.1),
        );
        // Halving finds the share to a two-hundredth.
        let (mut low, mut high) = (0.1, 1.0 - RAM_BYTES as f64 / disks);
        while high - low > 0.005 {
            let middle = (low + high) / 2.0;
            if bound(middle) >= 0.9 { high = middle } else { low = middle }
        }
        rows.add_bounded(
            &what("SSD over storage that serves 90 %"),
            Reach::Shown,
            ours.flash_for_nine_tenths,
            high,
        );
        rows.add(&what("HDD reads/s each, p99 of slots"), reads_due, ours.hdd_reads_p99);
        let mut set = setting(site("metro", &made.trace, 1, 0.1), 0.0);
        set.memory = MemoryKeeps::Rotating;
        let name = format!("{name}, if memory kept chunks of rotating disks only");
        let [apart] = self.run(&name, made, &set, [Policy::Nightfill]);
        let fast = apart.tiers.ram + apart.tiers.ssd;
        rows.add(&format!("{name}: bytes from RAM and SSD"), Reach::Shown, fast);
        let reads = apart.hdd_reads_p99;
        rows.add(&format!("{name}: HDD reads/s each, p99 of slots"), Reach::Shown, reads);
    }
}
