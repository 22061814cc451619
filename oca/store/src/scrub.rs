//! Looks whether a volume is what its journal says: names, seals or every byte.
//! Reads only and repairs nothing; whoever holds the writer quarantines what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use control_types::ObjectId;

use crate::disk::{AnyDisk, OpenFile, Opening};
use crate::error::StoreError;
use crate::index::{Index, Known, load_known};
use crate::journal::Record;
use crate::scan::{files_below, object_dirs, seal_of};
use crate::seal::Seal;
use crate::tail::Tail;
use crate::volume::Volume;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Files against journal: there, and of the right length.
    Names,
    /// And each seal is whole and that of the object.
    Seals,
    /// And each chunk matches its seal: reads everything.
    Payload,
}

/// What is true of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that was looked at is right.
    Sound,
    /// In the journal and not on disk: fetch it again.
    Missing,
    /// On disk and not in the journal: takes room and is never served.
    Orphan,
    /// Cut short or grown.
    Length {
        /// Bytes of the file.
        got: u64,
        /// Bytes it should have.
        wanted: u64,
    },
    /// The seal is damaged or that of another object; the reason in words.
    Seal(String),
    /// These chunks do not match the seal.
    Chunks(Vec<u32>),
    /// The operating system says no; the reason in words.
    Unreadable(String),
}

impl fmt::Display for Verdict {
    /// In words, with what becomes of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("sound"),
            Self::Missing => f.write_str("listed and not there: fetch it again"),
            Self::Orphan => f.write_str(
                "there and not listed, so never served: the agent's scrub lists it again if it is \
                 an object, else move it away",
            ),
            Self::Length { got, wanted } => {
                write!(f, "{got} bytes long and not {wanted}: cut short or grown, fetch it again")
            }
            Self::Seal(why) => write!(f, "its seal is bad: {why}; fetch it again"),
            Self::Chunks(chunks) => {
                let first: Vec<String> = chunks.iter().take(8).map(u32::to_string).collect();
                let more = if chunks.len() > first.len() { " and more" } else { "" };
                let (count, first) = (chunks.len(), first.join(", "));
                write!(f, "{count} bad chunks ({first}{more}): never served, fetch it again")
            }
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// One object and what is true of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which; absent for an orphan whose name is not an object's, and for a directory.
    pub object: Option<ObjectId>,
    /// Its file.
    pub path: PathBuf,
    /// Payload bytes by the journal; 0 for an orphan.
    pub bytes: u64,
    /// What was found.
    pub verdict: Verdict,
}

/// The outcome of a whole check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Objects by the journal.
    pub objects: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Everything that is not sound.
    pub bad: Vec<Finding>,
    /// Set when the journal is damaged and the seals were listed instead.
    pub journal_fault: Option<String>,
}

/// An object's file opened for checked reading.
#[derive(Debug)]
pub struct ObjectReader {
    file: OpenFile,
    path: PathBuf,
    seal: Seal,
}

impl ObjectReader {
    /// Opens an object's file and checks its seal. The length is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Seal`] or [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_on(&AnyDisk::Kernel, path)
    }

    /// Opens the object that is published on `volume`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(volume: &Volume, object: &ObjectId) -> Result<Self, StoreError> {
        Self::open_on(volume.disk(), &volume.object_path(object))
    }

    pub(crate) fn open_on(disk: &AnyDisk, path: &Path) -> Result<Self, StoreError> {
        let opened = disk.open(path, Opening::Read);
        let file = opened.map_err(StoreError::io(path, "open the object"))?;
        let seal = seal_of(&file, path)?;
        Ok(Self { file, path: path.to_owned(), seal })
    }

    /// Its seal.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Makes the file durable, as far as nothing was lost before.
    pub(crate) fn make_durable(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(StoreError::io(&self.path, "make durable"))
    }

    /// Tells the kernel that what was read of it will not be asked for again: a scrub or a move
    /// must not push out what members are watching. A hint, so its failure means nothing.
    pub fn forget_cached(&self) {
        self.file.forget_cached();
    }

    /// Reads chunk `index` into `into` (at most `CHUNK_BYTES`) and checks it.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] for bytes that do not match or an index past the end, else
    /// [`StoreError::Io`].
    pub fn read_chunk(&self, index: u32, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let bad = || StoreError::BadChunk { object: self.seal.object(), chunk: index };
        let range = self.seal.chunk_range(index).ok_or_else(bad)?;
        into.resize((range.end - range.start) as usize, 0);
        self.file
            .read_exact_at(into, self.seal.payload_offset() + range.start)
            .map_err(StoreError::io(&self.path, "read a chunk"))?;
        if self.seal.verify_chunk(index, into) { Ok(()) } else { Err(bad()) }
    }
}

