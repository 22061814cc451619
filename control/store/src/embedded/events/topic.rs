//! One topic's directory: its segments, its tail, what a reader may see. Blocking file work; runs
//! on the writer's thread or a blocking one. Never moves a reader past what was acknowledged.
//!
//! On open the last segment is read to its end. Bytes after the last whole record were never
//! acknowledged; they are moved aside into `NAME.torn` and cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use control_types::UnixMillis;
use tracing::warn;

use super::segment::{self, Decoded, MAGIC};
use crate::limits::EVENT_BODY_BYTES_MAX;
use crate::{EventRow, Offset, StoreError};

/// A place to start reading at is kept for every this many records.
const MARK_EVERY: u64 = 512;

/// Bytes read at once.
const READ_BYTES: usize = EVENT_BODY_BYTES_MAX + 4096;

/// One file of a topic.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Offset of its first record.
    pub first: u64,
    /// Acknowledged bytes of it.
    pub bytes: u64,
    /// Offsets and where in the file they begin, rising; knows only records seen by this process.
    pub marks: Vec<(u64, u64)>,
}

/// What readers of a topic see: all that is acknowledged.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Oldest first; never empty once something was written.
    pub segments: Vec<Segment>,
    /// Offset the next record gets.
    pub end: u64,
}

impl View {
    /// Notes that the last segment grew by a record of `bytes`.
    pub fn grow(&mut self, bytes: u64) {
        let end = self.end;
        if let Some(last) = self.segments.last_mut() {
            if (end - last.first).is_multiple_of(MARK_EVERY) {
                last.marks.push((end, last.bytes));
            }
            last.bytes += bytes;
        }
        self.end += 1;
    }
}

/// The open end of a topic.
pub struct Tail {
    directory: PathBuf,
    file: File,
    /// Length of the file as far as it is known to be good.
    bytes: u64,
    /// After a failed write or sync nothing is known of the file's end until it is read again.
    broken: bool,
}

impl Tail {
    /// Opens an existing topic directory, or makes it.
    pub fn open(directory: &Path) -> io::Result<(Self, View)> {
        std::fs::create_dir_all(directory)?;
        let mut firsts: Vec<u64> = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            firsts.extend(entry?.file_name().to_str().and_then(segment::first_of));
        }
        firsts.sort_unstable();
        let Some(last) = firsts.last().copied() else {
            let (file, bytes) = create(directory, 0)?;
            let view = View { segments: vec![begun(0)], end: 0 };
            return Ok((
                Self { directory: directory.to_owned(), file, bytes, broken: false },
                view,
            ));
        };
        let mut segments = Vec::with_capacity(firsts.len());
        for first in &firsts[..firsts.len() - 1] {
            let bytes = std::fs::metadata(directory.join(segment::file_name(*first)))?.len();
            segments.push(Segment { first: *first, bytes, marks: Vec::new() });
        }
        let path = directory.join(segment::file_name(last));
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        segments.push(begun(last));
        let mut view = View { segments, end: last };
        let good = scan(&mut file, &mut view)?;
        cut_tail(&path, &mut file, good)?;
        file.seek(SeekFrom::Start(good))?;
        Ok((Self { directory: directory.to_owned(), file, bytes: good, broken: false }, view))
    }

    /// Writes encoded records at the end; they count once [`Tail::sync`] has returned.
    pub fn write(&mut self, records: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an earlier write failed and the end of the log is unknown; restart to repair it",
            ));
        }
        let written = self.file.write_all(records);
        match written {
            Ok(()) => self.bytes += records.len() as u64,
            Err(_) => self.broken = !self.rewind(),
        }
        written
    }

    /// Flushes to the disk. After a failure the kernel may have dropped the pages, so that a
    /// second sync would lie: the topic stays broken until the process starts anew.
    pub fn sync(&mut self) -> io::Result<()> {
        let synced = self.file.sync_data();
        self.broken |= synced.is_err();
        synced
    }

    /// Begins a new segment at `first` if this one has reached `bytes_max`.
    pub fn rotate(&mut self, first: u64, bytes_max: u64) -> io::Result<Option<Segment>> {
        if self.bytes < bytes_max || self.broken {
            return Ok(None);
        }
        let (file, bytes) = create(&self.directory, first)?;
        (self.file, self.bytes) = (file, bytes);
        Ok(Some(begun(first)))
    }

    /// Removes a whole segment, the oldest.
    pub fn drop_segment(&self, first: u64) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(segment::file_name(first)))
    }

    /// Puts the file back to its last good length; says whether that worked.
    fn rewind(&mut self) -> bool {
        self.file.set_len(self.bytes).is_ok() && self.file.seek(SeekFrom::Start(self.bytes)).is_ok()
    }
}

