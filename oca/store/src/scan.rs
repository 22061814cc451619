//! Finds the objects of a volume by looking at their seals, for when the journal is gone or
//! damaged. Reads only; slow on purpose-built disks and right on all of them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use control_types::ObjectId;

use crate::disk::{AnyDisk, OpenFile, Opening};
use crate::error::StoreError;
use crate::journal::Record;
use crate::seal::{SEAL_HEAD_BYTES, Seal, SealError, region_bytes_from_head};
use crate::volume::Volume;

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scan {
    /// One `Published` record for every object whose seal and length are right, by object id.
    pub records: Vec<Record>,
    /// Files in `objects/` that are not objects.
    pub bad: Vec<StoreError>,
}

/// Reads the seal of every file in `objects/`. Payloads are not read: see `scrub` for that.
///
/// # Errors
/// [`StoreError::Io`] when a directory cannot be listed. Bad files are findings, not errors.
pub fn scan(volume: &Volume) -> Result<Scan, StoreError> {
    let mut found = Scan::default();
    for dir in object_dirs(volume)? {
        for path in files_below(volume, &dir)? {
            match seal_on(volume.disk(), &path) {
                Ok(seal) => found.records.push(Record::published(&seal)),
                Err(error) => found.bad.push(error),
            }
        }
    }
    found.records.sort_unstable_by_key(|record| record.object);
    Ok(found)
}

/// The directories in `objects/`, in name order: what lies below each can be listed at a time, as
/// all of it is a lot of names. Empty when there is no such directory.
pub(crate) fn object_dirs(volume: &Volume) -> Result<Vec<PathBuf>, StoreError> {
    let objects = volume.objects_dir();
    match volume.disk().look(&objects) {
        Ok(there) if there.is_dir => dirs_in(volume, &objects),
        Ok(_) => Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        // Not to be taken for nothing there: a journal made from that would list nothing.
        Err(error) => Err(StoreError::io(&objects, "look at the directory")(error)),
    }
}

/// Every file two levels below `dir`, which is one of [`object_dirs`], in name order.
pub(crate) fn files_below(volume: &Volume, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for dir in dirs_in(volume, dir)? {
        let listing = volume.disk().list(&dir);
        let listing = listing.map_err(StoreError::io(&dir, "list the directory"))?;
        files.extend(listing.into_iter().map(|entry| dir.join(entry.name)));
    }
    files.sort_unstable();
    Ok(files)
}

/// What is no directory here is not ours and hides nothing.
fn dirs_in(volume: &Volume, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listing = volume.disk().list(dir).map_err(StoreError::io(dir, "list the directory"))?;
    let dirs = listing.into_iter().filter(|entry| entry.is_dir);
    let mut dirs: Vec<PathBuf> = dirs.map(|entry| dir.join(entry.name)).collect();
    dirs.sort_unstable();
    Ok(dirs)
}

/// The checked seal of an object's file, whose length and name must agree with it.
///
/// # Errors
/// [`StoreError::Seal`] or [`StoreError::Io`].
pub fn seal_of_file(path: &Path) -> Result<Seal, StoreError> {
    seal_on(&AnyDisk::Kernel, path)
}

/// As [`seal_of_file`], on any disk.
pub(crate) fn seal_on(disk: &AnyDisk, path: &Path) -> Result<Seal, StoreError> {
    let opened = disk.open(path, Opening::Read);
    let file = opened.map_err(StoreError::io(path, "open the object"))?;
    let seal = seal_of(&file, path)?;
    let length = file.length().map_err(StoreError::io(path, "size the object"))?;
    let bad = |source| StoreError::Seal { path: path.to_owned(), source };
    if length != seal.file_bytes() {
        return Err(bad(SealError::Length { got: length, wanted: seal.file_bytes() }));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if ObjectId::from_hex(name.as_bytes()) != Some(seal.object()) {
        return Err(bad(SealError::Field("name of the file")));
    }
    Ok(seal)
}

/// Reads and checks the seal at the start of `file`; `path` is for the error.
pub(crate) fn seal_of(file: &OpenFile, path: &Path) -> Result<Seal, StoreError> {
    let io = || StoreError::io(path, "read the seal");
    let bad = |source| StoreError::Seal { path: path.to_owned(), source };
    let mut region = vec![0u8; SEAL_HEAD_BYTES];
    let got = file.fill_at(&mut region, 0).map_err(io())?;
    let wanted = region_bytes_from_head(&region[..got]).map_err(bad)?;
    // At most 8 MiB and a bit: the size was checked against OBJECT_BYTES_MAX.
    region.resize(wanted as usize, 0);
    let table = &mut region[SEAL_HEAD_BYTES..];
    let got = SEAL_HEAD_BYTES + file.fill_at(table, SEAL_HEAD_BYTES as u64).map_err(io())?;
    Seal::decode(&region[..got]).map_err(bad)
}
