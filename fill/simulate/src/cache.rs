//! Caches that fill on demand, by pieces of 5 minutes, as a proxy that stores segments does: least
//! recently used, and least frequently used with counts that fade. Whole files would suit them
//! worse, so this is the stronger opponent. And a box's memory, which replaces as `oca`'s hot set
//! does. Plans nothing.

use std::collections::{BTreeSet, VecDeque};

use ahash::AHashMap;

/// Days in which a count of the frequency cache halves.
const FADE_DAYS: f64 = 7.0;

/// What a piece is called.
pub(crate) fn piece_key(object: u32, piece: u16) -> u64 {
    u64::from(object) << 16 | u64::from(piece)
}

/// Least recently used pieces leave first.
#[derive(Debug)]
pub(crate) struct Recent {
    bytes_max: u64,
    bytes: u64,
    entries: AHashMap<u64, u32>,
    /// A ring: slot 0 is its seam, newest after it, oldest before it.
    ring: Vec<Link>,
    spare: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    key: u64,
    bytes: u64,
    newer: u32,
    older: u32,
}

impl Recent {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let seam = Link { key: 0, bytes: 0, newer: 0, older: 0 };
        let (entries, ring, spare) = (AHashMap::new(), vec![seam], Vec::new());
        Self { bytes_max, bytes: 0, entries, ring, spare }
    }

    /// Reads the first `bytes` of a piece: answers how many of them were here, and keeps them.
    pub(crate) fn read(&mut self, key: u64, bytes: u64) -> u64 {
        let hit = match self.entries.get(&key).copied() {
            Some(at) => {
                self.cut(at);
                self.splice(at);
                let link = &mut self.ring[at as usize];
                let hit = link.bytes.min(bytes);
                self.bytes += bytes - hit;
                link.bytes = link.bytes.max(bytes);
                hit
            }
            None => {
                let link = Link { key, bytes, newer: 0, older: 0 };
                let at = match self.spare.pop() {
                    Some(at) => {
                        self.ring[at as usize] = link;
                        at
                    }
                    None => {
                        self.ring.push(link);
                        self.ring.len() as u32 - 1
                    }
                };
                self.entries.insert(key, at);
                self.splice(at);
                self.bytes += bytes;
                0
            }
        };
        while self.bytes > self.bytes_max {
            let oldest = self.ring[0].newer;
            let link = self.ring[oldest as usize];
            self.cut(oldest);
            self.entries.remove(&link.key);
            self.bytes -= link.bytes;
            self.spare.push(oldest);
        }
        hit
    }

    fn cut(&mut self, at: u32) {
        let Link { newer, older, .. } = self.ring[at as usize];
        self.ring[older as usize].newer = newer;
        self.ring[newer as usize].older = older;
    }

    /// Puts `at` where the newest is: seen from the seam, `older` is the newest and `newer` the
    /// oldest, so that both ends are one step away.
    fn splice(&mut self, at: u32) {
        let newest = self.ring[0].older;
        self.ring[at as usize].older = newest;
        self.ring[at as usize].newer = 0;
        self.ring[newest as usize].newer = at;
        self.ring[0].older = at;
    }
}

/// Least frequently used pieces leave first; counts halve every week and outlive the piece.
#[derive(Debug)]
pub(crate) struct Frequent {
    bytes_max: u64,
    bytes: u64,
    /// Count and bytes held of every piece ever read.
    entries: AHashMap<u64, (f64, u64)>,
    /// Held ones by count; positive floats compare as their bits do.
    order: BTreeSet<(u64, u64)>,
}

impl Frequent {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, entries: AHashMap::new(), order: BTreeSet::new() }
    }

    /// As [`Recent::read`]; `day` is the time, in days.
    pub(crate) fn read(&mut self, key: u64, bytes: u64, day: f64) -> u64 {
        // Growing what is added fades what was added before, without touching it.
        let weight = (day / FADE_DAYS).exp2();
        let (count, held) = self.entries.get(&key).copied().unwrap_or((0.0, 0));
        if held > 0 {
            self.order.remove(&(count.to_bits(), key));
        }
        let (hit, now) = (held.min(bytes), held.max(bytes));
        self.bytes += now - held;
        let count = count + weight;
        self.entries.insert(key, (count, now));
        self.order.insert((count.to_bits(), key));
        while self.bytes > self.bytes_max {
            let Some((_, least)) = self.order.pop_first() else { break };
            if let Some((_, held)) = self.entries.get_mut(&least) {
                self.bytes -= *held;
                *held = 0;
            }
        }
        hit
    }
}

/// Times a piece in memory may be passed over for having been used.
const USES_MAX: u8 = 3;
/// One in so many bytes of memory belongs to the small queue.
const SMALL_SHARE: u64 = 10;

