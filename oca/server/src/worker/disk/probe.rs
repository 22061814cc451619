//! Brings devices back into rotation: reads something of theirs every so often, and believes them
//! when they have answered well several times in a row. Never sends what it reads.
//!
//! Failed probes come at growing distances; a device that fell out again soon after it came back
//! has to prove itself longer each time, so that a half-dead disk does not flap.

use std::io;

use oca_sys::{Access, FileId, Kernel, Nanos, Op};

use super::super::TokenKind;
use super::super::station::{Station, Trouble};
use super::lanes::Operation;
use super::trouble::{Blame, names_no_file, speaks_of_the_device};
use super::work::Work;
use crate::library::Found;

/// Time between two good probes, and before the first, milliseconds.
const PAUSE_MS: u64 = 100;
/// Longest time between two probes, milliseconds.
const PAUSE_MS_MAX: u64 = 10_000;
/// Good answers in a row that bring a device back the first time.
const GOOD_WANTED: u32 = 3;
/// Doublings of what is wanted of a device that falls out again and again.
const RELAPSES_MAX: u32 = 3;
/// Out again within this time after coming back is a relapse, milliseconds.
const RELAPSE_MS: u64 = 60_000;
/// Probes of one device that may be unanswered.
const UNANSWERED_MAX: u32 = 2;
/// Objects of each device that were read well lately: what probes read.
const SAMPLES: usize = 8;

/// Every lane's recovery, if this worker sees to it.
pub struct Probes {
    lanes: Vec<Recovery>,
    /// Devices that this worker took out.
    out: usize,
}

#[derive(Default)]
struct Recovery {
    samples: [Option<Found>; SAMPLES],
    sampled: usize,
    back_at: Option<Nanos>,
    relapses: u32,
    trial: Option<Trial>,
    /// Probes that the device has not answered, given up or not.
    unanswered: u32,
}

/// A device on trial.
struct Trial {
    next_at: Nanos,
    pause_ms: u64,
    good: u32,
    wanted: u32,
    begun: usize,
    /// A probe is under way and not given up.
    awaited: bool,
}

impl Probes {
    /// Nothing on trial, for `lanes` devices.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let lanes = std::iter::repeat_with(Recovery::default).take(lanes).collect();
        Self { lanes, out: 0 }
    }

    /// An object of this device was read well.
    pub fn note_sample(&mut self, lane: usize, found: &Found) {
        let recovery = &mut self.lanes[lane];
        let last = (recovery.sampled + SAMPLES - 1) % SAMPLES;
        if recovery.samples[last].is_some_and(|sample| sample.object == found.object) {
            return;
        }
        recovery.samples[recovery.sampled] = Some(*found);
        recovery.sampled = (recovery.sampled + 1) % SAMPLES;
    }

    /// This worker took a device out: it is on trial. `failed` is read if nothing better is known.
    pub fn begin(&mut self, lane: usize, failed: Option<Found>, now: Nanos) {
        let recovery = &mut self.lanes[lane];
        let is_relapse = recovery.back_at.is_some_and(|at| now.since(at) < RELAPSE_MS * 1_000_000);
        recovery.relapses = if is_relapse { (recovery.relapses + 1).min(RELAPSES_MAX) } else { 0 };
        if recovery.samples.iter().all(Option::is_none) {
            recovery.samples[0] = failed;
            recovery.sampled = 1;
        }
        let pause_ms = PAUSE_MS << recovery.relapses;
        let next_at = now.plus_millis(pause_ms);
        let wanted = GOOD_WANTED << recovery.relapses;
        recovery.trial =
            Some(Trial { next_at, pause_ms, good: 0, wanted, begun: 0, awaited: false });
        self.out += 1;
    }

    /// When the next probe is due.
    #[must_use]
    pub fn due(&self) -> Option<Nanos> {
        if self.out == 0 {
            return None;
        }
        let may = |recovery: &&Recovery| recovery.unanswered < UNANSWERED_MAX;
        let trials = self.lanes.iter().filter(may).filter_map(|recovery| recovery.trial.as_ref());
        trials.filter(|trial| !trial.awaited).map(|trial| trial.next_at).min()
    }

    /// A device that is to be probed now, and what to read.
    fn next(&mut self, now: Nanos) -> Option<(usize, Option<Found>)> {
        if self.out == 0 {
            return None;
        }
        for (lane, recovery) in self.lanes.iter_mut().enumerate() {
            let Some(trial) = &mut recovery.trial else { continue };
            if trial.awaited || trial.next_at > now || recovery.unanswered >= UNANSWERED_MAX {
                continue;
            }
            let known: Vec<Found> = recovery.samples.iter().flatten().copied().collect();
            let sample = known.get(trial.begun % known.len().max(1)).copied();
            trial.begun += 1;
            trial.awaited = true;
            return Some((lane, sample));
        }
        None
    }

    /// The device answered a probe well. True when that was enough.
    fn went_well(&mut self, lane: usize, now: Nanos) -> bool {
        let recovery = &mut self.lanes[lane];
        let Some(trial) = &mut recovery.trial else { return false };
        trial.awaited = false;
        trial.good += 1;
        trial.next_at = now.plus_millis(PAUSE_MS);
        if trial.good < trial.wanted {
            return false;
        }
        recovery.trial = None;
        recovery.back_at = Some(now);
        self.out -= 1;
        true
    }

    /// It did not.
    fn went_badly(&mut self, lane: usize, now: Nanos) {
        let Some(trial) = &mut self.lanes[lane].trial else { return };
        trial.awaited = false;
        trial.good = 0;
        trial.pause_ms = (trial.pause_ms * 2).min(PAUSE_MS_MAX);
        trial.next_at = now.plus_millis(trial.pause_ms);
    }

    /// The probe could not even begin.
    fn put_off(&mut self, lane: usize, now: Nanos) {
        if let Some(trial) = &mut self.lanes[lane].trial {
            trial.awaited = false;
            trial.next_at = now.plus_millis(PAUSE_MS);
        }
    }

    /// One that was given up was answered after all: there is life, so it is asked again now.
    fn woke_up(&mut self, lane: usize, now: Nanos) {
        if let Some(trial) = self.lanes[lane].trial.as_mut().filter(|trial| !trial.awaited) {
            trial.next_at = now;
            trial.pause_ms = PAUSE_MS;
        }
    }
}

