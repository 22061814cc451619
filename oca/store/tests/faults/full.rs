//! A disk that somebody else filled to its last byte. Goal: its writer opens it whatever the last
//! one left, knows what it holds and can let go of it: nobody else can make room.

use std::path::Path;
use std::sync::Arc;

use control_types::fleet::DiskClass;
use oca_store::{StoreError, Volume, Writer};

use super::fault::Fault;
use super::kit::publish;
use super::made::MadeDisk;
use super::world::blank;

/// As good as for ever.
const EVER: u64 = 1 << 40;

fn volume(disk: &MadeDisk) -> Volume {
    Volume::on(Arc::new(disk.clone()), "/ssd", DiskClass::Ssd).unwrap()
}

/// What becomes of a journal.
type Turn = fn(&[u8]) -> Vec<u8>;

/// The lines of a long life: the last one again and again.
fn grown_long(journal: &[u8]) -> Vec<u8> {
    let (mut long, last) = (journal.to_vec(), &journal[journal.len() - 128..]);
    let slots = journal.len() as u64 / 128 - 1;
    for slot in slots..slots + 5_000 {
        let mut line = last.to_vec();
        line[112..120].copy_from_slice(&slot.to_le_bytes());
        let crc = crc32c::crc32c(&line[4..]);
        line[..4].copy_from_slice(&crc.to_le_bytes());
        long.extend_from_slice(&line);
    }
    long
}

fn torn(journal: &[u8]) -> Vec<u8> {
    journal[..journal.len() - 50].to_vec()
}

#[test]
fn a_disk_that_is_full_is_opened_and_what_it_holds_is_known() {
    let left: [(&str, Turn); 3] = [("well", <[u8]>::to_vec), ("torn", torn), ("long", grown_long)];
    for (told, left) in left {
        let disk = blank(1);
        let writer = Writer::open(&volume(&disk), "test").unwrap();
        let objects = [1, 2].map(|seed| publish(&writer, &[seed; 700]).unwrap().object());
        drop(writer);
        let journal = Path::new("/ssd/journal");
        disk.put(journal, &left(&disk.get(journal).unwrap()));
        disk.arm(0, Fault::Full(EVER));
        let writer = Writer::open(&volume(&disk), "test");
        let writer = writer.unwrap_or_else(|error| panic!("{told}: {}", error.in_full()));
        assert!(objects.iter().all(|object| writer.holds(object)), "{told}");
        assert!(publish(&writer, &[3; 700]).is_err(), "{told}");
        disk.heal();
        writer.remove(&objects[0]).unwrap();
        drop(writer);
        let writer = Writer::open(&volume(&disk), "test").unwrap();
        assert_eq!(objects.map(|object| writer.holds(&object)), [false, true], "{told}");
    }
}

/// Goal: the same where a publish was cut short before its line: the object waits for room, and is
/// not lost. Method: the journal of before, and the mark.
#[test]
fn a_publish_that_was_cut_short_keeps_no_full_disk_shut() {
    let disk = blank(1);
    let journal = Path::new("/ssd/journal");
    let writer = Writer::open(&volume(&disk), "test").unwrap();
    let first = publish(&writer, &[1; 700]).unwrap().object();
    let before = disk.get(journal).unwrap();
    let seal = publish(&writer, &[2; 700]).unwrap();
    drop(writer);
    disk.put(journal, &before);
    disk.put(&Path::new("/ssd/incoming").join(format!("{}.part.done", seal.object())), b"\x01");
    disk.arm(0, Fault::Full(EVER));
    let writer = Writer::open(&volume(&disk), "test");
    let writer = writer.unwrap_or_else(|error| panic!("{}", error.in_full()));
    assert!(writer.holds(&first) && !writer.holds(&seal.object()));
    disk.heal();
    let begun = writer.begin(seal.clone());
    assert!(matches!(begun, Err(StoreError::AlreadyHeld { .. })), "{begun:?}");
    assert!(writer.holds(&seal.object()));
}