/// An iterator over everything on a volume, one finding an object: it can be paced or stopped. A
/// writer may be at work meanwhile: what is not as the journal said is asked of the journal again.
/// Holds the names of one of 256 parts of the volume at a time.
#[derive(Debug)]
pub struct Scrub {
    volume: Volume,
    depth: Depth,
    journal_fault: Option<String>,
    index: Index,
    tail: Tail,
    /// Parts still to be looked at: directories in `objects/`, there or only listed.
    parts: IntoIter<PathBuf>,
    work: IntoIter<Item>,
}

#[derive(Debug)]
enum Item {
    Listed(PathBuf, Record),
    Unlisted(PathBuf),
}

impl Scrub {
    /// Reads the journal.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn new(volume: &Volume, depth: Depth) -> Result<Self, StoreError> {
        let (mut loaded, known) = load_known(std::slice::from_ref(volume));
        if matches!(known[..], [Known::Sick])
            && let Some(error) = loaded.problems.pop()
        {
            return Err(error);
        }
        // Files that are not objects are met again below, as orphans.
        let mut faults = loaded.problems.iter();
        let journal_fault = faults.find(|fault| matches!(fault, StoreError::Journal { .. }));
        let journal_fault = journal_fault.map(ToString::to_string);
        let firsts: BTreeSet<u8> = loaded.index.entries().map(|one| one.object.0[0]).collect();
        let listed = firsts.iter().map(|first| volume.objects_dir().join(format!("{first:02x}")));
        let parts: BTreeSet<PathBuf> = object_dirs(volume)?.into_iter().chain(listed).collect();
        Ok(Self {
            volume: volume.clone(),
            depth,
            journal_fault,
            index: loaded.index,
            tail: loaded.tail,
            parts: parts.into_iter().collect::<Vec<_>>().into_iter(),
            work: Vec::new().into_iter(),
        })
    }

    /// What there is to look at in one part.
    fn items_of(&self, part: &Path) -> Result<Vec<Item>, StoreError> {
        let name = part.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first =
            u8::from_str_radix(name, 16).ok().filter(|first| format!("{first:02x}") == name);
        let listed: BTreeMap<PathBuf, Record> =
            first.map(|first| listed_in(&self.index, first)).unwrap_or_default();
        let files = match self.volume.disk().look(part) {
            Ok(there) if !there.is_dir => Vec::new(),
            Err(error) if is_gone(&error) => Vec::new(),
            _ => files_below(&self.volume, part)?,
        };
        let unlisted: Vec<PathBuf> =
            files.into_iter().filter(|file| !listed.contains_key(file)).collect();
        let listed = listed.into_iter().map(|(path, record)| Item::Listed(path, record));
        Ok(listed.chain(unlisted.into_iter().map(Item::Unlisted)).collect())
    }

    /// What is true of `object` by the journal as it is now.
    fn listed_now(&mut self, object: &ObjectId) -> Option<Record> {
        // A journal that cannot be read this time says what it said last.
        for change in self.tail.poll().changes {
            self.index.apply(&change);
        }
        self.index.find(object).map(|entry| entry.record())
    }

    /// Whether a writer is about to list `object` or to take its file away, or has done so: it
    /// leaves a mark for as long as that takes, and the next one finishes what was cut short.
    fn is_in_hand(&self, object: &ObjectId) -> bool {
        let mark = |end| self.volume.incoming_dir().join(format!("{object}{end}"));
        let is_marked =
            [".part.done", ".remove", ".quarantine"].iter().any(|end| self.volume.has(&mark(end)));
        let path = self.volume.object_path(object);
        is_marked || self.volume.disk().look(&path).is_err_and(|error| is_gone(&error))
    }

    /// `None` when a writer took it away or has not listed it yet.
    fn look_at(&mut self, item: Item) -> Option<Finding> {
        let finding = |object, path, bytes, verdict| Finding { object, path, bytes, verdict };
        match item {
            Item::Listed(path, record) => {
                let verdict = judge(&self.volume, &path, &record, self.depth);
                if verdict != Verdict::Sound && self.listed_now(&record.object).is_none() {
                    return None;
                }
                Some(finding(Some(record.object), path, record.bytes, verdict))
            }
            Item::Unlisted(path) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let object = ObjectId::from_hex(name.as_bytes());
                let own = object.filter(|own| self.volume.object_path(own) == path);
                // Before and after the journal is asked: a deed may begin or end in between.
                let Some(object) = own.filter(|own| !self.is_in_hand(own)) else {
                    let is_ours = own.is_some();
                    return (!is_ours).then(|| finding(object, path, 0, Verdict::Orphan));
                };
                if let Some(record) = self.listed_now(&object) {
                    return self.look_at(Item::Listed(path, record));
                }
                let is_orphan = !self.is_in_hand(&object);
                is_orphan.then(|| finding(Some(object), path, 0, Verdict::Orphan))
            }
        }
    }
}

