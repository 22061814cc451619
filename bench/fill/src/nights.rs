//! Simulated nights beside other policies: offload, border, percentile, tiers. The settings are
//! written out here, so that a figure can be argued with.
//!
//! Three traces of the default generator (4,000 titles, 40 TB, 56 days of which 28 are measured):
//! a metro site of 40 Gb/s, a town of 10 Gb/s, a small ISP of 0.5 Gb/s.

use fill_simulate::{
    BoxSetting, Generator, Policy, PolicyReport, Region, Setting, SiteSetting, Trace,
    WindowSetting, generate, simulate,
};
use serde_json::{Value, json};

use crate::row::{Reach, Row};

/// A site of `boxes` boxes that together have `share` of the catalog on their disks, a tenth of it
/// flash, and 64 GiB of memory and twelve disks each.
fn site(name: &str, trace: &Trace, boxes: u32, share: f64) -> SiteSetting {
    let bytes = trace.catalog_bytes() as f64 * share / f64::from(boxes);
    let one = |at: u32| BoxSetting {
        name: format!("{name}-{at}"),
        ram_bytes: 64 << 30,
        ssd_bytes: (bytes * 0.1) as u64,
        hdd_bytes: (bytes * 0.9) as u64,
        hdds: 12,
    };
    let boxes = (0..boxes).map(one).collect();
    SiteSetting { site: name.to_owned(), isp: format!("isp-of-{name}"), boxes }
}

/// 02:00 to 08:00 at 1.2 Gb/s a box, as large services cap a storage box.
fn setting(site: SiteSetting, outage: f64) -> Setting {
    Setting {
        sites: vec![site],
        window: WindowSetting {
            start_minute: 120,
            length_minutes: 360,
            rate_bps_max: 1_200_000_000,
        },
        warm_up_days: 28,
        percentile: 0.95,
        spare_percentile: true,
        outage,
        seed: 1,
        knobs: fill_plan::Knobs::default(),
    }
}

fn trace(seed: u64, name: &str, peak_bps: f64) -> Trace {
    let regions = vec![Region { site: name.to_owned(), peak_bps }];
    let generator = Generator { seed, regions, ..Generator::default() };
    generate(&generator, |_| {}).expect("the parameters are in range")
}

/// Replays and notes.
fn run(
    name: &str,
    seed: u64,
    trace: &Trace,
    setting: &Setting,
    policy: Policy,
    runs: &mut Vec<Value>,
) -> PolicyReport {
    let report = simulate(trace, setting, policy, |_| {}).expect("the setting is in range");
    eprintln!("{name}, seed {seed}, {}: offload {:.3}", policy.word(), report.offload);
    runs.push(json!({ "run": name, "seed": seed, "report": report }));
    report
}

/// Figures of one kind, one a seed.
#[derive(Default)]
struct Figures(Vec<(String, Reach, Vec<f64>)>);

impl Figures {
    fn add(&mut self, what: &str, reach: Reach, figure: f64) {
        match self.0.iter_mut().find(|(known, ..)| known == what) {
            Some((.., figures)) => figures.push(figure),
            None => self.0.push((what.to_owned(), reach, vec![figure])),
        }
    }
}

/// All rows of simulated nights.
pub fn measure(seeds: &[u64], runs: &mut Vec<Value>) -> Vec<Row> {
    let mut figures = Figures::default();
    for seed in seeds {
        let metro = trace(*seed, "metro", 40e9);
        compare(&mut figures, "10 % storage, 40 Gb/s", *seed, &metro, runs);
        four_boxes(&mut figures, *seed, &metro, runs);
        drop(metro);
        let town = trace(*seed, "town", 10e9);
        compare(&mut figures, "10 % storage, 10 Gb/s", *seed, &town, runs);
        flash_bound(&mut figures, *seed, &town, runs);
        drop(town);
        small(&mut figures, *seed, runs);
    }
    figures.0.into_iter().map(|(what, reach, figures)| Row::new(&what, reach, figures)).collect()
}

