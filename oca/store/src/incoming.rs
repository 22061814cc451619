//! One object on its way in: chunks in any order, each checked, then published as a whole.
//! Does not fetch anything; an agent with its own I/O may write the chunks itself and mark them.
//!
//! The file already has the layout of an object. Beside it is a map of one byte a chunk, written
//! after the chunk: a killed process leaves at most the chunk it was writing to be fetched again.
//! The map is a claim, not a proof (after a power cut it may outlive the bytes it speaks of), so
//! resuming reads each claimed chunk back and checks it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{OpenFile, Opening};
use crate::error::StoreError;
use crate::scan::seal_of;
use crate::seal::Seal;
use crate::volume::Volume;
use crate::writer::Shared;

/// An object being written. Dropping it keeps what is on disk for the next `begin`.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    seal: Seal,
    file: OpenFile,
    map: OpenFile,
    part_path: PathBuf,
    done_path: PathBuf,
    done: Vec<bool>,
    missing: u32,
}

impl Incoming {
    pub(crate) fn open(shared: Arc<Shared>, seal: Seal) -> Result<Self, StoreError> {
        let dir = shared.volume.incoming_dir();
        let part_path = dir.join(format!("{}.part", seal.object()));
        let done_path = dir.join(format!("{}.part.done", seal.object()));
        let file = open_rw(&shared.volume, &part_path)?;
        let map = open_rw(&shared.volume, &done_path)?;
        let fresh = !is_of(&file, &part_path, &seal);
        if fresh {
            // Map first: from here to the end of the function a crash leaves no claim to trust.
            map.set_len(0).map_err(StoreError::io(&done_path, "clear the map"))?;
            file.set_len(0).map_err(StoreError::io(&part_path, "start over"))?;
        }
        let room = reserve(&shared, &file, &part_path, seal.file_bytes()).and_then(|()| {
            file.write_all_at(&seal.encode(), 0).map_err(|e| {
                full_or(&shared, &part_path, "write the seal", seal.payload_offset(), e)
            })
        });
        if let Err(mut error) = room {
            if fresh {
                // It would tie the object to a disk that has no room for it, and keep it full.
                shared.volume.unlink(&part_path)?;
                shared.volume.unlink(&done_path)?;
                if let StoreError::Full { free_bytes, .. } = &mut error {
                    // What was taken before it was refused is free again once the file is closed.
                    drop((file, map));
                    *free_bytes = shared.volume.room().map_or(0, |room| room.free_bytes);
                }
            }
            return Err(error);
        }
        let chunks = seal.chunks();
        let done = claimed(&map, &done_path, chunks)?;
        map.set_len(u64::from(chunks)).map_err(StoreError::io(&done_path, "size the map"))?;
        let mut incoming =
            Self { shared, seal, file, map, part_path, done_path, done, missing: chunks };
        incoming.check_claims()?;
        Ok(incoming)
    }

