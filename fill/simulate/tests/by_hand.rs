//! Goal: the accounts of a replay are those a person comes to with a pencil. Method: a trace of two
//! files and five evenings, worked out below line by line.
//!
//! ```text
//! Files a and b of 100 MB each, one disk of 150 MB, no memory, no flash, nothing spared.
//! Every evening at 20:00: a, a, b, whole, ten minutes each. So 300 MB an evening, in two slots
//! of two 50 MB pieces.
//!
//! Window of day 0, 02:00   nothing was ever asked; b comes first in the file, b is fetched
//! Window of day 1, 02:00   a was asked twice, b once: a is fetched, b makes room
//! later windows            nothing changes
//!
//! Measured: from 02:00 of day 1, four evenings.
//!   asked      4 × 300 MB = 1,200 MB
//!   ours       a from the disk: 4 × 200 MB, offload 2/3; fill 100 MB; border 400 + 100 MB
//!              the disk reads 100 MB in a slot of 300 s: 0.318 reads of 1 MiB a second
//!   LRU        three pieces have room. a0 in, a0 hit, b0 in, a1 in, a1 hit, b1 in; by the next
//!              evening a0 has left, and so on: 100 of 300 MB, offload 1/3, border 800 MB
//!   optimum    a and half of b, every day the same: 250 of 300 MB, nothing fetched
//! ```

// A panic is the report.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use fill_plan::{Knobs, footprint};
use fill_simulate::{
    BoxSetting, MemoryKeeps, Policy, PolicyReport, Setting, SiteSetting, Trace, Unit,
    WindowSetting, simulate,
};

const MB: u64 = 1_000_000;
const EVENINGS: u32 = 5;

fn trace() -> Trace {
    let mut text = String::from(
        r#"{"trace":1}
{"title":"B","genre":"drama","published_day":-30}
{"title":"A","genre":"drama","published_day":-30}
{"object":"b","title":"B","height":1080,"bytes":100000000}
{"object":"a","title":"A","height":1080,"bytes":100000000}
"#,
    );
    for day in 0..EVENINGS {
        for object in ["a", "a", "b"] {
            let at = day * 86_400 + 20 * 3_600;
            text.push_str(&format!(
                "{{\"play\":{at},\"site\":\"s\",\"object\":\"{object}\",\"seconds\":600,\
                 \"bytes\":100000000}}\n"
            ));
        }
    }
    Trace::read(text.lines().map(|line| Ok(Cow::Borrowed(line))), |_| {}).unwrap()
}

fn setting() -> Setting {
    let one = BoxSetting {
        name: "box".to_owned(),
        ram_bytes: 0,
        ssd_bytes: 0,
        hdd_bytes: 150 * MB,
        hdds: 1,
    };
    Setting {
        sites: vec![SiteSetting { site: "s".to_owned(), isp: "one".to_owned(), boxes: vec![one] }],
        window: WindowSetting { start_minute: 120, length_minutes: 60, rate_bps_max: 1_000 * MB },
        warm_up_days: 1,
        percentile: 0.95,
        spare_percentile: false,
        outage: 0.0,
        seed: 1,
        memory: MemoryKeeps::default(),
        unit: Unit::default(),
        knobs: Knobs { headroom: 0.0, break_even: 0.0, sticky: 1.0, ..Knobs::default() },
        forecast: fill_plan::forecast::Tuning::default(),
    }
}

fn replayed(policy: Policy) -> PolicyReport {
    simulate(&trace(), &setting(), policy, |_| {}).unwrap()
}

/// Rates of slots are kept in whole bits a second: bytes come back a little short.
fn close(bytes: u64, by_hand: u64) -> bool {
    bytes.abs_diff(by_hand) <= 1_000
}

#[test]
fn ours_is_as_by_hand() {
    let ours = replayed(Policy::Nightfill);
    assert_eq!((ours.days, ours.asked_bytes), (4, 1_200 * MB), "{ours:?}");
    assert!((ours.offload - 2.0 / 3.0).abs() < 1e-9, "{ours:?}");
    let fetched = footprint(100 * MB);
    assert!(close(ours.fill_border_bytes, fetched), "{ours:?}");
    assert!(close(ours.border_bytes, 400 * MB + fetched), "{ours:?}");
    assert_eq!((ours.fill_wasted_bytes, ours.fill_local_bytes), (0, 0), "{ours:?}");
    assert_eq!((ours.tiers.ram, ours.tiers.ssd, ours.tiers.hdd), (0.0, 0.0, 1.0), "{ours:?}");
    let reads = 100e6 / 1_048_576.0 / 300.0;
    assert!((ours.hdd_reads_max - reads).abs() < 1e-9, "{ours:?}");
}

#[test]
fn others_are_as_by_hand() {
    let lru = replayed(Policy::Lru);
    assert!((lru.offload - 1.0 / 3.0).abs() < 1e-9, "{lru:?}");
    assert_eq!((lru.border_bytes, lru.fill_border_bytes), (800 * MB, 0), "{lru:?}");
    let best = replayed(Policy::Optimum);
    assert!((best.offload - 250.0 / 300.0).abs() < 1e-6, "{best:?}");
    assert_eq!(best.fill_border_bytes, 0, "{best:?}");
}
