//! Two threads at one object: whatever is in the middle of being taken away when another begins it
//! anew must not take the new one with it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;
#[path = "kit/stepped.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod stepped;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use control_types::fleet::DiskClass;
use kit::{payload, publish, seal, write_missing};
use oca_store::{Depth, StoreError, Volume, Writer, check};
use stepped::Steps;

/// As long as the second thread may take to get in between; one that is slower passes for one that
/// was kept out.
const IN_BETWEEN: Duration = Duration::from_millis(300);

fn place(folder: &std::path::Path) -> (Steps, Volume, Writer) {
    let steps = Steps::new();
    let volume = Volume::on(Arc::new(steps.clone()), folder, DiskClass::Ssd).unwrap();
    let writer = Writer::open(&volume, "test").unwrap();
    (steps, volume, writer)
}

fn wait_until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() && began.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(is_so(), "it never came");
}

#[test]
fn what_comes_anew_while_it_is_removed_keeps_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, volume, writer) = place(folder.path());
    let bytes = payload(1, 9_000);
    let object = publish(&writer, &bytes).unwrap().object();
    let stepping = steps.begin_at(&format!("unlink {}/objects/", folder.path().display()));
    let (first, second) = (writer.clone(), writer.clone());
    let removed = thread::spawn(move || first.remove(&object));
    wait_until(|| steps.waiting().is_some());
    let published = thread::spawn(move || publish(&second, &bytes));
    let began = Instant::now();
    while !published.is_finished() && began.elapsed() < IN_BETWEEN {
        thread::sleep(Duration::from_millis(1));
    }
    drop(stepping);
    removed.join().unwrap().unwrap();
    published.join().unwrap().unwrap();
    assert!(writer.holds(&object));
    let report = check(&volume, Depth::Payload).unwrap();
    assert!(report.objects == 1 && report.bad.is_empty(), "{:?}", report.bad);
}

#[test]
fn a_pull_that_begins_while_it_is_discarded_is_not_torn_down() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, volume, writer) = place(folder.path());
    let bytes = payload(2, 9_000);
    let object = seal(&bytes).object();
    drop(writer.begin(seal(&bytes)).unwrap());
    let stepping = steps.begin_at(&format!("unlink {}/incoming/", folder.path().display()));
    let (first, second) = (writer.clone(), writer.clone());
    let discarded = thread::spawn(move || first.discard_unfinished(&object));
    wait_until(|| steps.waiting().is_some());
    let begun = thread::spawn(move || second.begin(seal(&bytes)).map(|incoming| (incoming, bytes)));
    let began = Instant::now();
    while !begun.is_finished() && began.elapsed() < IN_BETWEEN {
        thread::sleep(Duration::from_millis(1));
    }
    drop(stepping);
    let discarded = discarded.join().unwrap();
    assert!(matches!(discarded, Ok(()) | Err(StoreError::Busy { .. })), "{discarded:?}");
    let (mut incoming, bytes) = begun.join().unwrap().unwrap();
    write_missing(&mut incoming, &bytes);
    incoming.publish().unwrap();
    let report = check(&volume, Depth::Payload).unwrap();
    assert!(report.objects == 1 && report.bad.is_empty(), "{:?}", report.bad);
}

/// Goal: a check beside a writer takes nothing for an orphan that is about to be listed, or that
/// readers of a moved object have a moment to leave. Method: it looks in the middle of each.
#[test]
fn what_a_writer_has_in_hand_is_no_orphan() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, volume, writer) = place(folder.path());
    let bad = || check(&volume, Depth::Payload).unwrap().bad;
    let moved = publish(&writer, &payload(3, 9_000)).unwrap().object();
    let retired = writer.retire(&moved).unwrap();
    assert!(volume.object_path(&moved).exists() && bad().is_empty(), "{:?}", bad());
    writer.finish(retired).unwrap();
    let stepping = steps.begin_at(&format!("write {}/journal", folder.path().display()));
    let (second, bytes) = (writer.clone(), payload(4, 9_000));
    let object = seal(&bytes).object();
    let published = thread::spawn(move || publish(&second, &bytes));
    wait_until(|| steps.waiting().is_some());
    assert!(volume.object_path(&object).exists() && bad().is_empty(), "{:?}", bad());
    drop(stepping);
    published.join().unwrap().unwrap();
    assert!(bad().is_empty() && !volume.object_path(&moved).exists());
    // What nobody has in hand is one.
    let stray = volume.object_path(&moved);
    std::fs::copy(volume.object_path(&object), stray).unwrap();
    assert_eq!(bad().len(), 1);
}

/// Goal: a publish that was cut short is read whole before it is listed, and meanwhile nobody who
/// asks the writer waits. Method: the read waits until somebody else was answered.
#[test]
fn finishing_a_publish_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, volume, writer) = place(folder.path());
    let bytes = payload(5, 9_000);
    let seal = seal(&bytes);
    let object = seal.object();
    let path = volume.object_path(&object);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, [seal.encode(), bytes].concat()).unwrap();
    std::fs::write(folder.path().join(format!("incoming/{object}.part.done")), [1]).unwrap();
    let stepping = steps.begin_at(&format!("read {}", path.display()));
    let (first, second) = (writer.clone(), writer.clone());
    let begun = thread::spawn(move || first.begin(seal).map(drop));
    wait_until(|| steps.waiting().is_some());
    let asked = thread::spawn(move || second.holds(&object));
    let began = Instant::now();
    while !asked.is_finished() && began.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(1));
    }
    let is_answered = asked.is_finished();
    drop(stepping);
    let begun = begun.join().unwrap();
    assert!(is_answered, "whoever asked had to wait for the disk");
    assert!(matches!(begun, Err(StoreError::AlreadyHeld { .. })), "{begun:?}");
    assert!(writer.holds(&object) && check(&volume, Depth::Payload).unwrap().bad.is_empty());
}
