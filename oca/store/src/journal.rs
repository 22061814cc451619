//! The journal: which objects a volume has published, as an append-only file of fixed records.
//! It is a cache of what the seals say, so it is never repaired by guessing: damaged means rebuilt.
//!
//! ```text
//! header, 128 bytes:  0..6 magic   6..8 version   8..16 epoch   16..20 CRC-32C of 0..16   zero
//! record, 128 bytes:  0..4 CRC-32C of 4..128      4 kind   5 media type   6 title length   7 zero
//!                     8..16 payload bytes   16..48 object id   48..112 title   112..120 slot
//!                     120..128 zero
//! ```
//!
//! The slot number in each record keeps a stale block of an earlier file from passing for a record.
//! The epoch changes when the file is written anew, which is how a reader that follows it notices.
//!
//! Damage policy: bad bytes with no good record behind them are the torn end of the last append,
//! and are ignored (a writer cuts them off). Bad bytes with a good record behind them are damage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use control_types::limits::OBJECT_BYTES_MAX;
use control_types::{ObjectId, TitleId};

use crate::error::StoreError;
use crate::media_type::MediaType;
use crate::seal::{Seal, decode_title, fill, le_u64};
use crate::volume::sync_dir;

/// Bytes of the header and of every record.
pub const RECORD_BYTES: usize = 128;

/// Bytes read at once; a multiple of a record.
const PIECE_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 6] = b"NFJRNL";
const VERSION: u16 = 1;
const TITLE_AT: usize = 48;
const SLOT_AT: usize = 112;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Its file is complete, verified and in `objects/`.
    Published,
    /// It was pruned.
    Removed,
    /// It was found bad and moved to `quarantine/`.
    Quarantined,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// To which object.
    pub object: ObjectId,
    /// Its payload, bytes.
    pub bytes: u64,
    /// The title it belongs to.
    pub title: TitleId,
    /// What the payload is.
    pub media_type: MediaType,
}

impl Record {
    /// The record that publishes an object with this seal.
    #[must_use]
    pub fn published(seal: &Seal) -> Self {
        Self {
            kind: Kind::Published,
            object: seal.object(),
            bytes: seal.bytes(),
            title: seal.title().clone(),
            media_type: seal.media_type(),
        }
    }

    /// The same object, something else happening to it.
    #[must_use]
    pub(crate) fn now(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
    }

