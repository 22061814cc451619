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

mod append;
mod read;

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use control_types::limits::OBJECT_BYTES_MAX;
use control_types::{ObjectId, TitleId};

use crate::error::StoreError;
use crate::media_type::MediaType;
use crate::seal::{Seal, decode_title, le_u64};
pub(crate) use append::Journal;
pub(crate) use read::{Place, read, replay, replay_from};

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
}
