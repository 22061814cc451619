//! What this process is and has used, as the kernel counts it: the bill besides the workers' own.
//! Never on the path of a segment: it is asked at a scrape.

use std::sync::OnceLock;

use nix::sys::resource::{UsageWho, getrusage};
use prometheus::proto::{Gauge, Metric, MetricFamily, MetricType};

use super::{family, labelled};

/// One look at this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Processor time of all threads, microseconds.
    pub user_us: u64,
    /// Of the kernel on their behalf, microseconds.
    pub system_us: u64,
    /// Memory that is in use, bytes.
    pub resident_bytes: u64,
}

impl Process {
    /// As of now; zeros where the machine does not say.
    #[must_use]
    pub fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let micros = |time: nix::sys::time::TimeVal| {
            u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
        };
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
        Self {
            user_us: usage.map_or(0, |usage| micros(usage.user_time())),
            system_us: usage.map_or(0, |usage| micros(usage.system_time())),
            resident_bytes: pages.unwrap_or(0) * 4096,
        }
    }

    /// Its families; `sent_bytes` have gone to sockets since the start.
    pub(super) fn families(&self, sent_bytes: u64) -> Vec<MetricFamily> {
        let total_us = self.user_us + self.system_us;
        let per_gb = if sent_bytes == 0 { 0.0 } else { total_us as f64 * 1e3 / sent_bytes as f64 };
        let seconds = [("system", self.system_us), ("user", self.user_us)].map(|(mode, micros)| {
            let mut metric = labelled(&[("mode", mode)], 0);
            let mut counter = prometheus::proto::Counter::default();
            counter.set_value(micros as f64 / 1e6);
            metric.set_counter(counter);
            metric
        });
        let build = [("kernel", kernel()), ("version", env!("CARGO_PKG_VERSION"))];
        let mut info = labelled(&build, 0);
        info.set_gauge(number(1.0));
        let gauge = |name: &str, help: &str, value: f64| {
            family(name, help, MetricType::GAUGE, vec![Metric::from_gauge(number(value))])
        };
        vec![
            family(
                "process_cpu_seconds_total",
                "Processor time of the whole process.",
                MetricType::COUNTER,
                seconds.to_vec(),
            ),
            gauge(
                "process_cpu_seconds_per_gb",
                "Processor seconds of the whole process per 10^9 bytes sent, since the start.",
                per_gb,
            ),
            gauge("process_resident_bytes", "Memory in use.", self.resident_bytes as f64),
            family("build", "1, with what runs on what.", MetricType::GAUGE, vec![info]),
        ]
    }
}

fn number(value: f64) -> Gauge {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    gauge
}

/// Release of the running kernel.
fn kernel() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        text.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let process = Process::now();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        let families = process.families(0);
        assert!(
            families.iter().any(|family| family.name().ends_with("process_cpu_seconds_per_gb"))
        );
    }
}