    /// What is being written.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The unfinished file, for an agent that writes the payload itself: chunk `i` belongs at
    /// `seal().payload_offset() + i * CHUNK_BYTES`. The seal is already in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.part_path
    }

    /// Where the payload starts in [`Self::path`].
    #[must_use]
    pub fn payload_offset(&self) -> u64 {
        self.seal.payload_offset()
    }

    /// Chunks still to be written, as ranges of chunk numbers in order.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for index in (0..).zip(&self.done).filter(|(_, done)| !**done).map(|(index, _)| index) {
            match ranges.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges
    }

    /// How many chunks are still to be written.
    #[must_use]
    pub fn missing_chunks(&self) -> u32 {
        self.missing
    }

    /// Checks `chunk` against the seal and writes it. Writing one twice is writing it once.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] (nothing is written), [`StoreError::Full`], [`StoreError::Io`].
    pub fn write_chunk(&mut self, index: u32, chunk: &[u8]) -> Result<(), StoreError> {
        if !self.seal.verify_chunk(index, chunk) {
            return Err(StoreError::BadChunk { object: self.seal.object(), chunk: index });
        }
        let range = self.seal.chunk_range(index).expect("verify_chunk checked the index");
        let at = self.seal.payload_offset() + range.start;
        self.file.write_all_at(chunk, at).map_err(|e| {
            full_or(&self.shared, &self.part_path, "write a chunk", chunk.len() as u64, e)
        })?;
        self.mark_done(index)
    }

    /// Notes that chunk `index` is in the file. The caller wrote it and checked it with
    /// `seal().verify_chunk`: a chunk that is marked is not looked at again before it is served.
    ///
    /// # Errors
    /// [`StoreError::BadChunk`] for an index past the end, [`StoreError::Io`].
    pub fn mark_done(&mut self, index: u32) -> Result<(), StoreError> {
        let Some(done) = self.done.get_mut(index as usize) else {
            return Err(StoreError::BadChunk { object: self.seal.object(), chunk: index });
        };
        if *done {
            return Ok(());
        }
        self.map
            .write_all_at(&[1], u64::from(index))
            .map_err(|e| full_or(&self.shared, &self.done_path, "mark a chunk", 1, e))?;
        *done = true;
        self.missing -= 1;
        Ok(())
    }

    /// The unfinished file.
    pub(crate) fn file(&self) -> &OpenFile {
        &self.file
    }

    /// Marks chunk `index` done if the bytes that are in the file already are right.
    pub(crate) fn confirm(&mut self, index: u32, chunk: &mut Vec<u8>) -> Result<bool, StoreError> {
        let Some(range) = self.seal.chunk_range(index) else { return Ok(false) };
        chunk.resize((range.end - range.start) as usize, 0);
        self.file
            .read_exact_at(chunk, self.seal.payload_offset() + range.start)
            .map_err(StoreError::io(&self.part_path, "read back a chunk"))?;
        let is_right = self.seal.verify_chunk(index, chunk);
        if is_right {
            self.mark_done(index)?;
        }
        Ok(is_right)
    }

    /// Makes the object durable, gives it its place, and lists it; returns where it is. Either the
    /// whole object is published or, at a crash or error, nothing is and the next run goes on here.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`], [`StoreError::Full`], [`StoreError::Io`].
    pub fn publish(self) -> Result<PathBuf, StoreError> {
        let object = self.seal.object();
        if self.missing > 0 {
            let (missing, chunks) = (self.missing, self.seal.chunks());
            return Err(StoreError::Incomplete { object, missing, chunks });
        }
        if let Err(e) = self.file.sync_all() {
            let bytes = self.seal.bytes();
            let error = full_or(&self.shared, &self.part_path, "make durable", bytes, e);
            self.distrust()?;
            return Err(error);
        }
        let volume = &self.shared.volume;
        let to = volume.object_path(&object);
        make_object_dir(volume, &to)?;
        let renamed = volume.disk().rename(&self.part_path, &to);
        renamed.map_err(StoreError::io(&to, "give its place to"))?;
        self.shared.keep_place(&object)?;
        self.shared.publish(&self.seal)?;
        volume.unlink(&self.done_path)?;
        Ok(to)
    }

    /// Takes back what is said of every chunk, for when making the file durable failed: the cache
    /// then holds bytes that the disk does not have and that will not be written again, so reading
    /// them back proves nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn distrust(self) -> Result<(), StoreError> {
        self.map.set_len(0).map_err(StoreError::io(&self.done_path, "clear the map"))
    }

    /// Gives the pull up and frees its room.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn discard(self) -> Result<(), StoreError> {
        self.shared.volume.unlink(&self.part_path)?;
        self.shared.volume.unlink(&self.done_path)
    }

    fn check_claims(&mut self) -> Result<(), StoreError> {
        if !self.done.contains(&true) {
            return Ok(());
        }
        // What an earlier run wrote and could not make durable is still in the cache, where it
        // reads as well as ever, and no later sync will write it: so the disk itself is read. What
        // cannot be made durable now is no better.
        let _ = self.file.sync_contents();
        self.file.forget_cached();
        let mut chunk = Vec::new();
        for index in 0..self.seal.chunks() {
            if !self.done[index as usize] {
                continue;
            }
            let range = self.seal.chunk_range(index).expect("the loop ends at the last chunk");
            chunk.resize((range.end - range.start) as usize, 0);
            // A chunk that cannot be read back is one that is not there: it is written again, and
            // the disk says then whether it can.
            let at = self.seal.payload_offset() + range.start;
            let is_read = self.file.read_exact_at(&mut chunk, at).is_ok();
            if is_read && self.seal.verify_chunk(index, &chunk) {
                self.missing -= 1;
            } else {
                self.done[index as usize] = false;
                self.map
                    .write_all_at(&[0], u64::from(index))
                    .map_err(StoreError::io(&self.done_path, "unmark a chunk"))?;
            }
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shared.state().busy.remove(&self.seal.object());
    }
}

