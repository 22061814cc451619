//! The event log: one directory a topic, segments, one writing thread for all. Not a broker: one
//! process writes, and takes a lock to make sure.
//!
//! Mechanics: appends queue for the writing thread. It takes what waits (at most
//! `EVENT_BATCH_MAX`), writes each topic's share with one write and one fdatasync, shows it to
//! readers, then acknowledges. So an event that was acknowledged is on the disk, an event that was
//! read was acknowledged, and a thousand appends at once cost a handful of syncs.

mod segment;
mod topic;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use control_types::UnixMillis;
use tokio::sync::{mpsc, oneshot};

use crate::embedded::{make_private, named};
use crate::limits::{
    EVENT_BATCH_MAX, EVENT_BODY_BYTES_MAX, EVENT_QUEUE_MAX, EVENT_READ_MAX,
    EVENT_SEGMENT_BYTES_MAX, EVENT_TOPIC_BYTES_MAX, EVENT_TOPIC_LOG_BYTES_MAX, EVENT_TOPICS_MAX,
};
use crate::{EventRow, Events, Offset, StoreError};
use topic::{Pending, Tail, View};

/// When an append may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After fdatasync: survives `kill -9` and a power cut. The default.
    EveryBatch,
    /// After the write: survives `kill -9`, not a power cut. For a disk whose sync is slow.
    KernelOnly,
}

/// Knobs of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// Default [`SyncPolicy::EveryBatch`].
    pub sync: SyncPolicy,
    /// A segment this large is followed by a new one, bytes.
    pub segment_bytes_max: u64,
    /// A topic this large drops its oldest segments, bytes; at least one older segment stays.
    pub topic_bytes_max: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::EveryBatch,
            segment_bytes_max: EVENT_SEGMENT_BYTES_MAX,
            topic_bytes_max: EVENT_TOPIC_LOG_BYTES_MAX,
        }
    }
}

type Views = Arc<RwLock<BTreeMap<String, View>>>;

/// The events adapter. Dropping it waits for what was queued.
pub struct SegmentedLog {
    directory: PathBuf,
    views: Views,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
}

struct Append {
    topic: String,
    pending: Pending,
    answer: oneshot::Sender<Result<Offset, StoreError>>,
}

