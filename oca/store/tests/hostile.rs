//! Disks that refuse in the middle of a deed, and files that lie where an object is to go. Goal: a
//! deed that failed stays undone, and nothing is listed that was not checked.
//!
//! A full disk is this test program again with a bound on the size of files, which is a full disk
//! that needs no rights.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use kit::{CHUNK, chunk_of, open, payload, publish, seal, volume, write_missing};
use oca_store::{Adopted, Depth, Index, QuarantineBound, StoreError, Writer, check};

const CHILD_DIR: &str = "OCA_STORE_HOSTILE_DIR";

/// Runs a test of this program with files bounded to 16 blocks, as the shell counts them.
fn run_bounded(child: &str, dir: &Path) {
    let ran = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(child)
        .env(CHILD_DIR, dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

#[test]
fn child_retires_until_the_journal_is_full() {
    let Some(dir) = child_dir() else { return };
    let writer = Writer::open(&volume(&dir), "child").unwrap();
    let object = seal(&payload(1, 700)).object();
    let other = seal(&payload(2, 700)).object();
    // Listed and taken off again until the journal takes no more.
    let refused = (0..1000).find_map(|_| {
        let seal = seal(&payload(2, 700));
        let retired = match writer.retire(&other) {
            Ok(retired) => retired,
            Err(_) => return Some(writer.retire(&object).unwrap_err()),
        };
        let mut incoming = writer.begin(seal).unwrap();
        write_missing(&mut incoming, &payload(2, 700));
        let error = incoming.publish().err();
        writer.finish(retired).unwrap();
        error.map(|_| writer.retire(&object).unwrap_err())
    });
    assert!(matches!(refused, Some(StoreError::Io { .. })), "{refused:?}");
    assert!(writer.holds(&object));
}

#[test]
fn what_a_full_disk_refused_to_take_away_is_there_after_a_restart() {
    if child_dir().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let object = publish(&writer, &payload(1, 700)).unwrap().object();
    publish(&writer, &payload(2, 700)).unwrap();
    drop(writer);
    run_bounded("child_retires_until_the_journal_is_full", dir.path());
    let writer = open(&volume);
    assert!(writer.holds(&object), "its removal was refused: it must not happen later");
    assert!(volume.object_path(&object).exists());
}

#[test]
fn child_begins_what_does_not_fit() {
    let Some(dir) = child_dir() else { return };
    let writer = Writer::open(&volume(&dir), "child").unwrap();
    let refused = writer.begin(seal(&payload(1, 5 * CHUNK))).unwrap_err();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert_eq!(writer.unfinished().unwrap(), [], "nothing of it takes room or ties it here");
}

#[test]
fn an_object_there_was_no_room_for_leaves_nothing_behind() {
    if child_dir().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    run_bounded("child_begins_what_does_not_fit", dir.path());
    assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
}

#[test]
fn what_lies_where_an_adopted_object_goes_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("home"), dir.path().join("other"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&other).unwrap();
    let (home, other) = (volume(&home), volume(&other));
    let whole = payload(1, CHUNK + 5);
    let object = publish(&open(&other), &whole).unwrap().object();
    let writer = open(&home);
    // Not listed and not sound: a scan left it where it was.
    let at = home.object_path(&object);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(&at, b"not an object").unwrap();
    assert_eq!(writer.adopt_sealed(&other.object_path(&object)).unwrap(), Adopted::Linked);
    let report = check(&home, Depth::Payload).unwrap();
    assert_eq!((report.objects, &report.bad[..]), (1, &[][..]));
}

#[test]
fn a_payload_that_changed_is_not_brought_over_chunks_that_were_checked() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let whole = payload(1, 3 * CHUNK);
    let mut incoming = writer.begin(seal(&whole)).unwrap();
    incoming.write_chunk(0, chunk_of(&whole, 0)).unwrap();
    drop(incoming);
    let mut changed = whole.clone();
    changed[7] ^= 1;
    let path = dir.path().join("payload");
    fs::write(&path, changed).unwrap();
    writer.adopt_plain(&path, seal(&whole)).unwrap();
    assert_eq!(check(&volume, Depth::Payload).unwrap().bad, []);
}

#[test]
fn a_file_of_somebody_elses_among_the_objects_hides_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let object = publish(&writer, &payload(1, 700)).unwrap().object();
    drop(writer);
    fs::write(dir.path().join("objects/README"), b"hands off").unwrap();
    fs::remove_file(dir.path().join("journal")).unwrap();
    assert!(Index::load(std::slice::from_ref(&volume)).index.find(&object).is_some());
    assert!(open(&volume).holds(&object));
}

#[test]
fn the_end_of_a_retired_copy_is_not_the_end_of_one_that_is_coming_anew() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let whole = payload(1, 700);
    let object = publish(&writer, &whole).unwrap().object();
    let retired = writer.retire(&object).unwrap();
    let mut incoming = writer.begin(seal(&whole)).unwrap();
    write_missing(&mut incoming, &whole);
    // Its file may already have its place: nothing there is taken away now.
    writer.finish(retired).unwrap();
    assert!(volume.object_path(&object).exists());
    incoming.publish().unwrap();
    drop(writer);
    assert!(open(&volume).holds(&object));
    assert_eq!(check(&volume, Depth::Payload).unwrap().bad, []);
}

#[test]
fn a_folder_in_quarantine_does_not_keep_it_from_being_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(&volume(dir.path()));
    let object = publish(&writer, &payload(1, 50)).unwrap().object();
    writer.quarantine(&object).unwrap();
    fs::create_dir(dir.path().join("quarantine/0-first")).unwrap();
    let bound = QuarantineBound { age_max: Duration::ZERO, bytes_max: 0 };
    let emptied = writer.empty_quarantine(&bound, SystemTime::now() + Duration::from_secs(9));
    assert_eq!(emptied.unwrap().objects, 1);
    assert!(!dir.path().join(format!("quarantine/{object}")).exists());
}

#[test]
fn a_volume_given_twice_is_told_as_that() {
    let dir = tempfile::tempdir().unwrap();
    let _writer = open(&volume(dir.path()));
    let told = Writer::open(&volume(dir.path()), "test").unwrap_err().to_string();
    assert!(told.contains("is it given twice?"), "{told}");
}

/// Goal: where the file system can, a volume that was filled to its last block still has room for
/// the lines that take objects away. Method: the journal takes room beyond its end.
#[test]
fn a_journal_has_room_for_lines_to_come() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let probe = volume_can_reserve(dir.path());
    drop(open(&volume));
    let journal = fs::metadata(dir.path().join("journal")).unwrap();
    assert_eq!(journal.len(), 128);
    assert!(!probe || journal.blocks() * 512 >= 128 << 10, "{} blocks", journal.blocks());
}

fn volume_can_reserve(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = fs::File::create(dir.join("probe")).unwrap();
    let flags = nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
    nix::fcntl::fallocate(&file, flags, 0, 1 << 20).is_ok()
        && file.metadata().unwrap().blocks() * 512 >= 1 << 20
}
