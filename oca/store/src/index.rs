//! What an appliance holds, in memory: object to volume, size, title and type. The read side.
//! Needs no lock and opens no object; `Tail` tells it what changed.
//!
//! It is 4096 sorted shards behind reference counts. A clone costs some tens of microseconds and
//! shares them all; a change to a clone copies the one shard it touches (12 KB at a million
//! objects). So a reader keeps serving its snapshot while the next one is made beside it.
//!
//! Cost: 48 bytes of memory an object and copy, 128 bytes of journal. 100 million objects are
//! 4.8 GB of memory and a journal of 12.8 GB.

mod load;
mod shard;
mod titles;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_types::fleet::{DiskClass, HeldObject};
use control_types::{ObjectId, TitleId};

use crate::error::StoreError;
use crate::journal::{Kind, Record};
use crate::media_type::MediaType;
use crate::seal::Seal;
use crate::tail::{Change, Tail};
use crate::volume::{Volume, object_path};

pub(crate) use load::{Known, load_known};
use shard::{Shard, Slot, shard_of};
use titles::Titles;

/// Objects by name. A clone is cheap and shares everything.
#[derive(Clone, Debug)]
pub struct Index {
    volumes: Arc<[Volume]>,
    /// Volume by rank, and rank by volume: the lower the rank, the sooner it serves.
    by_rank: Arc<[u16]>,
    ranks: Arc<[u16]>,
    titles: Arc<Titles>,
    shards: Box<[Arc<Shard>]>,
    /// By volume, seals included.
    used_bytes: Box<[u64]>,
    objects: usize,
    held_bytes: u64,
    digest: [u8; 32],
}

/// All that loading gives: what is there, how to follow it, and which volumes are sick.
#[derive(Debug)]
pub struct Loaded {
    /// What is held now.
    pub index: Index,
    /// Goes on from exactly there.
    pub tail: Tail,
    /// Volumes that could not be read (they count as empty) and files that are not objects.
    pub problems: Vec<StoreError>,
}

/// One object as the index knows it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Which.
    pub object: ObjectId,
    /// Payload, bytes.
    pub bytes: u64,
    /// Its title; a play ticket must name it.
    pub title: &'a TitleId,
    /// For `Content-Type`.
    pub media_type: MediaType,
    /// The disk that serves it.
    pub class: DiskClass,
    /// Position of the volume in what `Index::load` was given.
    pub volume: usize,
    volume_path: &'a Path,
}

impl Entry<'_> {
    /// The object's file. Allocates.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        object_path(self.volume_path, &self.object)
    }

    /// Where the payload starts in the file; the seal region is everything before it.
    #[must_use]
    pub fn payload_offset(&self) -> u64 {
        Seal::region_bytes_for(self.bytes)
    }

    /// Bytes its file takes, seal included.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.payload_offset() + self.bytes
    }

    /// The journal's line that would publish it. Allocates.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            kind: Kind::Published,
            object: self.object,
            bytes: self.bytes,
            title: self.title.clone(),
            media_type: self.media_type,
        }
    }
}

impl Index {
    /// Reads the journals of `volumes` (at most 65,535), or the seals where a journal is no use.
    /// Never fails as a whole: a sick volume is a problem in the answer, not the end of the others.
    #[must_use]
    pub fn load(volumes: &[Volume]) -> Loaded {
        load_known(volumes).0
    }

