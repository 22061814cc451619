//! Finds the objects of a volume by looking at their seals, for when the journal is gone or
//! damaged. Reads only; slow on purpose-built disks and right on all of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use control_types::ObjectId;

use crate::error::StoreError;
use crate::journal::Record;
use crate::seal::{SEAL_HEAD_BYTES, Seal, SealError, fill, region_bytes_from_head};
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
    for path in object_files(volume)? {
        match seal_of_file(&path) {
            Ok(seal) => found.records.push(Record::published(&seal)),
            Err(error) => found.bad.push(error),
        }
    }
    found.records.sort_unstable_by_key(|record| record.object);
    Ok(found)
}

/// Every file two levels below `objects/`, in name order. Empty when there is no such directory.
pub(crate) fn object_files(volume: &Volume) -> Result<Vec<PathBuf>, StoreError> {
    let mut level = vec![volume.objects_dir()];
    if !level[0].is_dir() {
        return Ok(Vec::new());
    }
    for depth in 0..3 {
        let mut next = Vec::new();
        for dir in &level {
            let listing = fs::read_dir(dir).map_err(StoreError::io(dir, "list the directory"))?;
            for entry in listing {
                let entry = entry.map_err(StoreError::io(dir, "list the directory"))?;
                // What is no directory here is not ours and hides nothing.
                if depth == 2 || entry.path().is_dir() {
                    next.push(entry.path());
                }
            }
        }
        level = next;
    }
    level.sort_unstable();
    Ok(level)
}

/// The checked seal of an object's file, whose length and name must agree with it.
///
/// # Errors
/// [`StoreError::Seal`] or [`StoreError::Io`].
pub fn seal_of_file(path: &Path) -> Result<Seal, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io(path, "open the object"))?;
    let seal = seal_of(&mut file, path)?;
    let length = file.metadata().map_err(StoreError::io(path, "size the object"))?.len();
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
pub(crate) fn seal_of(file: &mut File, path: &Path) -> Result<Seal, StoreError> {
    let io = || StoreError::io(path, "read the seal");
    let bad = |source| StoreError::Seal { path: path.to_owned(), source };
    let mut region = vec![0u8; SEAL_HEAD_BYTES];
    let got = fill(file, &mut region).map_err(io())?;
    let wanted = region_bytes_from_head(&region[..got]).map_err(bad)?;
    // At most 8 MiB and a bit: the size was checked against OBJECT_BYTES_MAX.
    region.resize(wanted as usize, 0);
    let got = SEAL_HEAD_BYTES + fill(file, &mut region[SEAL_HEAD_BYTES..]).map_err(io())?;
    Seal::decode(&region[..got]).map_err(bad)
}
