//! The writer and what readers see of it: publish, follow, remove, quarantine, suspect, rebuild.
//! Crashes are in `crash.rs`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![allow(clippy::single_range_in_vec_init, reason = "ranges of chunks are what is compared")]

mod kit;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use control_types::fleet::DiskClass;
use kit::{CHUNK, payload, publish, seal, volume, write_missing};
use oca_store::{
    Adopted, Change, Depth, Imported, Index, Kind, ObjectReader, QuarantineBound, Scrub,
    StoreError, Verdict, Volume, Writer, check, report_bad,
};

fn text(error: &StoreError) -> String {
    error.to_string()
}

#[test]
fn what_is_published_is_found_read_back_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    let first = publish(&writer, &payload(1, 3 * CHUNK + 5)).unwrap();

    let mut loaded = Index::load(std::slice::from_ref(&volume));
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert!(loaded.tail.poll().changes.is_empty());
    let second = publish(&writer, &payload(2, 0)).unwrap();
    assert!(loaded.index.find(&second.object()).is_none());
    let polled = loaded.tail.poll();
    assert!(matches!(&polled.changes[..], [Change::Published { volume: 0, record }]
        if record.object == second.object() && record.kind == Kind::Published));
    polled.changes.iter().for_each(|change| loaded.index.apply(change));

    let entry = loaded.index.find(&first.object()).unwrap();
    assert_eq!((entry.bytes, entry.title.as_str()), (first.bytes(), "river-of-light"));
    assert_eq!(entry.media_type.as_str(), "video/mp4");
    assert_eq!(entry.payload_offset(), first.payload_offset());
    let file = fs::read(entry.path()).unwrap();
    assert_eq!(&file[entry.payload_offset() as usize..], payload(1, 3 * CHUNK + 5));
    let reader = ObjectReader::open(&entry.path()).unwrap();
    let mut chunk = Vec::new();
    reader.read_chunk(3, &mut chunk).unwrap();
    assert_eq!(chunk.len(), 5);
    assert!(matches!(reader.read_chunk(4, &mut chunk), Err(StoreError::BadChunk { .. })));

    assert_eq!(loaded.index.len(), 2);
    assert_eq!(loaded.index.held_bytes(), first.bytes());
    assert_eq!(writer.used_bytes(), first.file_bytes() + second.file_bytes());
    assert_eq!(loaded.index.used_bytes(0), writer.used_bytes());
    assert_eq!(loaded.index.content_digest(), Index::load(&[volume]).index.content_digest());
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_volume() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "fill-agent").unwrap();
    let refused = text(&Writer::open(&volume, "ingest").unwrap_err());
    let pid = std::process::id().to_string();
    assert!(refused.contains("fill-agent") && refused.contains(&pid), "{refused}");
    // An unfinished pull keeps the right to write, even when the writer itself is gone.
    let incoming = writer.begin(seal(&payload(1, 10))).unwrap();
    drop(writer);
    assert!(matches!(Writer::open(&volume, "ingest"), Err(StoreError::Locked { .. })));
    drop(incoming);
    Writer::open(&volume, "ingest").unwrap();
}

#[test]
fn bad_chunks_early_publishes_and_second_pulls_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(&volume(dir.path()), "test").unwrap();
    let bytes = payload(9, 2 * CHUNK);
    let mut incoming = writer.begin(seal(&bytes)).unwrap();
    assert!(matches!(writer.begin(seal(&bytes)), Err(StoreError::Busy { .. })));
    let refused = incoming.write_chunk(1, &bytes[..CHUNK]);
    assert!(matches!(refused, Err(StoreError::BadChunk { chunk: 1, .. })), "{refused:?}");
    assert!(incoming.mark_done(2).is_err());
    incoming.write_chunk(1, &bytes[CHUNK..]).unwrap();
    incoming.write_chunk(1, &bytes[CHUNK..]).unwrap();
    assert_eq!((incoming.missing(), incoming.missing_chunks()), (vec![0..1], 1));
    let early = incoming.publish();
    assert!(matches!(early, Err(StoreError::Incomplete { missing: 1, chunks: 2, .. })));
    // The refused publish kept what was there.
    let mut incoming = writer.begin(seal(&bytes)).unwrap();
    assert_eq!(incoming.missing(), vec![0..1]);
    write_missing(&mut incoming, &bytes);
    incoming.publish().unwrap();
    assert!(matches!(writer.begin(seal(&bytes)), Err(StoreError::AlreadyHeld { .. })));
}

