//! What can go wrong in a volume, each with the path and the cure.
//! Not for bad seals as such: those are [`SealError`], wrapped here with the file they were found
//! in.

use std::io;
use std::path::{Path, PathBuf};

use control_types::ObjectId;

use crate::seal::SealError;

/// Any failure of this crate that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operator's: the directory is not there.
    #[error("{path}: not a directory; create it (one directory per disk) or fix the volume's path")]
    NoVolume {
        /// The path as configured.
        path: PathBuf,
    },
    /// The operator's: two writers were started for one volume. Try again when the other has ended.
    #[error(
        "{path}: already being written by {holder}; one writer per volume: stop it or wait for it"
    )]
    Locked {
        /// The volume.
        path: PathBuf,
        /// What the lock file says: program and process id.
        holder: String,
    },
    /// The disk's. Retry after room was made.
    #[error("{path}: no room for {wanted_bytes} bytes ({free_bytes} free); prune or add a volume")]
    Full {
        /// The volume.
        path: PathBuf,
        /// Bytes that were to be written.
        wanted_bytes: u64,
        /// Bytes that the file system had left.
        free_bytes: u64,
    },
    /// The sender's: these bytes are not what the seal promises. Retry from another source.
    #[error("object {object}: chunk {chunk} does not match its seal; fetch it from another source")]
    BadChunk {
        /// Which object.
        object: ObjectId,
        /// Which chunk, counted from 0.
        chunk: u32,
    },
    /// The caller's: published too early.
    #[error("object {object}: {missing} of {chunks} chunks are missing; write them before publish")]
    Incomplete {
        /// Which object.
        object: ObjectId,
        /// Chunks not yet on disk.
        missing: u32,
        /// Chunks in all.
        chunks: u32,
    },
    /// The caller's: nothing to do.
    #[error("object {object} is already published in {path}")]
    AlreadyHeld {
        /// Which object.
        object: ObjectId,
        /// The volume.
        path: PathBuf,
    },
    /// The caller's: one pull of an object at a time.
    #[error("object {object} is already being written in {path}; share that pull")]
    Busy {
        /// Which object.
        object: ObjectId,
        /// The volume.
        path: PathBuf,
    },
    /// The caller's: no such object here.
    #[error("object {object} is not in {path}")]
    NotHeld {
        /// Which object.
        object: ObjectId,
        /// The volume.
        path: PathBuf,
    },
    /// A file's seal is not one. The object must be fetched again.
    #[error("{path}: bad seal")]
    Seal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SealError,
    },
    /// The journal is damaged in its middle. Readers scan instead; a writer rebuilds it.
    #[error(
        "{path}: damaged at byte {at}; the writer rebuilds it from the objects at its next start"
    )]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// Offset of the first bad record.
        at: u64,
    },
    /// The operating system's, with what was being done.
    #[error("{path}: cannot {doing}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// A verb with its object: `read the journal`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    /// The message with its causes and, where the kernel's word for it tells, the cure.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text.push_str(&format!(": {next}"));
            cause = next.source();
        }
        if let Self::Io { source, .. } = self
            && let Some(cure) = cure_of(source)
        {
            text.push_str("; ");
            text.push_str(cure);
        }
        text
    }

    /// Wraps an I/O error with the path and the deed, for `map_err`.
    pub(crate) fn io<'a>(
        path: &'a Path,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }
}

fn cure_of(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        ReadOnlyFilesystem => {
            Some("mount it for writing (a file system turns read-only after an error: see dmesg)")
        }
        PermissionDenied => Some("run this as the volume's owner, or mend its permissions"),
        StorageFull => Some("make room"),
        _ if error.raw_os_error() == Some(nix::libc::EIO) => {
            Some("the disk fails: see dmesg, and replace it")
        }
        _ => None,
    }
}
