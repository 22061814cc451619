//! The agent's own folder: small JSON files, each the old or the new one after a crash, never half
//! of each. Knows nothing of what is in them.
//!
//! ```text
//! write NAME.new -> fsync -> rename to NAME.json -> fsync of the folder
//! ```
//!
//! Said to be kept is what went through all four. Whoever is told otherwise goes by what was kept
//! before, and the folder remembers what it refused, for reports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oca_store::disk::{Disk, KernelDisk, OpenFile, Opening};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::AgentError;
use crate::limits::STATE_BYTES_MAX;

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Closing it ends the lock.
    _lock: OpenFile,
    /// Files that could not be kept the last time, and why.
    refused: RefCell<BTreeMap<&'static str, String>>,
}

impl StateDir {
    /// Makes the folder where it is not there, and locks it; on the disk `on`, or on the kernel's.
    ///
    /// # Errors
    /// Another agent has it, or it cannot be made or written.
    pub(crate) fn open(path: &Path, on: Option<&Arc<dyn Disk>>) -> Result<Self, AgentError> {
        let disk = on.map_or_else(|| Arc::new(KernelDisk) as Arc<dyn Disk>, Arc::clone);
        disk.make_dir(path).map_err(AgentError::io(path, "create the state directory"))?;
        sync_above(disk.as_ref(), path)?;
        let lock_path = path.join("lock");
        let lock = disk
            .open(&lock_path, Opening::Keep)
            .map_err(AgentError::io(&lock_path, "open the lock of the state directory"))?;
        let is_ours = lock.try_lock().map_err(AgentError::io(&lock_path, "lock"))?;
        if !is_ours {
            return Err(AgentError::StateLocked { path: path.to_owned() });
        }
        let state = Self { disk, path: path.to_owned(), _lock: lock, refused: RefCell::default() };
        state.sweep();
        Ok(state)
    }

    /// Takes away what a crash left half written. What cannot be taken away is written over.
    fn sweep(&self) {
        let left = self.disk.list(&self.path).unwrap_or_default();
        for named in left.iter().filter(|named| named.name.to_string_lossy().ends_with(".new")) {
            let _ = self.disk.unlink(&self.path.join(&named.name));
        }
    }

    /// Reads `NAME.json`; `None` when there is no such file.
    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        name: &'static str,
        what: &'static str,
    ) -> Result<Option<T>, AgentError> {
        load(self.disk.as_ref(), self.file(name), what)
    }

    /// As [`Self::load`], of a folder that is not ours yet.
    pub(crate) fn peek<T: DeserializeOwned>(
        path: &Path,
        on: Option<&Arc<dyn Disk>>,
        name: &'static str,
        what: &'static str,
    ) -> Result<Option<T>, AgentError> {
        let disk = on.map_or(&KernelDisk as &dyn Disk, Arc::as_ref);
        load(disk, path.join(name).with_extension("json"), what)
    }

    /// Writes `value` beside `NAME.json`, makes it durable and gives it the name.
    pub(crate) fn store<T: Serialize>(
        &self,
        name: &'static str,
        value: &T,
    ) -> Result<(), AgentError> {
        let stored = self.write(name, value).map_err(AgentError::io(self.file(name), "keep it"));
        match &stored {
            Ok(()) => drop(self.refused.borrow_mut().remove(name)),
            Err(error) => drop(self.refused.borrow_mut().insert(name, error.in_full())),
        }
        stored
    }

    fn write<T: Serialize>(&self, name: &'static str, value: &T) -> io::Result<()> {
        let json = serde_json::to_vec(value).map_err(io::Error::other)?;
        let beside = self.path.join(name).with_extension("new");
        // Written anew each time: after a failed fsync the cache shows what the disk has not.
        let file = self.disk.open(&beside, Opening::Anew)?;
        file.write_all_at(&json, 0)?;
        file.sync_all()?;
        self.disk.rename(&beside, &self.file(name))?;
        self.disk.sync_dir(&self.path)
    }

    /// What could not be kept, for reports.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let refused = self.refused.borrow();
        let told = |why: &String| format!("{why}; make room on that disk, or look at dmesg");
        refused.values().map(told).collect()
    }

    fn file(&self, name: &'static str) -> PathBuf {
        self.path.join(name).with_extension("json")
    }
}

fn load<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: PathBuf,
    what: &'static str,
) -> Result<Option<T>, AgentError> {
    let bytes = match read(disk, &path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(AgentError::io(&path, "read the state"))?,
    };
    let read = serde_json::from_slice(&bytes).map(Some);
    read.map_err(|error| AgentError::State { path, what, why: error.to_string() })
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Opening::Read)?;
    let length = file.length()?;
    if length > STATE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Makes the folder's own name durable, and those above it: a power cut that takes the folder takes
/// with it which orders are the newest and which key signs them.
fn sync_above(disk: &dyn Disk, path: &Path) -> Result<(), AgentError> {
    for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        match disk.sync_dir(above) {
            // Not ours to read: it was there before us, as was what is above it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            synced => synced.map_err(AgentError::io(above, "make the directory durable"))?,
        }
    }
    Ok(())
}
