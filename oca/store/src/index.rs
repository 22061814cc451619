//! What an appliance holds, in memory: object to volume, size, title and type. The read side.
//! Needs no lock and opens no object; `Tail` tells it what changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use control_types::fleet::{DiskClass, HeldObject};
use control_types::{ObjectId, TitleId};

use crate::error::StoreError;
use crate::journal::{Kind, Record};
use crate::media_type::MediaType;
use crate::scan::{Contents, contents};
use crate::seal::Seal;
use crate::tail::{Change, Tail};
use crate::volume::{Volume, object_path};

/// Objects by name. About 90 bytes an object: see `oca/store/README.md`.
#[derive(Clone, Debug)]
pub struct Index {
    volumes: Arc<[Volume]>,
    titles: Titles,
    /// The copy to serve: on flash if there is one.
    best: AHashMap<ObjectId, Slot>,
    /// Further copies of the same object on other volumes; nearly always empty.
    others: AHashMap<(ObjectId, u16), Slot>,
    digest: [u8; 32],
    held_bytes: u64,
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
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    bytes: u64,
    title: u32,
    volume: u16,
    media_type: MediaType,
}

/// Titles are few and objects many: each text is kept once.
#[derive(Clone, Debug, Default)]
struct Titles {
    texts: Vec<TitleId>,
    numbers: AHashMap<TitleId, u32>,
}

impl Titles {
    fn number(&mut self, title: &TitleId) -> u32 {
        if let Some(number) = self.numbers.get(title) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("fewer titles than 2^32 objects");
        self.texts.push(title.clone());
        self.numbers.insert(title.clone(), number);
        number
    }
}

impl Index {
    /// Reads the journals of `volumes` (at most 65,535), or the seals where a journal is no use.
    /// Never fails as a whole: a sick volume is a problem in the answer, not the end of the others.
    #[must_use]
    pub fn load(volumes: &[Volume]) -> Loaded {
        let mut index = Self {
            volumes: volumes.into(),
            titles: Titles::default(),
            best: AHashMap::new(),
            others: AHashMap::new(),
            digest: [0; 32],
            held_bytes: 0,
        };
        let mut tail = Tail::new(volumes);
        let mut problems = Vec::new();
        for (number, volume) in volumes.iter().enumerate() {
            match contents(volume) {
                Ok(Contents::Journal(replay)) => {
                    tail.seek(number, replay.epoch, replay.whole_bytes);
                    index.replay(number, &replay.records);
                }
                Ok(Contents::Scan { scan, fault }) => {
                    problems.extend(fault);
                    problems.extend(scan.bad);
                    index.replay(number, &scan.records);
                }
                Err(error) => problems.push(error),
            }
        }
        Loaded { index, tail, problems }
    }

