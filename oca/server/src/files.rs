//! A worker's open files with their decoded seals, bounded in number and in seal bytes.
//! Decides which to close; opens and closes nothing itself.
//!
//! ```text
//! absent -> opening -> reading its seal -> ready -> (closed to make room)
//!              \-> absent, every joined seat is told the fault
//! ```

use std::rc::Rc;

use ahash::{HashMap, RandomState};
use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca_sys::FileId;

use oca_store::Seal;

use crate::library::Found;
use crate::worker::Seat;

/// What `get` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLookup {
    /// Open, its seal decoded: its place.
    Ready(u32),
    /// On its way: join it by its place.
    Opening(u32),
    /// Not open.
    Absent,
}

enum State {
    Free,
    Opening,
    /// The part of the seal region read so far.
    Sealing(FileId, Vec<u8>),
    Ready(FileId, Option<Rc<Seal>>),
}

struct Place {
    state: State,
    found: Option<Found>,
    /// Reads under way from this file; it is not closed while there are any.
    pins: u32,
    /// Forgotten: nobody finds it any more, and it closes with its last read.
    doomed: bool,
    /// Used since the hand last passed.
    used: bool,
    generation: u32,
    joined: Vec<Seat>,
}

/// Identity of an open file: an object on a volume. Two copies are two files.
type FileKey = (u16, ObjectId);

/// Open files, at most as many as there are places.
pub struct Files {
    map: HashMap<FileKey, u32>,
    places: Vec<Place>,
    free: Vec<u32>,
    hand: usize,
    seal_bytes: usize,
    seal_bytes_max: usize,
}

impl Files {
    /// No files open; at most `files_max` ever, with `seal_bytes_max` bytes of seals between them.
    #[must_use]
    pub fn new(files_max: usize, seal_bytes_max: usize, seed: u64) -> Self {
        let state = RandomState::with_seeds(seed, 0x9e37, seed.rotate_left(29), 0x79b9);
        let place = |_| Place {
            state: State::Free,
            found: None,
            pins: 0,
            doomed: false,
            used: false,
            generation: 0,
            joined: Vec::new(),
        };
        Self {
            map: HashMap::with_capacity_and_hasher(files_max * 2, state),
            places: (0..files_max).map(place).collect(),
            free: (0..u32::try_from(files_max).expect("a token has 24 bits for a place"))
                .rev()
                .collect(),
            hand: 0,
            seal_bytes: 0,
            seal_bytes_max,
        }
    }

    /// Looks for the file of `found`.
    pub fn get(&mut self, found: &Found) -> FileLookup {
        let Some(at) = self.map.get(&(found.volume, found.object)).copied() else {
            return FileLookup::Absent;
        };
        let place = &mut self.places[at as usize];
        place.used = true;
        match place.state {
            State::Ready(..) => FileLookup::Ready(at),
            State::Opening | State::Sealing(..) => FileLookup::Opening(at),
            State::Free => FileLookup::Absent,
        }
    }

    /// Takes a place for a file about to be opened; `None` when all are taken and `evict` must run.
    pub fn begin(&mut self, found: &Found) -> Option<(u32, u32)> {
        let at = self.free.pop()?;
        let place = &mut self.places[at as usize];
        place.state = State::Opening;
        place.found = Some(*found);
        place.used = true;
        self.map.insert((found.volume, found.object), at);
        Some((at, place.generation))
    }

    /// `seat` wants to know when the file at `at` is ready.
    pub fn join(&mut self, at: u32, seat: Seat) {
        self.places[at as usize].joined.push(seat);
    }

    /// What the file at `at` is for, unless the place went to another since.
    #[must_use]
    pub fn found(&self, at: u32, generation: u32) -> Option<Found> {
        let place = self.places.get(at as usize)?;
        if place.generation == generation { place.found } else { None }
    }

    /// The file at `at` is open and its seal of `region_bytes` is to be read.
    pub fn opened(&mut self, at: u32, file: FileId, region_bytes: usize) {
        self.places[at as usize].state = State::Sealing(file, Vec::with_capacity(region_bytes));
    }

    /// The file and the seal bytes read so far, while the seal is being read.
    pub fn sealing(&mut self, at: u32) -> Option<(FileId, &mut Vec<u8>)> {
        match &mut self.places[at as usize].state {
            State::Sealing(file, region) => Some((*file, region)),
            _ => None,
        }
    }

    /// The file at `at` can be read. Hands out everyone who joined, and the file to close if it was
    /// forgotten meanwhile: those who joined ask again and open the new one.
    #[must_use]
    pub fn ready(
        &mut self,
        at: u32,
        file: FileId,
        seal: Option<Rc<Seal>>,
        told: &mut impl FnMut(Seat),
    ) -> Option<FileId> {
        self.seal_bytes += seal.as_ref().map_or(0, |seal| seal_bytes(seal));
        let place = &mut self.places[at as usize];
        place.state = State::Ready(file, seal);
        place.joined.drain(..).for_each(told);
        if place.doomed { self.release(at) } else { None }
    }

    /// The file at `at` cannot be used. Hands out everyone who joined, and the file to close.
    pub fn fail(&mut self, at: u32, told: &mut impl FnMut(Seat)) -> Option<FileId> {
        let place = &mut self.places[at as usize];
        place.joined.drain(..).for_each(told);
        self.release(at)
    }

