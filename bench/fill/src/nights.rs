//! Simulated nights beside other policies: offload, border, percentile, tiers. The settings are
//! written out here, so that a figure can be argued with.
//!
//! Traces of the default generator (4,000 titles, 40 TB, 56 days of which 28 are measured): a metro
//! site of 40 Gb/s, a town of 10 Gb/s, a small ISP of 0.5 Gb/s. Every figure that has a bound on
//! its trace is shown beside it:
//!
//! * of the clairvoyant bound: what the same planner reaches with the rates that chance drew the
//!   trace by. The rest is luck, and the planner's own (headroom, stability).
//! * points over LRU: what the clairvoyant bound is above it.
//! * bytes from RAM and SSD: the clairvoyant bound of as many bytes as both have, over that of all
//!   disks: `best(SSD + RAM) ÷ best(SSD + HDD)`, where `best(b)` is the mean over days of the
//!   fractional knapsack of `b` bytes filled with that day's most asked files, densest first.
//!   Memory may change within the day, and can be a little better.
//! * SSD over storage that serves 90 %: the least `s` for which `best(s + RAM) ÷ best(all)` is 0.9.
//!   Beside it what an operator would have to buy: flash filled by our forecast, memory apart.

mod compare;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fill_simulate::{
    BoxSetting, Character, Generator, Known, MemoryKeeps, Policy, PolicyReport, Region, Setting,
    SiteSetting, Trace, Unit, WindowSetting, generate_known, simulate, simulate_known,
};
use serde_json::{Value, json};

use crate::row::{Reach, Row, Rows};

/// Memory of a box, bytes.
const RAM_BYTES: u64 = 64 << 30;

/// A site of `boxes` boxes that together have `share` of the catalog on their disks, a tenth of it
/// flash, and 64 GiB of memory and twelve disks each.
fn site(name: &str, trace: &Trace, boxes: u32, share: f64) -> SiteSetting {
    let bytes = trace.catalog_bytes() as f64 * share / f64::from(boxes);
    let one = |at: u32| BoxSetting {
        name: format!("{name}-{at}"),
        ram_bytes: RAM_BYTES,
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
        memory: MemoryKeeps::default(),
        unit: Unit::default(),
        knobs: fill_plan::Knobs::default(),
        forecast: fill_plan::forecast::Tuning::default(),
    }
}

/// Where a case's figures go, and how much of the machine it may take.
pub struct Nights<'a> {
    /// Of the traces, one run each.
    pub seeds: &'a [u64],
    /// Policies replayed at a time.
    pub threads: usize,
    /// Whole reports.
    pub runs: &'a mut Vec<Value>,
}

/// A trace, what chance knew of it, and its seed.
struct Made {
    seed: u64,
    trace: Trace,
    known: Known,
}

fn made(seed: u64, name: &str, peak_bps: f64, usual: &Generator) -> Made {
    let regions = vec![Region { site: name.to_owned(), peak_bps }];
    let generator = Generator { seed, regions, ..usual.clone() };
    let (trace, known) =
        generate_known(&generator, |_| {}).expect("the parameters are written out here");
    Made { seed, trace, known }
}

