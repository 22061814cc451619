//! What becomes of quarantined objects: kept for people to look at, and thrown away beyond an age
//! or a size, oldest first. Judges no object; whoever quarantines does.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::error::StoreError;
use crate::writer::Writer;

/// How much a quarantine may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineBound {
    /// Longest an object stays.
    pub age_max: Duration,
    /// Most bytes of all objects in one volume's quarantine.
    pub bytes_max: u64,
}

/// What was thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Files.
    pub objects: u64,
    /// Bytes they took.
    pub bytes: u64,
}

impl Writer {
    /// Throws away what is in quarantine beyond `bound`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn empty_quarantine(
        &self,
        bound: &QuarantineBound,
        now: SystemTime,
    ) -> Result<Emptied, StoreError> {
        let disk = self.volume().disk();
        let dir = self.volume().quarantine_dir();
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in disk.list(&dir).map_err(StoreError::io(&dir, "list the quarantine"))? {
            let path = dir.join(entry.name);
            let Ok(file) = disk.look(&path) else { continue };
            // Renaming changes the inode: that is the moment it came here. A folder is none of
            // ours.
            if !file.is_dir {
                files.push((file.since, path, file.bytes));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        let mut emptied = Emptied::default();
        for (since, path, size) in files {
            let age = now.duration_since(since).unwrap_or_default();
            if age < bound.age_max && bytes <= bound.bytes_max {
                break;
            }
            self.volume().unlink(&path)?;
            bytes -= size;
            emptied.objects += 1;
            emptied.bytes += size;
        }
        Ok(emptied)
    }
}