impl SegmentedLog {
    /// Opens or makes the directory, repairs torn tails, starts the writing thread.
    ///
    /// # Errors
    /// `Refused` when another process writes here, `Away` naming the file, `Damaged`.
    pub fn open(directory: &Path, settings: LogSettings) -> Result<Self, StoreError> {
        make_private(directory)?;
        let lock = lock(directory)?;
        let mut tails = BTreeMap::new();
        let mut views = BTreeMap::new();
        for name in topics_in(directory).map_err(|error| opening(directory, &error))? {
            let path = directory.join(&name);
            let (tail, view) = Tail::open(&path).map_err(|error| opening(&path, &error))?;
            tails.insert(name.clone(), tail);
            views.insert(name, view);
        }
        let views: Views = Arc::new(RwLock::new(views));
        let (queue, appends) = mpsc::channel(EVENT_QUEUE_MAX);
        let writer = Writer {
            directory: directory.to_owned(),
            settings,
            tails,
            views: Arc::clone(&views),
            _lock: lock,
        };
        let writer = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || writer.run(appends))
            .map_err(|error| StoreError::away("start the event log's thread", error))?;
        Ok(Self {
            directory: directory.to_owned(),
            views,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    fn view(&self, topic: &str) -> View {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        views.get(topic).cloned().unwrap_or_default()
    }
}

impl Drop for SegmentedLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A panic there was reported when it happened.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Events for SegmentedLog {
    async fn append(
        &self,
        topic: &str,
        at: UnixMillis,
        body: &serde_json::Value,
    ) -> Result<Offset, StoreError> {
        check_topic(topic)?;
        let body = serde_json::to_vec(body)
            .map_err(|error| refused(topic, format!("the body is not JSON: {error}")))?;
        if body.len() > EVENT_BODY_BYTES_MAX {
            let why = format!("a body of {} bytes; at most {EVENT_BODY_BYTES_MAX}", body.len());
            return Err(refused(topic, why));
        }
        let stopped = || StoreError::away("append an event", "the event log's thread has stopped");
        let (answer, acknowledged) = oneshot::channel();
        let append = Append { topic: topic.to_owned(), pending: Pending { at, body }, answer };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(append).await.map_err(|_| stopped())?;
        acknowledged.await.map_err(|_| stopped())?
    }

    async fn read(
        &self,
        topic: &str,
        from: Offset,
        count_max: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        check_topic(topic)?;
        let view = self.view(topic);
        if from.0 >= view.end || count_max == 0 {
            return Ok(Vec::new());
        }
        let directory = self.directory.join(topic);
        let count_max = count_max.min(EVENT_READ_MAX);
        let reading =
            tokio::task::spawn_blocking(move || topic::read(&directory, &view, from, count_max));
        reading.await.map_err(|error| StoreError::away("read the event log", error))?
    }

    async fn end(&self, topic: &str) -> Result<Offset, StoreError> {
        check_topic(topic)?;
        Ok(Offset(self.view(topic).end))
    }
}

/// The writing thread: woken by an append, ends when the last sender is dropped.
struct Writer {
    directory: PathBuf,
    settings: LogSettings,
    tails: BTreeMap<String, Tail>,
    views: Views,
    /// Held until the thread ends, so that nobody opens the log while it still writes.
    _lock: File,
}

impl Writer {
    fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        while let Some(first) = appends.blocking_recv() {
            let mut batch: BTreeMap<String, Vec<Append>> = BTreeMap::new();
            batch.entry(first.topic.clone()).or_default().push(first);
            for _ in 1..EVENT_BATCH_MAX {
                let Ok(append) = appends.try_recv() else { break };
                batch.entry(append.topic.clone()).or_default().push(append);
            }
            for (topic, appends) in batch {
                self.commit(&topic, appends);
            }
        }
    }

    /// Writes one topic's share and answers everybody in it.
    fn commit(&mut self, topic: &str, appends: Vec<Append>) {
        let mut records = Vec::new();
        let mut lengths = Vec::with_capacity(appends.len());
        for append in &appends {
            let before = records.len();
            segment::encode(&mut records, append.pending.at, &append.pending.body);
            lengths.push((records.len() - before) as u64);
        }
        match self.write(topic, &records, &lengths) {
            Ok(first) => {
                for (place, append) in appends.into_iter().enumerate() {
                    // A caller that went away does not want its answer.
                    let _ = append.answer.send(Ok(Offset(first + place as u64)));
                }
            }
            Err(error) => {
                let words = error.to_string();
                for append in appends {
                    let error = StoreError::away("append an event", words.clone());
                    let _ = append.answer.send(Err(error));
                }
            }
        }
    }

    /// Returns the offset of the first record.
    fn write(&mut self, topic: &str, records: &[u8], lengths: &[u64]) -> io::Result<u64> {
        let path = self.directory.join(topic);
        self.open_topic(topic, &path).map_err(|error| named(&path, &error))?;
        let tail = self.tails.get_mut(topic).expect("the line above opened it");
        tail.write(records).map_err(|error| named(&path, &error))?;
        if self.settings.sync == SyncPolicy::EveryBatch {
            tail.sync().map_err(|error| named(&path, &error))?;
        }
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let view = views.entry(topic.to_owned()).or_default();
        let first = view.end;
        for length in lengths {
            view.grow(*length);
        }
        // The events stand whatever becomes of the housekeeping below; it is tried again with the
        // next append.
        match tail.rotate(view.end, self.settings.segment_bytes_max) {
            Ok(Some(segment)) => view.segments.push(segment),
            Ok(None) => {}
            Err(error) => tracing::warn!(topic, %error, "the event log could not rotate"),
        }
        drop_oldest(tail, view, self.settings.topic_bytes_max);
        Ok(first)
    }

    fn open_topic(&mut self, topic: &str, path: &Path) -> io::Result<()> {
        if self.tails.contains_key(topic) {
            return Ok(());
        }
        if self.tails.len() >= EVENT_TOPICS_MAX {
            return Err(io::Error::other(format!("there are {EVENT_TOPICS_MAX} topics already")));
        }
        let (tail, view) = Tail::open(path)?;
        File::open(&self.directory)?.sync_all()?;
        self.tails.insert(topic.to_owned(), tail);
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        views.insert(topic.to_owned(), view);
        Ok(())
    }
}

fn drop_oldest(tail: &Tail, view: &mut View, bytes_max: u64) {
    let mut total: u64 = view.segments.iter().map(|segment| segment.bytes).sum();
    while total > bytes_max && view.segments.len() > 2 {
        let oldest = view.segments[0].first;
        if let Err(error) = tail.drop_segment(oldest) {
            tracing::warn!(oldest, %error, "the event log could not drop its oldest segment");
            return;
        }
        total -= view.segments.remove(0).bytes;
    }
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| opening(&path, &error))?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => StoreError::Refused {
            what: directory.display().to_string(),
            why: "another process writes this event log; stop it, or give this one its own state \
                  directory"
                .to_owned(),
        },
        std::fs::TryLockError::Error(error) => opening(&path, &error),
    })?;
    Ok(file)
}

fn topics_in(directory: &Path) -> io::Result<Vec<String>> {
    let mut topics = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str()
            && check_topic(name).is_ok()
        {
            topics.push(name.to_owned());
        }
    }
    Ok(topics)
}

fn opening(path: &Path, error: &io::Error) -> StoreError {
    StoreError::away("open the event log", named(path, error))
}

fn refused(topic: &str, why: String) -> StoreError {
    StoreError::Refused { what: format!("an event for topic {topic:?}"), why }
}

/// A topic is a directory name: letters, digits, dashes, nothing that could climb out.
fn check_topic(topic: &str) -> Result<(), StoreError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !topic.is_empty() && topic.len() <= EVENT_TOPIC_BYTES_MAX && topic.bytes().all(plain) {
        return Ok(());
    }
    let short: String = topic.chars().take(EVENT_TOPIC_BYTES_MAX).collect();
    let why = format!("use 1 to {EVENT_TOPIC_BYTES_MAX} of a-z, 0-9 and '-'");
    Err(refused(&short, why))
}
