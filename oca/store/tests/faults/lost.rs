//! Bytes that a failed sync lost and the cache still shows: a later sync says that all is well, and
//! reading them back proves nothing. Goal: they are never taken for durable. Each test is run with
//! several seeds, as the cache may or may not go on showing them.

use std::path::Path;
use std::sync::Arc;

use control_types::fleet::DiskClass;
use oca_store::disk::{Disk, Opening};
use oca_store::{Depth, StoreError, Volume, Writer, check};

use super::fault::Fault;
use super::kit::{chunk_of, write_missing};
use super::made::{MadeDisk, Stop};
use super::world::{blank, objects};

fn volume(disk: &MadeDisk) -> Volume {
    Volume::on(Arc::new(disk.clone()), "/ssd", DiskClass::Ssd).unwrap()
}

#[test]
fn chunks_that_an_earlier_run_lost_are_fetched_again() {
    let object = &objects()[2];
    for seed in 0..8 {
        let disk = blank(seed);
        let writer = Writer::open(&volume(&disk), "test").unwrap();
        let mut incoming = writer.begin(object.seal.clone()).unwrap();
        incoming.write_chunk(0, chunk_of(&object.bytes, 0)).unwrap();
        // Whoever has the file open may be the one who is told.
        let other = disk.open(incoming.path(), Opening::Write).unwrap();
        disk.arm(0, Fault::LosesPages);
        assert!(other.sync_all().is_err() && disk.heal());
        drop(incoming);
        let mut incoming = writer.begin(object.seal.clone()).unwrap();
        write_missing(&mut incoming, &object.bytes);
        incoming.publish().unwrap();
        drop(writer);
        disk.start_again(Stop::Cut);
        let report = check(&volume(&disk), Depth::Payload).unwrap();
        assert!(report.objects == 1 && report.bad.is_empty(), "seed {seed}: {:?}", report.bad);
    }
}

#[test]
fn a_file_that_lost_its_bytes_is_not_linked_in() {
    let object = &objects()[1];
    for seed in 0..8 {
        let disk = blank(seed);
        let path = Path::new("/from/fresh").join(object.seal.object().to_string());
        disk.make_dir(path.parent().unwrap()).unwrap();
        let sealed = [object.seal.encode(), object.bytes.clone()].concat();
        disk.open(&path, Opening::Anew).unwrap().write_at(&sealed, 0).unwrap();
        let writer = Writer::open(&volume(&disk), "test").unwrap();
        disk.arm(0, Fault::LosesPages);
        let told = writer.adopt_sealed(&path);
        assert!(matches!(told, Err(StoreError::Io { .. })) && disk.heal(), "seed {seed}: {told:?}");
        // Now the kernel says that all is well.
        let is_held = writer.adopt_sealed(&path).is_ok();
        drop(writer);
        disk.start_again(Stop::Cut);
        let report = check(&volume(&disk), Depth::Payload).unwrap();
        assert_eq!(report.objects, u64::from(is_held), "seed {seed}");
        assert!(report.bad.is_empty(), "seed {seed}: {:?}", report.bad);
    }
}

/// Goal: a disk that dies in the middle never passes for a clean check. Method: at each operation.
#[test]
fn an_error_in_the_middle_of_a_check_is_told() {
    let disk = blank(3);
    let writer = Writer::open(&volume(&disk), "test").unwrap();
    for object in &objects()[..3] {
        let mut incoming = writer.begin(object.seal.clone()).unwrap();
        write_missing(&mut incoming, &object.bytes);
        incoming.publish().unwrap();
    }
    drop(writer);
    let volume = volume(&disk);
    for at in 0.. {
        disk.arm(at, Fault::Dies);
        let report = check(&volume, Depth::Payload);
        if !disk.heal() {
            assert!(at > 20 && report.unwrap().bad.is_empty(), "{at} operations");
            return;
        }
        let is_told = report.as_ref().is_ok_and(|report| !report.bad.is_empty());
        assert!(is_told || report.is_err(), "operation {at}: {report:?}");
    }
}