/// The objects whose names begin with the byte `first`, by path.
fn listed_in(index: &Index, first: u8) -> BTreeMap<PathBuf, Record> {
    let before = first.checked_sub(1).map(|before| {
        let mut last = [0xff; 32];
        last[0] = before;
        ObjectId(last)
    });
    let entries = index.entries_after(before).take_while(|entry| entry.object.0[0] == first);
    entries.map(|entry| (entry.path(), entry.record())).collect()
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

impl Iterator for Scrub {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        loop {
            if let Some(item) = self.work.next() {
                match self.look_at(item) {
                    Some(finding) => return Some(finding),
                    None => continue,
                }
            }
            let part = self.parts.next()?;
            match self.items_of(&part) {
                Ok(items) => self.work = items.into_iter(),
                Err(error) => {
                    let verdict = Verdict::Unreadable(error.in_full());
                    return Some(Finding { object: None, path: part, bytes: 0, verdict });
                }
            }
        }
    }
}

/// Looks at a whole volume.
///
/// # Errors
/// [`StoreError::Io`] when the volume cannot be listed; bad objects are in the report.
pub fn check(volume: &Volume, depth: Depth) -> Result<CheckReport, StoreError> {
    let scrub = Scrub::new(volume, depth)?;
    let mut report =
        CheckReport { journal_fault: scrub.journal_fault.clone(), ..CheckReport::default() };
    for finding in scrub {
        if finding.verdict != Verdict::Orphan && finding.object.is_some() {
            report.objects += 1;
            report.bytes += finding.bytes;
        }
        if finding.verdict != Verdict::Sound {
            report.bad.push(finding);
        }
    }
    Ok(report)
}

fn judge(volume: &Volume, path: &Path, record: &Record, depth: Depth) -> Verdict {
    let wanted = Seal::region_bytes_for(record.bytes) + record.bytes;
    match volume.disk().look(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Verdict::Missing,
        Err(e) => return Verdict::Unreadable(e.to_string()),
        Ok(file) if file.bytes != wanted => return Verdict::Length { got: file.bytes, wanted },
        Ok(_) if depth == Depth::Names => return Verdict::Sound,
        Ok(_) => {}
    }
    let reader = match ObjectReader::open_on(volume.disk(), path) {
        Ok(reader) => reader,
        Err(StoreError::Seal { source, .. }) => return Verdict::Seal(source.to_string()),
        Err(StoreError::Io { source, .. }) => return Verdict::Unreadable(source.to_string()),
        Err(other) => return Verdict::Unreadable(other.to_string()),
    };
    if Record::published(reader.seal()) != *record {
        return Verdict::Seal("the seal is not that of the journal's object".to_owned());
    }
    if depth == Depth::Seals { Verdict::Sound } else { judge_payload(&reader) }
}

fn judge_payload(reader: &ObjectReader) -> Verdict {
    let mut chunk = Vec::new();
    let mut bad = Vec::new();
    for index in 0..reader.seal().chunks() {
        match reader.read_chunk(index, &mut chunk) {
            Ok(()) => {}
            Err(StoreError::BadChunk { chunk, .. }) => bad.push(chunk),
            Err(StoreError::Io { source, .. }) => return Verdict::Unreadable(source.to_string()),
            Err(other) => return Verdict::Unreadable(other.to_string()),
        }
    }
    if bad.is_empty() { Verdict::Sound } else { Verdict::Chunks(bad) }
}
