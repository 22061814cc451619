//! How much an object takes on disk and how much room a box has, by kind of disk.
//! An account book only; it does not know what deserves the room.

use control_types::fill::FillAppliance;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;

/// Blocks files are stored in, bytes.
const BLOCK_BYTES: u64 = 4096;
/// Upper bound of a seal's header, bytes.
const SEAL_HEAD_BYTES: u64 = 512;
/// One chunk hash in a seal, bytes.
const CHUNK_HASH_BYTES: u64 = 32;

/// Bytes of disk an object of `bytes` takes with its seal: never less than the truth, so that a
/// plan that fits here fits there.
#[must_use]
pub fn footprint(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK_BYTES).max(1);
    let seal = SEAL_HEAD_BYTES.saturating_add(chunks.saturating_mul(CHUNK_HASH_BYTES));
    let blocks = |bytes: u64| bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
    blocks(seal).saturating_add(blocks(bytes))
}

/// Bytes by kind of disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Flash.
    pub ssd: u64,
    /// Rotating.
    pub hdd: u64,
}

impl Room {
    /// That of one kind.
    pub fn of(&mut self, class: DiskClass) -> &mut u64 {
        match class {
            DiskClass::Ssd => &mut self.ssd,
            DiskClass::Hdd => &mut self.hdd,
        }
    }

    /// Both kinds together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.ssd.saturating_add(self.hdd)
    }
}

/// Room of one box and the largest object each kind of disk can take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// All healthy volumes together, headroom and bytes of unknown origin taken off.
    pub(crate) room: Room,
    /// The largest single volume: an object cannot be spread over two.
    pub(crate) largest: Room,
}

/// What a box has for objects at all, whatever it holds now.
pub(crate) fn budget(appliance: &FillAppliance, headroom: f64) -> Budget {
    let mut budget = Budget::default();
    let mut used = Room::default();
    for volume in appliance.volumes.iter().filter(|volume| volume.healthy) {
        let usable = (volume.capacity_bytes as f64 * (1.0 - headroom)) as u64;
        *budget.room.of(volume.class) += usable;
        let largest = budget.largest.of(volume.class);
        *largest = usable.max(*largest);
        *used.of(volume.class) += volume.used_bytes;
    }
    // Bytes that no object accounts for belong to somebody else; the plan may not count on them.
    let mut held = Room::default();
    for object in &appliance.holds {
        *held.of(object.class) += footprint(object.bytes);
    }
    for class in [DiskClass::Ssd, DiskClass::Hdd] {
        let foreign = used.of(class).saturating_sub(*held.of(class));
        let room = budget.room.of(class);
        *room = room.saturating_sub(foreign);
    }
    budget
}
