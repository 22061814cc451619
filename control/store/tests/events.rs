//! What any event log must do, then what the segmented one must do when it is killed, cut or full.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use control_store::embedded::{LogSettings, SegmentedLog, SyncPolicy};
use control_store::{EventRow, Events, Offset, StoreError, limits};
use control_types::UnixMillis;
use serde_json::json;

/// Segments so small that a few dozen events need several.
const SMALL: LogSettings = LogSettings {
    sync: SyncPolicy::EveryBatch,
    segment_bytes_max: 1_000,
    topic_bytes_max: 1 << 20,
};

/// Set for the child of `what_was_acknowledged_survives_kill_9`.
const CHILD_DIRECTORY: &str = "NIGHTFILL_EVENTS_CHILD";

async fn put(events: &dyn Events, topic: &str, number: u64) -> Offset {
    events.append(topic, UnixMillis(number), &json!({ "number": number })).await.unwrap()
}

/// All events of a topic, read in pages of seven.
async fn all(events: &dyn Events, topic: &str) -> Vec<EventRow> {
    let (mut rows, mut from) = (Vec::new(), Offset(0));
    loop {
        let page = events.read(topic, from, 7).await.unwrap();
        let Some(last) = page.last() else { return rows };
        from = last.offset.next();
        rows.extend(page);
    }
}

fn check_numbers(rows: &[EventRow], first: u64, end: u64) {
    assert_eq!(rows.len() as u64, end - first);
    for (row, number) in rows.iter().zip(first..end) {
        assert_eq!(row.offset, Offset(number));
        assert_eq!(row.at, UnixMillis(number));
        assert_eq!(row.body, json!({ "number": number }));
    }
}

/// The suite, on an empty log.
async fn conforms(events: Arc<dyn Events>) {
    assert_eq!(events.end("plays").await.unwrap(), Offset(0));
    assert!(events.read("plays", Offset(0), 10).await.unwrap().is_empty());
    for number in 0..100 {
        assert_eq!(put(events.as_ref(), "plays", number).await, Offset(number));
    }
    check_numbers(&all(events.as_ref(), "plays").await, 0, 100);
    assert_eq!(put(events.as_ref(), "fills", 0).await, Offset(0), "topics count for themselves");
    assert_eq!(events.end("plays").await.unwrap(), Offset(100));
    check_numbers(&events.read("plays", Offset(97), 10).await.unwrap(), 97, 100);
    assert!(events.read("plays", Offset(100), 10).await.unwrap().is_empty());
    assert!(events.read("plays", Offset(u64::MAX), 10).await.unwrap().is_empty());
    assert!(events.read("plays", Offset(0), 0).await.unwrap().is_empty());

    for topic in ["", "..", "a/b", "Plays", &"x".repeat(limits::EVENT_TOPIC_BYTES_MAX + 1)] {
        let refused = events.append(topic, UnixMillis(0), &json!({})).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{topic:?}");
        assert!(events.read(topic, Offset(0), 1).await.is_err(), "{topic:?}");
    }
    let large = json!("x".repeat(limits::EVENT_BODY_BYTES_MAX));
    let refused = events.append("plays", UnixMillis(0), &large).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    let largest = json!("x".repeat(limits::EVENT_BODY_BYTES_MAX - 2));
    for _ in 0..3 {
        events.append("large", UnixMillis(0), &largest).await.unwrap();
    }
    let rows = events.read("large", Offset(0), 10).await.unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.body == largest));
    appends_at_once_all_get_their_own_place(events).await;
}

async fn appends_at_once_all_get_their_own_place(events: Arc<dyn Events>) {
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let events = Arc::clone(&events);
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for number in 0..25 {
                    offsets.push(put(events.as_ref(), "crowd", number).await.0);
                }
                assert!(offsets.is_sorted(), "one writer's events keep their order");
                offsets
            })
        })
        .collect();
    let mut offsets = Vec::new();
    for writer in writers {
        offsets.extend(writer.await.unwrap());
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..200).collect::<Vec<u64>>());
    assert_eq!(all(events.as_ref(), "crowd").await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_segmented_log_conforms_with_segments_of_any_size() {
    for settings in [SMALL, LogSettings::default()] {
        let directory = tempfile::tempdir().unwrap();
        conforms(Arc::new(SegmentedLog::open(directory.path(), settings).unwrap())).await;
    }
}

#[tokio::test]
async fn a_reopened_log_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let log = SegmentedLog::open(directory.path(), SMALL).unwrap();
        for number in round * 20..round * 20 + 20 {
            assert_eq!(put(&log, "plays", number).await, Offset(number));
        }
        check_numbers(&all(&log, "plays").await, 0, round * 20 + 20);
    }
    assert!(segments(directory.path()).len() > 2, "the log rotated");
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("plays")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

