//! Members come first: how many lanes fill may use, by what members feel on this box. Reads the
//! text of `oca`'s `/metrics`; asks nobody itself and measures nothing of its own.
//!
//! Busy is any of these since the last look:
//! - a tenth or more of at least twenty disk reads took longer than `slow_read_ms`;
//! - workers had no buffer to read into (`starved`);
//! - more than `busy_bps` went out to members, when that is configured: the port is theirs.
//!
//! A busy look halves the lanes, down to none; three calm looks in a row give one back. What a
//! member feels is asked for, and not what the machine does: fill itself makes disks work, and must
//! not yield to itself. No answer from `oca` means that nobody is being served.

use crate::limits::{CALM_LOOKS, IDLE_LOOKS, SLOW_READS_ONE_IN, SLOW_READS_SEEN_MIN};

/// What one look at the counters gave; all since `oca` began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    media_bytes: f64,
    reads: f64,
    slow_reads: f64,
    starved: f64,
}

impl Sample {
    /// Reads Prometheus text; what is not in it counts as nothing.
    pub(crate) fn of(text: &str, slow_read_ms: u64) -> Self {
        let mut sample = Self::default();
        let slow_s = slow_read_ms as f64 / 1000.0;
        // Cumulative buckets: reads up to the first bound that is not below `slow_s` were fast.
        let mut fast: Vec<(f64, f64)> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            match name.trim_start_matches("nightfill_") {
                "oca_media_bytes_total" => sample.media_bytes += value,
                "oca_starved_total" => sample.starved += value,
                "oca_disk_read_seconds_count" => sample.reads += value,
                "oca_disk_read_seconds_bucket" => {
                    let bound = labels.split("le=\"").nth(1).and_then(|at| at.split('"').next());
                    let bound = bound.and_then(|bound| bound.parse::<f64>().ok());
                    let Some(bound) = bound.filter(|bound| *bound >= slow_s) else { continue };
                    match fast.iter_mut().find(|(other, _)| *other == bound) {
                        Some((_, sum)) => *sum += value,
                        None => fast.push((bound, value)),
                    }
                }
                _ => {}
            }
        }
        let first = fast.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        sample.slow_reads = first.map_or(0.0, |(_, fast)| (sample.reads - fast).max(0.0));
        sample
    }
}

/// The state between looks.
#[derive(Debug)]
pub(crate) struct Foreground {
    lanes_max: usize,
    busy_bps: Option<u64>,
    lanes: usize,
    calm: u32,
    last: Option<(u64, Sample)>,
}

impl Foreground {
    pub(crate) fn new(lanes_max: usize, busy_bps: Option<u64>) -> Self {
        Self { lanes_max, busy_bps, lanes: lanes_max, calm: IDLE_LOOKS, last: None }
    }

    /// Lanes that fill may use now.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Whether members have felt nothing for a while: scrubs and moves may run.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes == self.lanes_max && self.calm >= IDLE_LOOKS
    }

    /// Takes in a look at `now`; `None` when `oca` did not answer.
    pub(crate) fn look(&mut self, sample: Option<Sample>, now: u64) {
        let before = std::mem::replace(&mut self.last, sample.map(|sample| (now, sample)));
        let is_busy = match (before, self.last) {
            (Some((then, before)), Some((_, after))) => self.is_busy(&before, &after, now - then),
            _ => false,
        };
        if is_busy {
            self.calm = 0;
            self.lanes /= 2;
            return;
        }
        self.calm = self.calm.saturating_add(1);
        if self.calm.is_multiple_of(CALM_LOOKS) {
            self.lanes = (self.lanes + 1).min(self.lanes_max);
        }
    }

    fn is_busy(&self, before: &Sample, after: &Sample, ms: u64) -> bool {
        // A restart of `oca` begins at nothing: its first look says nothing.
        if after.reads < before.reads || after.media_bytes < before.media_bytes {
            return false;
        }
        let reads = after.reads - before.reads;
        let slow = after.slow_reads - before.slow_reads;
        let bps = (after.media_bytes - before.media_bytes) * 8_000.0 / ms.max(1) as f64;
        (reads >= SLOW_READS_SEEN_MIN && slow * SLOW_READS_ONE_IN >= reads)
            || after.starved > before.starved
            || self.busy_bps.is_some_and(|busy| bps > busy as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reads: u64, fast: u64, media: u64, starved: u64) -> String {
        format!(
            "# HELP x y\nnightfill_oca_media_bytes_total{{class=\"a\"}} {media}\n\
             nightfill_oca_media_bytes_total{{class=\"b\"}} 0\n\
             nightfill_oca_disk_read_seconds_bucket{{volume=\"0\",le=\"0.05\"}} 1\n\
             nightfill_oca_disk_read_seconds_bucket{{volume=\"0\",le=\"0.1\"}} {fast}\n\
             nightfill_oca_disk_read_seconds_bucket{{volume=\"0\",le=\"+Inf\"}} {reads}\n\
             nightfill_oca_disk_read_seconds_count{{volume=\"0\"}} {reads}\n\
             nightfill_oca_starved_total {starved}\n"
        )
    }

    #[test]
    fn busy_halves_the_lanes_and_calm_gives_them_back_one_by_one() {
        let mut foreground = Foreground::new(4, Some(8_000_000));
        assert!(foreground.is_idle());
        let mut now = 0;
        let mut look = |foreground: &mut Foreground, text: Option<String>| {
            now += 1000;
            foreground.look(text.map(|text| Sample::of(&text, 100)), now);
            foreground.lanes()
        };
        assert_eq!(look(&mut foreground, Some(text(100, 100, 0, 0))), 4);
        assert_eq!(look(&mut foreground, Some(text(200, 195, 0, 0))), 4, "5 slow of 100");
        assert_eq!(look(&mut foreground, Some(text(300, 280, 0, 0))), 2, "15 slow of 100");
        assert!(!foreground.is_idle());
        assert_eq!(look(&mut foreground, Some(text(310, 280, 0, 0))), 2, "too few to tell");
        assert_eq!(look(&mut foreground, Some(text(310, 280, 0, 1))), 1, "starved");
        assert_eq!(look(&mut foreground, Some(text(310, 280, 2_000_000, 1))), 0, "16 Mbit/s");
        for lanes in [0, 0, 1, 1, 1, 2] {
            assert_eq!(look(&mut foreground, Some(text(310, 280, 2_000_000, 1))), lanes);
        }
        assert_eq!(look(&mut foreground, Some(text(5, 5, 5, 0))), 2, "oca began anew");
        for _ in 0..20 {
            look(&mut foreground, None);
        }
        assert_eq!(foreground.lanes(), 4, "nobody is served");
        assert!(foreground.is_idle());
    }
}
