//! The index against a plain map, its clones, and its time for a million objects.
//! Times are printed, not judged.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::journal::Journal;

fn record(kind: Kind, number: u32) -> Record {
    Record {
        kind,
        object: ObjectId(*blake3::hash(&number.to_le_bytes()).as_bytes()),
        bytes: u64::from(number) * 1000,
        title: format!("title-{}", number / 1200).parse().unwrap(),
        media_type: MediaType::VideoMp4,
    }
}

/// `NIGHTFILL_OBJECTS=1000000 cargo test --release -p oca-store loads -- --nocapture` measures.
#[test]
fn a_large_volume_loads_from_its_journal_alone() {
    let objects: u32 = std::env::var("NIGHTFILL_OBJECTS").map_or(100_000, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let volume = Volume::open(dir.path(), DiskClass::Hdd).unwrap();
    let kind = |n| if n % 10 == 9 { Kind::Removed } else { Kind::Published };
    let records: Vec<Record> = (0..objects).map(|n| record(kind(n), n - n % 10 / 9)).collect();
    let mut last: BTreeMap<ObjectId, Kind> = BTreeMap::new();
    last.extend(records.iter().map(|record| (record.object, record.kind)));
    last.retain(|_, kind| *kind == Kind::Published);
    Journal::create(&volume, records.into_iter()).unwrap();
    let began = Instant::now();
    let mut loaded = Index::load(&[volume]);
    let took = began.elapsed();
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(loaded.index.len(), last.len());
    assert!(last.keys().all(|object| loaded.index.find(object).is_some()));
    assert_eq!(size_of::<Slot>(), 48, "what the head of the file promises an object costs");

    let began = Instant::now();
    let clone = loaded.index.clone();
    let cloned = began.elapsed();
    let began = Instant::now();
    loaded.index.insert(0, &record(Kind::Published, u32::MAX / 2000));
    let changed = began.elapsed();
    assert_eq!(loaded.index.len(), clone.len() + 1, "the clone keeps what it was");
    println!("{objects} lines: loaded in {took:?}, cloned in {cloned:?}, changed in {changed:?}");
}

proptest! {
    /// Goal: sums, digest and best copies are those of a plain map, whatever happens in whatever
    /// order. Method: random changes on three volumes to both.
    #[test]
    fn the_index_is_a_map(steps in prop::collection::vec((0u8..3, 0usize..3, 0u32..12), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let classes = [DiskClass::Hdd, DiskClass::Ssd, DiskClass::Ssd];
        let volumes = classes.map(|class| Volume::open(dir.path(), class).unwrap());
        let mut index = Index::empty(&volumes);
        let mut plain: BTreeMap<(ObjectId, DiskClass, usize), u64> = BTreeMap::new();
        for (deed, volume, number) in steps {
            let record = record(Kind::Published, number);
            let key = (record.object, classes[volume], volume);
            match deed {
                0 => {
                    index.apply(&Change::Published { volume, record: record.clone() });
                    plain.insert(key, record.bytes);
                }
                1 => {
                    index.apply(&Change::Removed { volume, object: record.object });
                    plain.remove(&key);
                }
                _ => {
                    let records = vec![record.clone()];
                    index.apply(&Change::Rebuilt { volume, records });
                    plain.retain(|(_, _, at), _| *at != volume);
                    plain.insert(key, record.bytes);
                }
            }
        }
        let line = |e: Entry<'_>| ((e.object, e.class, e.volume), e.bytes);
        let listed: Vec<_> = index.entries().map(line).collect();
        prop_assert_eq!(&listed, &plain.clone().into_iter().collect::<Vec<_>>());
        let mut best: BTreeMap<ObjectId, (usize, u64)> = BTreeMap::new();
        for ((object, _, volume), bytes) in &plain {
            best.entry(*object).or_insert((*volume, *bytes));
        }
        prop_assert_eq!(index.len(), best.len());
        prop_assert_eq!(index.held_bytes(), best.values().map(|(_, bytes)| bytes).sum::<u64>());
        for (object, (volume, _)) in &best {
            prop_assert_eq!(index.find(object).map(|entry| entry.volume), Some(*volume));
            let after: Vec<_> = index.entries_after(Some(*object)).map(|e| e.object).collect();
            prop_assert!(after.iter().all(|other| other > object));
        }
        for volume in 0..3 {
            let used = plain.iter().filter(|((_, _, at), _)| *at == volume);
            let used: u64 = used.map(|(_, bytes)| Seal::region_bytes_for(*bytes) + bytes).sum();
            prop_assert_eq!(index.used_bytes(volume), used);
        }
        let mut fresh = Index::empty(&volumes);
        for entry in index.entries() {
            fresh.insert(entry.volume, &entry.record());
        }
        prop_assert_eq!(fresh.content_digest(), index.content_digest());
    }
}
