//! What goes wrong with devices and copies, and what follows from it. Never decides what a client
//! is told: seats ask again, and `route` says whether a copy is left.
//!
//! | what | consequence |
//! |---|---|
//! | file not there | this copy is avoided for a moment |
//! | bytes are not the object's | this copy is condemned, on every worker, and reported |
//! | error of the file | this copy is avoided for `AVOID_MS`, and reported |
//! | error of the device | the same, and the device is taken out of rotation |
//! | one operation is late | it is given up, its copy is avoided |
//! | the device is silent | it is taken out, all that is under way on it is given up |

use std::io;

use control_types::ObjectId;
use nix::errno::Errno;
use oca_sys::{Kernel, Nanos, Token};

use super::super::station::{Fault, Station, Trouble};
use super::lanes::Overdue;
use super::work::{Run, Work};
use crate::counters::class_row;
use crate::hot_set::Spot;
use crate::library::Found;
use crate::limits::{AVOID_GONE_MS, AVOID_MS, AVOIDED_MAX};

/// Copies not to be read for a while. Nearly always empty.
#[derive(Default)]
pub struct Avoided(Vec<(u16, ObjectId, Nanos, Fault)>);

impl Avoided {
    /// Why this copy is not to be read now, if it is not.
    #[must_use]
    pub fn why(&self, found: &Found, now: Nanos) -> Option<Fault> {
        let is_it = |entry: &&(u16, ObjectId, Nanos, Fault)| {
            entry.0 == found.volume && entry.1 == found.object && entry.2 > now
        };
        self.0.iter().find(is_it).map(|entry| entry.3)
    }

    fn add(&mut self, found: &Found, until: Nanos, now: Nanos, fault: Fault) {
        self.0.retain(|entry| entry.2 > now);
        if self.0.len() >= AVOIDED_MAX {
            // The device is as good as gone; the newest are those that are being asked for.
            self.0.remove(0);
        }
        self.0.push((found.volume, found.object, until, fault));
    }

    /// The journal or the operator spoke of this copy: it may be read again.
    pub fn forget(&mut self, volume: u16, object: &ObjectId) {
        self.0.retain(|entry| (entry.0, &entry.1) != (volume, object));
    }
}

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// This file's, or our own (no descriptor free).
    Copy,
    /// The device's: other files fare no better.
    Device,
}

/// Whether an open failed because its path leads to no file that may be read: the directory
/// answered. A link where none is followed is no file either.
pub fn names_no_file(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    error.kind() == io::ErrorKind::NotFound || matches!(code, Some(Errno::ELOOP | Errno::ENOTDIR))
}

/// Whether an error speaks of the device under the file.
pub fn speaks_of_the_device(error: &io::Error) -> Blame {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(
            Errno::EIO
            | Errno::ENXIO
            | Errno::ENODEV
            | Errno::ETIMEDOUT
            | Errno::EREMOTEIO
            | Errno::ENODATA
            | Errno::ENOLINK
            | Errno::ESHUTDOWN,
        ) => Blame::Device,
        _ => Blame::Copy,
    }
}

impl<K: Kernel> Station<K> {
    /// A read or an open failed.
    pub(super) fn disk_failed(&mut self, found: &Found, blame: Blame) {
        let lane = self.lane_of(found);
        if let Some(device) = self.counters.device(lane) {
            device.errors.add(1);
        }
        self.blame(Fault::Disk, found);
        if blame == Blame::Device {
            self.take_out(lane, Some(*found));
        }
    }

    /// Remembers what is wrong with a copy, and tells the admin thread.
    pub(super) fn blame(&mut self, fault: Fault, found: &Found) {
        let now = self.now();
        match fault {
            Fault::Gone => self.avoided.add(found, now.plus_millis(AVOID_GONE_MS), now, fault),
            Fault::Disk => {
                self.counters.disk_errors[class_row(found.class)].add(1);
                self.avoided.add(found, now.plus_millis(AVOID_MS), now, fault);
                self.report(Trouble::DiskError { volume: found.volume });
            }
            Fault::Corrupt => {
                self.counters.chunks_bad.add(1);
                self.shared.library.condemn(found.volume, found.object);
                self.report(Trouble::BadObject { volume: found.volume, object: found.object });
                self.forget_file(found.volume, &found.object);
            }
        }
    }

