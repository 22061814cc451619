//! What the store asks of a disk, and who may answer: the kernel, or a disk that a test made up.
//! Knows no seal, no journal and no volume.
//!
//! Everything the store does to a volume goes through here, so a made-up disk can forget what was
//! never made durable, tear what was half written, and fail at any operation. The segment path does
//! not: `oca` opens and reads published objects through its own ring.
//!
//! Calls are as raw as the kernel's: a read or write may be short and may be interrupted. The loops
//! that a caller wants are on [`OpenFile`], so that both kinds of disk go through them.

mod kernel;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use kernel::KernelDisk;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// For reading; it must be there.
    Read,
    /// For reading and writing; it must be there.
    Write,
    /// For reading and writing, made when it is not there, kept as it is when it is.
    Keep,
    /// For reading and writing, made when it is not there, emptied when it is.
    Anew,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// A directory, and not a file.
    pub is_dir: bool,
    /// Length of a file.
    pub bytes: u64,
    /// Room it takes on its disk now: less than its length where some of it was never written.
    pub room_bytes: u64,
    /// When its inode last changed; renaming it does.
    pub since: SystemTime,
    /// File system and inode: two names of one file have the same.
    pub identity: (u64, u64),
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: OsString,
    /// A directory, or a link to one.
    pub is_dir: bool,
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes that this process may still write.
    pub free_bytes: u64,
}

/// A file system as the store uses it. Errors are the kernel's own, by their numbers.
#[allow(clippy::missing_errors_doc, reason = "each is the system call's own error")]
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, how: Opening) -> io::Result<OpenFile>;
    /// Makes a directory and those above it; being there is as good.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in the place of what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<Named>>;
    /// What is at a path; links are followed.
    fn look(&self, path: &Path) -> io::Result<Look>;
    /// Room on the file system of a path.
    fn room(&self, path: &Path) -> io::Result<Room>;
}

/// An open file as the store uses it.
#[allow(clippy::missing_errors_doc, reason = "each is the system call's own error")]
pub trait DiskFile: Debug + Send + Sync {
    /// Reads some bytes; none means the end.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes some bytes.
    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize>;
    /// Takes room for the first `bytes` bytes, and makes the file at least that long.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Takes room for the first `bytes` bytes and leaves the length as it is. A file system that
    /// cannot does nothing.
    fn reserve_ahead(&self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
    /// Cuts or extends.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Makes contents and length durable. After an error what was not durable is lost, whatever a
    /// later call says and whatever the cache still shows.
    fn sync_all(&self) -> io::Result<()>;
    /// As [`Self::sync_all`], without what only describes the file.
    fn sync_contents(&self) -> io::Result<()>;
    /// Takes the file for this process; false when another has it. Ends when the file is closed.
    fn try_lock(&self) -> io::Result<bool>;
    /// Lets go of what the cache holds and the disk has too: what is read next is what the disk
    /// has. A hint, so there is no error.
    fn forget_cached(&self);
}

/// The disk of a volume. The kernel's costs nothing to carry about.
#[derive(Clone, Debug)]
pub(crate) enum AnyDisk {
    Kernel,
    Made(Arc<dyn Disk>),
}

/// An open file of either kind.
#[derive(Debug)]
pub enum OpenFile {
    /// The kernel's.
    Kernel(std::fs::File),
    /// A made-up disk's.
    Made(Box<dyn DiskFile>),
}

impl Deref for AnyDisk {
    type Target = dyn Disk;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Kernel => &KernelDisk,
            Self::Made(disk) => disk.as_ref(),
        }
    }
}

impl Deref for OpenFile {
    type Target = dyn DiskFile;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Kernel(file) => file,
            Self::Made(file) => file.as_ref(),
        }
    }
}

impl OpenFile {
    /// The kernel's file, for what only that can do.
    pub(crate) fn kernel(&self) -> Option<&std::fs::File> {
        match self {
            Self::Kernel(file) => Some(file),
            Self::Made(_) => None,
        }
    }

    /// Reads until `into` is full or the file ends; a short count means the end.
    pub(crate) fn fill_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.read_at(&mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads exactly `into.len()` bytes.
    ///
    /// # Errors
    /// The disk's own, or that the file ends before.
    pub fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let wanted = into.len();
        if self.fill_at(into, at)? == wanted {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// Takes room for the first `bytes` bytes. A signal may cut it short, which is no refusal.
    pub(crate) fn take_room(&self, bytes: u64) -> io::Result<()> {
        loop {
            match self.reserve(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// The disk's own; some of it may be written then.
    pub fn write_all_at(&self, from: &[u8], at: u64) -> io::Result<()> {
        let mut written = 0;
        while written < from.len() {
            match self.write_at(&from[written..], at + written as u64) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(went) => written += went,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
