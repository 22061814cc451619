//! What an operation on a device is for: a closed set. Knows no outcome.

use control_types::fleet::DiskClass;
use oca_sys::{Access, FileId};

use crate::hot_set::{ChunkKey, Spot};
use crate::library::Found;
use crate::limits::RUN_CHUNKS_MAX;

/// What an operation is for.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Opening the file of a place in `Files`.
    Open {
        /// Place in `Files`.
        at: u32,
        /// Of a later generation it is another file's.
        generation: u32,
    },
    /// Reading a piece of that file's seal.
    Seal {
        /// Place in `Files`.
        at: u32,
        /// See `Open`.
        generation: u32,
    },
    /// Reading chunks.
    Chunks(Run),
    /// Opening a file to see whether its device is well.
    ProbeOpen,
    /// Reading it.
    ProbeRead(FileId),
}

impl Work {
    /// Whether it may hold a thread of the kernel.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::ProbeOpen)
    }
}

/// Chunks of one object under one read: one on flash, up to a megabyte on a rotating disk.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What is read.
    pub found: Found,
    /// Place in `Files`, pinned until the answer.
    pub file: u32,
    /// Index of the first chunk.
    pub first: u32,
    /// Which way they are read.
    pub access: Access,
    /// Their places in the hot set, in order.
    spots: [Option<Spot>; RUN_CHUNKS_MAX],
    count: usize,
}

impl Run {
    /// A run that has no chunk yet.
    #[must_use]
    pub fn new(found: Found, file: u32, first: u32, access: Access) -> Self {
        Self { found, file, first, access, spots: [None; RUN_CHUNKS_MAX], count: 0 }
    }

    /// Adds the next chunk's place; the run must not be full.
    pub fn push(&mut self, spot: Spot) {
        self.spots[self.count] = Some(spot);
        self.count += 1;
    }

    /// Chunks in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Names and places of its chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = (ChunkKey, Spot)> + use<> {
        let (found, first) = (self.found, self.first);
        let named = move |(number, spot): (usize, Spot)| {
            let index = first.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
            (ChunkKey { object: found.object, view: found.view, index }, spot)
        };
        self.spots.into_iter().flatten().enumerate().map(named)
    }

    /// Kind of disk it is read from.
    #[must_use]
    pub fn class(&self) -> DiskClass {
        self.found.class
    }
}