#[test]
fn removal_and_quarantine_reach_readers_and_clear_the_suspect() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    let kept = publish(&writer, &payload(1, 100)).unwrap().object();
    let removed = publish(&writer, &payload(2, 100)).unwrap().object();
    let bad = publish(&writer, &payload(3, 100)).unwrap().object();
    let mut loaded = Index::load(std::slice::from_ref(&volume));

    report_bad(&volume, &bad).unwrap();
    report_bad(&volume, &bad).unwrap();
    assert_eq!(writer.suspects().unwrap(), [bad]);
    writer.quarantine(&bad).unwrap();
    writer.remove(&removed).unwrap();
    assert!(writer.suspects().unwrap().is_empty());
    assert!(matches!(writer.remove(&removed), Err(StoreError::NotHeld { .. })));
    assert!(dir.path().join("quarantine").join(bad.to_string()).exists());
    assert!(!volume.object_path(&removed).exists());

    for change in loaded.tail.poll().changes {
        loaded.index.apply(&change);
    }
    let held: Vec<_> = loaded.index.held().into_iter().map(|held| held.object).collect();
    assert_eq!(held, [kept]);
    assert_eq!(check(&volume, Depth::Payload).unwrap().bad, []);
    // What was quarantined can be fetched again.
    publish(&writer, &payload(3, 100)).unwrap();
    assert!(writer.holds(&bad));
}

#[test]
fn an_import_checks_what_it_copies_and_is_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("rung.mp4");
    let bytes = payload(5, CHUNK + 77);
    fs::write(&source, &bytes).unwrap();
    let writer = Writer::open(&volume(dir.path()), "test").unwrap();
    assert_eq!(writer.import_file(&source, seal(&bytes)).unwrap(), Imported::New);
    assert_eq!(writer.import_file(&source, seal(&bytes)).unwrap(), Imported::AlreadyHeld);
    fs::write(&source, payload(6, CHUNK + 77)).unwrap();
    let other = seal(&payload(7, CHUNK + 77));
    let refused = writer.import_file(&source, other.clone());
    assert!(matches!(refused, Err(StoreError::BadChunk { chunk: 0, .. })));
    assert!(!writer.holds(&other.object()));
}

#[test]
fn a_missing_journal_is_rebuilt_from_the_seals_and_readers_notice() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    for seed in 0..5 {
        publish(&writer, &payload(seed, 1000 + seed as usize)).unwrap();
    }
    let gone = writer.held()[0].object;
    let mut loaded = Index::load(std::slice::from_ref(&volume));
    let before = loaded.index.content_digest();
    drop(writer);
    fs::remove_file(dir.path().join("journal")).unwrap();

    // A reader does without; it says so only if the journal was there before.
    assert_eq!(Index::load(std::slice::from_ref(&volume)).index.content_digest(), before);
    assert_eq!(loaded.tail.poll().problems.len(), 1);

    fs::write(volume.object_path(&gone), b"not an object").unwrap();
    let writer = Writer::open(&volume, "test").unwrap();
    assert_eq!(writer.held().len(), 4);
    let polled = loaded.tail.poll();
    assert!(matches!(
        &polled.changes[..],
        [Change::Rebuilt { volume: 0, records }] if records.len() == 4
    ));
    polled.changes.iter().for_each(|change| loaded.index.apply(change));
    assert!(loaded.index.find(&gone).is_none());
    assert_eq!(loaded.index.len(), 4);
}

#[test]
fn a_copy_on_flash_is_served_first_and_the_other_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let volumes = [("hdd", DiskClass::Hdd), ("ssd", DiskClass::Ssd)].map(|(name, class)| {
        fs::create_dir(dir.path().join(name)).unwrap();
        Volume::open(dir.path().join(name), class).unwrap()
    });
    let object = volumes.each_ref().map(|volume| {
        publish(&Writer::open(volume, "test").unwrap(), &payload(1, 4096)).unwrap().object()
    })[0];
    let mut index = Index::load(&volumes).index;
    assert_eq!(index.find(&object).map(|entry| entry.volume), Some(1));
    assert_eq!((index.len(), index.held_bytes(), index.entries().count()), (1, 4096, 2));
    index.forget(1, &object);
    assert_eq!(index.find(&object).map(|entry| entry.class), Some(DiskClass::Hdd));
    let only_hdd = Index::load(&volumes[..1]).index;
    assert_eq!(index.content_digest(), only_hdd.content_digest());
    index.forget(0, &object);
    assert!(index.is_empty());
    assert_eq!((index.content_digest(), index.held_bytes()), ("0".repeat(64), 0));
}

