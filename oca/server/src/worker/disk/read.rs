//! Reads of chunks: how many at once, into which buffers, and whether what came is what was sealed.
//! The check here is the one gate between a disk and a client.

use std::io;
use std::rc::Rc;

use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_sys::{Access, Buffer, Kernel, Op, Token};

use super::super::TokenKind;
use super::super::station::{Fault, Station};
use super::lanes::Operation;
use super::trouble::speaks_of_the_device;
use super::work::{Run, Work};
use crate::counters::class_row;
use crate::hot_set::{Arrival, ChunkKey, Spot};
use crate::library::{Found, View};
use crate::limits::RUN_CHUNKS_MAX;

impl<K: Kernel> Station<K> {
    /// Submits the read of chunk `index`, on a rotating disk with those behind it. `None` when
    /// there is no buffer for it; else the place to join. The device must have a turn free.
    pub(super) fn read_chunks(&mut self, found: &Found, index: u32, file: u32) -> Option<u32> {
        let (id, _) = self.files.open(file)?;
        let lane = self.lane_of(found);
        let chunks = self.run_chunks(found, index).min(self.lanes.buffers_free(lane)).max(1);
        let mut run = Run::new(*found, file, index, self.access);
        let mut buffers = Vec::with_capacity(chunks);
        for number in 0..chunks as u32 {
            let Some(buffer) = self.chunk_buffer() else { break };
            let key = ChunkKey { object: found.object, view: found.view, index: index + number };
            let Some(spot) = self.hot.begin(key) else { break };
            run.push(spot);
            buffers.push(buffer);
        }
        let (_, first) = run.chunks().next()?;
        self.files.pin(file);
        self.counters.hot_misses.add(run.len() as u64);
        self.submit_run(id, run, buffers);
        Some(first.at)
    }

    /// How many chunks are worth reading at once. A reader that goes forward on a rotating disk is
    /// given a megabyte: the head is there already, and finding the place was most of the cost.
    fn run_chunks(&self, found: &Found, index: u32) -> usize {
        let key = |index| ChunkKey { object: found.object, view: found.view, index };
        let goes_forward = index.checked_sub(1).is_none_or(|before| self.hot.knows(&key(before)));
        if found.class == DiskClass::Ssd || !goes_forward {
            return 1;
        }
        let until = index.saturating_add(RUN_CHUNKS_MAX as u32).min(found.chunks());
        (index..until).take_while(|index| !self.hot.knows(&key(*index))).count()
    }

    fn submit_run(&mut self, file: oca_sys::FileId, mut run: Run, mut buffers: Vec<Buffer>) {
        if buffers.len() > 1 {
            // A rotating disk's megabyte goes past the page cache, whoever asks for it.
            run.access = Access::Direct;
        }
        let now = self.now();
        let lane = self.lane_of(&run.found);
        let token = self.next_token(TokenKind::ReadChunk);
        self.lanes.begin(lane, token, now, buffers.len(), Work::Chunks(run));
        let at = run.found.offset + u64::from(run.first) * CHUNK_BYTES;
        let access = run.access;
        let op = match buffers.pop() {
            Some(into) if buffers.is_empty() => Op::Read { file, at, into, access },
            Some(last) => {
                buffers.push(last);
                Op::ReadMany { file, at, into: buffers }
            }
            None => return,
        };
        self.submit(token, op);
    }

    /// A token that no operation under way has.
    pub(super) fn next_token(&mut self, kind: TokenKind) -> Token {
        self.submitted = self.submitted.wrapping_add(1);
        let place = (self.submitted & 0xff_ffff) as u32;
        kind.token(place, (self.submitted >> 24) as u32)
    }

    pub(super) fn chunk_buffer(&mut self) -> Option<Buffer> {
        if let Some(buffer) = self.kernel.chunk_buffer() {
            return Some(buffer);
        }
        if !self.hot.evict() {
            return None;
        }
        self.counters.hot_evictions.add(1);
        self.counters.hot_chunks.set(self.hot.ready() as u64);
        self.kernel.chunk_buffer()
    }

    pub(super) fn count_read(&self, operation: &Operation, bytes: Option<&usize>) {
        let took = self.now().since(operation.began);
        let class = match &operation.work {
            Work::Chunks(run) => class_row(run.class()),
            _ => return,
        };
        let bytes = bytes.copied().unwrap_or(0) as u64;
        self.counters.disk_reads[class].add(took);
        self.counters.disk_bytes[class].add(bytes);
        if let Some(device) = self.counters.device(operation.lane) {
            device.reads.add(took);
            device.bytes.add(bytes);
        }
    }

