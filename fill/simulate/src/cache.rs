//! Caches that fill on demand, by pieces of 5 minutes, as a proxy that stores segments does: least
//! recently used, and least frequently used with counts that fade. Whole files would suit them
//! worse, so this is the stronger opponent. Plans nothing.

use std::collections::BTreeSet;

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
}
