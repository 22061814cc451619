//! One shard of the index: copies of objects whose names begin alike, sorted, in one piece of
//! memory. Knows nothing of volumes but their ranks.

use control_types::ObjectId;

use crate::media_type::MediaType;

/// How many shards: a change copies one of them, so at a million objects 12 KB, and a copy of the
/// whole index is this many reference counts.
pub(super) const SHARDS: usize = 4096;

/// One copy of one object: 48 bytes, nothing beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub object: ObjectId,
    pub bytes: u64,
    /// Number of the title.
    pub title: u32,
    /// Rank of the volume: the lower, the sooner it serves.
    pub rank: u16,
    pub media_type: MediaType,
}

impl Slot {
    fn key(&self) -> (ObjectId, u16) {
        (self.object, self.rank)
    }
}

/// Sorted by object, then rank: the first of an object's copies is the one to serve.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard(Vec<Slot>);

/// The shard of an object: twelve bits of its name, which is a hash.
pub(super) fn shard_of(object: &ObjectId) -> usize {
    usize::from(object.0[0]) << 4 | usize::from(object.0[1]) >> 4
}

impl Shard {
    /// The copy to serve.
    pub fn best(&self, object: &ObjectId) -> Option<&Slot> {
        let at = self.0.partition_point(|slot| slot.object < *object);
        self.0.get(at).filter(|slot| slot.object == *object)
    }

    /// Adds a copy; answers the one that was there with the same rank.
    pub fn put(&mut self, new: Slot) -> Option<Slot> {
        match self.0.binary_search_by_key(&new.key(), Slot::key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at], new)),
            Err(at) => {
                self.0.insert(at, new);
                None
            }
        }
    }

    /// Takes a copy away.
    pub fn take(&mut self, object: &ObjectId, rank: u16) -> Option<Slot> {
        let at = self.0.binary_search_by_key(&(*object, rank), Slot::key).ok()?;
        Some(self.0.remove(at))
    }

    /// Whether a copy is here.
    pub fn has(&self, object: &ObjectId, rank: u16) -> bool {
        self.0.binary_search_by_key(&(*object, rank), Slot::key).is_ok()
    }

    /// Takes away everything of one rank.
    pub fn take_rank(&mut self, rank: u16) -> Vec<Slot> {
        self.0.extract_if(.., |slot| slot.rank == rank).collect()
    }

    /// All copies, by object, best first.
    pub fn slots(&self) -> &[Slot] {
        &self.0
    }

    /// Adds what one volume holds, in any order, no object twice.
    pub fn absorb(&mut self, mut held: Vec<Slot>) {
        if held.is_empty() {
            return;
        }
        if self.0.is_empty() {
            held.shrink_to_fit();
            self.0 = held;
        } else {
            self.0.reserve_exact(held.len());
            self.0.append(&mut held);
        }
        self.0.sort_unstable_by_key(Slot::key);
    }
}
