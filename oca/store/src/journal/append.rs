//! The writing end of the journal: one record at a time, or all of them anew. Decides nothing of
//! what is recorded.

use std::io;
use std::path::{Path, PathBuf};

use super::{PIECE_BYTES, Place, RECORD_BYTES, Record, encode_header, new_epoch};
use crate::disk::{OpenFile, Opening};
use crate::error::StoreError;
use crate::volume::Volume;

/// Room that a journal takes beyond its end, bytes: a disk that somebody else filled to the last
/// block must let two thousand objects go, and taking away is a line here first.
const AHEAD_BYTES: u64 = 256 << 10;

/// The writing end. Every append is durable when it returns.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: OpenFile,
    /// Whole records in the file; the next one goes to this slot, over whatever a failed append
    /// left.
    slots: u64,
    /// It has room on the disk up to here, or there was none.
    room_until: u64,
    /// A record was written and could not be made durable, or the file's own name could not.
    /// Readers may have seen what did not happen: the file must be written anew, under another
    /// epoch, before anything is added.
    is_doubtful: bool,
}

impl Journal {
    /// Goes on from `place`. A journal with a torn end is left as it is and is doubtful: it is to
    /// be written anew, all or nothing.
    pub(crate) fn resume(volume: &Volume, place: &Place) -> Result<Self, StoreError> {
        let path = volume.journal_path();
        let io = |doing| StoreError::io(&path, doing);
        let opened = volume.disk().open(&path, Opening::Write);
        let file = opened.map_err(io("open the journal"))?;
        // A writer that was killed may have written its last lines and no more. They are believed
        // from here on, so a power cut must not take them back.
        file.sync_all().map_err(io("make the journal durable"))?;
        let slots = place.records;
        let mut journal = Self { path, file, slots, room_until: 0, is_doubtful: place.is_torn };
        journal.reach_ahead();
        Ok(journal)
    }

    /// Writes a new journal with these records in the place of any earlier one, all or nothing.
    pub(crate) fn create(
        volume: &Volume,
        records: impl Iterator<Item = Record>,
    ) -> Result<Self, StoreError> {
        let path = volume.journal_path();
        let fresh = path.with_extension("new");
        let (file, slots) = Self::write_fresh(volume, &fresh, records).inspect_err(|_| {
            // Half a journal would keep a full disk full.
            let _ = volume.unlink(&fresh);
        })?;
        let renamed = volume.disk().rename(&fresh, &path);
        renamed.map_err(StoreError::io(&path, "put the new journal in place"))?;
        // From here on the new file is the journal, whatever happens: an earlier one has no name
        // any more, and what was added to it would be lost.
        let named = volume.sync_dir(volume.path());
        if let Err(error) = &named {
            tracing::warn!(%error, "the new journal may not outlive a power cut: written again");
        }
        let mut journal = Self { path, file, slots, room_until: 0, is_doubtful: named.is_err() };
        journal.reach_ahead();
        Ok(journal)
    }

    /// Takes room for lines to come when there is little left. A disk that has none is met by the
    /// line that needs it.
    fn reach_ahead(&mut self) {
        let end = (self.slots + 2) * RECORD_BYTES as u64;
        if end > self.room_until {
            self.room_until = end + AHEAD_BYTES;
            let _ = self.file.reserve_ahead(self.room_until);
        }
    }

    /// Whether it must be written anew before anything is added.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    fn write_fresh(
        volume: &Volume,
        fresh: &Path,
        records: impl Iterator<Item = Record>,
    ) -> Result<(OpenFile, u64), StoreError> {
        let io = |doing| StoreError::io(fresh, doing);
        let opened = volume.disk().open(fresh, Opening::Anew);
        let file = opened.map_err(io("create the journal"))?;
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let (mut slots, mut at) = (0, 0);
        piece.extend_from_slice(&encode_header(new_epoch()));
        for record in records {
            piece.extend_from_slice(&record.encode(slots));
            slots += 1;
            if piece.len() >= PIECE_BYTES {
                file.write_all_at(&piece, at).map_err(io("write the journal"))?;
                at += piece.len() as u64;
                piece.clear();
            }
        }
        file.write_all_at(&piece, at).map_err(io("write the journal"))?;
        file.sync_all().map_err(io("make the journal durable"))?;
        Ok((file, slots))
    }

    /// Cuts off what lies behind the whole records, as far as the disk lets it.
    pub(crate) fn cut_off(&self) {
        let _ = self.file.set_len((self.slots + 1) * RECORD_BYTES as u64);
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
        if let Err(error) = self.file.sync_contents() {
            let error = io()(error);
            self.is_doubtful = true;
            return Err(error);
        }
        self.slots += 1;
        self.reach_ahead();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Kind, MediaType, replay};
    use super::*;
    use control_types::ObjectId;
    use control_types::fleet::DiskClass;

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
    fn a_journal_whose_name_or_end_is_in_doubt_takes_nothing_until_it_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Ssd).unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&volume, [record(1)].into_iter()).unwrap();
        journal.is_doubtful = true;
        assert!(journal.append(&record(2)).is_err());
        assert_eq!(replay(&volume).unwrap().records, [record(1)]);
        // A rewrite that cannot be made leaves no half of one behind.
        fs::create_dir(path.with_extension("new")).unwrap();
        assert!(Journal::create(&volume, [record(1)].into_iter()).is_err());
        fs::remove_dir(path.with_extension("new")).unwrap();
        let before = replay(&volume).unwrap().epoch;
        let mut journal = Journal::create(&volume, [record(1)].into_iter()).unwrap();
        journal.append(&record(2)).unwrap();
        let after = replay(&volume).unwrap();
        assert!(after.epoch != before && after.records == [record(1), record(2)]);
    }
}
