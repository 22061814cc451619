//! Looks whether a volume is what its journal says: names, seals or every byte.
//! Reads only and repairs nothing; whoever holds the writer quarantines what it finds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use control_types::ObjectId;

use crate::disk::{AnyDisk, OpenFile, Opening};
use crate::error::StoreError;
use crate::index::{Known, load_known};
use crate::journal::Record;
use crate::scan::{object_files, seal_of};
use crate::seal::Seal;
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
    /// Which; absent for an orphan whose name is not an object's.
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

/// An iterator over everything on a volume, one finding an object: it can be paced or stopped.
#[derive(Debug)]
pub struct Scrub {
    volume: Volume,
    depth: Depth,
    journal_fault: Option<String>,
    work: IntoIter<Item>,
}

#[derive(Debug)]
enum Item {
    Listed(PathBuf, Record),
    Unlisted(PathBuf),
}

impl Scrub {
    /// Lists what there is to look at: the journal, and the directory of objects.
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
        let records = loaded.index.entries().map(|entry| (entry.path(), entry.record()));
        let listed: BTreeMap<PathBuf, Record> = records.collect();
        let files = object_files(volume)?;
        let unlisted: Vec<PathBuf> =
            files.into_iter().filter(|f| !listed.contains_key(f)).collect();
        let listed = listed.into_iter().map(|(path, record)| Item::Listed(path, record));
        let work: Vec<Item> = listed.chain(unlisted.into_iter().map(Item::Unlisted)).collect();
        Ok(Self { volume: volume.clone(), depth, journal_fault, work: work.into_iter() })
    }
}

impl Iterator for Scrub {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        Some(match self.work.next()? {
            Item::Listed(path, record) => {
                let verdict = judge(&self.volume, &path, &record, self.depth);
                Finding { object: Some(record.object), path, bytes: record.bytes, verdict }
            }
            Item::Unlisted(path) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let object = ObjectId::from_hex(name.as_bytes());
                Finding { object, path, bytes: 0, verdict: Verdict::Orphan }
            }
        })
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
        if finding.verdict != Verdict::Orphan {
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
