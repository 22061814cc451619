//! Crashes: a journal cut or damaged anywhere, every half-done deed, a process killed while it
//! writes, a full disk. Goal: nothing torn is ever published and at most one chunk is fetched
//! again.
//!
//! Processes that are killed or starved are this test program again, told by an environment
//! variable which deed to do; without it those tests do nothing.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![allow(clippy::single_range_in_vec_init, reason = "ranges of chunks are what is compared")]

mod kit;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::{CHUNK, chunk_of, open, payload, publish, seal, volume, write_missing};
use oca_store::{Depth, Index, StoreError, Writer, check};

const CHILD_DIR: &str = "OCA_STORE_TEST_DIR";

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

fn assert_sound(dir: &Path) {
    let report = check(&volume(dir), Depth::Payload).unwrap();
    assert_eq!((report.bad, report.journal_fault), (vec![], None));
}

#[test]
fn a_journal_cut_at_any_byte_replays_a_prefix_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let objects: Vec<_> =
        (0..4).map(|seed| publish(&writer, &payload(seed, 50)).unwrap().object()).collect();
    drop(writer);
    let journal = dir.path().join("journal");
    let whole = fs::read(&journal).unwrap();
    assert_eq!(whole.len(), 128 * 5);
    for length in 128..=whole.len() {
        fs::write(&journal, &whole[..length]).unwrap();
        let loaded = Index::load(std::slice::from_ref(&volume));
        let kept = length / 128 - 1;
        assert!(loaded.problems.is_empty(), "cut at {length}: {:?}", loaded.problems);
        assert_eq!(loaded.index.len(), kept, "cut at {length}");
        assert!(objects[..kept].iter().all(|object| loaded.index.find(object).is_some()));
    }
    // The writer cuts a torn end off and lists again what it said, because the files say it too; a
    // reader that waited there sees it.
    for length in whole.len() - 127..whole.len() {
        fs::write(&journal, &whole[..length]).unwrap();
        let mut loaded = Index::load(std::slice::from_ref(&volume));
        let writer = open(&volume);
        assert!(objects.iter().all(|object| writer.holds(object)), "cut at {length}");
        assert_eq!(loaded.tail.poll().changes.len(), 1, "cut at {length}");
        assert_eq!(fs::metadata(&journal).unwrap().len(), 128 * 5);
    }
}

/// Goal: a byte that rots anywhere in the journal loses nothing that was acknowledged, and brings
/// back nothing that was taken away, once a writer has opened the volume.
#[test]
fn a_journal_garbled_at_any_byte_is_made_good_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let removed = publish(&writer, &payload(0, 50)).unwrap().object();
    let kept: Vec<_> =
        (1..3).map(|seed| publish(&writer, &payload(seed, 50)).unwrap().object()).collect();
    let journal = dir.path().join("journal");
    let check_all = |whole: &[u8]| {
        for at in 0..whole.len() {
            // Each is an fsync or two: three kinds of garbage in turn.
            let garbage = whole[at] ^ [0x40, 0x01, 0xff][at % 3];
            let mut bad = whole.to_vec();
            bad[at] = garbage;
            fs::write(&journal, &bad).unwrap();
            let writer = open(&volume);
            let held: Vec<_> = kept.iter().filter(|object| writer.holds(object)).collect();
            assert_eq!(held.len(), 2, "byte {at} as {garbage:#x}");
            assert_eq!(writer.held().len(), 2, "byte {at} as {garbage:#x}");
        }
    };
    writer.remove(&removed).unwrap();
    drop(writer);
    // Once with the removal as the last line, once with a publication.
    check_all(&fs::read(&journal).unwrap());
    fs::remove_file(&journal).unwrap();
    drop(open(&volume));
    check_all(&fs::read(&journal).unwrap());
    assert_sound(dir.path());
}

