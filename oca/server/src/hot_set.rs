//! A worker's chunks in memory: who is there, who is being read, who goes when room is needed.
//! Never reads a disk and never checks a byte: what it is given is already verified.
//!
//! Replacement is S3-FIFO: a new chunk enters a small queue; seen again there, it moves to the main
//! queue; pushed out of the small queue unseen, only its fingerprint stays for a while, and if it
//! comes back then, it enters the main queue at once. So one pass over a cold title cannot push the
//! evening's hits out. A chunk that somebody is sending is never evicted.
//!
//! ```text
//! absent -> reading (joined by any number of seats) -> ready -> evicted
//!              \-> absent, every joined seat is told the fault
//! ```

mod ghosts;

use std::collections::VecDeque;
use std::rc::Rc;

use ahash::{HashMap, RandomState};
use control_types::ObjectId;
use oca_sys::Buffer;

use crate::library::View;
use crate::worker::Seat;
use ghosts::Ghosts;

/// Times a chunk may be passed over by the queue's hand for having been used.
const USES_MAX: u8 = 3;
/// One in so many chunks belongs to the small queue.
const SMALL_SHARE: usize = 10;

/// Names one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// Of which object.
    pub object: ObjectId,
    /// Of its payload, or of its seal region.
    pub view: View,
    /// Counted from 0.
    pub index: u32,
}

/// A verified chunk: the buffer and how much of it counts.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Shared by the set and everyone who sends it.
    pub buffer: Rc<Buffer>,
    /// Bytes of the chunk; the rest of the buffer is left over from its last use.
    pub bytes: usize,
    /// Its place, for `count_use`.
    pub spot: Spot,
}

/// What `get` found.
#[derive(Debug)]
pub enum Lookup {
    /// In memory.
    Ready(Chunk),
    /// Under read: join it by its place.
    Reading(u32),
    /// Neither: somebody has it read, once for all who will join.
    Absent,
}

enum State {
    Free,
    Reading,
    Ready(Chunk),
}

struct Place {
    state: State,
    key: Option<ChunkKey>,
    uses: u8,
    /// It was read before anybody asked for it, and nobody came for it since.
    ahead: bool,
    /// Rises when the place is freed, so that a stale completion misses.
    generation: u32,
    /// Kept between uses for its capacity.
    joined: Vec<Seat>,
}

/// A place, and how often it was taken when it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Place in the set.
    pub at: u32,
    /// Of a later generation it is another chunk's.
    pub generation: u32,
}

/// What a chunk was when its read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen lately.
    New,
    /// Pushed out a short while ago: it comes to stay.
    Back,
    /// Given up before: nothing was taken in.
    Late,
}

/// Chunks in memory and under read, one place for each chunk buffer.
pub struct HotSet {
    map: HashMap<ChunkKey, u32>,
    places: Vec<Place>,
    free: Vec<u32>,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: Ghosts,
}

impl HotSet {
    /// An empty set of `places_max` chunks. `seed` keys its hash tables.
    #[must_use]
    pub fn new(places_max: usize, seed: u64) -> Self {
        let state = RandomState::with_seeds(seed, seed ^ 0x5bd1, seed.rotate_left(17), 0x27d4);
        let place = |_| Place {
            state: State::Free,
            key: None,
            uses: 0,
            ahead: false,
            generation: 0,
            joined: Vec::with_capacity(4),
        };
        Self {
            map: HashMap::with_capacity_and_hasher(places_max * 2, state.clone()),
            places: (0..places_max).map(place).collect(),
            free: (0..u32::try_from(places_max).expect("a token has 24 bits for a place"))
                .rev()
                .collect(),
            small: VecDeque::with_capacity(places_max),
            main: VecDeque::with_capacity(places_max),
            ghosts: Ghosts::new(places_max, state),
        }
    }

    /// Looks a chunk up. Does not count as a use: one reader looks many times.
    #[must_use]
    pub fn get(&self, key: &ChunkKey) -> Lookup {
        let Some(at) = self.map.get(key).copied() else { return Lookup::Absent };
        match &self.places[at as usize].state {
            State::Ready(chunk) => Lookup::Ready(chunk.clone()),
            State::Reading => Lookup::Reading(at),
            State::Free => Lookup::Absent,
        }
    }

