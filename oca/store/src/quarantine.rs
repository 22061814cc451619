//! What becomes of quarantined objects: kept for people to look at, and thrown away beyond an age
//! or a size, oldest first. Judges no object; whoever quarantines does.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::StoreError;
use crate::writer::{Writer, unlink};

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
        let dir = self.volume().quarantine_dir();
        let io = |doing| StoreError::io(&dir, doing);
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io("list the quarantine"))? {
            let entry = entry.map_err(io("list the quarantine"))?;
            let Ok(meta) = entry.metadata() else { continue };
            // Renaming changes the inode: that is the moment it came here.
            let since = Duration::from_secs(u64::try_from(meta.ctime()).unwrap_or(0));
            files.push((UNIX_EPOCH + since, entry.path(), meta.len()));
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        let mut emptied = Emptied::default();
        for (since, path, size) in files {
            let age = now.duration_since(since).unwrap_or_default();
            if age < bound.age_max && bytes <= bound.bytes_max {
                break;
            }
            unlink(&path)?;
            bytes -= size;
            emptied.objects += 1;
            emptied.bytes += size;
        }
        Ok(emptied)
    }
}
