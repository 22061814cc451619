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
//! not yield to itself.
//!
//! Nobody at `oca`'s address means that nobody is being served. A process that is there and says
//! nothing is another thing: after `SILENT_MS` of it the box counts as busy, because whatever keeps
//! `oca` from answering keeps members waiting, and fill may be what does.

use crate::limits::{CALM_LOOKS, IDLE_LOOKS, SILENT_MS, SLOW_READS_ONE_IN, SLOW_READS_SEEN_MIN};

/// What came of asking `oca`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    /// Its counters.
    Answered(Sample),
    /// It is there and answers nothing.
    Silent,
    /// Nobody is there, or it has no counters to tell.
    Gone,
}

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
    /// Since when it has been silent.
    silent_since: Option<u64>,
}

impl Foreground {
    pub(crate) fn new(lanes_max: usize, busy_bps: Option<u64>) -> Self {
        Self {
            lanes_max,
            busy_bps,
            lanes: lanes_max,
            calm: IDLE_LOOKS,
            last: None,
            silent_since: None,
        }
    }

    /// Lanes that fill may use now.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Whether members have felt nothing for a while: scrubs and moves may run.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes == self.lanes_max && self.calm >= IDLE_LOOKS
    }

    /// How long `oca` has been silent, milliseconds, once that counts as busy.
    pub(crate) fn silent_ms(&self, now: u64) -> Option<u64> {
        let silent_ms = now.saturating_sub(self.silent_since?);
        (silent_ms >= SILENT_MS).then_some(silent_ms)
    }

    /// Takes in a look at `now`.
    pub(crate) fn look(&mut self, look: Look, now: u64) {
        let sample = match look {
            Look::Answered(sample) => Some((now, sample)),
            Look::Silent | Look::Gone => None,
        };
        let before = std::mem::replace(&mut self.last, sample);
        let is_busy = if look == Look::Silent {
            self.silent_since.get_or_insert(now);
            if self.silent_ms(now).is_none() {
                // One late answer is no reason to stop, and none to call it calm.
                return;
            }
            true
        } else {
            self.silent_since = None;
            match (before, sample) {
                (Some((then, before)), Some((_, after))) => {
                    self.is_busy(&before, &after, now - then)
                }
                _ => false,
            }
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
            let sample = |text: String| Look::Answered(Sample::of(&text, 100));
            foreground.look(text.map_or(Look::Gone, sample), now);
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

    #[test]
    fn silence_is_busy_once_it_lasts_and_over_with_the_first_answer() {
        let mut foreground = Foreground::new(4, None);
        let mut look = |look: Look, now: u64| {
            foreground.look(look, now);
            (foreground.lanes(), foreground.silent_ms(now).is_some())
        };
        let calm = Look::Answered(Sample::default());
        assert_eq!(look(calm, 0), (4, false));
        assert_eq!(look(Look::Silent, 1_000), (4, false), "late once");
        assert_eq!(look(calm, 2_000), (4, false));
        assert_eq!(look(Look::Silent, 3_000), (4, false));
        assert_eq!(look(Look::Silent, 3_000 + SILENT_MS), (2, true));
        assert_eq!(look(Look::Silent, 4_000 + SILENT_MS), (1, true));
        assert_eq!(look(Look::Silent, 5_000 + SILENT_MS), (0, true));
        assert_eq!(look(calm, 6_000 + SILENT_MS), (0, false));
        assert_eq!(look(calm, 7_000 + SILENT_MS), (0, false));
        assert_eq!(look(calm, 8_000 + SILENT_MS), (1, false), "given back one by one");
        // A process that ended serves nobody.
        assert_eq!(look(Look::Silent, 20_000), (1, false));
        assert!(!look(Look::Gone, 40_000).1);
    }
}