impl Nights<'_> {
    /// Replays `made` under each of `policies`, some at a time; reports in the order asked.
    fn run<const N: usize>(
        &mut self,
        name: &str,
        made: &Made,
        setting: &Setting,
        policies: [Policy; N],
    ) -> [PolicyReport; N] {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(policy) = policies.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                let report = match policy {
                    Policy::KnownRates => simulate_known(&made.trace, setting, &made.known, |_| {}),
                    _ => simulate(&made.trace, setting, policy, |_| {}),
                }
                .expect("the setting is written out here");
                let (seed, word, offload) = (made.seed, policy.word(), report.offload);
                eprintln!("{name}, seed {seed}, {word}: offload {offload:.3}");
                done.lock().expect("nobody panics while holding it").push((policy, report));
            }
        };
        std::thread::scope(|scope| {
            (1..self.threads.clamp(1, N)).for_each(|_| {
                scope.spawn(work);
            });
            work();
        });
        let done = done.into_inner().expect("nobody panicked while holding it");
        let of = |policy: Policy| {
            let found = done.iter().find(|(of, _)| *of == policy);
            found.expect("each was replayed").1.clone()
        };
        let reports = policies.map(of);
        for report in &reports {
            self.runs.push(json!({ "run": name, "seed": made.seed, "report": report }));
        }
        reports
    }

    /// Why the plan missed what it missed, shares of the bytes asked.
    fn misses(rows: &mut Rows, name: &str, ours: &PolicyReport) {
        let misses = ours.misses;
        for (why, share) in [
            ("planned, not come yet", misses.awaited),
            ("dropped within the week", misses.dropped),
            ("another rung there", misses.rung),
            ("expected not to pay", misses.unforeseen),
            ("no room", misses.crowded),
        ] {
            rows.add(&format!("{name}: missed, {why}"), Reach::Shown, share);
        }
    }

    fn character(rows: &mut Rows, name: &str, trace: &Trace) {
        let character = Character::of(trace);
        let mut add = |what: &str, figure| {
            rows.add(&format!("{name}: {what}"), Reach::Shown, figure);
        };
        add("the trace's first hundredth of titles, share of plays", character.first_hundredth);
        add("the trace's first tenth of titles, share of plays", character.first_tenth);
        add("the trace's titles up to four weeks old, share of plays", character.young);
        add("the trace's top hundred, changed in a day", character.changed_a_day);
        add("the trace's top hundred, changed in a week", character.changed_a_week);
    }

    /// Four boxes that share the same tenth; on one night in a hundred a box dies in mid-window.
    pub fn four_boxes(&mut self) -> Vec<Row> {
        let mut rows = Rows::default();
        let name = "4 boxes, 40 Gb/s";
        for seed in self.seeds {
            let made = made(*seed, "metro", 40e9, &Generator::default());
            let set = setting(site("metro", &made.trace, 4, 0.1), 0.01);
            let [ours] = self.run(name, &made, &set, [Policy::Nightfill]);
            let what = |what: &str| format!("{name}: {what}");
            rows.add(
                &what("border bytes over unique bytes"),
                Reach::AtMost(1.02),
                ours.fill_border_per_unique,
            );
            rows.add(&what("offload"), Reach::Shown, ours.offload);
            rows.add(
                &what("HDD reads/s each, p99 of slots"),
                Reach::AtMost(60.0),
                ours.hdd_reads_p99,
            );
            rows.add(
                &what("billed percentile, with fill / without"),
                Reach::AtMost(1.0),
                ours.billed_ratio_max,
            );
        }
        rows.0
    }

    /// A small ISP with a quarter of the catalog. Few members make a border of bursts, so each seed
    /// stands for four: itself and 10, 20 and 30 more.
    pub fn small(&mut self) -> Vec<Row> {
        let mut rows = Rows::default();
        let name = "small ISP, 0.5 Gb/s";
        let seeds = self.seeds.to_vec();
        for seed in [0, 10, 20, 30].iter().flat_map(|more| seeds.iter().map(move |one| one + more))
        {
            let made = made(seed, "small", 0.5e9, &Generator::default());
            let set = setting(site("small", &made.trace, 1, 0.25), 0.0);
            let policies = [Policy::Nightfill, Policy::KnownRates, Policy::Lru, Policy::Optimum];
            let [ours, known, lru, best] = self.run(name, &made, &set, policies);
            let what = |what: &str| format!("{name}: {what}");
            rows.add_bounded(&what("offload"), Reach::AtLeast(0.6), ours.offload, best.offload);
            rows.add(&what("fill over served bytes"), Reach::AtMost(0.25), ours.fill_of_served);
            rows.add(
                &what("billed percentile, with fill / without"),
                Reach::AtMost(1.0),
                ours.billed_ratio_max,
            );
            let points = 100.0 * (ours.offload - lru.offload);
            rows.add(&what("points over LRU of 5-minute pieces"), Reach::Shown, points);
            let border = ours.border_bytes as f64 / lru.border_bytes as f64;
            rows.add(&what("border bytes over LRU of pieces"), Reach::Shown, border);
            Self::misses(&mut rows, name, &ours);
            rows.add_bounded(
                &what("offload over the clairvoyant bound"),
                Reach::Shown,
                ours.offload / best.offload,
                known.offload / best.offload,
            );
        }
        rows.0
    }

    /// The town again on traces that are more and less skewed, and that change twice as fast.
    pub fn sensitivity(&mut self) -> Vec<Row> {
        let usual = Generator::default();
        let skew = |zipf: f64| Generator { zipf, flat_ranks: 0.0, ..usual.clone() };
        let churn = Generator {
            drift: 2.0 * usual.drift,
            launches_a_week: 2 * usual.launches_a_week,
            ..usual.clone()
        };
        let kinds = [
            ("straight Zipf 0.8", skew(0.8)),
            ("straight Zipf 1.0", skew(1.0)),
            ("straight Zipf 1.2", skew(1.2)),
            ("twice the drift and launches", churn),
        ];
        let mut rows = Rows::default();
        for (name, generator) in kinds {
            for seed in self.seeds.iter().take(1) {
                let made = made(*seed, "metro", 10e9, &generator);
                self.sensitivity_one(&mut rows, &format!("10 Gb/s, {name}"), &made);
            }
        }
        rows.0
    }

    fn sensitivity_one(&mut self, rows: &mut Rows, name: &str, made: &Made) {
        Self::character(rows, name, &made.trace);
        let set = setting(site("metro", &made.trace, 1, 0.1), 0.0);
        let policies = [Policy::Nightfill, Policy::KnownRates, Policy::Lru, Policy::Optimum];
        let [ours, known, lru, best] = self.run(name, made, &set, policies);
        let what = |what: &str| format!("{name}: {what}");
        rows.add_bounded(&what("offload"), Reach::Shown, ours.offload, best.offload);
        rows.add_bounded(
            &what("offload over the clairvoyant bound"),
            Reach::Shown,
            ours.offload / best.offload,
            known.offload / best.offload,
        );
        rows.add_bounded(
            &what("points over LRU of 5-minute pieces"),
            Reach::Shown,
            100.0 * (ours.offload - lru.offload),
            100.0 * (best.offload - lru.offload),
        );
        rows.add_bounded(
            &what("fill of a night over storage"),
            Reach::Shown,
            ours.fill_of_storage_a_night,
            best.fill_of_storage_a_night,
        );
        let fast = ours.tiers.ram + ours.tiers.ssd;
        rows.add(&what("bytes from RAM and SSD"), Reach::Shown, fast);
    }
}
