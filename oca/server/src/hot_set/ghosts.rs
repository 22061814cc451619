//! Fingerprints of chunks that were pushed out unseen, oldest first. Holds no chunk and no key.

use std::collections::VecDeque;

use ahash::{HashMap, RandomState};

use super::ChunkKey;

/// As many fingerprints as the set has places.
pub(super) struct Ghosts {
    order: VecDeque<(u64, u64)>,
    /// By fingerprint: the number of its last entry in `order`. Older entries mean nothing.
    known: HashMap<u64, u64>,
    entered: u64,
    ghosts_max: usize,
    state: RandomState,
}

impl Ghosts {
    pub(super) fn new(ghosts_max: usize, state: RandomState) -> Self {
        Self {
            order: VecDeque::with_capacity(ghosts_max + 1),
            known: HashMap::with_capacity_and_hasher(ghosts_max * 2, state.clone()),
            entered: 0,
            ghosts_max,
            state,
        }
    }

    pub(super) fn add(&mut self, key: &ChunkKey) {
        let mark = self.state.hash_one(key);
        self.entered += 1;
        self.known.insert(mark, self.entered);
        self.order.push_back((mark, self.entered));
        if self.order.len() > self.ghosts_max
            && let Some((oldest, number)) = self.order.pop_front()
            && self.known.get(&oldest) == Some(&number)
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether the chunk was pushed out lately. Asked once: it is not a ghost any more.
    pub(super) fn take(&mut self, key: &ChunkKey) -> bool {
        self.known.remove(&self.state.hash_one(key)).is_some()
    }
}