    /// The open file at `at` and its seal.
    #[must_use]
    pub fn open(&self, at: u32) -> Option<(FileId, Option<&Rc<Seal>>)> {
        match &self.places.get(at as usize)?.state {
            State::Ready(file, seal) => Some((*file, seal.as_ref())),
            _ => None,
        }
    }

    /// Kind of disk that the file at `at` is on.
    #[must_use]
    pub fn class(&self, at: u32) -> Option<DiskClass> {
        self.places.get(at as usize)?.found.map(|found| found.class)
    }

    /// A read from the file at `at` begins.
    pub fn pin(&mut self, at: u32) {
        self.places[at as usize].pins += 1;
    }

    /// A read from the file at `at` ended. Hands out the file to close if it was forgotten.
    #[must_use]
    pub fn unpin(&mut self, at: u32) -> Option<FileId> {
        let place = &mut self.places[at as usize];
        debug_assert!(place.pins > 0, "every unpin has its pin");
        place.pins = place.pins.saturating_sub(1);
        if place.doomed && place.pins == 0 { self.release(at) } else { None }
    }

    /// Whether a file should be closed before another is opened.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free.is_empty() || self.seal_bytes > self.seal_bytes_max
    }

    /// Picks a file that nobody reads and that was not used lately; the caller closes it.
    pub fn evict(&mut self) -> Option<FileId> {
        for _ in 0..self.places.len() * 2 {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.places.len();
            let place = &mut self.places[at];
            if !matches!(place.state, State::Ready(..)) || place.pins > 0 {
                // A doomed file is always pinned or not ready, so it closes by itself.
                continue;
            }
            if std::mem::take(&mut place.used) {
                continue;
            }
            return self.release(u32::try_from(at).expect("places fit a token"));
        }
        None
    }

    /// Nobody finds this copy's file any more: it was removed, or its bytes are bad, and another
    /// may soon have its name. Hands out the file to close, unless a read is under way: then the
    /// last one does.
    #[must_use]
    pub fn forget(&mut self, volume: u16, object: &ObjectId) -> Option<FileId> {
        let at = self.map.remove(&(volume, *object))?;
        let place = &mut self.places[at as usize];
        place.doomed = true;
        if matches!(place.state, State::Ready(..)) && place.pins == 0 {
            return self.release(at);
        }
        None
    }

    /// Files open or opening.
    #[must_use]
    pub fn count(&self) -> usize {
        self.map.len()
    }

    fn release(&mut self, at: u32) -> Option<FileId> {
        let place = &mut self.places[at as usize];
        place.generation = place.generation.wrapping_add(1);
        place.pins = 0;
        let was_doomed = std::mem::take(&mut place.doomed);
        if let (Some(found), false) = (place.found.take(), was_doomed) {
            self.map.remove(&(found.volume, found.object));
        }
        let state = std::mem::replace(&mut place.state, State::Free);
        self.free.push(at);
        match state {
            State::Ready(file, seal) => {
                self.seal_bytes -= seal.as_ref().map_or(0, |seal| seal_bytes(seal));
                Some(file)
            }
            State::Sealing(file, _) => Some(file),
            State::Free | State::Opening => None,
        }
    }
}

fn seal_bytes(seal: &Seal) -> usize {
    seal.chunk_cvs().len() * 32
}

#[cfg(test)]
mod tests {
    use oca_sys::FileId;

    use super::*;
    use crate::library::View;

    fn found(number: u8) -> Found {
        Found {
            object: ObjectId([number; 32]),
            view: View::Payload,
            bytes: 1,
            offset: 0,
            volume: 0,
            class: DiskClass::Ssd,
            media_type: "video/mp4",
            sealed: None,
            modified: None,
        }
    }

    fn open(files: &mut Files, number: u8) -> u32 {
        let (at, _) = files.begin(&found(number)).unwrap();
        assert_eq!(files.ready(at, FileId(u32::from(number)), None, &mut |_| {}), None);
        at
    }

    #[test]
    fn a_file_under_read_is_neither_evicted_nor_closed_by_being_forgotten() {
        let mut files = Files::new(2, 1 << 20, 1);
        let at = open(&mut files, 1);
        files.pin(at);
        open(&mut files, 2);
        assert!(files.is_full());
        assert_eq!(files.evict(), Some(FileId(2)), "the one nobody reads");
        assert_eq!(files.evict(), None);
        assert_eq!(files.forget(0, &found(1).object), None);
        assert_eq!(files.get(&found(1)), FileLookup::Absent);
        let again = open(&mut files, 1);
        assert_ne!(again, at, "the new file of that name has its own place");
        assert_eq!(files.unpin(at), Some(FileId(1)), "closed with its last read");
        assert_eq!(files.get(&found(1)), FileLookup::Ready(again));
    }

    #[test]
    fn a_file_forgotten_while_opening_is_closed_when_it_is_open() {
        let mut files = Files::new(2, 1 << 20, 1);
        let (at, _) = files.begin(&found(1)).unwrap();
        files.join(at, Seat { slot: 3, generation: 1 });
        assert_eq!(files.forget(0, &found(1).object), None);
        let mut told = Vec::new();
        let close = files.ready(at, FileId(9), None, &mut |seat| told.push(seat.slot));
        assert_eq!((close, told), (Some(FileId(9)), vec![3]));
        assert_eq!(files.count(), 0);
    }
}
