//! The one writer of a volume: begins pulls, publishes, removes, quarantines, and keeps the
//! journal. Never runs beside a second writer and never changes a published object.
//!
//! Every deed that touches more than one file leaves a mark in `incoming/` first, and takes it away
//! last, so that the next writer can finish what a crash cut short:
//!
//! ```text
//! publish     .part.done is there -> rename .part into objects/ -> journal -> unlink .part.done
//! remove      make .remove        -> journal -> unlink the object           -> unlink .remove
//! retire      make .remove        -> journal -> (readers follow) -> `finish` does the rest
//! quarantine  make .quarantine    -> journal -> rename into quarantine/     -> unlink .quarantine
//! ```
//!
//! The journal comes before the file when taking away, so that a reader stops offering an object
//! before it cannot open it; and after the file when publishing, for the same reason.

mod lock;
mod recover;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use control_types::ObjectId;
use control_types::limits::CHUNK_BYTES;

use crate::disk::Opening;
use crate::error::StoreError;
use crate::incoming::Incoming;
use crate::index::Index;
use crate::journal::{Kind, Record};
use crate::seal::Seal;
use crate::volume::{Volume, ids_in};
pub(crate) use state::{Shared, State};

use lock::open_lock;
use recover::open_journal;

/// The right to write one volume. Clones share it; it ends with the last clone and `Incoming`.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The object was copied in and published.
    New,
    /// The volume had it; nothing was done.
    AlreadyHeld,
}

/// An object that is no longer listed and whose file is still there, for readers that have not
/// noticed. Dropping it leaves the file to the next writer, which takes it away when it opens.
#[derive(Debug)]
#[must_use = "the file stays until `Writer::finish` takes it away"]
pub struct Retired {
    object: ObjectId,
}

impl Writer {
    /// Takes the volume's lock, finishes what a crash cut short, and reads (or rebuilds) the
    /// journal. `holder` names this program to whoever finds the lock taken; its process id is
    /// added.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the holder's name, or [`StoreError::Io`].
    pub fn open(volume: &Volume, holder: &str) -> Result<Self, StoreError> {
        for dir in [
            volume.objects_dir(),
            volume.incoming_dir(),
            volume.quarantine_dir(),
            volume.suspect_dir(),
        ] {
            let made = volume.disk().make_dir(&dir);
            made.map_err(StoreError::io(&dir, "create the directory"))?;
        }
        let lock = open_lock(volume, holder)?;
        let (state, is_torn) = open_journal(volume)?;
        // Half a journal, of a writer that was killed while it wrote it anew.
        volume.unlink(&volume.journal_path().with_extension("new"))?;
        // What an earlier writer named here and did not live to make durable: a journal written
        // anew, and the directories.
        volume.sync_dir(volume.path())?;
        let shared = Shared {
            volume: volume.clone(),
            state: Mutex::new(state),
            kept_dirs: Mutex::default(),
            _lock: lock,
        };
        let writer = Self { shared: Arc::new(shared) };
        if is_torn {
            writer.believe_files()?;
        }
        writer.finish_cut_short()?;
        Ok(writer)
    }

    /// The volume.
    #[must_use]
    pub fn volume(&self) -> &Volume {
        &self.shared.volume
    }

    /// Whether the volume is still where it was: its journal can be asked for.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the disk is gone, or somebody moved the directory away.
    pub fn is_there(&self) -> Result<(), StoreError> {
        let path = self.volume().journal_path();
        let look = self.volume().disk().look(&path);
        look.map(drop).map_err(StoreError::io(&path, "find the journal"))
    }