    /// A copy was removed or is bad: its file is not read any more.
    pub(in super::super) fn forget_file(&mut self, volume: u16, object: &ObjectId) {
        self.avoided.forget(volume, object);
        if let Some(file) = self.files.forget(volume, object) {
            self.close_file(file);
        }
    }

    /// Whoever waits for chunks of a run asks for another copy, or hears that there is none.
    pub(super) fn fail_run(&mut self, run: &Run) {
        for (_, spot) in run.chunks() {
            self.fail_chunk(&run.found, spot);
        }
    }

    pub(super) fn fail_chunk(&mut self, found: &Found, spot: Spot) {
        let verdict = self.route(found).err();
        let ready = &mut self.ready;
        self.hot.fail(spot, &mut |seat| ready.push_back((seat, verdict)));
    }

    /// Nobody reads this device until it has proved to be well.
    fn take_out(&mut self, lane: usize, failed: Option<Found>) {
        let now = self.now();
        if self.shared.library.devices().take_out(lane) {
            self.probes.begin(lane, failed, now);
            self.report(Trouble::DeviceOut { device: lane });
        }
        let ready = &mut self.ready;
        self.lanes.wake_all(lane, &mut |seat| ready.push_back((seat, None)));
    }

    /// Looks for what is overdue, probes what is out, and wakes those whose turn has come.
    pub(in super::super) fn step_storage(&mut self) {
        let now = self.now();
        while let Some(overdue) = self.lanes.overdue(now) {
            match overdue {
                Overdue::Silent(lane) => {
                    let expected = self.lanes.expected(lane);
                    let failed = expected.first().and_then(|token| self.found_of(*token));
                    self.take_out(lane, failed);
                    expected.into_iter().for_each(|token| self.give_up(token));
                }
                Overdue::Late(token) => {
                    if let Some(found) = self.found_of(token) {
                        self.counters.reads_late.add(1);
                        self.blame(Fault::Disk, &found);
                    }
                    self.give_up(token);
                }
            }
        }
        self.step_probes();
        let ready = &mut self.ready;
        self.lanes.wake(&mut |seat| ready.push_back((seat, None)));
    }

    /// The copy that an operation is for.
    fn found_of(&mut self, token: Token) -> Option<Found> {
        match self.lanes.get_mut(token)?.work {
            Work::Open { at, generation } | Work::Seal { at, generation } => {
                self.files.found(at, generation)
            }
            Work::Chunks(run) => Some(run.found),
            Work::ProbeOpen | Work::ProbeRead(_) => None,
        }
    }

    /// Nobody waits for this operation any more. What it holds comes back when it is answered.
    fn give_up(&mut self, token: Token) {
        let Some(operation) = self.lanes.get_mut(token) else { return };
        if std::mem::replace(&mut operation.given_up, true) {
            return;
        }
        let (work, lane) = (operation.work, operation.lane);
        let ready = &mut self.ready;
        match work {
            Work::Open { at, generation } | Work::Seal { at, generation } => {
                if self.files.found(at, generation).is_none() {
                    return;
                }
                let file = self.files.fail(at, &mut |seat| ready.push_back((seat, None)));
                if let Some(file) = file {
                    self.close_file(file);
                }
            }
            Work::Chunks(run) => {
                for (_, spot) in run.chunks() {
                    self.hot.fail(spot, &mut |seat| ready.push_back((seat, None)));
                }
            }
            Work::ProbeOpen | Work::ProbeRead(_) => self.probe_failed(lane),
        }
    }
}
