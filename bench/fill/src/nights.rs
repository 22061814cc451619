//! Simulated nights beside other policies: offload, border, percentile, tiers. The settings are
//! written out here, so that a figure can be argued with.

use fill_simulate::{
    BoxSetting, Generator, Policy, PolicyReport, Region, Setting, SiteSetting, Trace,
    WindowSetting, generate, simulate,
};
use serde_json::{Value, json};

use crate::row::{Reach, Row};

/// One box with `share` of the catalog on its disks, a tenth of it flash.
fn a_box(name: &str, trace: &Trace, share: f64, ram_bytes: u64) -> BoxSetting {
    let bytes = trace.catalog_bytes() as f64 * share;
    let (ssd_bytes, hdd_bytes) = ((bytes * 0.1) as u64, (bytes * 0.9) as u64);
    BoxSetting { name: name.to_owned(), ram_bytes, ssd_bytes, hdd_bytes, hdds: 12 }
}

fn site(name: &str, boxes: Vec<BoxSetting>) -> SiteSetting {
    SiteSetting { site: name.to_owned(), isp: format!("isp-of-{name}"), boxes }
}

fn setting(sites: Vec<SiteSetting>) -> Setting {
    Setting {
        sites,
        window: WindowSetting {
            start_minute: 120,
            length_minutes: 360,
            rate_bps_max: 1_200_000_000,
        },
        warm_up_days: 28,
        percentile: 0.95,
        spare_percentile: true,
        outage: 0.0,
        seed: 1,
        knobs: fill_plan::Knobs { sticky: std::env::var("STICKY").map_or(1.25, |v| v.parse().unwrap()), break_even: std::env::var("BE").map_or(0.35, |v| v.parse().unwrap()), ..Default::default() },
    }
}

fn run(trace: &Trace, setting: &Setting, policy: Policy, runs: &mut Vec<Value>, name: &str) -> PolicyReport {
    let begun = std::time::Instant::now();
    let report = simulate(trace, setting, policy, |_| {}).expect("the setting is ours");
    eprintln!(
        "{name} {}: offload {:.3}, fill of served {:.3}, border {:.1} TB, ram {:.3} ssd {:.3} hdd {:.3}, reads p99 {:.1} max {:.1}, p95 ratio {:.4}, border/unique {:.4} ({:.0} s)",
        report.policy, report.offload, report.fill_of_served, report.border_bytes as f64 / 1e12,
        report.tiers.ram, report.tiers.ssd, report.tiers.hdd, report.hdd_reads_p99, report.hdd_reads_max,
        report.billed_ratio_max, report.fill_border_per_unique, begun.elapsed().as_secs_f64(),
    );
    runs.push(json!({ "run": name, "report": report }));
    report
}

/// All rows of simulated nights.
pub fn measure(seeds: &[u64], runs: &mut Vec<Value>) -> Vec<Row> {
    let mut rows = Vec::new();
    for seed in seeds {
        let metro = Generator { seed: *seed, regions: vec![Region { site: "metro".into(), peak_bps: std::env::var("PEAK").map_or(10e9, |v| v.parse().unwrap()) }], ..Generator::default() };
        let trace = generate(&metro, |_| {}).expect("the default generator");
        eprintln!("catalog {:.1} TB, {} plays", trace.catalog_bytes() as f64 / 1e12, trace.plays.len());
        let set = setting(vec![site("metro", vec![a_box("m1", &trace, std::env::var("SHARE").map_or(0.1, |v| v.parse().unwrap()), 64 << 30)])]);
        for policy in Policy::ALL {
            run(&trace, &set, policy, runs, "metro");
        }
        let small = Generator { seed: *seed, regions: vec![Region { site: "small".into(), peak_bps: 0.5e9 }], ..Generator::default() };
        let trace = generate(&small, |_| {}).expect("the default generator");
        let set = setting(vec![site("small", vec![a_box("s1", &trace, 0.25, 32 << 30)])]);
        for policy in Policy::ALL {
            run(&trace, &set, policy, runs, "small");
        }
    }
    rows.push(Row::new("x", Reach::Shown, vec![1.0]));
    rows
}