    /// The copy of `object` to serve, if it is held.
    #[must_use]
    pub fn find(&self, object: &ObjectId) -> Option<Entry<'_>> {
        self.shards[shard_of(object)].best(object).map(|slot| self.entry(slot))
    }

    /// Whether `volume` has a copy of `object`.
    #[must_use]
    pub fn has_copy(&self, volume: usize, object: &ObjectId) -> bool {
        self.rank_of(volume).is_some_and(|rank| self.shards[shard_of(object)].has(object, rank))
    }

    /// Every copy of every object held, by object id, the copy to serve first.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.shards.iter().flat_map(|shard| shard.slots()).map(|slot| self.entry(slot))
    }

    /// The copies of the objects after `object` (from the first if absent), likewise.
    pub fn entries_after(&self, object: Option<ObjectId>) -> impl Iterator<Item = Entry<'_>> {
        let first = object.as_ref().map_or(0, shard_of);
        let slots = self.shards[first..].iter().flat_map(|shard| shard.slots());
        let rest = slots.skip_while(move |slot| object.is_some_and(|object| slot.object <= object));
        rest.map(|slot| self.entry(slot))
    }

    /// Takes in one change from `Tail`.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Published { volume, record } => self.insert(*volume, record),
            Change::Removed { volume, object } | Change::Quarantined { volume, object } => {
                self.forget(*volume, object);
            }
            Change::Rebuilt { volume, records } => {
                self.forget_volume(*volume);
                for record in records {
                    match record.kind {
                        Kind::Published => self.insert(*volume, record),
                        Kind::Removed | Kind::Quarantined => self.forget(*volume, &record.object),
                    }
                }
            }
        }
    }

    /// Stops serving one copy, for a reader that met a bad chunk. Another copy takes its place.
    pub fn forget(&mut self, volume: usize, object: &ObjectId) {
        let Some(rank) = self.rank_of(volume) else { return };
        let at = shard_of(object);
        if !self.shards[at].has(object, rank) {
            return;
        }
        self.change(at, object, |shard| shard.take(object, rank));
    }

    /// Lists a copy, in the place of an earlier line of the same one.
    pub(crate) fn insert(&mut self, volume: usize, record: &Record) {
        let Some(rank) = self.rank_of(volume) else { return };
        let title = self.titles.find(&record.title);
        let title = title.unwrap_or_else(|| Arc::make_mut(&mut self.titles).number(&record.title));
        let (object, bytes, media_type) = (record.object, record.bytes, record.media_type);
        let slot = Slot { object, bytes, title, rank, media_type };
        self.used_bytes[volume] += file_bytes(&slot);
        self.change(shard_of(&object), &object, |shard| shard.put(slot));
    }

    /// Changes one shard and keeps the sums: the best copy before goes out, the one after comes in,
    /// and what `deed` took away no longer takes room.
    fn change(
        &mut self,
        at: usize,
        object: &ObjectId,
        deed: impl FnOnce(&mut Shard) -> Option<Slot>,
    ) {
        let before = self.shards[at].best(object).copied();
        let gone = deed(Arc::make_mut(&mut self.shards[at]));
        let after = self.shards[at].best(object).copied();
        if let Some(gone) = gone {
            let volume = usize::from(self.by_rank[usize::from(gone.rank)]);
            self.used_bytes[volume] -= file_bytes(&gone);
        }
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.objects -= 1;
            self.held_bytes -= before.bytes;
            self.fold(&before);
        }
        if let Some(after) = after {
            self.objects += 1;
            self.held_bytes += after.bytes;
            self.fold(&after);
        }
    }

    /// Objects held; copies of one object count once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Payload bytes of the objects held; copies count once.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Bytes that objects take on `volume`, seals included.
    #[must_use]
    pub fn used_bytes(&self, volume: usize) -> u64 {
        self.used_bytes.get(volume).copied().unwrap_or(0)
    }

    /// Digest of the set of objects held, with their classes; the same set always has the same one.
    #[must_use]
    pub fn content_digest(&self) -> String {
        ObjectId(self.digest).to_string()
    }

    /// The whole set, by object id, for the report to control.
    #[must_use]
    pub fn held(&self) -> Vec<HeldObject> {
        let mut held: Vec<HeldObject> = Vec::with_capacity(self.objects);
        for Entry { object, bytes, class, .. } in self.entries() {
            if held.last().is_none_or(|last| last.object != object) {
                held.push(HeldObject { object, bytes, class });
            }
        }
        held
    }

    /// The volumes given to `load`.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// Forgets everything on one volume.
    pub fn forget_volume(&mut self, volume: usize) {
        let Some(rank) = self.rank_of(volume) else { return };
        for shard in &mut self.shards {
            if shard.slots().iter().any(|slot| slot.rank == rank) {
                Arc::make_mut(shard).take_rank(rank);
            }
        }
        self.count_all();
    }

    /// Makes the sums anew.
    fn count_all(&mut self) {
        (self.objects, self.held_bytes, self.digest) = (0, 0, [0; 32]);
        self.used_bytes.fill(0);
        // Shards are borrowed while the sums change: reference counts are cheap, slots are not.
        for shard in self.shards.clone() {
            let mut last = None;
            for slot in shard.slots() {
                let volume = usize::from(self.by_rank[usize::from(slot.rank)]);
                self.used_bytes[volume] += file_bytes(slot);
                if last.replace(slot.object) != Some(slot.object) {
                    self.objects += 1;
                    self.held_bytes += slot.bytes;
                    self.fold(slot);
                }
            }
        }
    }

    fn titles(&mut self) -> &mut Titles {
        Arc::make_mut(&mut self.titles)
    }

    fn rank_of(&self, volume: usize) -> Option<u16> {
        self.ranks.get(volume).copied()
    }

    fn entry(&self, slot: &Slot) -> Entry<'_> {
        let number = usize::from(self.by_rank[usize::from(slot.rank)]);
        let volume = &self.volumes[number];
        Entry {
            object: slot.object,
            bytes: slot.bytes,
            title: self.titles.text(slot.title),
            media_type: slot.media_type,
            class: volume.class(),
            volume: number,
            volume_path: volume.path(),
        }
    }

    /// The set's digest is the XOR of its members' hashes: adding and taking away are the same deed
    /// and order does not matter. It tells sets apart that differ by accident, not by an attacker,
    /// and nobody but the volume's own writer chooses the members.
    fn fold(&mut self, slot: &Slot) {
        let number = usize::from(self.by_rank[usize::from(slot.rank)]);
        let class: u8 = match self.volumes[number].class() {
            DiskClass::Ssd => 0,
            DiskClass::Hdd => 1,
        };
        let mut member = [0u8; 33];
        member[..32].copy_from_slice(&slot.object.0);
        member[32] = class;
        for (digest, byte) in self.digest.iter_mut().zip(blake3::hash(&member).as_bytes()) {
            *digest ^= byte;
        }
    }
}

fn file_bytes(slot: &Slot) -> u64 {
    Seal::region_bytes_for(slot.bytes) + slot.bytes
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
