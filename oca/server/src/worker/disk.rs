//! From a chunk's name to its verified bytes: find it in memory, or open, read and check it.
//! Never serves a byte that the seal has not vouched for, and never reads one chunk twice at once.
//!
//! ```text
//! chunk ---> in memory ------------------------------------------> Ready
//!    |-----> under read: join --------------------------------\
//!    '-----> file open? --no--> open -> read seal -> decode --> told, asks again
//!               '--yes--> buffer? --no--> starved ------------/
//!                            '--yes--> read -> verify --------/
//! ```

use std::io;
use std::rc::Rc;

use control_types::ObjectId;
use control_types::limits::CHUNK_BYTES;
use oca_store::{SEAL_ALIGN_BYTES, Seal};
use oca_sys::{Access, Buffer, FileId, Kernel, Op};

use super::station::{Fault, OverBudget, Station, Trouble};
use super::{Seat, TokenKind};
use crate::counters::class_row;
use crate::files::FileLookup;
use crate::hot_set::{Chunk, ChunkKey, Lookup, Reading};
use crate::library::{Found, View};

/// Answer to a wish for a chunk.
#[derive(Debug)]
pub enum Wish {
    /// Here it is.
    Ready(Chunk),
    /// The seat will be told when it is worth asking again.
    Later,
    /// It will not come.
    Never(Fault),
    /// No buffer, and too many wait for one already.
    OverBudget,
}

impl From<Result<(), OverBudget>> for Wish {
    fn from(starved: Result<(), OverBudget>) -> Self {
        starved.map_or(Self::OverBudget, |()| Self::Later)
    }
}

impl<K: Kernel> Station<K> {
    /// Chunk `index` of `found`, for `seat`.
    pub fn chunk(&mut self, found: &Found, index: u32, seat: Seat) -> Wish {
        let key = ChunkKey { object: found.object, view: found.view, index };
        match self.hot.get(&key) {
            Lookup::Ready(chunk) => return Wish::Ready(chunk),
            Lookup::Reading(at) => {
                self.hot.join(at, seat);
                return Wish::Later;
            }
            Lookup::Absent => {}
        }
        if self.shared.library.is_condemned(found) {
            return Wish::Never(Fault::Corrupt);
        }
        let file = match self.files.get(found) {
            FileLookup::Ready(file) => file,
            FileLookup::Opening(file) => {
                self.files.join(file, seat);
                return Wish::Later;
            }
            FileLookup::Absent => return self.open(found, seat),
        };
        match self.read_chunk(found, key, file) {
            Some(at) => {
                self.hot.join(at, seat);
                Wish::Later
            }
            None => self.starve(seat).into(),
        }
    }

    /// A reader begins with a chunk that it did not have read: that keeps a chunk in memory.
    pub fn count_use(&mut self, found: &Found, index: u32) {
        self.counters.hot_hits.add(1);
        self.hot.count_use(&ChunkKey { object: found.object, view: found.view, index });
    }

    /// Reads chunk `index` ahead if that takes nothing from anybody. True when it did.
    pub fn read_ahead(&mut self, found: &Found, index: u32) -> bool {
        let key = ChunkKey { object: found.object, view: found.view, index };
        if index >= found.chunks()
            || !self.starved.is_empty()
            || self.volume_reads[usize::from(found.volume)] * 2 >= self.volume_reads_max
            || self.hot.knows(&key)
        {
            return false;
        }
        match self.files.get(found) {
            FileLookup::Ready(file) => self.read_chunk(found, key, file).is_some(),
            FileLookup::Opening(_) | FileLookup::Absent => false,
        }
    }

    /// Submits the read of a chunk; `None` when there is no buffer for it, or its volume has its
    /// share under read.
    fn read_chunk(&mut self, found: &Found, key: ChunkKey, file: u32) -> Option<u32> {
        let (id, _) = self.files.open(file)?;
        if self.volume_reads[usize::from(found.volume)] >= self.volume_reads_max {
            return None;
        }
        let into = self.chunk_buffer()?;
        let reading = Reading {
            key,
            file,
            volume: found.volume,
            bytes: found.chunk_bytes(key.index),
            began: self.now(),
        };
        let (at, generation) = self.hot.begin(reading)?;
        self.files.pin(file);
        self.volume_reads[usize::from(found.volume)] += 1;
        self.counters.hot_misses.add(1);
        let from = found.offset + u64::from(key.index) * CHUNK_BYTES;
        let token = TokenKind::ReadChunk.token(at, generation);
        self.submit(token, Op::Read { file: id, at: from, into, access: Access::Direct });
        Some(at)
    }