impl<K: Kernel> Station<K> {
    pub(super) fn step_probes(&mut self) {
        let now = self.now();
        while let Some((lane, sample)) = self.probes.next(now) {
            let path = sample.and_then(|sample| self.shared.library.path(&sample));
            let Some(path) = path else {
                self.probes.put_off(lane, now);
                continue;
            };
            self.shared.library.devices().count_probe(lane);
            self.probes.lanes[lane].unanswered += 1;
            let token = self.next_token(TokenKind::ProbeOpen);
            self.lanes.begin(lane, token, now, 0, Work::ProbeOpen);
            let follows = self.shared.library.follows_links();
            self.submit(token, Op::Open { path, follows });
        }
    }

    pub(super) fn probe_opened(&mut self, operation: &Operation, result: io::Result<FileId>) {
        let (lane, now) = (operation.lane, self.now());
        let file = match result {
            // Its directory said so: the device answers, though not with this file.
            Err(error) if names_no_file(&error) => {
                return self.probe_ended(operation, true);
            }
            Err(error) => {
                return self.probe_ended(operation, speaks_of_the_device(&error) == Blame::Copy);
            }
            Ok(file) => file,
        };
        let into = if operation.given_up { None } else { self.chunk_buffer() };
        let Some(into) = into else {
            self.close_file(file);
            self.probes.lanes[lane].unanswered -= 1;
            if operation.given_up {
                self.probes.woke_up(lane, now);
            } else {
                self.probes.put_off(lane, now);
            }
            return;
        };
        let token = self.next_token(TokenKind::ProbeRead);
        self.lanes.begin(lane, token, now, 1, Work::ProbeRead(file));
        self.submit(token, Op::Read { file, at: 0, into, access: Access::Direct });
    }

    pub(super) fn probe_read(&mut self, operation: &Operation, result: io::Result<usize>) {
        let is_good =
            !matches!(&result, Err(error) if speaks_of_the_device(error) == Blame::Device);
        self.probe_ended(operation, is_good);
    }

    fn probe_ended(&mut self, operation: &Operation, is_good: bool) {
        let (lane, now) = (operation.lane, self.now());
        self.probes.lanes[lane].unanswered -= 1;
        if operation.given_up {
            return self.probes.woke_up(lane, now);
        }
        if !is_good {
            return self.probe_failed(lane);
        }
        if self.probes.went_well(lane, now) {
            self.shared.library.devices().put_back(lane);
            self.report(Trouble::DeviceBack { device: lane });
        }
    }

    /// A probe failed, or was not answered in time.
    pub(super) fn probe_failed(&mut self, lane: usize) {
        let now = self.now();
        self.shared.library.devices().count_failed_probe(lane);
        self.probes.went_badly(lane, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Probes at each due moment until `answers` are spent; says when it came back.
    fn trial(probes: &mut Probes, began_ms: u64, answers: &[bool]) -> Option<u64> {
        probes.begin(0, None, Nanos(began_ms * MS));
        for is_good in answers {
            let now = probes.due().expect("on trial");
            assert_eq!(probes.next(now).map(|(lane, _)| lane), Some(0));
            assert!(probes.next(now).is_none() && probes.due().is_none(), "one at a time");
            if !*is_good {
                probes.went_badly(0, now);
            } else if probes.went_well(0, now) {
                return Some(now.0 / MS);
            }
        }
        None
    }

    #[test]
    fn three_good_answers_in_a_row_bring_a_device_back() {
        let mut probes = Probes::new(1);
        assert_eq!(trial(&mut probes, 1000, &[true, true, true]), Some(1300));
        assert_eq!(probes.due(), None);
    }

    #[test]
    fn a_bad_answer_starts_the_count_again_and_pauses_grow() {
        let mut probes = Probes::new(1);
        let answers = [true, false, false, false, true, true, true];
        assert_eq!(trial(&mut probes, 0, &answers), Some(100 + 100 + 200 + 400 + 800 + 200));
    }

    #[test]
    fn a_device_that_flaps_has_to_prove_itself_longer() {
        let mut probes = Probes::new(1);
        let mut at_ms = 0;
        let mut needed = Vec::new();
        for _ in 0..6 {
            let back = trial(&mut probes, at_ms, &[true; 64]).expect("it comes back");
            needed.push((back - at_ms) / PAUSE_MS);
            at_ms = back + 1000;
        }
        assert_eq!(needed, [3, 7, 15, 31, 31, 31]);
        at_ms += RELAPSE_MS;
        let back = trial(&mut probes, at_ms, &[true; 64]).expect("it comes back");
        assert_eq!(back - at_ms, 300, "a quiet minute is forgiven");
    }
}
