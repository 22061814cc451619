//! One way to write into an unfinished object's file: the kernel's ring, or a disk that a test made
//! up. Loops over nothing: what is short or interrupted here is the caller's to go on with, so that
//! both kinds of disk are gone on with by the same lines.

use std::io;
use std::path::Path;

use oca_store::Volume;
use oca_store::disk::{OpenFile, Opening};
use tokio_uring::buf::Slice;
use tokio_uring::fs::{File, OpenOptions};

/// An open file of either kind.
pub(crate) enum Pen {
    /// The kernel's, by the ring.
    Ring(File),
    /// A made-up disk's, which answers at once.
    Made(OpenFile),
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the page cache.
    Cached,
    /// Past it, in whole blocks; not every file system can.
    Direct,
}

impl Pen {
    /// Opens the file at `path`, which is below `volume` and must be there.
    pub(crate) async fn open(volume: &Volume, path: &Path, way: Way) -> io::Result<Self> {
        if let Some(disk) = volume.made_disk() {
            // It has no page cache to go past, like many a network file system.
            return match way {
                Way::Cached => disk.open(path, Opening::Write).map(Self::Made),
                Way::Direct => Err(io::ErrorKind::InvalidInput.into()),
            };
        }
        let mut options = OpenOptions::new();
        options.write(true);
        if way == Way::Direct {
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(nix::fcntl::OFlag::O_DIRECT.bits());
        }
        options.open(path).await.map(Self::Ring)
    }

    /// Writes some of `bytes`, which come back.
    pub(crate) async fn write_at(
        &self,
        bytes: Slice<Vec<u8>>,
        at: u64,
    ) -> (io::Result<usize>, Slice<Vec<u8>>) {
        match self {
            Self::Ring(file) => file.write_at(bytes, at).submit().await,
            Self::Made(file) => (file.write_at(&bytes, at), bytes),
        }
    }

    /// Makes contents and length durable; an error says that some of it never will be.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        match self {
            Self::Ring(file) => file.sync_data().await,
            Self::Made(file) => file.sync_contents(),
        }
    }
}