    fn chunk_buffer(&mut self) -> Option<Buffer> {
        if let Some(buffer) = self.kernel.chunk_buffer() {
            return Some(buffer);
        }
        if !self.hot.evict() {
            return None;
        }
        self.counters.hot_evictions.add(1);
        self.kernel.chunk_buffer()
    }

    /// A chunk read ended.
    pub(super) fn chunk_read(
        &mut self,
        at: u32,
        generation: u32,
        result: io::Result<usize>,
        buffer: Buffer,
    ) {
        let Some(reading) = self.hot.reading(at, generation) else { return };
        let volume = usize::from(reading.volume);
        self.volume_reads[volume] = self.volume_reads[volume].saturating_sub(1);
        let class = self.files_class(reading.file);
        self.counters.disk_reads[class].add(self.now().since(reading.began));
        let checked = self.chunk_check(&reading, result, &buffer);
        if let Some(file) = self.files.unpin(reading.file) {
            self.close_file(file);
        }
        match checked {
            Ok(()) => {
                self.counters.disk_bytes[class].add(reading.bytes as u64);
                let chunk = Chunk { buffer: Rc::new(buffer), bytes: reading.bytes };
                let ready = &mut self.ready;
                self.hot.finish(at, chunk, &mut |seat| ready.push_back((seat, None)));
            }
            Err(fault) => {
                self.fault(fault, reading.volume, &reading.key, class);
                let ready = &mut self.ready;
                self.hot.fail(at, &mut |seat| ready.push_back((seat, Some(fault))));
            }
        }
        self.counters.hot_chunks.set(self.hot.ready() as u64);
    }

    /// Whether what was read is the chunk. The one gate between a disk and a client.
    fn chunk_check(
        &self,
        reading: &Reading,
        result: io::Result<usize>,
        buffer: &Buffer,
    ) -> Result<(), Fault> {
        let got = result.map_err(|_| Fault::Disk)?;
        let Some((_, seal)) = self.files.open(reading.file) else { return Err(Fault::Gone) };
        let Some(seal) = seal else {
            // A lab file: nothing to check but its length.
            return if got >= reading.bytes { Ok(()) } else { Err(Fault::Disk) };
        };
        let Some(chunk) = buffer.get(..reading.bytes).filter(|_| got >= reading.bytes) else {
            return Err(Fault::Corrupt);
        };
        let is_good = match reading.key.view {
            View::Payload => seal.verify_chunk(reading.key.index, chunk),
            // The seal was decoded when the file was opened; what goes out must be the same bytes.
            // Encoding it again allocates, once for each seal that an appliance fills from here.
            View::Seal => {
                let from = u64::from(reading.key.index) * CHUNK_BYTES;
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let to = from.saturating_add(chunk.len());
                seal.encode().get(from..to).is_some_and(|region| region == chunk)
            }
        };
        if is_good { Ok(()) } else { Err(Fault::Corrupt) }
    }

    fn open(&mut self, found: &Found, seat: Seat) -> Wish {
        if self.files.is_full() {
            match self.files.evict() {
                Some(file) => self.close_file(file),
                None => return self.starve(seat).into(),
            }
        }
        let Some(path) = self.shared.library.path(found) else { return Wish::Never(Fault::Gone) };
        let Some((at, generation)) = self.files.begin(found) else {
            return self.starve(seat).into();
        };
        self.files.join(at, seat);
        self.submit(TokenKind::Open.token(at, generation), Op::Open { path });
        Wish::Later
    }

