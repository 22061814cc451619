//! One volume: a directory on one disk, where its files are, how much room it has.
//! Reads nothing of the objects and takes no lock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_types::ObjectId;
use control_types::fleet::DiskClass;

use crate::disk::{AnyDisk, Disk, Opening};
use crate::error::StoreError;

pub use crate::disk::Room;

/// A directory that holds objects. Cheap to clone; opening it changes nothing on disk.
#[derive(Clone, Debug)]
pub struct Volume {
    disk: AnyDisk,
    path: PathBuf,
    class: DiskClass,
}

impl PartialEq for Volume {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.class == other.class
    }
}

impl Eq for Volume {}

impl Volume {
    /// Names a volume. The directory must exist; what is in it is looked at later.
    ///
    /// # Errors
    /// [`StoreError::NoVolume`] when `path` is not a directory.
    pub fn open(path: impl Into<PathBuf>, class: DiskClass) -> Result<Self, StoreError> {
        Self::of(AnyDisk::Kernel, path.into(), class)
    }

    /// A volume on a disk that is not the kernel's: for tests of what disks do.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn on(
        disk: Arc<dyn Disk>,
        path: impl Into<PathBuf>,
        class: DiskClass,
    ) -> Result<Self, StoreError> {
        Self::of(AnyDisk::Made(disk), path.into(), class)
    }

    fn of(disk: AnyDisk, path: PathBuf, class: DiskClass) -> Result<Self, StoreError> {
        if disk.look(&path).is_ok_and(|there| there.is_dir) {
            Ok(Self { disk, path, class })
        } else {
            Err(StoreError::NoVolume { path })
        }
    }

    /// The disk it is on, where that is not the kernel's: a writer with its own I/O must go there
    /// too.
    #[must_use]
    pub fn made_disk(&self) -> Option<&dyn Disk> {
        match &self.disk {
            AnyDisk::Kernel => None,
            AnyDisk::Made(disk) => Some(disk.as_ref()),
        }
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &AnyDisk {
        &self.disk
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flash or rotating.
    #[must_use]
    pub fn class(&self) -> DiskClass {
        self.class
    }

    /// Where `object` is when it is published here.
    #[must_use]
    pub fn object_path(&self, object: &ObjectId) -> PathBuf {
        object_path(&self.path, object)
    }

    /// Size and free bytes of the file system the volume is on.
    ///
    /// # Errors
    /// What `statvfs` says, with the path.
    pub fn room(&self) -> Result<Room, StoreError> {
        self.disk.room(&self.path).map_err(StoreError::io(&self.path, "ask for free room"))
    }

    /// Room that an unfinished pull of `object` takes here already, bytes; 0 when there is none.
    /// All of it once it is begun, where the file system takes room before it is written.
    #[must_use]
    pub fn unfinished_bytes(&self, object: &ObjectId) -> u64 {
        let part = self.incoming_dir().join(format!("{object}.part"));
        self.disk.look(&part).map_or(0, |there| there.room_bytes)
    }

    /// Makes names in `dir` durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), StoreError> {
        self.disk.sync_dir(dir).map_err(StoreError::io(dir, "make the directory durable"))
    }

    /// Leaves an empty file at `path`.
    pub(crate) fn mark(&self, path: &Path) -> Result<(), StoreError> {
        let made = self.disk.open(path, Opening::Anew);
        made.map(drop).map_err(StoreError::io(path, "leave a mark"))
    }

    /// Unlinks `path`; not being there is as good.
    pub(crate) fn unlink(&self, path: &Path) -> Result<(), StoreError> {
        match self.disk.unlink(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, "unlink")(e)),
            _ => Ok(()),
        }
    }

    /// Whether something is at `path`. What cannot be asked counts as not there.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.disk.look(path).is_ok()
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.path.join("objects")
    }

    pub(crate) fn incoming_dir(&self) -> PathBuf {
        self.path.join("incoming")
    }

    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    pub(crate) fn suspect_dir(&self) -> PathBuf {
        self.path.join("suspect")
    }
}

/// `VOLUME/objects/ab/cd/<64 hex>`: two levels keep directories small at millions of objects.
#[must_use]
pub fn object_path(volume: &Path, object: &ObjectId) -> PathBuf {
    let hex = object.to_string();
    let mut path = volume.join("objects");
    path.push(&hex[0..2]);
    path.push(&hex[2..4]);
    path.push(hex);
    path
}

/// A reader met a bad chunk: leaves a marker that the volume's writer acts on. Doing it twice is
/// doing it once. Needs write permission on `VOLUME/suspect` only.
///
/// # Errors
/// The marker could not be made; the caller should still stop serving the object.
pub fn report_bad(volume: &Volume, object: &ObjectId) -> Result<(), StoreError> {
    let dir = volume.suspect_dir();
    volume.disk.make_dir(&dir).map_err(StoreError::io(&dir, "create the directory"))?;
    volume.mark(&dir.join(object.to_string()))
}

/// The object ids that are file names in `dir` (with `suffix` after the 64 digits); none when the
/// directory is not there. Other names are skipped.
pub(crate) fn ids_in(
    volume: &Volume,
    dir: &Path,
    suffix: &str,
) -> Result<Vec<ObjectId>, StoreError> {
    let entries = match volume.disk.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io(dir, "list the directory")(e)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let hex = entry.name.to_str().and_then(|n| n.strip_suffix(suffix));
        ids.extend(hex.and_then(|h| ObjectId::from_hex(h.as_bytes())));
    }
    ids.sort_unstable();
    Ok(ids)
}