#[test]
fn one_sick_volume_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let volumes = ["good", "sick"].map(|name| {
        fs::create_dir(dir.path().join(name)).unwrap();
        volume(&dir.path().join(name))
    });
    publish(&Writer::open(&volumes[0], "test").unwrap(), &payload(1, 10)).unwrap();
    // A journal that is a directory cannot be read, whoever asks.
    fs::create_dir(dir.path().join("sick/journal")).unwrap();
    let mut loaded = Index::load(&volumes);
    assert_eq!((loaded.index.len(), loaded.problems.len()), (1, 1));
    assert!(text(&loaded.problems[0]).contains("sick"), "{:?}", loaded.problems);
    publish(&Writer::open(&volumes[0], "test").unwrap(), &payload(2, 10)).unwrap();
    let polled = loaded.tail.poll();
    assert_eq!((polled.changes.len(), polled.problems.len()), (1, 1));
}

#[test]
fn a_volume_that_is_not_there_is_named() {
    let error = Volume::open("/nonexistent/ssd0", DiskClass::Ssd).unwrap_err();
    assert!(text(&error).contains("/nonexistent/ssd0"), "{error}");
}

#[test]
fn a_check_tells_each_kind_of_damage_apart() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    let objects: Vec<_> = (0..6)
        .map(|seed| publish(&writer, &payload(seed, 2 * CHUNK + 9)).unwrap().object())
        .collect();
    let path = |n: usize| volume.object_path(&objects[n]);
    let flip = |n: usize, at: usize| {
        let mut bytes = fs::read(path(n)).unwrap();
        bytes[at] ^= 1;
        fs::write(path(n), bytes).unwrap();
    };
    fs::remove_file(path(0)).unwrap();
    flip(1, 30);
    flip(2, 4096 + CHUNK + 3);
    let whole = fs::read(path(3)).unwrap();
    fs::write(path(3), &whole[..whole.len() - 1]).unwrap();
    fs::copy(path(5), path(4)).unwrap();
    fs::write(path(5).with_file_name("stray"), b"x").unwrap();

    let verdicts = |depth| {
        let report = check(&volume, depth).unwrap();
        assert_eq!((report.objects, report.bytes), (6, 6 * (2 * CHUNK as u64 + 9)));
        report.bad.into_iter().map(|bad| (bad.object, bad.verdict)).collect::<Vec<_>>()
    };
    let names = verdicts(Depth::Names);
    let wanted = whole.len() as u64;
    assert!(names.contains(&(Some(objects[0]), Verdict::Missing)));
    assert!(names.contains(&(Some(objects[3]), Verdict::Length { got: wanted - 1, wanted })));
    assert!(names.contains(&(None, Verdict::Orphan)));
    assert_eq!(names.len(), 3, "{names:?}");
    let seals = verdicts(Depth::Seals);
    let is_seal = |n: usize| {
        seals.iter().any(|(object, verdict)| {
            *object == Some(objects[n]) && matches!(verdict, Verdict::Seal(_))
        })
    };
    assert!(is_seal(1) && is_seal(4) && seals.len() == 5, "{seals:?}");
    let payloads = verdicts(Depth::Payload);
    assert!(payloads.contains(&(Some(objects[2]), Verdict::Chunks(vec![1]))));
    assert_eq!(payloads.len(), 6, "{payloads:?}");
}

#[test]
fn a_quarantine_is_emptied_oldest_first_beyond_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(&volume(dir.path()), "test").unwrap();
    for seed in 0..3 {
        let object = publish(&writer, &payload(seed, CHUNK)).unwrap().object();
        writer.quarantine(&object).unwrap();
    }
    let kept = || fs::read_dir(dir.path().join("quarantine")).unwrap().count();
    let file = CHUNK as u64 + 4096;
    let day = Duration::from_secs(86_400);
    let bound = QuarantineBound { age_max: day, bytes_max: 3 * file };
    let now = SystemTime::now();
    assert_eq!(writer.empty_quarantine(&bound, now).unwrap().objects, 0);
    let tight = QuarantineBound { bytes_max: 2 * file, ..bound };
    let emptied = writer.empty_quarantine(&tight, now).unwrap();
    assert_eq!((emptied.objects, emptied.bytes, kept()), (1, file, 2));
    assert_eq!(writer.empty_quarantine(&bound, now + 2 * day).unwrap().objects, 2);
    assert_eq!(kept(), 0);
}

