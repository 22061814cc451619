//! Brings files that are already on this machine into a volume, without copying bytes where the
//! file system can share them. Fetches nothing; decides no title.
//!
//! | what lies there | same file system | elsewhere |
//! |---|---|---|
//! | a sealed object file, named by its 64 digits | hard link | copy |
//! | a plain file (payload only) | blocks shared (btrfs, XFS), else copied by the kernel | copy |
//!
//! A plain file cannot be linked: an object's file begins with its seal. The seal's region is whole
//! blocks, so the payload behind it can share blocks with the file it came from.
//! Every byte is checked before it is published, shared or not.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::StoreError;
use crate::incoming::make_object_dir;
use crate::scan::seal_of_file;
use crate::scrub::ObjectReader;
use crate::seal::Seal;
use crate::volume::sync_dir;
use crate::writer::Writer;

/// How a file came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Adopted {
    /// The volume had the object; nothing was done.
    AlreadyHeld,
    /// The file is now in two places: nothing was copied.
    Linked,
    /// The kernel brought the bytes over: shared where the file system can, copied where not.
    Shared,
    /// Read and written.
    Copied,
}

impl Writer {
    /// Publishes the sealed object file at `path`, after every byte was checked. Linked, if it is
    /// on the volume's file system: whoever owns the other name must not write to it any more.
    ///
    /// # Errors
    /// [`StoreError::Seal`] or [`StoreError::BadChunk`] when it is not an object, and those of
    /// [`Writer::begin`].
    pub fn adopt_sealed(&self, path: &Path) -> Result<Adopted, StoreError> {
        let seal = seal_of_file(path)?;
        let object = seal.object();
        if self.holds(&object) {
            return Ok(Adopted::AlreadyHeld);
        }
        let reader = ObjectReader::open(path)?;
        let mut chunk = Vec::new();
        for index in 0..seal.chunks() {
            reader.read_chunk(index, &mut chunk)?;
        }
        reader.forget_cached();
        match self.link(path, &seal) {
            Ok(()) => Ok(Adopted::Linked),
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
                self.copy_in(path, seal.payload_offset(), seal)
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes the plain file at `path` (payload only) as the object that `seal` describes.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] when the file is not what was sealed, and those of
    /// [`Writer::begin`].
    pub fn adopt_plain(&self, path: &Path, seal: Seal) -> Result<Adopted, StoreError> {
        if self.holds(&seal.object()) {
            return Ok(Adopted::AlreadyHeld);
        }
        self.copy_in(path, 0, seal)
    }

    /// The mark that finishes a publish cut short (`.part.done` without `.part`) finishes this one.
    fn link(&self, path: &Path, seal: &Seal) -> Result<(), StoreError> {
        let to = self.volume().object_path(&seal.object());
        let volume = self.volume().path();
        let device = |path: &Path, doing| {
            fs::metadata(path).map(|meta| meta.dev()).map_err(StoreError::io(path, doing))
        };
        if device(path, "look at the file")? != device(volume, "look at the volume")? {
            let source = ErrorKind::CrossesDevices.into();
            return Err(StoreError::Io { path: path.to_owned(), doing: "link", source });
        }
        let dir = make_object_dir(&to)?;
        let mark = self.mark_publishing(&seal.object())?;
        if let Err(error) = link_whole(path, &to) {
            crate::writer::unlink(&mark)?;
            return Err(error);
        }
        sync_dir(dir)?;
        self.shared.publish(seal)?;
        crate::writer::unlink(&mark)
    }

    fn copy_in(&self, path: &Path, payload_at: u64, seal: Seal) -> Result<Adopted, StoreError> {
        let io = |doing| StoreError::io(path, doing);
        let mut from = File::open(path).map_err(io("open the payload"))?;
        let mut incoming = match self.begin(seal) {
            Err(StoreError::AlreadyHeld { .. }) => return Ok(Adopted::AlreadyHeld),
            begun => begun?,
        };
        // Never over chunks that an earlier run wrote and checked: nobody looks at them again.
        let is_fresh = incoming.missing_chunks() == incoming.seal().chunks();
        let shared = is_fresh && share(&from, payload_at, &incoming.opened()?, incoming.seal());
        let mut chunk = Vec::new();
        for index in incoming.missing().into_iter().flatten() {
            // What was shared is read back where it now is, the rest where it came from.
            let range = incoming.seal().chunk_range(index).expect("a missing chunk is a chunk");
            if shared && incoming.confirm(index, &mut chunk)? {
                continue;
            }
            chunk.resize((range.end - range.start) as usize, 0);
            from.seek(SeekFrom::Start(payload_at + range.start)).map_err(io("read"))?;
            let got = crate::seal::fill(&mut from, &mut chunk).map_err(io("read"))?;
            incoming.write_chunk(index, &chunk[..got])?;
        }
        incoming.publish()?;
        Ok(if shared { Adopted::Shared } else { Adopted::Copied })
    }
}

/// Makes the checked file at `path` durable and gives it the name `to` as well. What lay there is
/// not listed, so it is nothing: an orphan, or the rest of a bad object.
fn link_whole(path: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |doing| StoreError::io(path, doing);
    File::open(path).and_then(|file| file.sync_all()).map_err(io("make durable"))?;
    let is_same = |other: &fs::Metadata| {
        fs::metadata(path).is_ok_and(|one| (one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    match fs::symlink_metadata(to) {
        Ok(there) if is_same(&there) => return Ok(()),
        Ok(_) => crate::writer::unlink(to)?,
        Err(_) => {}
    }
    fs::hard_link(path, to).map_err(io("link"))
}

/// Has the kernel bring the payload over; false when it cannot or stops half way, and then the
/// caller copies what is missing. `io::copy` between files is `copy_file_range`, which shares
/// blocks on file systems that can, because the payload begins on a block.
fn share(mut from: &File, payload_at: u64, mut to: &File, seal: &Seal) -> bool {
    let mut bring = || {
        from.seek(SeekFrom::Start(payload_at))?;
        to.seek(SeekFrom::Start(seal.payload_offset()))?;
        io::copy(&mut from.take(seal.bytes()), &mut to)
    };
    bring().is_ok_and(|brought| brought == seal.bytes())
}
