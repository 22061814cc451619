//! Opening an object's file and reading its seal, before any of its chunks.
//! Never keeps a file whose seal is not the object's.

use std::io;
use std::rc::Rc;

use control_types::fleet::DiskClass;
use oca_store::{SEAL_ALIGN_BYTES, Seal};
use oca_sys::{Access, Buffer, FileId, Kernel, Op};

use super::super::TokenKind;
use super::super::station::{Fault, Station};
use super::trouble::{names_no_file, speaks_of_the_device};
use super::work::Work;
use super::{Asker, Wish};
use crate::library::Found;

impl<K: Kernel> Station<K> {
    pub(super) fn open(&mut self, found: &Found, asker: Asker) -> Wish {
        let lane = self.lane_of(found);
        if !self.lanes.has_open_turn(lane) {
            return self.wait_turn(lane, asker);
        }
        if self.files.is_full() {
            match self.files.evict() {
                Some(file) => self.close_file(file),
                None => return self.wait_buffer(asker),
            }
        }
        let Some(path) = self.shared.library.path(found) else { return Wish::Never(Fault::Gone) };
        let Some((at, generation)) = self.files.begin(found) else {
            return self.wait_buffer(asker);
        };
        self.files.join(at, asker.seat);
        let token = TokenKind::Open.token(at, generation);
        let now = self.now();
        self.lanes.begin(lane, token, now, 0, Work::Open { at, generation });
        let follows = self.shared.library.follows_links();
        self.submit(token, Op::Open { path, follows });
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
            Err(error) if names_no_file(&error) => {
                self.blame(Fault::Gone, &found);
                return self.open_failed(at, &found);
            }
            Err(error) => {
                self.disk_failed(&found, speaks_of_the_device(&error));
                return self.open_failed(at, &found);
            }
        };
        self.counters.files.set(self.files.count() as u64);
        let Some(payload_bytes) = found.sealed else {
            // Nothing to be checked against; and a flash device answers soon, or is found silent by
            // its other reads.
            if found.class == DiskClass::Ssd {
                self.kernel.trust_pages(file);
            }
            return self.file_ready(at, file, None);
        };
        let region_bytes = Seal::region_bytes_for(payload_bytes) as usize;
        self.files.opened(at, file, region_bytes);
        self.read_seal(at, generation, &found);
    }

    /// Reads the next piece of the seal region. Seals over 256 KiB (objects over 2 GiB) take more.
    fn read_seal(&mut self, at: u32, generation: u32, found: &Found) {
        debug_assert!(found.sealed.is_some(), "only sealed files have seals");
        let Some((file, region)) = self.files.sealing(at) else { return };
        let from = region.len() as u64;
        // The turn that the open had is this read's: there is no waiting in between.
        let Some(into) = self.chunk_buffer() else {
            // Everything is pinned: the seats wait for room like everybody else.
            return self.open_failed_for_want_of_room(at);
        };
        let token = TokenKind::ReadSeal.token(at, generation);
        let (now, lane) = (self.now(), self.lane_of(found));
        self.lanes.begin(lane, token, now, 1, Work::Seal { at, generation });
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
        let got = match result {
            Ok(got) => got,
            Err(error) => {
                self.disk_failed(&found, speaks_of_the_device(&error));
                return self.open_failed(at, &found);
            }
        };
        let take = got.min(region_bytes - region.len());
        region.extend_from_slice(&buffer[..take]);
        drop(buffer);
        let is_whole = region.len() == region_bytes;
        // Reads are short only at a file's end: off the grid, the file is cut inside its seal, and
        // asking on from there would be an unaligned read that looks like a sick disk.
        let may_go_on = take > 0 && (region.len() as u64).is_multiple_of(SEAL_ALIGN_BYTES);
        if !is_whole && may_go_on {
            return self.read_seal(at, generation, &found);
        }
        match Seal::decode(region) {
            Ok(seal)
                if is_whole
                    && seal.object() == found.object
                    && Some(seal.bytes()) == found.sealed =>
            {
                self.file_ready(at, file, Some(Rc::new(seal)));
            }
            _ => {
                self.blame(Fault::Corrupt, &found);
                self.open_failed(at, &found);
            }
        }
    }

    /// Everyone who waits for the file asks for another copy, or hears that there is none.
    fn open_failed(&mut self, at: u32, found: &Found) {
        let verdict = self.route(found).err();
        let ready = &mut self.ready;
        let file = self.files.fail(at, &mut |seat| ready.push_back((seat, verdict)));
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

    fn file_ready(&mut self, at: u32, file: FileId, seal: Option<Rc<Seal>>) {
        let ready = &mut self.ready;
        let close = self.files.ready(at, file, seal, &mut |seat| ready.push_back((seat, None)));
        if let Some(file) = close {
            self.close_file(file);
        }
    }
}