/// A box's memory, replaced by S3-FIFO: what is new enters a small queue and moves to the main one
/// if it is read again there, or comes back soon after it was pushed out.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: u64,
    /// Held, and held by the small queue.
    bytes: u64,
    small_bytes: u64,
    /// Bytes and uses of each piece held, and whether the small queue has it.
    entries: AHashMap<u64, (u64, u8, bool)>,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    /// Pushed out of the small queue unread: key, bytes and number of the entry.
    gone: VecDeque<(u64, u64, u64)>,
    gone_bytes: u64,
    gone_last: AHashMap<u64, u64>,
    gone_count: u64,
}

impl Memory {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            small_bytes: 0,
            entries: AHashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            gone: VecDeque::new(),
            gone_bytes: 0,
            gone_last: AHashMap::new(),
            gone_count: 0,
        }
    }

    /// As [`Recent::read`].
    pub(crate) fn read(&mut self, key: u64, bytes: u64) -> u64 {
        let hit = match self.entries.get_mut(&key) {
            Some((held, uses, is_small)) => {
                *uses = (*uses + 1).min(USES_MAX);
                let hit = (*held).min(bytes);
                *held += bytes - hit;
                self.small_bytes += if *is_small { bytes - hit } else { 0 };
                self.bytes += bytes - hit;
                hit
            }
            None => {
                let is_small = self.gone_last.remove(&key).is_none();
                let queue = if is_small { &mut self.small } else { &mut self.main };
                queue.push_back(key);
                self.small_bytes += if is_small { bytes } else { 0 };
                self.entries.insert(key, (bytes, 0, is_small));
                self.bytes += bytes;
                0
            }
        };
        while self.bytes > self.bytes_max {
            self.step();
        }
        hit
    }

    /// Looks at the oldest of one queue: it is passed over, or leaves.
    fn step(&mut self) {
        let is_small = self.small_bytes > self.bytes_max / SMALL_SHARE || self.main.is_empty();
        let queue = if is_small { &mut self.small } else { &mut self.main };
        let Some(key) = queue.pop_front() else { return };
        let Some((bytes, uses, was_small)) = self.entries.get_mut(&key) else { return };
        self.small_bytes -= if is_small { *bytes } else { 0 };
        *was_small = false;
        if *uses > 0 {
            *uses -= 1;
            self.main.push_back(key);
            return;
        }
        let bytes = *bytes;
        self.bytes -= bytes;
        self.entries.remove(&key);
        if is_small {
            self.remember(key, bytes);
        }
    }

    fn remember(&mut self, key: u64, bytes: u64) {
        self.gone_count += 1;
        self.gone_bytes += bytes;
        self.gone_last.insert(key, self.gone_count);
        self.gone.push_back((key, bytes, self.gone_count));
        while self.gone_bytes > self.bytes_max {
            let Some((key, bytes, number)) = self.gone.pop_front() else { return };
            self.gone_bytes -= bytes;
            if self.gone_last.get(&key) == Some(&number) {
                self.gone_last.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recent_leaves_and_a_longer_read_misses_only_its_end() {
        let mut cache = Recent::new(300);
        assert_eq!([cache.read(1, 100), cache.read(2, 100), cache.read(3, 100)], [0, 0, 0]);
        assert_eq!(cache.read(1, 100), 100);
        assert_eq!(cache.read(4, 100), 0, "2 leaves");
        assert_eq!([cache.read(2, 100), cache.read(1, 50)], [0, 50]);
        assert_eq!(cache.read(1, 150), 100);
        assert!(cache.bytes <= 300);
        assert_eq!(cache.read(9, 1_000), 0, "larger than the cache: kept by nobody");
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn the_least_frequent_leaves_and_counts_are_remembered() {
        let mut cache = Frequent::new(200);
        (0..3).for_each(|_| {
            cache.read(1, 100, 0.0);
        });
        (0..2).for_each(|_| {
            cache.read(2, 100, 0.0);
        });
        assert_eq!(cache.read(3, 100, 0.0), 0, "and it is the least of three");
        assert_eq!([cache.read(1, 100, 0.0), cache.read(2, 100, 0.0)], [100, 100]);
        // Weeks later a newcomer outweighs old fame.
        assert_eq!(cache.read(3, 100, 70.0), 0);
        assert_eq!(cache.read(3, 100, 70.0), 100);
    }

    #[test]
    fn one_pass_over_cold_pieces_leaves_what_memory_uses() {
        let mut memory = Memory::new(1_000);
        let mut recent = Recent::new(1_000);
        for key in [1, 2, 1, 2] {
            memory.read(key, 100);
            recent.read(key, 100);
        }
        (10..50).for_each(|key| {
            assert_eq!(memory.read(key, 100), 0);
            recent.read(key, 100);
        });
        assert_eq!([memory.read(1, 100), memory.read(2, 100)], [100, 100]);
        assert_eq!([recent.read(1, 100), recent.read(2, 100)], [0, 0]);
        assert_eq!(memory.read(49, 150), 100, "a longer read lacks its end only");
        assert_eq!(memory.read(99, 5_000), 0);
        assert!(memory.bytes <= 1_000 && memory.small_bytes <= memory.bytes);
        let held: u64 = memory.entries.values().map(|(bytes, ..)| *bytes).sum();
        assert_eq!(held, memory.bytes);
    }
}