    /// Counts a use: a reader that did not wait for it wants this chunk. Answers whether it was
    /// one: the first to come for a chunk that was read ahead is whom it was read for.
    /// A chunk that has lost its place meanwhile is nobody's.
    pub fn count_use(&mut self, spot: Spot) -> bool {
        let Some(place) = self.places.get_mut(spot.at as usize) else { return false };
        if place.generation != spot.generation || std::mem::take(&mut place.ahead) {
            return false;
        }
        place.uses = (place.uses + 1).min(USES_MAX);
        true
    }

    /// Whether a chunk is in memory or under read; counts nothing.
    #[must_use]
    pub fn knows(&self, key: &ChunkKey) -> bool {
        self.map.contains_key(key)
    }

    /// Takes a place for a chunk about to be read, or `None` when all are taken.
    pub fn begin(&mut self, key: ChunkKey) -> Option<Spot> {
        debug_assert!(!self.map.contains_key(&key), "one read for one chunk");
        let at = self.free.pop()?;
        let place = &mut self.places[at as usize];
        place.state = State::Reading;
        place.key = Some(key);
        place.uses = 0;
        self.map.insert(key, at);
        Some(Spot { at, generation: place.generation })
    }

    /// `seat` wants to know when the read at place `at` ends.
    pub fn join(&mut self, at: u32, seat: Seat) {
        self.places[at as usize].joined.push(seat);
    }

    /// The chunk under read at `spot`, unless the read was given up since.
    #[must_use]
    pub fn reading(&self, spot: Spot) -> Option<ChunkKey> {
        let place = self.places.get(spot.at as usize)?;
        let is_here = place.generation == spot.generation && matches!(place.state, State::Reading);
        if is_here { place.key } else { None }
    }

    /// The read at `spot` gave a verified chunk: the first `bytes` of `buffer`. Hands out everyone
    /// who joined.
    pub fn finish(
        &mut self,
        spot: Spot,
        (buffer, bytes): (Rc<Buffer>, usize),
        told: &mut impl FnMut(Seat),
    ) -> Arrival {
        let Some(key) = self.reading(spot) else { return Arrival::Late };
        let came_back = self.ghosts.take(&key);
        let place = &mut self.places[spot.at as usize];
        place.state = State::Ready(Chunk { buffer, bytes, spot });
        place.ahead = place.joined.is_empty();
        place.joined.drain(..).for_each(told);
        if came_back {
            self.main.push_back(spot.at);
            return Arrival::Back;
        }
        self.small.push_back(spot.at);
        Arrival::New
    }

    /// The read at `spot` failed or was given up. Hands out everyone who joined; the chunk is
    /// absent again, and what the disk may still answer finds nobody here.
    pub fn fail(&mut self, spot: Spot, told: &mut impl FnMut(Seat)) {
        if self.reading(spot).is_some() {
            self.places[spot.at as usize].joined.drain(..).for_each(told);
            self.release(spot.at);
        }
    }

    /// Drops one chunk that nobody is sending. False when there is none.
    pub fn evict(&mut self) -> bool {
        let small_max = self.places.len() / SMALL_SHARE;
        // Every chunk may be passed over `USES_MAX` times for its uses and once for its move.
        let steps_max = (self.small.len() + self.main.len()) * (usize::from(USES_MAX) + 2);
        for _ in 0..steps_max {
            let from_small = self.small.len() > small_max || self.main.is_empty();
            let queue = if from_small { &mut self.small } else { &mut self.main };
            let Some(at) = queue.pop_front() else { return false };
            let place = &mut self.places[at as usize];
            let is_pinned =
                matches!(&place.state, State::Ready(chunk) if Rc::strong_count(&chunk.buffer) > 1);
            if place.uses > 0 {
                place.uses -= 1;
                self.main.push_back(at);
            } else if is_pinned {
                // To the main queue, or a small queue full of pinned chunks would hide the rest.
                self.main.push_back(at);
            } else {
                if let (true, Some(key)) = (from_small, place.key) {
                    self.ghosts.add(&key);
                }
                self.release(at);
                return true;
            }
        }
        false
    }

    /// Chunks in memory.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.small.len() + self.main.len()
    }

    fn release(&mut self, at: u32) {
        let place = &mut self.places[at as usize];
        place.state = State::Free;
        place.generation = place.generation.wrapping_add(1);
        if let Some(key) = place.key.take() {
            self.map.remove(&key);
        }
        self.free.push(at);
    }
}

#[cfg(test)]
mod tests;
