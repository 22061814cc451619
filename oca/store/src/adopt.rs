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

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::disk::{OpenFile, Opening};
use crate::error::StoreError;
use crate::incoming::make_object_dir;
use crate::scan::seal_on;
use crate::scrub::ObjectReader;
use crate::seal::Seal;
use crate::volume::Volume;
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
        let disk = self.volume().disk();
        let seal = seal_on(disk, path)?;
        let object = seal.object();
        if self.holds(&object) {
            return Ok(Adopted::AlreadyHeld);
        }
        let reader = ObjectReader::open_on(disk, path)?;
        // Before it is read: what could not be made durable reads well from the cache all the same.
        reader.make_durable()?;
        reader.forget_cached();
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
        let volume = self.volume();
        let to = volume.object_path(&seal.object());
        let device = |path: &Path, doing| {
            let look = volume.disk().look(path);
            look.map(|there| there.identity.0).map_err(StoreError::io(path, doing))
        };
        if device(path, "look at the file")? != device(volume.path(), "look at the volume")? {
            let source = ErrorKind::CrossesDevices.into();
            return Err(StoreError::Io { path: path.to_owned(), doing: "link", source });
        }
        make_object_dir(volume, &to)?;
        let mark = self.mark_publishing(&seal.object())?;
        if let Err(error) = link_whole(volume, path, &to) {
            volume.unlink(&mark)?;
            return Err(error);
        }
        self.shared.keep_place(&seal.object())?;
        self.shared.publish(seal)?;
        volume.unlink(&mark)
    }

    fn copy_in(&self, path: &Path, payload_at: u64, seal: Seal) -> Result<Adopted, StoreError> {
        let io = |doing| StoreError::io(path, doing);
        let opened = self.volume().disk().open(path, Opening::Read);
        let from = opened.map_err(io("open the payload"))?;
        let mut incoming = match self.begin(seal) {
            Err(StoreError::AlreadyHeld { .. }) => return Ok(Adopted::AlreadyHeld),
            begun => begun?,
        };
        // Never over chunks that an earlier run wrote and checked: nobody looks at them again.
        let is_fresh = incoming.missing_chunks() == incoming.seal().chunks();
        let shared = is_fresh && share(&from, payload_at, incoming.file(), incoming.seal());
        let mut chunk = Vec::new();
        for index in incoming.missing().into_iter().flatten() {
            // What was shared is read back where it now is, the rest where it came from.
            let range = incoming.seal().chunk_range(index).expect("a missing chunk is a chunk");
            if shared && incoming.confirm(index, &mut chunk)? {
                continue;
            }
            chunk.resize((range.end - range.start) as usize, 0);
            let got = from.fill_at(&mut chunk, payload_at + range.start).map_err(io("read"))?;
            incoming.write_chunk(index, &chunk[..got])?;
        }
        incoming.publish()?;
        Ok(if shared { Adopted::Shared } else { Adopted::Copied })
    }
}

/// Gives the checked, durable file at `path` the name `to` as well. What lay there is
/// not listed, so it is nothing: an orphan, or the rest of a bad object.
fn link_whole(volume: &Volume, path: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |doing| StoreError::io(path, doing);
    let disk = volume.disk();
    let identity = |path: &Path| disk.look(path).ok().map(|there| there.identity);
    let there = identity(to);
    if there.is_some() && there == identity(path) {
        return Ok(());
    }
    volume.unlink(to)?;
    disk.link(path, to).map_err(io("link"))
}

/// Has the kernel bring the payload over; false when it cannot or stops half way, and then the
/// caller copies what is missing. `io::copy` between files is `copy_file_range`, which shares
/// blocks on file systems that can, because the payload begins on a block.
fn share(from: &OpenFile, payload_at: u64, to: &OpenFile, seal: &Seal) -> bool {
    let (Some(mut from), Some(mut to)) = (from.kernel(), to.kernel()) else { return false };
    let mut bring = || {
        from.seek(SeekFrom::Start(payload_at))?;
        to.seek(SeekFrom::Start(seal.payload_offset()))?;
        io::copy(&mut from.take(seal.bytes()), &mut to)
    };
    bring().is_ok_and(|brought| brought == seal.bytes())
}
