//! What a run came to. Sorts and counts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Every press of one run.
#[derive(Default)]
pub struct Presses {
    /// From the moment each was to arrive, microseconds; failed ones too.
    pub took_us: Vec<u64>,
    /// The longest of each second, by when it was to arrive.
    pub worst_us: Vec<u64>,
    /// Why presses failed, and how often.
    pub failed: BTreeMap<String, u64>,
    /// The same of the `stopped` behind each.
    pub stops_failed: BTreeMap<String, u64>,
    pub seconds: f64,
    /// Of control, over the run.
    pub cpu_s: f64,
    /// How late the load itself was at worst, microseconds: a measure of this machine.
    pub late_us_max: u64,
}

impl Presses {
    pub fn per_second(&self) -> f64 {
        self.took_us.len() as f64 / self.seconds.max(0.001)
    }

    /// One press that was to arrive `at_s` after counting began.
    pub fn note(&mut self, at_s: u64, took_us: u64) {
        let second = usize::try_from(at_s).unwrap_or(usize::MAX).min(3_600);
        if self.worst_us.len() <= second {
            self.worst_us.resize(second + 1, 0);
        }
        self.worst_us[second] = self.worst_us[second].max(took_us);
        self.took_us.push(took_us);
    }

    pub fn figures(&self) -> Value {
        let mut sorted = self.took_us.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let last = sorted.len().saturating_sub(1) as f64;
            sorted.get((last * share) as usize).map_or(0.0, |us| *us as f64 / 1_000.0)
        };
        json!({
            "presses": sorted.len(),
            "failed": self.failed.values().sum::<u64>(),
            "why": self.failed,
            "stops_failed": self.stops_failed,
            "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "p999_ms": at(0.999),
            "max_ms": at(1.0),
            "per_second": self.per_second() as u64,
            "control_cpu_us_per_press": self.cpu_s * 1e6 / sorted.len().max(1) as f64,
            "load_late_us_max": self.late_us_max,
            "slowest_ms_by_second": self.worst_us.iter().map(|us| us / 1_000).collect::<Vec<_>>(),
        })
    }
}

/// Processor seconds of a process so far, user and kernel.
pub fn cpu_s_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: state is the first word, utime the twelfth.
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |at: usize| {
        behind.split_whitespace().nth(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