fn open_rw(volume: &Volume, path: &Path) -> Result<OpenFile, StoreError> {
    volume.disk().open(path, Opening::Keep).map_err(StoreError::io(path, "open"))
}

/// Whether an unfinished file is of this object. Another title in its seal does not matter: the
/// payload is the same and the seal is written again.
fn is_of(file: &OpenFile, path: &Path, seal: &Seal) -> bool {
    seal_of(file, path).is_ok_and(|found| found.object() == seal.object())
}

/// Chunks that the map claims.
fn claimed(map: &OpenFile, path: &Path, chunks: u32) -> Result<Vec<bool>, StoreError> {
    let mut bytes = vec![0u8; chunks as usize];
    let io = || StoreError::io(path, "read the map");
    let length = map.length().map_err(io())?.min(u64::from(chunks)) as usize;
    map.read_exact_at(&mut bytes[..length], 0).map_err(io())?;
    Ok(bytes.into_iter().map(|byte| byte == 1).collect())
}

/// Takes all the room at once, so that a full disk is met before the first byte is fetched.
fn reserve(shared: &Shared, file: &OpenFile, path: &Path, bytes: u64) -> Result<(), StoreError> {
    let doing = "take room for the object";
    file.take_room(bytes).map_err(|error| full_or(shared, path, doing, bytes, error))
}

fn full_or(
    shared: &Shared,
    path: &Path,
    doing: &'static str,
    wanted_bytes: u64,
    error: io::Error,
) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if !matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        return StoreError::io(path, doing)(error);
    }
    let free_bytes = shared.volume.room().map_or(0, |room| room.free_bytes);
    StoreError::Full { path: shared.volume.path().to_owned(), wanted_bytes, free_bytes }
}

/// Makes the directory that an object's file belongs into, not yet durable.
pub(crate) fn make_object_dir(volume: &Volume, object: &Path) -> Result<(), StoreError> {
    let dir = object.parent().expect("an object's path has a directory");
    volume.disk().make_dir(dir).map_err(StoreError::io(dir, "create the directory"))
}

#[cfg(test)]
mod tests {
    use control_types::fleet::DiskClass;

    use super::*;
    use crate::writer::Writer;

    #[test]
    fn a_disk_that_is_full_in_any_of_the_kernels_words_is_full_in_ours() {
        use nix::errno::Errno::{EDQUOT, EFBIG, EIO, ENOSPC};
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Ssd).unwrap();
        let writer = Writer::open(&volume, "test").unwrap();
        let judged = |errno: nix::errno::Errno| {
            full_or(&writer.shared, dir.path(), "write a chunk", 7, errno.into())
        };
        for errno in [ENOSPC, EDQUOT, EFBIG] {
            assert!(matches!(judged(errno), StoreError::Full { wanted_bytes: 7, .. }), "{errno}");
        }
        assert!(matches!(judged(EIO), StoreError::Io { doing: "write a chunk", .. }));
    }
}
