//! What a writer knows: the journal and the index that it makes, changed together and in this
//! order. Touches no object.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::AHashSet;
use control_types::ObjectId;

use crate::disk::OpenFile;
use crate::error::StoreError;
use crate::index::{Entry, Index};
use crate::journal::{Journal, Kind, Record};
use crate::seal::Seal;
use crate::volume::Volume;

/// A journal is written anew when it holds this many records more than twice the objects: at most
/// 256 bytes an object and half a megabyte.
const SLACK_RECORDS: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) volume: Volume,
    pub(super) state: Mutex<State>,
    /// Directories of objects that are known to be durable with all above them, by the first two
    /// bytes of the objects' names. One that is merely there may be gone after a power cut.
    pub(super) kept_dirs: Mutex<AHashSet<[u8; 2]>>,
    // Its lock ends when the file is closed, so it must live as long as anything that writes.
    pub(super) _lock: OpenFile,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(super) journal: Journal,
    /// Of this one volume, which is number 0 in it.
    pub(super) index: Index,
    /// Objects with an `Incoming` alive in this process.
    pub(crate) busy: AHashSet<ObjectId>,
}

impl Shared {
    /// A panic while the lock was held cannot leave the state half done: each deed changes the
    /// journal first and the map after it, so the map is at worst one entry behind.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the name of an object's file durable, and once in a writer's life the directories
    /// above it.
    pub(crate) fn keep_place(&self, object: &ObjectId) -> Result<(), StoreError> {
        let path = self.volume.object_path(object);
        let dir = path.parent().expect("an object's path has a directory");
        self.volume.sync_dir(dir)?;
        let first = [object.0[0], object.0[1]];
        let kept = || self.kept_dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept().contains(&first) {
            for above in dir.ancestors().skip(1).take(2) {
                self.volume.sync_dir(above)?;
            }
            kept().insert(first);
        }
        Ok(())
    }

    /// Lists an object whose file is in `objects/` and durable.
    pub(crate) fn publish(&self, seal: &Seal) -> Result<(), StoreError> {
        // Published while an earlier copy waits to be taken away: it is the same file again.
        let mark = self.volume.incoming_dir().join(format!("{}.remove", seal.object()));
        let mut state = self.state();
        self.volume.unlink(&mark)?;
        state.append(&self.volume, &Record::published(seal))
    }
}

impl State {
    pub(crate) fn lists(&self, object: &ObjectId) -> bool {
        self.index.has_copy(0, object)
    }

    /// Journal first, index after: the index is at worst one line behind. A journal of mostly dead
    /// lines is written anew, so that it does not grow for ever; when that fails, the long one is
    /// as good.
    pub(crate) fn append(&mut self, volume: &Volume, record: &Record) -> Result<(), StoreError> {
        self.settle(volume)?;
        if let Err(error) = self.journal.append(record) {
            self.take_back(volume);
            return Err(error);
        }
        match record.kind {
            Kind::Published => self.index.insert(0, record),
            Kind::Removed | Kind::Quarantined => self.index.forget(0, &record.object),
        }
        if is_slack(self.journal.records(), &self.index) {
            match compacted(volume, &self.index) {
                Ok(journal) => self.journal = journal,
                Err(error) => tracing::warn!(%error, "the journal stays as long as it is"),
            }
        }
        Ok(())
    }

    /// Writes a journal that is in doubt anew.
    pub(super) fn settle(&mut self, volume: &Volume) -> Result<(), StoreError> {
        if self.journal.is_doubtful() {
            self.journal = compacted(volume, &self.index)?;
        }
        Ok(())
    }

    /// A line that could not be made durable may be on the disk all the same: whoever reads the
    /// journal next, after a kill or a power cut, would believe what was refused. So it is written
    /// anew without it, at once; where that fails, at least the line is cut off.
    fn take_back(&mut self, volume: &Volume) {
        if !self.journal.is_doubtful() {
            return;
        }
        match compacted(volume, &self.index) {
            Ok(journal) => self.journal = journal,
            Err(error) => {
                tracing::error!(%error, "the journal is in doubt: nothing is taken or let go");
                self.journal.cut_off();
            }
        }
    }
}

pub(super) fn is_slack(records: u64, index: &Index) -> bool {
    records > 2 * index.len() as u64 + SLACK_RECORDS
}

pub(super) fn compacted(volume: &Volume, index: &Index) -> Result<Journal, StoreError> {
    tracing::info!(volume = %volume.path().display(), live = index.len(), "compacting");
    Journal::create(volume, index.entries().map(|entry: Entry<'_>| entry.record()))
}