#[test]
fn a_journal_damaged_at_any_byte_never_lists_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    (0..3).for_each(|seed| drop(publish(&writer, &payload(seed, 50)).unwrap()));
    let removed = publish(&writer, &payload(3, 50)).unwrap().object();
    writer.remove(&removed).unwrap();
    drop(writer);
    let journal = dir.path().join("journal");
    let whole = fs::read(&journal).unwrap();
    let truth = Index::load(std::slice::from_ref(&volume)).index.content_digest();
    // The last record is the removal: damage there is a torn end, so it is tried by the test above.
    for at in 0..whole.len() - 128 {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&journal, &bad).unwrap();
        let loaded = Index::load(std::slice::from_ref(&volume));
        assert_eq!(loaded.index.content_digest(), truth, "byte {at}");
        let noticed = loaded.problems.iter().any(|p| matches!(p, StoreError::Journal { .. }));
        // Bytes 20..128 of the header say nothing.
        assert!(noticed || (20..128).contains(&at), "byte {at} passed");
    }
    let mut bad = whole;
    bad[200] ^= 1;
    fs::write(&journal, &bad).unwrap();
    assert_eq!(open(&volume).held().len(), 3);
    assert!(Index::load(&[volume]).problems.is_empty(), "the writer did not rebuild the journal");
}

#[test]
fn a_publish_cut_short_before_the_journal_is_finished_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = open(&volume);
    let object = publish(&writer, &payload(1, CHUNK + 1)).unwrap().object();
    drop(writer);
    // Take the last record away and put the map of chunks back: as after the rename.
    let journal = OpenOptions::new().write(true).open(dir.path().join("journal")).unwrap();
    journal.set_len(128).unwrap();
    fs::write(dir.path().join(format!("incoming/{object}.part.done")), [1, 1]).unwrap();
    assert!(Index::load(std::slice::from_ref(&volume)).index.is_empty());
    // In hand, and no orphan.
    assert_eq!(check(&volume, Depth::Names).unwrap().bad, []);
    let writer = open(&volume);
    assert!(writer.holds(&object));
    assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
    assert_sound(dir.path());
}

#[test]
fn a_removal_or_quarantine_cut_short_is_finished_if_it_was_journaled_and_else_did_not_happen() {
    for (suffix, journaled) in
        [("remove", false), ("remove", true), ("quarantine", false), ("quarantine", true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let volume = volume(dir.path());
        let writer = open(&volume);
        let object = publish(&writer, &payload(1, 77)).unwrap().object();
        let file = volume.object_path(&object);
        let bytes = fs::read(&file).unwrap();
        if journaled {
            if suffix == "remove" { writer.remove(&object) } else { writer.quarantine(&object) }
                .unwrap();
            fs::write(&file, bytes).unwrap();
        }
        drop(writer);
        fs::write(dir.path().join(format!("incoming/{object}.{suffix}")), b"").unwrap();
        let writer = open(&volume);
        assert_eq!(writer.holds(&object), !journaled, "{suffix}");
        assert_eq!(file.exists(), !journaled, "{suffix}");
        assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
        let kept = dir.path().join("quarantine").join(object.to_string()).exists();
        assert_eq!(kept, journaled && suffix == "quarantine");
        assert_sound(dir.path());
    }
}

#[test]
fn claims_that_outlived_their_bytes_are_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(&volume(dir.path()));
    let bytes = payload(5, 4 * CHUNK);
    let mut incoming = writer.begin(seal(&bytes)).unwrap();
    write_missing(&mut incoming, &bytes);
    let (part, at) = (incoming.path().to_owned(), incoming.payload_offset() as usize);
    drop(incoming);
    // A power cut may keep the map and lose the bytes it speaks of.
    let mut file = fs::read(&part).unwrap();
    file[at + 2 * CHUNK..at + 3 * CHUNK].fill(0);
    fs::write(&part, &file).unwrap();
    let mut incoming = writer.begin(seal(&bytes)).unwrap();
    assert_eq!(incoming.missing(), vec![2..3]);
    write_missing(&mut incoming, &bytes);
    incoming.publish().unwrap();
    assert_sound(dir.path());
}

#[test]
fn an_unfinished_file_that_is_cut_or_damaged_starts_over_or_goes_on_but_never_lies() {
    let bytes = payload(6, 3 * CHUNK);
    for keep in [0, 100, 4095, 4096, 4096 + CHUNK, 4096 + 2 * CHUNK - 1] {
        let dir = tempfile::tempdir().unwrap();
        let writer = open(&volume(dir.path()));
        let mut incoming = writer.begin(seal(&bytes)).unwrap();
        write_missing(&mut incoming, &bytes);
        OpenOptions::new().write(true).open(incoming.path()).unwrap().set_len(keep as u64).unwrap();
        drop(incoming);
        let mut incoming = writer.begin(seal(&bytes)).unwrap();
        let whole = keep.saturating_sub(4096) / CHUNK;
        assert_eq!(incoming.missing(), vec![whole as u32..3], "kept {keep}");
        write_missing(&mut incoming, &bytes);
        incoming.publish().unwrap();
        assert_sound(dir.path());
    }
}