/// Goal: whatever a crash leaves behind the last whole record, the log opens, keeps every whole
/// record and goes on. Method: the last segment is cut at every length.
#[tokio::test]
async fn a_tail_torn_anywhere_is_cut_off_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    {
        let log = SegmentedLog::open(directory.path(), LogSettings::default()).unwrap();
        for number in 0..3 {
            put(&log, "plays", number).await;
        }
    }
    let file = segments(directory.path()).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let record = (whole.len() - 8) / 3;
    for cut in 0..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let log = SegmentedLog::open(directory.path(), LogSettings::default()).unwrap();
        let kept = (cut.saturating_sub(8) / record) as u64;
        check_numbers(&all(&log, "plays").await, 0, kept);
        assert_eq!(put(&log, "plays", kept).await, Offset(kept), "cut at {cut}");
        check_numbers(&all(&log, "plays").await, 0, kept + 1);
    }
    // A whole record with a flipped bit, and zeros a power cut may leave.
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let zeros = [&whole[..], &[0; 4096]].concat();
    for (bytes, kept) in [(flipped, 2), (zeros, 3)] {
        std::fs::write(&file, &bytes).unwrap();
        let log = SegmentedLog::open(directory.path(), LogSettings::default()).unwrap();
        check_numbers(&all(&log, "plays").await, 0, kept);
        assert!(file.with_extension("torn").exists());
    }
}

#[tokio::test]
async fn damage_in_an_older_segment_is_named_not_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let log = SegmentedLog::open(directory.path(), SMALL).unwrap();
    for number in 0..60 {
        put(&log, "plays", number).await;
    }
    let oldest = segments(directory.path()).remove(0);
    let mut bytes = std::fs::read(&oldest).unwrap();
    bytes[40] ^= 0x10;
    std::fs::write(&oldest, bytes).unwrap();
    let error = log.read("plays", Offset(0), 100).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { what, .. } if what.contains("event 1 ")),
        "{error}"
    );
    let newer = log.read("plays", Offset(50), 100).await.unwrap();
    check_numbers(&newer, 50, 60);
}

#[tokio::test]
async fn a_topic_that_is_full_drops_its_oldest_segments() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LogSettings { topic_bytes_max: 4_000, ..SMALL };
    let log = SegmentedLog::open(directory.path(), settings).unwrap();
    for number in 0..400 {
        put(&log, "plays", number).await;
    }
    let rows = all(&log, "plays").await;
    let first = rows[0].offset.0;
    assert!(first > 200, "the first event is {first}");
    check_numbers(&rows, first, 400);
    drop(log);
    let log = SegmentedLog::open(directory.path(), settings).unwrap();
    assert_eq!(log.end("plays").await.unwrap(), Offset(400));
}

#[tokio::test]
async fn a_second_writer_is_refused_with_the_cure() {
    let directory = tempfile::tempdir().unwrap();
    let _log = SegmentedLog::open(directory.path(), SMALL).unwrap();
    let Err(error) = SegmentedLog::open(directory.path(), SMALL) else { panic!("two writers") };
    assert!(matches!(&error, StoreError::Refused { why, .. } if why.contains("another process")));
}

#[tokio::test]
async fn a_file_of_another_version_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("plays")).unwrap();
    let file = directory.path().join("plays/00000000000000000000.log");
    std::fs::write(&file, b"NFEVENT\x02 and more").unwrap();
    assert!(SegmentedLog::open(directory.path(), SMALL).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"NFEVENT\x02 and more");
}

/// Goal: nothing acknowledged is lost on `kill -9`. Method: this test binary runs itself as a
/// child that appends from several tasks and prints each offset once it was acknowledged; the
/// parent kills it in the midst and looks for all it has read.
#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        append_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_acknowledged_survives_kill_9", "--nocapture"])
            .env(CHILD_DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged: Vec<u64> = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
            .take(200)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(acknowledged.len(), 200, "round {round}");
        let most = *acknowledged.iter().max().unwrap();
        let log = SegmentedLog::open(directory.path(), SMALL).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rows = runtime.block_on(all(&log, "plays"));
        assert!(rows.len() as u64 > most, "round {round}: {} events, {most} lost", rows.len());
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row.offset, Offset(index as u64));
        }
    }
}

fn append_until_killed(directory: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let log: Arc<dyn Events> = Arc::new(SegmentedLog::open(directory, SMALL).unwrap());
    runtime.block_on(async {
        for _ in 0..4 {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for number in 0..u64::MAX {
                    let offset = put(log.as_ref(), "plays", number).await;
                    println!("acknowledged {}", offset.0);
                }
            });
        }
        std::future::pending::<()>().await;
    });
    unreachable!("a pending future never ends")
}

/// A directory stands where the next segment belongs: the log cannot rotate, and takes events on.
#[tokio::test]
async fn a_log_that_cannot_rotate_keeps_what_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let log = SegmentedLog::open(directory.path(), SMALL).unwrap();
    put(&log, "plays", 0).await;
    let obstacles: Vec<PathBuf> =
        (1..80).map(|first| directory.path().join(format!("plays/{first:020}.log"))).collect();
    obstacles.iter().for_each(|path| std::fs::create_dir(path).unwrap());
    for number in 1..60 {
        assert_eq!(put(&log, "plays", number).await, Offset(number));
    }
    check_numbers(&all(&log, "plays").await, 0, 60);
    obstacles.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    for number in 60..120 {
        put(&log, "plays", number).await;
    }
    check_numbers(&all(&log, "plays").await, 0, 120);
    assert!(segments(directory.path()).len() > 1, "it rotates once it can");
}