    /// The copy of `object` to serve, if it is held.
    #[must_use]
    pub fn find(&self, object: &ObjectId) -> Option<Entry<'_>> {
        self.best.get(object).map(|slot| self.entry(object, slot))
    }

    /// Every copy of every object held, in no order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let others = self.others.iter().map(|((object, _), slot)| self.entry(object, slot));
        self.best.iter().map(|(object, slot)| self.entry(object, slot)).chain(others)
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
                self.replay(*volume, records);
            }
        }
    }

    /// Stops serving one copy, for a reader that met a bad chunk. Another copy takes its place.
    pub fn forget(&mut self, volume: usize, object: &ObjectId) {
        let Ok(number) = u16::try_from(volume) else { return };
        if self.others.remove(&(*object, number)).is_some() {
            return;
        }
        if self.best.get(object).is_none_or(|slot| slot.volume != number) {
            return;
        }
        let gone = self.best.remove(object).expect("looked up on the line above");
        self.count_out(object, &gone);
        let next = self.others.keys().filter(|(id, _)| id == object).map(|(_, v)| *v);
        if let Some(heir) = next.min_by_key(|v| self.rank(*v)) {
            let slot = self.others.remove(&(*object, heir)).expect("its key was just listed");
            self.count_in(object, &slot);
            self.best.insert(*object, slot);
        }
    }

    /// Objects held; copies of one object count once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.best.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.best.is_empty()
    }

    /// Payload bytes of the objects held; copies count once.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Bytes that objects take on `volume`, seals included.
    #[must_use]
    pub fn used_bytes(&self, volume: usize) -> u64 {
        let here = self.entries().filter(|entry| entry.volume == volume);
        here.map(|entry| entry.payload_offset() + entry.bytes).sum()
    }

    /// Digest of the set of objects held, with their classes; the same set always has the same one.
    #[must_use]
    pub fn content_digest(&self) -> String {
        ObjectId(self.digest).to_string()
    }

    /// The whole set, by object id, for the report to control.
    #[must_use]
    pub fn held(&self) -> Vec<HeldObject> {
        let held = |(object, slot): (&ObjectId, &Slot)| HeldObject {
            object: *object,
            bytes: slot.bytes,
            class: self.volumes[usize::from(slot.volume)].class(),
        };
        let mut all: Vec<HeldObject> = self.best.iter().map(held).collect();
        all.sort_unstable_by_key(|h| h.object);
        all
    }

    /// The volumes given to `load`.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    fn replay(&mut self, volume: usize, records: &[Record]) {
        self.best.reserve(records.len());
        for record in records {
            match record.kind {
                Kind::Published => self.insert(volume, record),
                Kind::Removed | Kind::Quarantined => self.forget(volume, &record.object),
            }
        }
    }

    fn insert(&mut self, volume: usize, record: &Record) {
        let Ok(number) = u16::try_from(volume) else { return };
        // Published again (under another title, say): the newest record is the true one.
        self.forget(volume, &record.object);
        let title = self.titles.number(&record.title);
        let slot =
            Slot { bytes: record.bytes, title, volume: number, media_type: record.media_type };
        let object = record.object;
        match self.best.get(&object).copied() {
            Some(current) if self.rank(current.volume) <= self.rank(number) => {
                self.others.insert((object, number), slot);
            }
            Some(current) => {
                self.count_out(&object, &current);
                self.others.insert((object, current.volume), current);
                self.count_in(&object, &slot);
                self.best.insert(object, slot);
            }
            None => {
                self.count_in(&object, &slot);
                self.best.insert(object, slot);
            }
        }
    }

    fn forget_volume(&mut self, volume: usize) {
        let here = self.entries().filter(|entry| entry.volume == volume).map(|entry| entry.object);
        for object in here.collect::<Vec<_>>() {
            self.forget(volume, &object);
        }
    }

    /// Flash first, then the order of the configuration.
    fn rank(&self, volume: u16) -> (DiskClass, u16) {
        (self.volumes[usize::from(volume)].class(), volume)
    }

    fn entry<'a>(&'a self, object: &ObjectId, slot: &Slot) -> Entry<'a> {
        let volume = &self.volumes[usize::from(slot.volume)];
        Entry {
            object: *object,
            bytes: slot.bytes,
            title: &self.titles.texts[slot.title as usize],
            media_type: slot.media_type,
            class: volume.class(),
            volume: usize::from(slot.volume),
            volume_path: volume.path(),
        }
    }

    fn count_in(&mut self, object: &ObjectId, slot: &Slot) {
        self.held_bytes += slot.bytes;
        self.fold(object, slot.volume);
    }

    fn count_out(&mut self, object: &ObjectId, slot: &Slot) {
        self.held_bytes -= slot.bytes;
        self.fold(object, slot.volume);
    }

    /// The set's digest is the XOR of its members' hashes: adding and taking away are the same deed
    /// and order does not matter. It tells sets apart that differ by accident, not by an attacker,
    /// and nobody but the volume's own writer chooses the members.
    fn fold(&mut self, object: &ObjectId, volume: u16) {
        let class: u8 = match self.volumes[usize::from(volume)].class() {
            DiskClass::Ssd => 0,
            DiskClass::Hdd => 1,
        };
        let mut member = [0u8; 33];
        member[..32].copy_from_slice(&object.0);
        member[32] = class;
        for (digest, byte) in self.digest.iter_mut().zip(blake3::hash(&member).as_bytes()) {
            *digest ^= byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::journal::Journal;

    /// Goal: a volume of a large appliance loads from its journal alone, with what README.md says
    /// an object costs in memory. The time is printed, not judged.
    #[test]
    fn a_hundred_thousand_objects_load_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Hdd).unwrap();
        let records: Vec<Record> = (0..100_000u32)
            .map(|n| Record {
                kind: if n % 10 == 9 { Kind::Removed } else { Kind::Published },
                object: ObjectId(*blake3::hash(&(n - n % 10 / 9).to_le_bytes()).as_bytes()),
                bytes: u64::from(n),
                title: format!("title-{}", n % 997).parse().unwrap(),
                media_type: MediaType::VideoMp4,
            })
            .collect();
        Journal::create(&volume.journal_path(), &records).unwrap();
        let began = Instant::now();
        let loaded = Index::load(&[volume]);
        println!("100,000 records in {:?}", began.elapsed());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        assert_eq!(loaded.index.len(), 80_000);
        assert_eq!(loaded.index.titles.texts.len(), 997);
        assert_eq!(size_of::<(ObjectId, Slot)>(), 48);
    }
}
