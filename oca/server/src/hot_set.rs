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

use std::collections::VecDeque;
use std::rc::Rc;

use ahash::{HashMap, HashSet, RandomState};
use control_types::ObjectId;
use oca_sys::{Buffer, Nanos};

use crate::library::View;
use crate::worker::Seat;

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
}

/// What `get` found.
#[derive(Debug)]
pub enum Lookup {
    /// In memory.
    Ready(Chunk),
    /// Under read: join it by its place.
    Reading(u32),
    /// Neither.
    Absent,
}

/// A chunk under read, kept until the disk answers.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Which chunk.
    pub key: ChunkKey,
    /// Place in `Files` of the file it is read from, pinned until then.
    pub file: u32,
    /// Which volume.
    pub volume: u16,
    /// Bytes it must have.
    pub bytes: usize,
    /// When the read was submitted.
    pub began: Nanos,
}

enum State {
    Free,
    Reading(Reading),
    Ready(Chunk),
}

struct Place {
    state: State,
    key: Option<ChunkKey>,
    uses: u8,
    /// Rises when the place is freed, so that a stale completion misses.
    generation: u32,
    /// Kept between uses for its capacity.
    joined: Vec<Seat>,
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
            State::Reading(_) => Lookup::Reading(at),
            State::Free => Lookup::Absent,
        }
    }

    /// Counts a use: a reader other than the one that had it read wants this chunk.
    pub fn count_use(&mut self, key: &ChunkKey) {
        if let Some(at) = self.map.get(key) {
            let place = &mut self.places[*at as usize];
            place.uses = (place.uses + 1).min(USES_MAX);
        }
    }

    /// Whether a chunk is in memory or under read; counts nothing.
    #[must_use]
    pub fn knows(&self, key: &ChunkKey) -> bool {
        self.map.contains_key(key)
    }

    /// Takes a place for a chunk about to be read, or `None` when all are taken.
    pub fn begin(&mut self, reading: Reading) -> Option<(u32, u32)> {
        debug_assert!(!self.map.contains_key(&reading.key), "one read for one chunk");
        let at = self.free.pop()?;
        let place = &mut self.places[at as usize];
        place.state = State::Reading(reading);
        place.key = Some(reading.key);
        place.uses = 0;
        self.map.insert(reading.key, at);
        Some((at, place.generation))
    }

    /// `seat` wants to know when the read at place `at` ends.
    pub fn join(&mut self, at: u32, seat: Seat) {
        self.places[at as usize].joined.push(seat);
    }

    /// The read under way at `at`, unless the place has been given to another since.
    #[must_use]
    pub fn reading(&self, at: u32, generation: u32) -> Option<Reading> {
        let place = self.places.get(at as usize)?;
        match place.state {
            State::Reading(reading) if place.generation == generation => Some(reading),
            _ => None,
        }
    }

    /// The read at `at` gave a verified chunk. Hands out everyone who joined.
    pub fn finish(&mut self, at: u32, chunk: Chunk, told: &mut impl FnMut(Seat)) {
        let place = &mut self.places[at as usize];
        let State::Reading(reading) = &place.state else { return };
        let came_back = self.ghosts.take(&reading.key);
        place.state = State::Ready(chunk);
        place.joined.drain(..).for_each(told);
        if came_back { self.main.push_back(at) } else { self.small.push_back(at) }
    }

    /// The read at `at` failed. Hands out everyone who joined; the chunk is absent again.
    pub fn fail(&mut self, at: u32, told: &mut impl FnMut(Seat)) {
        let place = &mut self.places[at as usize];
        if !matches!(place.state, State::Reading(_)) {
            return;
        }
        place.joined.drain(..).for_each(told);
        self.release(at);
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

/// Fingerprints of chunks pushed out unseen, oldest first.
struct Ghosts {
    order: VecDeque<u64>,
    known: HashSet<u64>,
    ghosts_max: usize,
    state: RandomState,
}

impl Ghosts {
    fn new(ghosts_max: usize, state: RandomState) -> Self {
        Self {
            order: VecDeque::with_capacity(ghosts_max + 1),
            known: HashSet::with_capacity_and_hasher(ghosts_max * 2, state.clone()),
            ghosts_max,
            state,
        }
    }

    fn add(&mut self, key: &ChunkKey) {
        let mark = self.state.hash_one(key);
        if self.known.insert(mark) {
            self.order.push_back(mark);
        }
        if self.order.len() > self.ghosts_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// A mark taken stays in `order` until its turn; then removing it from `known` does nothing.
    fn take(&mut self, key: &ChunkKey) -> bool {
        self.known.remove(&self.state.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use oca_sys::Pool;

    use super::*;

    fn key(number: u32) -> ChunkKey {
        ChunkKey { object: ObjectId([7; 32]), view: View::Payload, index: number }
    }

    struct Rig {
        set: HotSet,
        pool: Pool,
    }

    impl Rig {
        fn new(places: usize) -> Self {
            let pool = Pool::new(4096, places as u32).unwrap();
            Self { set: HotSet::new(places, 1), pool }
        }

        /// One access; returns whether it was in memory.
        fn touch(&mut self, number: u32) -> bool {
            match self.set.get(&key(number)) {
                Lookup::Ready(_) => {
                    self.set.count_use(&key(number));
                    return true;
                }
                Lookup::Reading(_) => panic!("nothing stays under read here"),
                Lookup::Absent => {}
            }
            let buffer = self.pool.take().or_else(|| {
                assert!(self.set.evict(), "nothing is pinned");
                self.pool.take()
            });
            let chunk = Chunk { buffer: Rc::new(buffer.unwrap()), bytes: 1 };
            let reading =
                Reading { key: key(number), file: 0, volume: 0, bytes: 1, began: Nanos(0) };
            let (at, _) = self.set.begin(reading).unwrap();
            self.set.finish(at, chunk, &mut |_| {});
            false
        }
    }

    #[test]
    fn one_pass_over_a_cold_title_leaves_the_hot_chunks() {
        let mut rig = Rig::new(20);
        for _ in 0..3 {
            (0..10).for_each(|n| {
                rig.touch(n);
            });
        }
        (1000..1200).for_each(|n| assert!(!rig.touch(n)));
        let hits = (0..10).filter(|n| rig.touch(*n)).count();
        assert!(hits >= 9, "{hits} of 10 hot chunks survived a scan of 200");
    }

    #[test]
    fn a_pinned_chunk_is_never_evicted() {
        let mut rig = Rig::new(4);
        rig.touch(0);
        let Lookup::Ready(pinned) = rig.set.get(&key(0)) else { panic!("just put there") };
        (1..50).for_each(|n| {
            rig.touch(n);
        });
        assert!(rig.touch(0), "the pinned chunk stayed");
        drop(pinned);
        for n in 50..100 {
            // Seen twice: these press on the main queue, where it went.
            rig.touch(n);
            rig.touch(n);
        }
        assert!(!rig.touch(0), "the unpinned chunk left");
    }

    #[test]
    fn everyone_who_joined_a_read_is_told_once() {
        let mut set = HotSet::new(2, 1);
        let reading = Reading { key: key(1), file: 0, volume: 0, bytes: 1, began: Nanos(0) };
        let (at, generation) = set.begin(reading).unwrap();
        assert!(matches!(set.get(&key(1)), Lookup::Reading(place) if place == at));
        let seats = [1, 2, 3].map(|slot| Seat { slot, generation: 9 });
        seats.iter().for_each(|seat| set.join(at, *seat));
        let mut told = Vec::new();
        set.fail(at, &mut |seat| told.push(seat));
        assert_eq!(told, seats);
        assert!(set.reading(at, generation).is_none(), "a stale completion misses");
        assert!(matches!(set.get(&key(1)), Lookup::Absent));
        assert!(set.begin(reading).is_some_and(|(_, later)| later != generation));
    }
}