    /// An open ended.
    pub(super) fn opened(&mut self, at: u32, generation: u32, result: io::Result<FileId>) {
        let Some(found) = self.files.found(at, generation) else {
            if let Ok(file) = result {
                self.close_file(file);
            }
            return;
        };
        let file = match result {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.open_failed(at, &found, Fault::Gone);
            }
            Err(_) => return self.open_failed(at, &found, Fault::Disk),
        };
        self.counters.files.set(self.files.count() as u64);
        let Some(payload_bytes) = found.sealed else {
            return self.file_ready(at, file, None);
        };
        let region_bytes = Seal::region_bytes_for(payload_bytes) as usize;
        self.files.opened(at, file, region_bytes);
        self.read_seal(at, generation, &found);
    }

    /// Reads the next piece of the seal region. Seals over 256 KiB (objects over 2 GiB) take more.
    fn read_seal(&mut self, at: u32, generation: u32, found: &Found) {
        let Some((file, region)) = self.files.sealing(at) else { return };
        let from = region.len() as u64;
        let Some(into) = self.chunk_buffer() else {
            // Everything is pinned: the seats wait for room like everybody else.
            return self.open_failed_for_want_of_room(at);
        };
        debug_assert!(found.sealed.is_some(), "only sealed files have seals");
        let token = TokenKind::ReadSeal.token(at, generation);
        self.submit(token, Op::Read { file, at: from, into, access: Access::Direct });
    }

    /// A piece of a seal region arrived.
    pub(super) fn seal_read(
        &mut self,
        at: u32,
        generation: u32,
        result: io::Result<usize>,
        buffer: Buffer,
    ) {
        let Some(found) = self.files.found(at, generation) else { return };
        let region_bytes = Seal::region_bytes_for(found.sealed.unwrap_or(0)) as usize;
        let Some((file, region)) = self.files.sealing(at) else { return };
        let Ok(got) = result else { return self.open_failed(at, &found, Fault::Disk) };
        let take = got.min(region_bytes - region.len());
        region.extend_from_slice(&buffer[..take]);
        drop(buffer);
        if take == 0 {
            return self.open_failed(at, &found, Fault::Corrupt);
        }
        if region.len() < region_bytes {
            // Reads are short only at a file's end: off the grid, the file is cut inside its seal,
            // and asking on from there would be an unaligned read that looks like a sick disk.
            if !(region.len() as u64).is_multiple_of(SEAL_ALIGN_BYTES) {
                return self.open_failed(at, &found, Fault::Corrupt);
            }
            return self.read_seal(at, generation, &found);
        }
        match Seal::decode(region) {
            Ok(seal) if seal.object() == found.object && Some(seal.bytes()) == found.sealed => {
                self.file_ready(at, file, Some(Rc::new(seal)));
            }
            _ => self.open_failed(at, &found, Fault::Corrupt),
        }
    }

    fn open_failed(&mut self, at: u32, found: &Found, fault: Fault) {
        let key = ChunkKey { object: found.object, view: found.view, index: 0 };
        self.fault(fault, found.volume, &key, class_row(found.class));
        let ready = &mut self.ready;
        let file = self.files.fail(at, &mut |seat| ready.push_back((seat, Some(fault))));
        if let Some(file) = file {
            self.close_file(file);
        }
    }

    fn open_failed_for_want_of_room(&mut self, at: u32) {
        // Bounded by the number of connections: a seat joins one file at a time.
        let starved = &mut self.starved;
        let file = self.files.fail(at, &mut |seat| starved.push_back(seat));
        if let Some(file) = file {
            self.close_file(file);
        }
    }

    /// Counts a fault, stops serving what is corrupt, and tells the admin thread.
    fn fault(&mut self, fault: Fault, volume: u16, key: &ChunkKey, class: usize) {
        match fault {
            Fault::Gone => {}
            Fault::Disk => {
                self.counters.disk_errors[class].add(1);
                self.report(Trouble::DiskError { volume });
            }
            Fault::Corrupt => {
                self.counters.chunks_bad.add(1);
                self.shared.library.condemn(volume, key.object);
                self.report(Trouble::BadObject { volume, object: key.object });
                self.forget_file(volume, &key.object);
            }
        }
    }

    /// A copy was removed or is bad: its file is not read any more.
    pub(super) fn forget_file(&mut self, volume: u16, object: &ObjectId) {
        if let Some(file) = self.files.forget(volume, object) {
            self.close_file(file);
        }
    }

    fn file_ready(&mut self, at: u32, file: FileId, seal: Option<Rc<Seal>>) {
        let ready = &mut self.ready;
        let close = self.files.ready(at, file, seal, &mut |seat| ready.push_back((seat, None)));
        if let Some(file) = close {
            self.close_file(file);
        }
    }

    fn files_class(&self, file: u32) -> usize {
        self.files.class(file).map_or(0, class_row)
    }
}