    fn encode(&self, slot: u64) -> [u8; RECORD_BYTES] {
        let mut out = [0u8; RECORD_BYTES];
        out[4] = match self.kind {
            Kind::Published => 1,
            Kind::Removed => 2,
            Kind::Quarantined => 3,
        };
        out[5] = self.media_type.as_byte();
        let title = self.title.as_str().as_bytes();
        // A slug is at most 64 bytes, so its length fits a byte and its text the field.
        out[6] = title.len() as u8;
        out[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        out[16..48].copy_from_slice(&self.object.0);
        out[TITLE_AT..TITLE_AT + title.len()].copy_from_slice(title);
        out[SLOT_AT..SLOT_AT + 8].copy_from_slice(&slot.to_le_bytes());
        let crc = crc32c::crc32c(&out[4..]);
        out[0..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(from: &[u8], slot: u64) -> Option<Self> {
        let line = Line::decode(from, slot)?;
        Some(Self {
            kind: line.kind,
            object: line.object,
            bytes: line.bytes,
            title: decode_title(from[6], &from[TITLE_AT..SLOT_AT])?,
            media_type: line.media_type,
        })
    }
}

/// A record as it stands in the file, nothing copied; its title is not checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub kind: Kind,
    pub object: ObjectId,
    pub bytes: u64,
    pub title: &'a [u8],
    pub media_type: MediaType,
}

impl<'a> Line<'a> {
    fn decode(from: &'a [u8], slot: u64) -> Option<Self> {
        if from.len() != RECORD_BYTES
            || crc32c::crc32c(&from[4..]).to_le_bytes() != from[0..4]
            || le_u64(from, SLOT_AT) != slot
        {
            return None;
        }
        let kind = match from[4] {
            1 => Kind::Published,
            2 => Kind::Removed,
            3 => Kind::Quarantined,
            _ => return None,
        };
        let mut object = [0u8; 32];
        object.copy_from_slice(&from[16..48]);
        // A reader makes room for the seal of this many bytes before it has seen the file.
        let bytes = Some(le_u64(from, 8)).filter(|bytes| *bytes <= OBJECT_BYTES_MAX)?;
        Some(Self {
            kind,
            object: ObjectId(object),
            bytes,
            title: from[TITLE_AT..SLOT_AT].get(..usize::from(from[6]))?,
            media_type: MediaType::from_byte(from[5])?,
        })
    }
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Changes when the file is written anew.
    pub epoch: u64,
    /// Every whole record, in order.
    pub records: Vec<Record>,
    /// Length of the header and the whole records, bytes: a reader goes on from here.
    pub whole_bytes: u64,
}

/// How far a journal was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub epoch: u64,
    /// Whole records.
    pub records: u64,
    /// Length of the header and the whole records.
    pub whole_bytes: u64,
    /// There was something behind the whole records: the torn end of an append, or a record that
    /// rotted.
    pub is_torn: bool,
}

/// Reads a whole journal into records.
///
/// # Errors
/// [`StoreError::Journal`] when it is damaged, [`StoreError::Io`] when it cannot be read (with
/// `NotFound` as the source when there is none).
pub fn replay(path: &Path) -> Result<Replay, StoreError> {
    let mut records = Vec::new();
    let place = read(path, |line| {
        let Some(title) = std::str::from_utf8(line.title).ok().and_then(|text| text.parse().ok())
        else {
            return false;
        };
        let Line { kind, object, bytes, media_type, .. } = *line;
        records.push(Record { kind, object, bytes, title, media_type });
        true
    })?;
    Ok(Replay { epoch: place.epoch, records, whole_bytes: place.whole_bytes })
}

/// Reads a whole journal and shows each whole line to `each`, which answers whether it is one; a
/// piece of the file is in memory at a time.
///
/// # Errors
/// As [`replay`]; lines shown before an error count for nothing.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(&Line<'_>) -> bool,
) -> Result<Place, StoreError> {
    let io = |doing| StoreError::io(path, doing);
    let damaged = |at: u64| StoreError::Journal { path: path.to_owned(), at };
    let mut file = File::open(path).map_err(io("read the journal"))?;
    let mut piece = vec![0u8; PIECE_BYTES];
    let got = fill(&mut file, &mut piece[..RECORD_BYTES]).map_err(io("read the journal"))?;
    let epoch = decode_header(&piece[..got]).ok_or_else(|| damaged(0))?;
    let (mut records, mut slot) = (0u64, 0u64);
    let mut is_torn = false;
    loop {
        let got = fill(&mut file, &mut piece).map_err(io("read the journal"))?;
        for block in piece[..got].chunks(RECORD_BYTES) {
            let line = Line::decode(block, slot);
            slot += 1;
            match line {
                Some(line) if !is_torn && each(&line) => records += 1,
                // A good record behind a bad one: the bad one is no torn end.
                Some(_) if is_torn => return Err(damaged((records + 1) * RECORD_BYTES as u64)),
                _ => is_torn = true,
            }
        }
        if got < piece.len() {
            let whole_bytes = (records + 1) * RECORD_BYTES as u64;
            return Ok(Place { epoch, records, whole_bytes, is_torn });
        }
    }
}

/// Reads the records that were appended after `from_bytes`, if the file is still of this `epoch`.
/// `None` means it was written anew: replay it.
///
/// # Errors
/// [`StoreError::Io`]. A record that is not whole yet is left for the next call.
pub fn replay_from(
    path: &Path,
    epoch: u64,
    from_bytes: u64,
) -> Result<Option<(Vec<Record>, u64)>, StoreError> {
    let io = |doing| StoreError::io(path, doing);
    let mut file = File::open(path).map_err(io("open the journal"))?;
    let mut header = [0u8; RECORD_BYTES];
    let got = fill(&mut file, &mut header).map_err(io("read the journal"))?;
    if decode_header(&header[..got]) != Some(epoch) {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(from_bytes)).map_err(io("read the journal"))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io("read the journal"))?;
    let first_slot = from_bytes / RECORD_BYTES as u64 - 1;
    let mut records = Vec::new();
    for (slot, block) in (first_slot..).zip(bytes.chunks_exact(RECORD_BYTES)) {
        let Some(record) = Record::decode(block, slot) else { break };
        records.push(record);
    }
    let at = from_bytes + (records.len() * RECORD_BYTES) as u64;
    Ok(Some((records, at)))
}

/// The writing end. Every append is durable when it returns.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Whole records in the file; the next one goes to this slot, over whatever a failed append
    /// left.
    slots: u64,
    /// A record was written and could not be made durable, or the file's own name could not.
    /// Readers may have seen what did not happen: the file must be written anew, under another
    /// epoch, before anything is added.
    is_doubtful: bool,
}

impl Journal {
    /// Goes on from `place`, cutting off a torn end.
    pub(crate) fn resume(path: &Path, place: &Place) -> Result<Self, StoreError> {
        let io = |doing| StoreError::io(path, doing);
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(io("open the journal"))?;
        let length = file.metadata().map_err(io("size the journal"))?.len();
        if length > place.whole_bytes {
            file.set_len(place.whole_bytes).map_err(io("cut the journal's torn end"))?;
            file.sync_all().map_err(io("make the journal durable"))?;
        }
        Ok(Self { path: path.to_owned(), file, slots: place.records, is_doubtful: false })
    }