    /// Makes sure that what is held is what the next start will find: after a failed append the
    /// journal may say otherwise, and no copy elsewhere may be let go until it does not. Costs
    /// nothing when there is no doubt.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the disk still refuses.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.shared.state().settle(self.volume())
    }

    /// Whether `object` is published here.
    #[must_use]
    pub fn holds(&self, object: &ObjectId) -> bool {
        self.shared.state().index.has_copy(0, object)
    }

    /// Everything published here, by object id. Allocates for all of it: see [`Self::index`].
    #[must_use]
    pub fn held(&self) -> Vec<Record> {
        self.index().entries().map(|entry| entry.record()).collect()
    }

    /// What is published here now: a snapshot that costs next to nothing. The volume is number 0.
    #[must_use]
    pub fn index(&self) -> Index {
        self.shared.state().index.clone()
    }

    /// The journal's line of `object`, if it is published here.
    #[must_use]
    pub fn record(&self, object: &ObjectId) -> Option<Record> {
        self.shared.state().index.find(object).map(|entry| entry.record())
    }

    /// Bytes that published objects take, seals included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.state().index.used_bytes(0)
    }

    /// Begins to write an object, or goes on where an earlier run stopped: chunks that are on disk
    /// and match the seal are kept. All room is taken at once.
    ///
    /// # Errors
    /// [`StoreError::AlreadyHeld`], [`StoreError::Busy`], [`StoreError::Full`], [`StoreError::Io`].
    pub fn begin(&self, seal: Seal) -> Result<Incoming, StoreError> {
        let object = seal.object();
        self.adopt(&object)?;
        {
            let mut state = self.shared.state();
            let path = || self.volume().path().to_owned();
            if state.index.has_copy(0, &object) {
                return Err(StoreError::AlreadyHeld { object, path: path() });
            }
            if !state.busy.insert(object) {
                return Err(StoreError::Busy { object, path: path() });
            }
        }
        // From here on the guard inside `Incoming` takes it out of `busy`; before, we must.
        Incoming::open(Arc::clone(&self.shared), seal).inspect_err(|_| {
            self.shared.state().busy.remove(&object);
        })
    }

    /// Objects with an unfinished pull on disk, begun by this run or an earlier one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unfinished(&self) -> Result<Vec<ObjectId>, StoreError> {
        ids_in(self.volume(), &self.volume().incoming_dir(), ".part")
    }

    /// Throws away an unfinished pull that nobody in this process is working on.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Io`].
    pub fn discard_unfinished(&self, object: &ObjectId) -> Result<(), StoreError> {
        // Held to the end: a pull that begins meanwhile would write into a file without a name.
        let state = self.shared.state();
        if state.busy.contains(object) {
            let path = self.volume().path().to_owned();
            return Err(StoreError::Busy { object: *object, path });
        }
        // In this order a crash leaves a map alone, which the next open finds and clears.
        self.volume().unlink(&self.mark(object, ".part"))?;
        self.volume().unlink(&self.mark(object, ".part.done"))
    }

    /// Takes a published object away. Readers that have it open finish with it.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] or [`StoreError::Io`].
    pub fn remove(&self, object: &ObjectId) -> Result<(), StoreError> {
        self.take_away(object, Kind::Removed)
    }

    /// Takes a published object off the list and leaves its file for [`Self::finish`]: a reader
    /// that follows the journal stops opening it before it is gone. For objects that go on being
    /// served from another volume, where a miss would be a lie.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] or [`StoreError::Io`].
    pub fn retire(&self, object: &ObjectId) -> Result<Retired, StoreError> {
        self.take_off_list(&mut self.shared.state(), object, Kind::Removed)?;
        Ok(Retired { object: *object })
    }

    /// Takes the file of a retired object away. If it was published anew meanwhile it stays.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(&self, retired: Retired) -> Result<(), StoreError> {
        let object = &retired.object;
        // Held to the end, so that no pull of it begins meanwhile.
        let state = self.shared.state();
        if state.busy.contains(object) {
            // It is coming anew and its file may already have its place: the publish takes the mark
            // away, or else the next writer does what the mark says.
            return Ok(());
        }
        if !state.index.has_copy(0, object) {
            self.take_away_file(object, Kind::Removed)?;
        }
        self.volume().unlink(&self.mark(object, ".remove"))
    }

    /// Moves a published object to `quarantine/` and clears its suspect marker.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] or [`StoreError::Io`].
    pub fn quarantine(&self, object: &ObjectId) -> Result<(), StoreError> {
        self.take_away(object, Kind::Quarantined)
    }

    /// Objects that readers left a marker for.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn suspects(&self) -> Result<Vec<ObjectId>, StoreError> {
        ids_in(self.volume(), &self.volume().suspect_dir(), "")
    }

    /// Whether a reader left a marker for `object`.
    #[must_use]
    pub fn is_suspect(&self, object: &ObjectId) -> bool {
        self.volume().has(&self.volume().suspect_dir().join(object.to_string()))
    }

    /// Takes a suspect marker away, when the object turned out sound or is not held any more.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clear_suspect(&self, object: &ObjectId) -> Result<(), StoreError> {
        self.volume().unlink(&self.volume().suspect_dir().join(object.to_string()))
    }

    /// Publishes the plain file at `path` (payload only) as the object that `seal` describes.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] when the file is not what was sealed, and those of [`Self::begin`].
    pub fn import_file(&self, path: &Path, seal: Seal) -> Result<Imported, StoreError> {
        if self.holds(&seal.object()) {
            return Ok(Imported::AlreadyHeld);
        }
        let opened = self.volume().disk().open(path, Opening::Read);
        let file = opened.map_err(StoreError::io(path, "open the payload"))?;
        let mut incoming = match self.begin(seal) {
            Err(StoreError::AlreadyHeld { .. }) => return Ok(Imported::AlreadyHeld),
            begun => begun?,
        };
        let mut chunk = vec![0u8; CHUNK_BYTES as usize];
        for index in 0..incoming.seal().chunks() {
            let at = u64::from(index) * CHUNK_BYTES;
            let got = file.fill_at(&mut chunk, at).map_err(StoreError::io(path, "read"))?;
            incoming.write_chunk(index, &chunk[..got])?;
        }
        incoming.publish()?;
        Ok(Imported::New)
    }

    fn take_away(&self, object: &ObjectId, kind: Kind) -> Result<(), StoreError> {
        // Held to the end: an object that comes anew meanwhile would lose its new file.
        let mut state = self.shared.state();
        let mark = self.take_off_list(&mut state, object, kind)?;
        self.take_away_file(object, kind)?;
        self.volume().unlink(&mark)
    }

    /// The journal's part of `take_away`; answers the mark that is left.
    fn take_off_list(
        &self,
        state: &mut State,
        object: &ObjectId,
        kind: Kind,
    ) -> Result<PathBuf, StoreError> {
        let suffix = if kind == Kind::Removed { ".remove" } else { ".quarantine" };
        let mark = self.mark(object, suffix);
        let Some(record) = state.index.find(object).map(|entry| entry.record()) else {
            let path = self.volume().path().to_owned();
            return Err(StoreError::NotHeld { object: *object, path });
        };
        self.volume().mark(&mark)?;
        if let Err(error) = state.append(self.volume(), &record.now(kind)) {
            // What was refused must not happen at the next start, when it may be the last copy.
            self.volume().unlink(&mark)?;
            return Err(error);
        }
        Ok(mark)
    }

    /// The file's part of `take_away`; doing it twice is doing it once.
    fn take_away_file(&self, object: &ObjectId, kind: Kind) -> Result<(), StoreError> {
        let path = self.volume().object_path(object);
        if kind == Kind::Removed {
            self.volume().unlink(&path)?;
        } else {
            let to = self.volume().quarantine_dir().join(object.to_string());
            match self.volume().disk().rename(&path, &to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, "move the object to quarantine")(e));
                }
                _ => self.volume().sync_dir(&self.volume().quarantine_dir())?,
            }
        }
        self.clear_suspect(object)
    }

    /// Leaves the mark by which the next writer finishes a publish that is cut short.
    pub(crate) fn mark_publishing(&self, object: &ObjectId) -> Result<PathBuf, StoreError> {
        let mark = self.mark(object, ".part.done");
        self.volume().mark(&mark)?;
        Ok(mark)
    }

    pub(crate) fn mark(&self, object: &ObjectId, suffix: &str) -> PathBuf {
        self.volume().incoming_dir().join(format!("{object}{suffix}"))
    }
}
