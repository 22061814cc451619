//! How busy the machine is: processor and port, from the kernel's own counts. Changes nothing and
//! reports zero for what a kernel does not say.

use std::path::Path;
use std::time::Instant;

use control_types::fleet::MachineReport;

/// Longest counter file read, bytes.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Ports looked at.
const PORTS_MAX: usize = 64;

/// What the workers have counted since the start.
#[derive(Clone, Copy, Default)]
pub(super) struct Counted {
    /// Chunks found in the hot set, and not found.
    pub hits: u64,
    /// See `hits`.
    pub misses: u64,
    /// Answers, and microseconds to their first bytes together.
    pub answers: u64,
    /// See `answers`.
    pub micros: u64,
}

/// The counts of the last look.
pub(super) struct MachineWatch {
    busy: u64,
    all: u64,
    sent: Vec<(String, u64)>,
    last: Counted,
    at: Instant,
}

impl MachineWatch {
    pub fn new() -> Self {
        Self { busy: 0, all: 0, sent: Vec::new(), last: Counted::default(), at: Instant::now() }
    }

    /// How busy it was since the last look.
    pub fn look(&mut self, now: &Counted) -> MachineReport {
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        self.at = Instant::now();
        let (busy, all) = cpu_ticks(&read("/proc/stat")).unwrap_or((0, 0));
        let (before_busy, before_all) = (self.busy, self.all);
        (self.busy, self.all) = (busy, all);
        let is_first = before_all == 0;
        let cpu = per_mille(busy.saturating_sub(before_busy), all.saturating_sub(before_all));
        let last = std::mem::replace(&mut self.last, *now);
        let hits = now.hits.saturating_sub(last.hits);
        let misses = now.misses.saturating_sub(last.misses);
        let answers = now.answers.saturating_sub(last.answers).max(1);
        let first_byte_ms = now.micros.saturating_sub(last.micros) / answers / 1_000;
        MachineReport {
            cpu_per_mille: if is_first { 0 } else { cpu },
            nic_per_mille: self.ports(seconds),
            hot_per_mille: per_mille(hits, hits + misses),
            first_byte_ms: u32::try_from(first_byte_ms).unwrap_or(u32::MAX),
        }
    }

    /// Share of the busiest physical port.
    fn ports(&mut self, seconds: f64) -> u32 {
        let Ok(ports) = std::fs::read_dir("/sys/class/net") else { return 0 };
        let mut now = Vec::new();
        let mut most = 0;
        for port in ports.flatten().take(PORTS_MAX) {
            let path = port.path();
            // A port without a device behind it is the kernel's own: a bridge, a tunnel, loopback.
            if !path.join("device").exists() {
                continue;
            }
            let name = port.file_name().to_string_lossy().into_owned();
            let sent = number(&path.join("statistics/tx_bytes")).unwrap_or(0);
            let before = self.sent.iter().find(|(known, _)| *known == name);
            if let (Some((_, before)), Some(mbps)) = (before, number(&path.join("speed"))) {
                let bits = sent.saturating_sub(*before) as f64 * 8.0 / seconds;
                most = most.max((bits / (mbps.max(1) as f64 * 1_000.0)) as u32);
            }
            now.push((name, sent));
        }
        self.sent = now;
        most.min(10_000)
    }
}

fn per_mille(part: u64, whole: u64) -> u32 {
    u32::try_from(part.saturating_mul(1_000) / whole.max(1)).unwrap_or(u32::MAX)
}

fn read(path: impl AsRef<Path>) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text.len() > FILE_BYTES_MAX { text.chars().take(FILE_BYTES_MAX).collect() } else { text }
}

fn number(path: &Path) -> Option<u64> {
    read(path).trim().parse().ok()
}

/// Ticks of all processors together, busy and all, from the first line of `/proc/stat`.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is inside user.
    let all: u64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all.saturating_sub(idle), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_not_being_busy() {
        let stat = "cpu  100 5 45 800 40 3 7 0 20 0\ncpu0 1 2 3 4\n";
        assert_eq!(cpu_ticks(stat), Some((160, 1_000)));
        assert_eq!(cpu_ticks("cpu 1 2"), None);
        assert_eq!(cpu_ticks(""), None);
    }
}