fn begun(first: u64) -> Segment {
    Segment { first, bytes: MAGIC.len() as u64, marks: Vec::new() }
}

/// Makes an empty segment and lets it and its name reach the disk.
fn create(directory: &Path, first: u64) -> io::Result<(File, u64)> {
    let path = directory.join(segment::file_name(first));
    // Truncated: a file of this name can only be what an earlier failed attempt left, since no
    // record of this offset exists yet.
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all(&MAGIC)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok((file, MAGIC.len() as u64))
}

/// Reads all whole records into the view; returns where they end.
fn scan(file: &mut File, view: &mut View) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    if bytes.len() < MAGIC.len() {
        // Killed between making the file and writing its first bytes: an empty segment.
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&MAGIC)?;
        file.sync_all()?;
        return Ok(MAGIC.len() as u64);
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is not a segment of this version of the event log",
        ));
    }
    let mut good = MAGIC.len();
    while let Decoded::Record { next, .. } = segment::decode(&bytes[good..]) {
        view.grow(next as u64);
        good += next;
    }
    Ok(good as u64)
}

/// Moves what follows the last whole record aside.
fn cut_tail(path: &Path, file: &mut File, good: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    if length <= good {
        return Ok(());
    }
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(good))?;
    file.read_to_end(&mut torn)?;
    std::fs::write(path.with_extension("torn"), &torn)?;
    file.set_len(good)?;
    file.sync_all()?;
    let bytes = torn.len();
    warn!(path = %path.display(), bytes, "cut an unacknowledged tail off the event log");
    Ok(())
}

/// Reads records of a topic as `view` shows it.
pub fn read(
    directory: &Path,
    view: &View,
    from: Offset,
    count_max: usize,
) -> Result<Vec<EventRow>, StoreError> {
    let mut rows = Vec::new();
    // What was dropped is gone: reading goes on with the oldest that is left.
    let first = view.segments.first().map_or(0, |segment| segment.first);
    let mut want = from.0.max(first);
    for (index, segment) in view.segments.iter().enumerate() {
        let end = view.segments.get(index + 1).map_or(view.end, |next| next.first);
        if want >= end {
            continue;
        }
        let path = directory.join(segment::file_name(segment.first));
        while want < end && rows.len() < count_max {
            let before = want;
            read_run(&path, segment, end, count_max, &mut want, &mut rows)?;
            if want == before {
                return Err(damaged(&path, want, "it ends before its last record"));
            }
        }
    }
    Ok(rows)
}

/// Reads one buffer's worth of records, or up to `end`.
fn read_run(
    path: &Path,
    segment: &Segment,
    end: u64,
    count_max: usize,
    want: &mut u64,
    rows: &mut Vec<EventRow>,
) -> Result<(), StoreError> {
    let away = |error: io::Error| {
        StoreError::away("read the event log", crate::embedded::named(path, &error))
    };
    let start = segment.marks.iter().rev().find(|(offset, _)| *offset <= *want);
    let (mut offset, mut place) = start.copied().unwrap_or((segment.first, MAGIC.len() as u64));
    let mut file = File::open(path).map_err(away)?;
    let mut buffer = vec![0; READ_BYTES];
    while offset < end && rows.len() < count_max {
        let room = usize::try_from(segment.bytes.saturating_sub(place)).unwrap_or(READ_BYTES);
        let length = room.min(READ_BYTES);
        file.seek(SeekFrom::Start(place)).map_err(away)?;
        file.read_exact(&mut buffer[..length]).map_err(away)?;
        let mut used = 0;
        while offset < end && rows.len() < count_max {
            match segment::decode(&buffer[used..length]) {
                Decoded::Record { at, body, next } => {
                    if offset >= *want {
                        let body = serde_json::from_slice(body)
                            .map_err(|error| damaged(path, offset, &error.to_string()))?;
                        rows.push(EventRow { offset: Offset(offset), at, body });
                        *want = offset + 1;
                    }
                    used += next;
                    offset += 1;
                }
                Decoded::Short if used > 0 => break,
                Decoded::Short => return Err(damaged(path, offset, "a record is cut off")),
                Decoded::Bad(why) => return Err(damaged(path, offset, why)),
            }
        }
        place += used as u64;
    }
    Ok(())
}

fn damaged(path: &Path, offset: u64, why: &str) -> StoreError {
    StoreError::Damaged { what: format!("event {offset} in {}", path.display()), why: why.into() }
}

/// One event to be written.
pub struct Pending {
    /// When it happened.
    pub at: UnixMillis,
    /// JSON.
    pub body: Vec<u8>,
}
