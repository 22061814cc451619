//! One volume: a directory on one disk, where its files are, how much room it has.
//! Reads nothing of the objects and takes no lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use control_types::ObjectId;
use control_types::fleet::DiskClass;

use crate::error::StoreError;

/// A directory that holds objects. Cheap to clone; opening it changes nothing on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    path: PathBuf,
    class: DiskClass,
}

/// Room on a volume's file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes that this process may still write.
    pub free_bytes: u64,
}

impl Volume {
    /// Names a volume. The directory must exist; what is in it is looked at later.
    ///
    /// # Errors
    /// [`StoreError::NoVolume`] when `path` is not a directory.
    pub fn open(path: impl Into<PathBuf>, class: DiskClass) -> Result<Self, StoreError> {
        let path = path.into();
        if path.is_dir() { Ok(Self { path, class }) } else { Err(StoreError::NoVolume { path }) }
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
        let stat = nix::sys::statvfs::statvfs(&self.path)
            .map_err(io::Error::from)
            .map_err(StoreError::io(&self.path, "ask for free room"))?;
        let fragment = stat.fragment_size();
        Ok(Room {
            total_bytes: stat.blocks().saturating_mul(fragment),
            free_bytes: stat.blocks_available().saturating_mul(fragment),
        })
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
    fs::create_dir_all(&dir).map_err(StoreError::io(&dir, "create the directory"))?;
    let path = dir.join(object.to_string());
    fs::File::create(&path).map_err(StoreError::io(&path, "leave a marker"))?;
    Ok(())
}

/// The object ids that are file names in `dir` (with `suffix` after the 64 digits); none when the
/// directory is not there. Other names are skipped.
pub(crate) fn ids_in(dir: &Path, suffix: &str) -> Result<Vec<ObjectId>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io(dir, "list the directory")(e)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io(dir, "list the directory"))?;
        let name = entry.file_name();
        let hex = name.to_str().and_then(|n| n.strip_suffix(suffix));
        ids.extend(hex.and_then(|h| ObjectId::from_hex(h.as_bytes())));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    fs::File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(StoreError::io(dir, "make the directory durable"))
}