#[test]
fn a_retired_object_is_off_the_list_and_its_file_stays_until_readers_have_followed() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    let bytes = payload(1, 100);
    let object = publish(&writer, &bytes).unwrap().object();
    let retired = writer.retire(&object).unwrap();
    assert!(!writer.holds(&object) && volume.object_path(&object).exists());
    writer.finish(retired).unwrap();
    assert!(!volume.object_path(&object).exists());
    // Wanted again while it waits: it is the same file, and stays.
    publish(&writer, &bytes).unwrap();
    let retired = writer.retire(&object).unwrap();
    publish(&writer, &bytes).unwrap();
    writer.finish(retired).unwrap();
    assert!(writer.holds(&object) && volume.object_path(&object).exists());
    // A crash between the two: the next writer takes the file away.
    let _lost = writer.retire(&object).unwrap();
    drop(writer);
    let writer = Writer::open(&volume, "test").unwrap();
    assert!(!writer.holds(&object) && !volume.object_path(&object).exists());
}

#[test]
fn files_are_adopted_without_a_copy_where_they_can_be_and_checked_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        fs::create_dir(dir.path().join(name)).unwrap();
        volume(&dir.path().join(name))
    });
    let (first, second) =
        (Writer::open(&one, "test").unwrap(), Writer::open(&two, "test").unwrap());
    let bytes = payload(1, 3 * CHUNK + 5);
    let object = publish(&first, &bytes).unwrap().object();
    assert_eq!(second.adopt_sealed(&one.object_path(&object)).unwrap(), Adopted::Linked);
    assert_eq!(second.adopt_sealed(&one.object_path(&object)).unwrap(), Adopted::AlreadyHeld);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&one.object_path(&object)), inode(&two.object_path(&object)));

    let plain = dir.path().join("film.mp4");
    let bytes = payload(2, 2 * CHUNK + 77);
    fs::write(&plain, &bytes).unwrap();
    let adopted = second.adopt_plain(&plain, seal(&bytes)).unwrap();
    assert!(matches!(adopted, Adopted::Shared | Adopted::Copied), "{adopted:?}");
    assert!(second.holds(&seal(&bytes).object()));

    // Changed since it was sealed, cut, or rotten: refused, and nothing is published.
    fs::write(&plain, payload(3, 2 * CHUNK + 77)).unwrap();
    let other = seal(&payload(4, 2 * CHUNK + 77));
    assert!(second.adopt_plain(&plain, other.clone()).is_err());
    let bad = publish(&first, &payload(5, CHUNK)).unwrap().object();
    let mut rotten = fs::read(one.object_path(&bad)).unwrap();
    *rotten.last_mut().unwrap() ^= 1;
    fs::write(one.object_path(&bad), rotten).unwrap();
    let refused = second.adopt_sealed(&one.object_path(&bad));
    assert!(matches!(refused, Err(StoreError::BadChunk { chunk: 0, .. })), "{refused:?}");
    assert_eq!(second.held().len(), 2);
    assert!(check(&two, Depth::Payload).unwrap().bad.is_empty());
}

/// Goal: a check beside a writer tells no tales: what is removed or published while it looks is
/// neither missing nor an orphan. Method: both, after its first look at the journal.
#[test]
fn a_check_beside_a_writer_finds_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    let writer = Writer::open(&volume, "test").unwrap();
    let held: Vec<_> =
        (0..20).map(|seed| publish(&writer, &payload(seed, 50)).unwrap().object()).collect();
    let scrub = Scrub::new(&volume, Depth::Payload).unwrap();
    held[..10].iter().for_each(|object| writer.remove(object).unwrap());
    (20..30).for_each(|seed| drop(publish(&writer, &payload(seed, 50)).unwrap()));
    let found: Vec<_> = scrub.collect();
    let bad: Vec<_> = found.iter().filter(|one| one.verdict != Verdict::Sound).collect();
    // What is left of the first ones, and of the later ones those whose part was there already.
    let looked_at = found.len();
    assert!(bad.is_empty() && (10..=20).contains(&looked_at), "{looked_at} looked at, {bad:?}");
}