/// One site with a tenth of the catalog, under every policy.
fn compare(figures: &mut Figures, name: &str, seed: u64, trace: &Trace, runs: &mut Vec<Value>) {
    let set = setting(site(&trace.sites[0], trace, 1, 0.1), 0.0);
    let mut of = |policy| run(name, seed, trace, &set, policy, runs);
    let ours = of(Policy::Nightfill);
    let [known, lru, files, lfu, best] =
        [Policy::Foresight, Policy::Lru, Policy::LruFiles, Policy::Lfu, Policy::Optimum].map(of);
    let points = |other: &PolicyReport| 100.0 * (ours.offload - other.offload);
    let border = |other: &PolicyReport| ours.border_bytes as f64 / other.border_bytes as f64;
    let mut add =
        |what: &str, reach, figure| figures.add(&format!("{name}: {what}"), reach, figure);
    add("offload", Reach::Shown, ours.offload);
    add("offload over the clairvoyant bound", Reach::AtLeast(0.95), ours.offload / best.offload);
    add("border bytes over LRU of whole files", Reach::AtMost(0.95), border(&files));
    add("points over LRU of 5-minute pieces", Reach::AtLeast(15.0), points(&lru));
    add("border bytes over LRU of pieces", Reach::AtMost(0.95), border(&lru));
    add("points over LFU of pieces", Reach::Shown, points(&lfu));
    add("offload over the same plan with foresight", Reach::Shown, ours.offload / known.offload);
    add("billed percentile, with fill / without", Reach::AtMost(1.0), ours.billed_ratio_max);
    add("bytes from RAM and SSD", Reach::AtLeast(0.9), ours.tiers.ram + ours.tiers.ssd);
}

/// Four boxes that share the same tenth; on one night in a hundred a box dies in mid-window.
fn four_boxes(figures: &mut Figures, seed: u64, trace: &Trace, runs: &mut Vec<Value>) {
    let name = "4 boxes, 40 Gb/s";
    let set = setting(site(&trace.sites[0], trace, 4, 0.1), 0.01);
    let ours = run(name, seed, trace, &set, Policy::Nightfill, runs);
    let mut add =
        |what: &str, reach, figure| figures.add(&format!("{name}: {what}"), reach, figure);
    add("border bytes over unique bytes", Reach::AtMost(1.02), ours.fill_border_per_unique);
    add("offload", Reach::Shown, ours.offload);
    add("HDD reads/s each, p99 of slots", Reach::AtMost(60.0), ours.hdd_reads_p99);
    add("billed percentile, with fill / without", Reach::AtMost(1.0), ours.billed_ratio_max);
}

/// What a tenth of the storage could serve at all: the clairvoyant bound of the flash alone, over
/// that of all disks.
fn flash_bound(figures: &mut Figures, seed: u64, trace: &Trace, runs: &mut Vec<Value>) {
    let name = "flash alone, 10 Gb/s";
    let bound = |share: f64, runs: &mut Vec<Value>| {
        let set = setting(site(&trace.sites[0], trace, 1, share), 0.0);
        run(name, seed, trace, &set, Policy::Optimum, runs).offload
    };
    let share = bound(0.01, runs) / bound(0.1, runs);
    figures.add("10 % storage, 10 Gb/s: bound of bytes from SSD alone", Reach::Shown, share);
}

/// A small ISP with a quarter of the catalog.
fn small(figures: &mut Figures, seed: u64, runs: &mut Vec<Value>) {
    let name = "small ISP, 0.5 Gb/s";
    let trace = trace(seed, "small", 0.5e9);
    let set = setting(site("small", &trace, 1, 0.25), 0.0);
    let ours = run(name, seed, &trace, &set, Policy::Nightfill, runs);
    let lru = run(name, seed, &trace, &set, Policy::Lru, runs);
    let mut add =
        |what: &str, reach, figure| figures.add(&format!("{name}: {what}"), reach, figure);
    add("offload", Reach::AtLeast(0.6), ours.offload);
    add("fill over served bytes", Reach::AtMost(0.25), ours.fill_of_served);
    add("billed percentile, with fill / without", Reach::AtMost(1.0), ours.billed_ratio_max);
    add("points over LRU of 5-minute pieces", Reach::Shown, 100.0 * (ours.offload - lru.offload));
}
