//! From a chunk's name to its verified bytes: find it in memory, or open, read and check it.
//! Never serves a byte that the seal has not vouched for, and never reads one chunk twice at once.
//!
//! ```text
//! chunk ---> in memory ------------------------------------------> Ready
//!    |-----> under read: join --------------------------------\
//!    '-----> a copy that can be read? --no--> Never            |
//!               '--yes--> file open? --no--> open, read seal --> told, asks again
//!                            '--yes--> turn on its device? buffer? --no--> waits for it
//!                                         '--yes--> read -> verify --/
//! ```
//!
//! Which copy is read is settled at each asking: a seat that is told nothing asks again and may be
//! sent to another disk, in the middle of a body too. Only when no copy is left is it told a fault.

mod lanes;
mod open;
mod probe;
mod read;
mod trouble;
mod work;

use control_types::fleet::DiskClass;
use oca_sys::{Event, Kernel, Nanos, Token};

use super::Seat;
use super::station::{Fault, OverBudget, Station};
use crate::devices::Devices;
use crate::files::FileLookup;
use crate::hot_set::{Chunk, ChunkKey, Lookup};
use crate::library::Found;
use crate::limits::{
    DEVICE_READS_SHARE, HDD_SPACING_US, RUN_CHUNKS_MAX, SSD_SPACING_US, STARVED_MAX,
};

pub use lanes::{Bounds, Lanes};
pub use probe::Probes;
pub use trouble::Avoided;
use work::Work;

/// Answer to a wish for a chunk.
#[derive(Debug)]
pub enum Wish {
    /// Here it is.
    Ready(Chunk),
    /// The seat will be told when it is worth asking again.
    Later,
    /// It will not come.
    Never(Fault),
    /// No buffer, and too many wait for one already.
    OverBudget,
}

impl From<Result<(), OverBudget>> for Wish {
    fn from(waits: Result<(), OverBudget>) -> Self {
        waits.map_or(Self::OverBudget, |()| Self::Later)
    }
}

/// Bounds of each device's lane: an equal part of what all reads together may hold.
pub(super) fn bounds(devices: &Devices, chunk_buffers: usize) -> Vec<Bounds> {
    let share = chunk_buffers / DEVICE_READS_SHARE / devices.list().len().max(1);
    let bounds = |device: &crate::devices::Device| {
        let (chunks_each, spacing_us) = match device.class {
            DiskClass::Ssd => (1, SSD_SPACING_US),
            DiskClass::Hdd => (RUN_CHUNKS_MAX, HDD_SPACING_US),
        };
        Bounds {
            silent_ms: device.silent_ms,
            spacing_us,
            operations_max: device.operations_max,
            buffers_max: share.clamp(1, device.operations_max * chunks_each),
        }
    };
    devices.list().iter().map(bounds).collect()
}

/// Who wants a chunk, and by when it has to be there.
#[derive(Clone, Copy)]
struct Asker {
    seat: Seat,
    /// Absent in the middle of a body: what has begun goes on.
    needed_by: Option<Nanos>,
}

impl<K: Kernel> Station<K> {
    /// Chunk `index` of `wanted`, for `seat`, in the middle of a body.
    pub fn chunk(&mut self, wanted: &Found, index: u32, seat: Seat) -> Wish {
        self.chunk_for(wanted, index, Asker { seat, needed_by: None })
    }

    /// The chunk that an answer begins in, whose request came at `began`: whoever is not likely to
    /// have it in time is told so at once.
    pub fn first_chunk(&mut self, wanted: &Found, index: u32, seat: Seat, began: Nanos) -> Wish {
        let needed_by = began.plus_millis(self.shared.rules.bounds.first_byte_ms);
        self.chunk_for(wanted, index, Asker { seat, needed_by: Some(needed_by) })
    }

    fn chunk_for(&mut self, wanted: &Found, index: u32, asker: Asker) -> Wish {
        let seat = asker.seat;
        let key = ChunkKey { object: wanted.object, view: wanted.view, index };
        match self.hot.get(&key) {
            Lookup::Ready(chunk) => return Wish::Ready(chunk),
            Lookup::Reading(at) => {
                self.hot.join(at, seat);
                return Wish::Later;
            }
            Lookup::Absent => {}
        }
        let found = match self.route(wanted) {
            Ok(found) => found,
            Err(fault) => return Wish::Never(fault),
        };
        let file = match self.files.get(&found) {
            FileLookup::Ready(file) => file,
            FileLookup::Opening(file) => {
                self.files.join(file, seat);
                return Wish::Later;
            }
            FileLookup::Absent => return self.open(&found, asker),
        };
        let lane = self.lane_of(&found);
        if !self.lanes.has_turn(lane) {
            return self.wait_turn(lane, asker);
        }
        match self.read_chunks(&found, index, file) {
            Some(at) => {
                self.hot.join(at, seat);
                Wish::Later
            }
            None => self.wait_buffer(asker),
        }
    }

