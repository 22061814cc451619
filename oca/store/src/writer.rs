//! The one writer of a volume: begins pulls, publishes, removes, quarantines, and keeps the
//! journal. Never runs beside a second writer and never changes a published object.
//!
//! Every deed that touches more than one file leaves a mark in `incoming/` first, and takes it away
//! last, so that the next writer can finish what a crash cut short:
//!
//! ```text
//! publish     .part.done is there -> rename .part into objects/ -> journal -> unlink .part.done
//! remove      make .remove        -> journal -> unlink the object           -> unlink .remove
//! quarantine  make .quarantine    -> journal -> rename into quarantine/     -> unlink .quarantine
//! ```
//!
//! The journal comes before the file when taking away, so that a reader stops offering an object
//! before it cannot open it; and after the file when publishing, for the same reason.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::{AHashMap, AHashSet};
use control_types::ObjectId;
use control_types::limits::CHUNK_BYTES;

use crate::error::StoreError;
use crate::incoming::Incoming;
use crate::journal::{Journal, Kind, Record};
use crate::scan::{Contents, contents, seal_of_file};
use crate::seal::{Seal, fill};
use crate::volume::{Volume, ids_in, sync_dir};

/// A journal is written anew at open when it holds this many records more than twice the objects.
const SLACK_RECORDS: u64 = 4096;

/// The right to write one volume. Clones share it; it ends with the last clone and `Incoming`.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) volume: Volume,
    state: Mutex<State>,
    // Its lock ends when the file is closed, so it must live as long as anything that writes.
    _lock: File,
}

#[derive(Debug)]
pub(crate) struct State {
    journal: Journal,
    held: AHashMap<ObjectId, Record>,
    /// Objects with an `Incoming` alive in this process.
    pub(crate) busy: AHashSet<ObjectId>,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The object was copied in and published.
    New,
    /// The volume had it; nothing was done.
    AlreadyHeld,
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
            fs::create_dir_all(&dir).map_err(StoreError::io(&dir, "create the directory"))?;
        }
        let lock = open_lock(volume, holder)?;
        let (journal, held) = open_journal(volume)?;
        let state = Mutex::new(State { journal, held, busy: AHashSet::new() });
        let writer =
            Self { shared: Arc::new(Shared { volume: volume.clone(), state, _lock: lock }) };
        writer.finish_cut_short()?;
        Ok(writer)
    }

    /// The volume.
    #[must_use]
    pub fn volume(&self) -> &Volume {
        &self.shared.volume
    }

    /// Whether `object` is published here.
    #[must_use]
    pub fn holds(&self, object: &ObjectId) -> bool {
        self.shared.state().held.contains_key(object)
    }

    /// Everything published here, in no order.
    #[must_use]
    pub fn held(&self) -> Vec<Record> {
        self.shared.state().held.values().cloned().collect()
    }

    /// Bytes that published objects take, seals included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let state = self.shared.state();
        state.held.values().map(|r| Seal::region_bytes_for(r.bytes) + r.bytes).sum()
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
            if state.held.contains_key(&object) {
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
        ids_in(&self.volume().incoming_dir(), ".part")
    }

    /// Throws away an unfinished pull that nobody in this process is working on.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Io`].
    pub fn discard_unfinished(&self, object: &ObjectId) -> Result<(), StoreError> {
        if self.shared.state().busy.contains(object) {
            let path = self.volume().path().to_owned();
            return Err(StoreError::Busy { object: *object, path });
        }
        // In this order a crash leaves a map alone, which the next open finds and clears.
        unlink(&self.mark(object, ".part"))?;
        unlink(&self.mark(object, ".part.done"))
    }

    /// Takes a published object away. Readers that have it open finish with it.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] or [`StoreError::Io`].
    pub fn remove(&self, object: &ObjectId) -> Result<(), StoreError> {
        self.take_away(object, Kind::Removed)
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
        ids_in(&self.volume().suspect_dir(), "")
    }

    /// Takes a suspect marker away, when the object turned out sound or is not held any more.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clear_suspect(&self, object: &ObjectId) -> Result<(), StoreError> {
        unlink(&self.volume().suspect_dir().join(object.to_string()))
    }

    /// Publishes the plain file at `path` (payload only) as the object that `seal` describes.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] when the file is not what was sealed, and those of [`Self::begin`].
    pub fn import_file(&self, path: &Path, seal: Seal) -> Result<Imported, StoreError> {
        if self.holds(&seal.object()) {
            return Ok(Imported::AlreadyHeld);
        }
        let mut file = File::open(path).map_err(StoreError::io(path, "open the payload"))?;
        let mut incoming = match self.begin(seal) {
            Err(StoreError::AlreadyHeld { .. }) => return Ok(Imported::AlreadyHeld),
            begun => begun?,
        };
        let mut chunk = vec![0u8; CHUNK_BYTES as usize];
        for index in 0..incoming.seal().chunks() {
            let got = fill(&mut file, &mut chunk).map_err(StoreError::io(path, "read"))?;
            incoming.write_chunk(index, &chunk[..got])?;
        }
        incoming.publish()?;
        Ok(Imported::New)
    }

    fn take_away(&self, object: &ObjectId, kind: Kind) -> Result<(), StoreError> {
        let suffix = if kind == Kind::Removed { ".remove" } else { ".quarantine" };
        let mark = self.mark(object, suffix);
        {
            let mut state = self.shared.state();
            let Some(record) = state.held.get(object).cloned() else {
                let path = self.volume().path().to_owned();
                return Err(StoreError::NotHeld { object: *object, path });
            };
            File::create(&mark).map_err(StoreError::io(&mark, "leave a mark"))?;
            state.journal.append(&record.now(kind))?;
            state.held.remove(object);
        }
        self.take_away_file(object, kind)?;
        unlink(&mark)
    }

    /// The file's part of `take_away`; doing it twice is doing it once.
    fn take_away_file(&self, object: &ObjectId, kind: Kind) -> Result<(), StoreError> {
        let path = self.volume().object_path(object);
        if kind == Kind::Removed {
            unlink(&path)?;
        } else {
            let to = self.volume().quarantine_dir().join(object.to_string());
            match fs::rename(&path, &to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, "move the object to quarantine")(e));
                }
                _ => sync_dir(&self.volume().quarantine_dir())?,
            }
        }
        self.clear_suspect(object)
    }

    fn finish_cut_short(&self) -> Result<(), StoreError> {
        let dir = self.volume().incoming_dir();
        for (suffix, kind) in [(".remove", Kind::Removed), (".quarantine", Kind::Quarantined)] {
            for object in ids_in(&dir, suffix)? {
                if self.holds(&object) {
                    self.take_away(&object, kind)?;
                } else {
                    self.take_away_file(&object, kind)?;
                    unlink(&self.mark(&object, suffix))?;
                }
            }
        }
        for object in ids_in(&dir, ".part.done")? {
            self.adopt(&object)?;
        }
        Ok(())
    }

    /// If a publish of `object` was cut short between the rename and the journal, finishes it.
    fn adopt(&self, object: &ObjectId) -> Result<(), StoreError> {
        let done = self.mark(object, ".part.done");
        if !done.exists() || self.mark(object, ".part").exists() {
            return Ok(());
        }
        let mut state = self.shared.state();
        if state.busy.contains(object) {
            return Ok(());
        }
        if !state.held.contains_key(object)
            && let Ok(seal) = seal_of_file(&self.volume().object_path(object))
        {
            let record = Record::published(&seal);
            state.journal.append(&record)?;
            state.held.insert(*object, record);
        }
        unlink(&done)
    }

    fn mark(&self, object: &ObjectId, suffix: &str) -> PathBuf {
        self.volume().incoming_dir().join(format!("{object}{suffix}"))
    }
}

