//! A file system of a few megabytes for tests: the kernel's, with its room counted by what lies in
//! one folder. Fails at nothing but a full disk, and at the look it is told to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use oca_store::disk::{Disk, DiskFile, KernelDisk, Look, Named, OpenFile, Opening, Room};

/// All volumes below `folder` are on it.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) folder: PathBuf,
    pub(super) total_bytes: u64,
    /// Files take room when they are written, not before.
    pub(super) is_sparse: bool,
    /// Readers have open whatever is unlinked from now on.
    pub(super) is_read: AtomicBool,
    /// Room of files without a name that readers have open.
    pub(super) open_bytes: AtomicU64,
    /// Where another file system begins.
    pub(super) mount: Option<PathBuf>,
    /// Looks until one is refused.
    pub(super) looks_left: AtomicU64,
}

impl Small {
    pub(super) fn new(folder: &Path, total_bytes: u64, is_sparse: bool) -> Self {
        let (is_read, open_bytes) = (AtomicBool::new(false), AtomicU64::new(0));
        let (folder, mount, looks_left) = (folder.to_owned(), None, AtomicU64::new(u64::MAX));
        Self { folder, total_bytes, is_sparse, is_read, open_bytes, mount, looks_left }
    }

    /// After `at` looks one is refused.
    pub(super) fn refuse_look(&self, at: u64) {
        self.looks_left.store(at, Ordering::SeqCst);
    }

    /// Whether it was, and none will be from here on.
    pub(super) fn was_look_refused(&self) -> bool {
        self.looks_left.swap(u64::MAX, Ordering::SeqCst) > u64::MAX / 2
    }

    /// The last reader is done.
    pub(super) fn let_go(&self) {
        self.is_read.store(false, Ordering::SeqCst);
        self.open_bytes.store(0, Ordering::SeqCst);
    }
}

/// What lies below `folder` takes; a file may go meanwhile.
fn taken(folder: &Path) -> u64 {
    let Ok(names) = KernelDisk.list(folder) else { return 0 };
    let each = names.iter().map(|named| {
        let path = folder.join(&named.name);
        // Objects and pulls only: they begin with a seal of a block.
        let file = || KernelDisk.look(&path).map_or(0, |there| there.room_bytes);
        let is_small = KernelDisk.look(&path).is_ok_and(|there| there.bytes < 4096);
        if named.is_dir {
            taken(&path)
        } else if is_small {
            0
        } else {
            file()
        }
    });
    each.sum()
}

impl Disk for Small {
    fn open(&self, path: &Path, how: Opening) -> io::Result<OpenFile> {
        let opened = KernelDisk.open(path, how)?;
        Ok(match opened {
            OpenFile::Kernel(file) if self.is_sparse => OpenFile::Made(Box::new(Sparse(file))),
            opened => opened,
        })
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        KernelDisk.make_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        KernelDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        KernelDisk.link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        if self.is_read.load(Ordering::SeqCst)
            && path.components().any(|part| part.as_os_str() == "objects")
            && let Ok(there) = KernelDisk.look(path)
        {
            self.open_bytes.fetch_add(there.room_bytes, Ordering::SeqCst);
        }
        KernelDisk.unlink(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Named>> {
        KernelDisk.list(path)
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        if self.looks_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(nix::errno::Errno::EIO.into());
        }
        let mut there = KernelDisk.look(path)?;
        if self.mount.as_ref().is_some_and(|point| path.starts_with(point)) {
            there.identity.0 += 1;
        }
        Ok(there)
    }

    fn room(&self, _: &Path) -> io::Result<Room> {
        let used = taken(&self.folder) + self.open_bytes.load(Ordering::SeqCst);
        let free_bytes = self.total_bytes.saturating_sub(used);
        Ok(Room { total_bytes: self.total_bytes, free_bytes })
    }
}

/// A file that takes no room before it is written.
#[derive(Debug)]
struct Sparse(File);

impl DiskFile for Sparse {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        DiskFile::read_at(&self.0, into, at)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        DiskFile::write_at(&self.0, from, at)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        DiskFile::set_len(&self.0, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        DiskFile::set_len(&self.0, bytes)
    }

    fn length(&self) -> io::Result<u64> {
        DiskFile::length(&self.0)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_contents(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        DiskFile::try_lock(&self.0)
    }

    fn forget_cached(&self) {}
}