    /// A reader begins with a chunk that it did not wait for: that keeps a chunk in memory.
    pub fn count_use(&mut self, chunk: &Chunk) {
        if self.hot.count_use(chunk.spot) {
            self.counters.hot_hits.add(1);
        }
    }

    /// Reads from chunk `index` on ahead if that takes nothing from anybody. A rotating disk is
    /// asked while a chunk is still there to be sent, so that its next megabyte is not late.
    pub fn read_ahead(&mut self, wanted: &Found, index: u32) {
        let ahead = match wanted.class {
            DiskClass::Ssd => 1,
            DiskClass::Hdd => RUN_CHUNKS_MAX as u32 / 2,
        };
        let (object, view) = (wanted.object, wanted.view);
        let until = index.saturating_add(ahead).min(wanted.chunks());
        let absent = |index: &u32| !self.hot.knows(&ChunkKey { object, view, index: *index });
        let Some(index) = (index..until).find(absent) else { return };
        if !self.starved.is_empty() {
            return;
        }
        let Ok(found) = self.route(wanted) else { return };
        if self.lanes.is_calm(self.lane_of(&found))
            && let FileLookup::Ready(file) = self.files.get(&found)
        {
            self.read_chunks(&found, index, file);
        }
    }

    /// The copy to read: the one that was found, or another if that one cannot be read now.
    ///
    /// # Errors
    /// No copy can be; why the first one cannot.
    fn route(&self, wanted: &Found) -> Result<Found, Fault> {
        let Some(fault) = self.obstacle(wanted) else { return Ok(*wanted) };
        let copies = self.shared.library.copies(wanted);
        let mut readable = copies.filter(|copy| self.obstacle(copy).is_none());
        readable.next().ok_or(fault)
    }

    /// Why this copy cannot be read now, if it cannot.
    fn obstacle(&self, found: &Found) -> Option<Fault> {
        if self.shared.library.is_condemned(found) {
            return Some(Fault::Corrupt);
        }
        if !self.shared.library.devices().may_read(found.volume) {
            return Some(Fault::Disk);
        }
        self.avoided.why(found, self.now())
    }

    fn lane_of(&self, found: &Found) -> usize {
        self.shared.library.devices().of(found.volume)
    }

    fn wait_turn(&mut self, lane: usize, asker: Asker) -> Wish {
        self.counters.device_waits.add(1);
        let wait_ns_max = asker.needed_by.map(|by| by.since(self.now()));
        self.lanes.wait(lane, asker.seat, wait_ns_max).into()
    }

    /// Those in the middle of a body find room in the queue where no new answer does.
    fn wait_buffer(&mut self, asker: Asker) -> Wish {
        if asker.needed_by.is_some() && self.waiting_for_buffers() >= STARVED_MAX {
            return Wish::OverBudget;
        }
        self.starve(asker.seat).into()
    }

    /// A device answered.
    pub(super) fn answered(&mut self, token: Token, event: Event) {
        let now = self.now();
        let Some(operation) = self.lanes.end(token, now) else {
            if let Event::Opened(Ok(file)) = event {
                self.close_file(file);
            }
            return;
        };
        match (operation.work, event) {
            (Work::Open { at, generation }, Event::Opened(result)) => {
                self.opened(at, generation, result);
            }
            (Work::Seal { at, generation }, Event::Read(result, buffer)) => {
                self.seal_read(at, generation, result, buffer);
            }
            (Work::Chunks(run), Event::Read(result, buffer)) => {
                self.count_read(&operation, result.as_ref().ok());
                self.chunks_read(run, result, vec![buffer]);
            }
            (Work::Chunks(run), Event::ReadMany(result, buffers)) => {
                self.count_read(&operation, result.as_ref().ok());
                self.chunks_read(run, result, buffers);
            }
            (Work::ProbeOpen, Event::Opened(result)) => self.probe_opened(&operation, result),
            (Work::ProbeRead(file), Event::Read(result, _)) => {
                self.close_file(file);
                self.probe_read(&operation, result);
            }
            _ => {}
        }
    }

    /// When to look at the devices at the latest.
    pub(super) fn storage_due(&self) -> Option<Nanos> {
        if self.lanes.is_idle_with_waiters() {
            return Some(self.now());
        }
        let due = [self.lanes.look_at(), self.probes.due()];
        due.into_iter().flatten().min()
    }
}
