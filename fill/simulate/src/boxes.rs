//! The boxes of one site: what each holds, on which disk, what its memory keeps, and what a read
//! costs. Carries out what it is told; decides nothing but which holder answers.

use control_types::fleet::DiskClass;
use fill_plan::{Holdings, Room};

use crate::cache::{Memory, piece_key};
use crate::demand::{Read, SLOT_SECONDS};
use crate::setting::{MemoryKeeps, SiteSetting};

/// Bytes of one read of a rotating disk.
pub(crate) const HDD_READ_BYTES: u64 = 1 << 20;

/// One box.
pub(crate) struct Cabinet {
    pub(crate) held: Holdings,
    pub(crate) used: Room,
    pub(crate) capacity: Room,
    /// Down: neither serves nor fills.
    pub(crate) away: bool,
    ram: Memory,
    hdds: u32,
    /// Bytes its rotating disks read in the slot that is under way.
    hdd_bytes: u64,
}

/// The boxes of one site.
pub(crate) struct Site {
    pub(crate) cabinets: Vec<Cabinet>,
    memory: MemoryKeeps,
    /// By object: boxes that hold it, a bit each.
    holders: Vec<u32>,
    /// Bits of the boxes that are up.
    up: u32,
}

/// Where bytes came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) ram: u64,
    pub(crate) ssd: u64,
    pub(crate) hdd: u64,
}

impl Site {
    pub(crate) fn new(setting: &SiteSetting, memory: MemoryKeeps, objects: usize) -> Self {
        let cabinets: Vec<Cabinet> = setting
            .boxes
            .iter()
            .map(|one| Cabinet {
                held: Holdings::none(objects),
                used: Room::default(),
                capacity: Room { ssd: one.ssd_bytes, hdd: one.hdd_bytes },
                away: false,
                ram: Memory::new(one.ram_bytes),
                hdds: one.hdds,
                hdd_bytes: 0,
            })
            .collect();
        let up = u32::MAX >> (32 - cabinets.len());
        Self { cabinets, memory, holders: vec![0; objects], up }
    }

    /// Whether a box that is up holds `object`.
    pub(crate) fn holds(&self, object: u32) -> bool {
        self.holders[object as usize] & self.up != 0
    }

    /// Whether a box that is down holds `object`.
    pub(crate) fn holds_away(&self, object: u32) -> bool {
        self.holders[object as usize] & !self.up != 0
    }

    pub(crate) fn set_away(&mut self, cabinet: usize, away: bool) {
        self.cabinets[cabinet].away = away;
        let bit = 1 << cabinet;
        self.up = if away { self.up & !bit } else { self.up | bit };
    }

    /// Serves a read if a box can: from memory what is there, the rest from disk.
    pub(crate) fn read(&mut self, read: &Read) -> Option<Served> {
        let mut holders = self.holders[read.object as usize] & self.up;
        if holders == 0 {
            return None;
        }
        // Plays are spread over the holders; one play stays on one box.
        for _ in 0..read.play % holders.count_ones() {
            holders &= holders - 1;
        }
        let cabinet = &mut self.cabinets[holders.trailing_zeros() as usize];
        let class = cabinet.held.class(read.object);
        if class == Some(DiskClass::Ssd) && self.memory == MemoryKeeps::Rotating {
            return Some(Served { ram: 0, ssd: read.bytes, hdd: 0 });
        }
        let ram = cabinet.ram.read(piece_key(read.object, read.piece), read.bytes);
        let disk = read.bytes - ram;
        Some(match class {
            Some(DiskClass::Ssd) => Served { ram, ssd: disk, hdd: 0 },
            _ => {
                cabinet.hdd_bytes += disk;
                Served { ram, ssd: 0, hdd: disk }
            }
        })
    }

    /// Ends a slot: reads per second of the busiest box's rotating disks, each.
    pub(crate) fn end_slot(&mut self) -> f64 {
        let mut most = 0.0_f64;
        for cabinet in &mut self.cabinets {
            let reads = cabinet.hdd_bytes as f64 / HDD_READ_BYTES as f64;
            most = most.max(reads / f64::from(SLOT_SECONDS) / f64::from(cabinet.hdds.max(1)));
            cabinet.hdd_bytes = 0;
        }
        most
    }

    /// Puts an object on a box, if its disk has room.
    pub(crate) fn put(&mut self, at: usize, object: u32, bytes: u64, class: DiskClass) -> bool {
        let cabinet = &mut self.cabinets[at];
        let used = cabinet.used.of(class);
        if *used + bytes > *cabinet.capacity.of(class) {
            return false;
        }
        *used += bytes;
        cabinet.held.put(object, class);
        self.holders[object as usize] |= 1 << at;
        true
    }

    /// Takes an object off a box.
    pub(crate) fn remove(&mut self, at: usize, object: u32, bytes: u64) {
        let cabinet = &mut self.cabinets[at];
        if let Some(class) = cabinet.held.class(object) {
            *cabinet.used.of(class) -= bytes;
            cabinet.held.remove(object);
            self.holders[object as usize] &= !(1 << at);
        }
    }
}