impl Shared {
    /// A panic while the lock was held cannot leave the state half done: each deed changes the
    /// journal first and the map after it, so the map is at worst one entry behind.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists an object whose file is in `objects/` and durable.
    pub(crate) fn publish(&self, seal: &Seal) -> Result<(), StoreError> {
        let record = Record::published(seal);
        let mut state = self.state();
        state.journal.append(&record)?;
        state.held.insert(record.object, record);
        Ok(())
    }
}

/// Unlinks `path`; not being there is as good.
pub(crate) fn unlink(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, "unlink")(e)),
        _ => Ok(()),
    }
}

fn open_lock(volume: &Volume, holder: &str) -> Result<File, StoreError> {
    let path = volume.lock_path();
    let io = |doing| StoreError::io(&path, doing);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io("open the lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The name is for the message only: a lock without one is still a lock.
            let _ = lock.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                name => name.to_owned(),
            };
            return Err(StoreError::Locked { path: volume.path().to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(io("lock")(e)),
    }
    lock.set_len(0).map_err(io("name the holder in"))?;
    let name = format!("{holder} (process {})\n", std::process::id());
    lock.write_all_at(name.as_bytes(), 0).map_err(io("name the holder in"))?;
    lock.flush().map_err(io("name the holder in"))?;
    Ok(lock)
}

fn open_journal(volume: &Volume) -> Result<(Journal, AHashMap<ObjectId, Record>), StoreError> {
    let path = volume.journal_path();
    match contents(volume)? {
        Contents::Journal(replay) => {
            let held = replay_held(&replay.records);
            let records = replay.records.len() as u64;
            if records > 2 * held.len() as u64 + SLACK_RECORDS {
                let live: Vec<Record> = held.values().cloned().collect();
                tracing::info!(journal = %path.display(), records, live = live.len(), "compacting");
                return Ok((Journal::create(&path, &live)?, held));
            }
            Ok((Journal::resume(&path, &replay)?, held))
        }
        Contents::Scan { scan, fault } => {
            if fault.is_some() || !scan.records.is_empty() {
                let objects = scan.records.len();
                tracing::warn!(journal = %path.display(), objects, "rebuilt from the seals");
            }
            for bad in &scan.bad {
                tracing::warn!(error = %bad, "not an object: left where it is, not listed");
            }
            let held = replay_held(&scan.records);
            Ok((Journal::create(&path, &scan.records)?, held))
        }
    }
}

fn replay_held(records: &[Record]) -> AHashMap<ObjectId, Record> {
    let mut held = AHashMap::with_capacity(records.len());
    for record in records {
        match record.kind {
            Kind::Published => {
                held.insert(record.object, record.clone());
            }
            Kind::Removed | Kind::Quarantined => {
                held.remove(&record.object);
            }
        }
    }
    held
}
