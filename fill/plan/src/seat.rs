//! The boxes of a group, what they hold, what may be placed on them, and where it is to be. Books
//! only: who gets what is decided in `place.rs`.

use control_types::fleet::DiskClass;

use crate::room::Room;

/// One box of the group.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// Its name, as [`crate::name_key`].
    pub key: u64,
    /// All healthy volumes together, headroom and bytes of unknown origin taken off.
    pub room: Room,
    /// The largest single volume of each kind: an object cannot be spread over two.
    pub largest: Room,
    /// What it holds, by object.
    pub held: Holdings,
    /// What is on its disks although it is not counted as held; empty but between two walks.
    pub found: Holdings,
    /// Parcels the previous plan sent here, sorted: half a download is not thrown away.
    pub leaning: Vec<u32>,
    /// Never pushed out: what a tier holds, its edges may be counting on.
    pub lasting: bool,
}

/// Which objects a box holds, and on which kind of disk; one byte an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings(Vec<u8>);

impl Holdings {
    /// Holds none of `objects`.
    #[must_use]
    pub fn none(objects: usize) -> Self {
        Self(vec![0; objects])
    }

    /// Notes that `object` is on a disk of `class`.
    pub fn put(&mut self, object: u32, class: DiskClass) {
        self.0[object as usize] = match class {
            DiskClass::Ssd => 1,
            DiskClass::Hdd => 2,
        };
    }

    /// Notes that `object` is gone.
    pub fn remove(&mut self, object: u32) {
        self.0[object as usize] = 0;
    }

    /// Where `object` is, if it is.
    #[must_use]
    pub fn class(&self, object: u32) -> Option<DiskClass> {
        match self.0.get(object as usize) {
            Some(1) => Some(DiskClass::Ssd),
            Some(2) => Some(DiskClass::Hdd),
            _ => None,
        }
    }

    /// Every object held.
    pub fn iter(&self) -> impl Iterator<Item = (u32, DiskClass)> + '_ {
        (0..u32::try_from(self.0.len()).unwrap_or(u32::MAX))
            .filter_map(|object| Some((object, self.class(object)?)))
    }
}

/// A parcel that may be placed, with what is expected of it in this group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Index into the library.
    pub parcel: u32,
    /// Bytes expected tomorrow; finite and not negative.
    pub demand: f64,
    /// Position among the candidates, before this one, of the core of its title: it goes only where
    /// that goes. Absent for what may stand alone.
    pub core: Option<u32>,
}

/// Where one object is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which.
    pub object: u32,
    /// Kind of disk.
    pub class: DiskClass,
    /// Position of its parcel among the candidates.
    pub candidate: u32,
}

/// What one box holds tomorrow, by worth: bids highest first.
pub type Shelf = Vec<Spot>;