    /// Chunks arrived, or did not.
    pub(super) fn chunks_read(
        &mut self,
        run: Run,
        result: io::Result<usize>,
        buffers: Vec<Buffer>,
    ) {
        let got = match result {
            Ok(got) => got,
            Err(error) if run.len() > 1 && self.read_first_alone(run, buffers) => {
                // Which of the chunks could not be read is not said: asked alone, it will be.
                drop(error);
                return;
            }
            Err(error) => {
                self.unpin(run.file);
                self.disk_failed(&run.found, speaks_of_the_device(&error));
                return self.fail_run(&run);
            }
        };
        let mut faults = [None; RUN_CHUNKS_MAX];
        for (number, buffer) in buffers.iter().enumerate() {
            let got = got.saturating_sub(number * CHUNK_BYTES as usize);
            if let Some(fault) = faults.get_mut(number) {
                *fault = self.chunk_check(&run, number, got, buffer).err();
            }
        }
        for (_, (key, _)) in faults.iter().zip(run.chunks()).filter(|(fault, _)| fault.is_none()) {
            self.mark_known(&run, key.index);
        }
        self.unpin(run.file);
        for ((number, (key, spot)), buffer) in run.chunks().enumerate().zip(buffers) {
            match faults[number] {
                None => self.chunk_came(key, spot, buffer, run.found.chunk_bytes(key.index)),
                Some(fault) => {
                    self.blame(fault, &run.found);
                    self.fail_chunk(&run.found, spot);
                }
            }
        }
        if faults.iter().all(Option::is_none) {
            self.probes.note_sample(self.lane_of(&run.found), &run.found);
        }
        self.counters.hot_chunks.set(self.hot.ready() as u64);
    }

    /// A good chunk. One that was given up before is taken in all the same if there is none.
    fn chunk_came(&mut self, key: ChunkKey, spot: Spot, buffer: Buffer, bytes: usize) {
        let spot = match self.hot.reading(spot) {
            Some(_) => Some(spot),
            None if self.hot.knows(&key) => None,
            None => self.hot.begin(key),
        };
        let Some(spot) = spot else { return };
        let chunk = (Rc::new(buffer), bytes);
        let ready = &mut self.ready;
        let arrival = self.hot.finish(spot, chunk, &mut |seat| ready.push_back((seat, None)));
        if arrival == Arrival::Back {
            self.counters.hot_ghost_hits.add(1);
        }
    }

    /// Reads the first chunk of a run once more, by itself; the others are asked for again by
    /// whoever wants them. False when nobody waits for the run any more.
    fn read_first_alone(&mut self, run: Run, mut buffers: Vec<Buffer>) -> bool {
        let mut chunks = run.chunks();
        let Some((key, first)) = chunks.next() else { return false };
        let file = self.files.open(run.file).map(|(file, _)| file);
        let (Some(file), Some(_)) = (file, self.hot.reading(first)) else { return false };
        for (_, spot) in chunks {
            let ready = &mut self.ready;
            self.hot.fail(spot, &mut |seat| ready.push_back((seat, None)));
        }
        buffers.truncate(1);
        let mut alone = Run::new(run.found, run.file, key.index, run.access);
        alone.push(first);
        self.submit_run(file, alone, buffers);
        true
    }

    fn unpin(&mut self, file: u32) {
        if let Some(file) = self.files.unpin(file) {
            self.close_file(file);
        }
    }

    /// A chunk was read and found good. Read past the page cache, it says nothing of what is there.
    fn mark_known(&mut self, run: &Run, index: u32) {
        if run.access == Access::Cached
            && run.found.view == View::Payload
            && let Some((file, _)) = self.files.open(run.file)
        {
            self.known.mark(file, index);
        }
    }

    /// Whether chunk `number` of what was read is the object's.
    fn chunk_check(
        &self,
        run: &Run,
        number: usize,
        got: usize,
        buffer: &Buffer,
    ) -> Result<(), Fault> {
        let index = run.first.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        let bytes = run.found.chunk_bytes(index);
        let Some((_, seal)) = self.files.open(run.file) else { return Err(Fault::Gone) };
        let Some(seal) = seal else {
            // A lab file: nothing to check but its length.
            return if got >= bytes { Ok(()) } else { Err(Fault::Disk) };
        };
        let Some(chunk) = buffer.get(..bytes).filter(|_| got >= bytes) else {
            return Err(Fault::Corrupt);
        };
        let is_good = match run.found.view {
            View::Payload => seal.verify_chunk(index, chunk),
            // The seal was decoded when the file was opened; what goes out must be the same bytes.
            // Encoding it again allocates, once for each seal that an appliance fills from here.
            View::Seal => {
                let from = u64::from(index) * CHUNK_BYTES;
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let to = from.saturating_add(chunk.len());
                seal.encode().get(from..to).is_some_and(|region| region == chunk)
            }
        };
        if is_good { Ok(()) } else { Err(Fault::Corrupt) }
    }
}