const CHILD_CHUNKS: u32 = 24;

fn child_payload() -> Vec<u8> {
    payload(42, CHILD_CHUNKS as usize * CHUNK - 1)
}

/// The child of the next test: writes what is missing, a line a chunk, then publishes.
#[test]
fn child_writes_until_killed() {
    let Some(dir) = child_dir() else { return };
    let bytes = child_payload();
    let writer = Writer::open(&volume(&dir), "child").unwrap();
    let mut incoming = writer.begin(seal(&bytes)).unwrap();
    for index in incoming.missing().into_iter().flatten() {
        incoming.write_chunk(index, chunk_of(&bytes, index)).unwrap();
        println!("\nwrote {index}");
        // The parent lets it run a few chunks ahead and no further, however slow it is to kill.
        std::io::stdin().read_exact(&mut [0]).unwrap();
    }
    incoming.publish().unwrap();
    println!("\npublished");
}

#[test]
fn a_writer_killed_at_random_points_loses_at_most_the_chunk_it_was_writing() {
    let dir = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (mut wrote, mut rounds) = (0u32, 0u64);
    loop {
        rounds += 1;
        assert!(rounds < 40, "no progress in {rounds} rounds, seed {seed}");
        let lines = 1 + u64::from(payload(seed ^ rounds, 1)[0]) % 5;
        let (seen, published) = run_and_kill(dir.path(), lines);
        wrote += seen;
        if published {
            break;
        }
        let writer = Writer::open(&volume(dir.path()), "parent").unwrap();
        if writer.holds(&seal(&child_payload()).object()) {
            break;
        }
        let incoming = writer.begin(seal(&child_payload())).unwrap();
        let kept = CHILD_CHUNKS - incoming.missing_chunks();
        // Every chunk the child had finished is there; it may have finished more than it could say.
        assert!(kept >= wrote, "kept {kept} of {wrote} chunks, seed {seed} round {rounds}");
        wrote = kept;
        drop(incoming);
        drop(writer);
        assert_sound(dir.path());
    }
    let writer = Writer::open(&volume(dir.path()), "parent").unwrap();
    assert_eq!(writer.held().len(), 1, "seed {seed}");
    assert_sound(dir.path());
    assert!(rounds > 3, "the child was never really killed, seed {seed}");
}

/// Starts the child, kills it after `lines` chunks; says how many it told of and if it published.
fn run_and_kill(dir: &Path, lines: u64) -> (u32, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_writes_until_killed", "--exact", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ahead = vec![b'.'; lines as usize + 2];
    child.stdin.as_mut().unwrap().write_all(&ahead).unwrap();
    let (mut seen, mut published) = (0, false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        seen += u32::from(line.starts_with("wrote"));
        published |= line == "published";
        if u64::from(seen) == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (seen, published)
}

/// The child of the next test: meets the end of its room.
#[test]
fn child_writes_without_room() {
    let Some(dir) = child_dir() else { return };
    let writer = Writer::open(&volume(&dir), "child").unwrap();
    publish(&writer, &payload(1, CHUNK)).unwrap();
    let error = writer.begin(seal(&payload(2, 4 * CHUNK))).unwrap_err();
    assert!(matches!(error, StoreError::Full { wanted_bytes, .. } if wanted_bytes > 1 << 20));
    assert!(error.to_string().contains("no room"), "{error}");
    // The refusal is whole: smaller things still go in.
    publish(&writer, &payload(3, CHUNK)).unwrap();
    println!("\nrefused {error}");
}

#[test]
fn a_full_disk_is_met_before_the_first_byte_and_said() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on the size of files is the full disk that needs no privilege: 512 KiB here.
    let script = r#"trap '' XFSZ; ulimit -f 1024; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["child_writes_without_room", "--exact", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused"), "{output:?}");
    assert_sound(dir.path());
}