    /// Writes a new journal with these records in the place of any earlier one, all or nothing.
    pub(crate) fn create(
        path: &Path,
        records: impl Iterator<Item = Record>,
    ) -> Result<Self, StoreError> {
        let fresh = path.with_extension("new");
        let (file, slots) = Self::write_fresh(path, &fresh, records).inspect_err(|_| {
            // Half a journal would keep a full disk full.
            let _ = fs::remove_file(&fresh);
        })?;
        fs::rename(&fresh, path).map_err(StoreError::io(path, "put the new journal in place"))?;
        // From here on the new file is the journal, whatever happens: an earlier one has no name
        // any more, and what was added to it would be lost.
        let named = sync_dir(path.parent().expect("a journal is inside its volume"));
        if let Err(error) = &named {
            tracing::warn!(%error, "the new journal may not outlive a power cut: written again");
        }
        Ok(Self { path: path.to_owned(), file, slots, is_doubtful: named.is_err() })
    }

    /// Whether it must be written anew before anything is added.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    fn write_fresh(
        path: &Path,
        fresh: &Path,
        records: impl Iterator<Item = Record>,
    ) -> Result<(File, u64), StoreError> {
        let io = |doing| StoreError::io(path, doing);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(fresh)
            .map_err(io("create the journal"))?;
        let mut to = BufWriter::with_capacity(PIECE_BYTES, &file);
        let mut slots = 0;
        to.write_all(&encode_header(new_epoch())).map_err(io("write the journal"))?;
        for record in records {
            to.write_all(&record.encode(slots)).map_err(io("write the journal"))?;
            slots += 1;
        }
        to.flush().map_err(io("write the journal"))?;
        drop(to);
        file.sync_all().map_err(io("make the journal durable"))?;
        Ok((file, slots))
    }

    /// Records in the file, live or not.
    pub(crate) fn records(&self) -> u64 {
        self.slots
    }

    /// Adds one record; durable on success. On failure it is as if it had never been tried, or the
    /// journal is doubtful.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let io = || StoreError::io(&self.path, "append to the journal");
        if self.is_doubtful {
            return Err(io()(io::Error::other("it was not made durable and must be written anew")));
        }
        let at = (self.slots + 1) * RECORD_BYTES as u64;
        self.file.write_all_at(&record.encode(self.slots), at).map_err(io())?;
        if let Err(error) = self.file.sync_data() {
            let error = io()(error);
            self.is_doubtful = true;
            return Err(error);
        }
        self.slots += 1;
        Ok(())
    }
}

fn encode_header(epoch: u64) -> [u8; RECORD_BYTES] {
    let mut out = [0u8; RECORD_BYTES];
    out[0..6].copy_from_slice(MAGIC);
    out[6..8].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&epoch.to_le_bytes());
    let crc = crc32c::crc32c(&out[..16]);
    out[16..20].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode_header(bytes: &[u8]) -> Option<u64> {
    let head = bytes.get(..RECORD_BYTES)?;
    let sound = head[0..6] == *MAGIC
        && head[6..8] == VERSION.to_le_bytes()
        && crc32c::crc32c(&head[..16]).to_le_bytes() == head[16..20];
    sound.then(|| le_u64(head, 8))
}

/// Different from every earlier one of this volume, which is all that it must be. A clock that is
/// set back could repeat one; the nanoseconds make that a matter of luck nobody has.
fn new_epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

/// Whether this is the error of a journal that is not there.
pub(crate) fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: u64) -> Record {
        Record {
            kind: Kind::Published,
            object: ObjectId([7; 32]),
            bytes,
            title: "night".parse().unwrap(),
            media_type: MediaType::VideoMp4,
        }
    }

    #[test]
    fn a_record_of_more_bytes_than_an_object_may_have_is_none() {
        let check = |bytes, slot| Record::decode(&record(bytes).encode(slot), slot);
        assert_eq!(check(OBJECT_BYTES_MAX, 3), Some(record(OBJECT_BYTES_MAX)));
        assert_eq!(check(OBJECT_BYTES_MAX + 1, 3), None);
        assert_eq!(check(u64::MAX, 3), None, "no reader makes room for its seal");
    }

    #[test]
    fn a_journal_whose_name_or_end_is_in_doubt_takes_nothing_until_it_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, [record(1)].into_iter()).unwrap();
        journal.is_doubtful = true;
        assert!(journal.append(&record(2)).is_err());
        assert_eq!(replay(&path).unwrap().records, [record(1)]);
        // A rewrite that cannot be made leaves no half of one behind.
        fs::create_dir(path.with_extension("new")).unwrap();
        assert!(Journal::create(&path, [record(1)].into_iter()).is_err());
        fs::remove_dir(path.with_extension("new")).unwrap();
        let before = replay(&path).unwrap().epoch;
        let mut journal = Journal::create(&path, [record(1)].into_iter()).unwrap();
        journal.append(&record(2)).unwrap();
        let after = replay(&path).unwrap();
        assert!(after.epoch != before && after.records == [record(1), record(2)]);
    }
}
