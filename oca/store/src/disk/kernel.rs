//! The kernel's file systems, call by call. Adds nothing to them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};

use super::{Disk, DiskFile, Look, Named, OpenFile, Opening, Room};

/// The unit in which `stat` counts room, whatever the file system's own.
const STAT_BLOCK_BYTES: u64 = 512;

/// The real one.
#[derive(Clone, Copy, Debug)]
pub struct KernelDisk;

impl Disk for KernelDisk {
    fn open(&self, path: &Path, how: Opening) -> io::Result<OpenFile> {
        let mut options = OpenOptions::new();
        options.read(true);
        match how {
            Opening::Read => &mut options,
            Opening::Write => options.write(true),
            Opening::Keep => options.write(true).create(true).truncate(false),
            Opening::Anew => options.write(true).create(true).truncate(true),
        };
        options.open(path).map(OpenFile::Kernel)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Named>> {
        let named = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let kind = entry.file_type()?;
            let is_dir = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            Ok(Named { name: entry.file_name(), is_dir })
        };
        fs::read_dir(path)?.map(named).collect()
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let there = fs::metadata(path)?;
        let since = Duration::from_secs(u64::try_from(there.ctime()).unwrap_or(0));
        Ok(Look {
            is_dir: there.is_dir(),
            bytes: there.len(),
            room_bytes: there.blocks().saturating_mul(STAT_BLOCK_BYTES),
            since: UNIX_EPOCH + since,
            identity: (there.dev(), there.ino()),
        })
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        let fragment = stat.fragment_size();
        Ok(Room {
            total_bytes: stat.blocks().saturating_mul(fragment),
            free_bytes: stat.blocks_available().saturating_mul(fragment),
        })
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, at)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(self, from, at)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let length = i64::try_from(bytes).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
        match fallocate(self, FallocateFlags::empty(), 0, length) {
            // Not every file system can; then a full disk is met while writing.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => File::set_len(self, bytes),
            done => done.map_err(io::Error::from),
        }
    }

    fn reserve_ahead(&self, bytes: u64) -> io::Result<()> {
        let length = i64::try_from(bytes).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
        match fallocate(self, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
            done => done.map_err(io::Error::from),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn sync_contents(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn forget_cached(&self) {
        let _ = posix_fadvise(self, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}
