//! What control is told of the objects held: the whole set when it asks, changes of it otherwise.
//! Never a name, unless control asks for the name of a key.

use ahash::HashMap;
use control_types::content::{HeldDigest, HeldKeys, held_key};
use control_types::fleet::{HeldObject, HeldUpdate, NAMED_MAX};
use oca_store::Index;

/// The set as control has it, and as it is.
#[derive(Default)]
pub(super) struct ContentTeller {
    /// The index that `now` was made from, by its own digest.
    index_digest: String,
    now: Told,
    /// What control confirmed; `None` before it asked for the whole set.
    confirmed: Option<Told>,
    /// Keys that control wants names for.
    unnamed: HeldKeys,
}

#[derive(Clone, Default)]
struct Told {
    keys: HeldKeys,
    digest: String,
}

/// What a report says of content.
pub(super) struct Content {
    pub digest: String,
    pub held: Option<HeldUpdate>,
    pub named: Vec<HeldObject>,
}

impl ContentTeller {
    /// What to say of `index` now.
    pub fn tell(&mut self, index: &Index) -> Content {
        let index_digest = index.content_digest();
        if index_digest != self.index_digest {
            // Sorting a million keys takes a tenth of a second: only when something changed.
            let keys = HeldKeys::of(&index.held());
            let digest = HeldDigest::of(&keys).to_string();
            (self.now, self.index_digest) = (Told { keys, digest }, index_digest);
        }
        let (objects, bytes) = (index.len() as u64, index.held_bytes());
        let held = self.confirmed.as_ref().and_then(|before| {
            if before.digest == self.now.digest {
                return None;
            }
            let added = self.now.keys.without(&before.keys);
            let removed = before.keys.without(&self.now.keys);
            // A digest of nothing marks the whole set, so a set is never changed from nothing.
            let base = before.digest.clone();
            Some(HeldUpdate { base, added, removed, objects, bytes })
        });
        Content { digest: self.now.digest.clone(), held, named: self.named(index) }
    }

    /// The whole set, because control asked for it.
    pub fn tell_all(&mut self, index: &Index) -> Content {
        self.confirmed = None;
        let mut content = self.tell(index);
        let (added, removed) = (self.now.keys.clone(), HeldKeys::default());
        let (objects, bytes) = (index.len() as u64, index.held_bytes());
        content.held = Some(HeldUpdate { base: String::new(), added, removed, objects, bytes });
        content
    }

    /// Control took the last report; `wants_all` when it does not have this set.
    pub fn answered(&mut self, wants_all: bool, unnamed: HeldKeys) {
        self.confirmed = if wants_all { None } else { Some(self.now.clone()) };
        self.unnamed = unnamed;
    }

    /// Whether control waits for names.
    pub fn has_nameless(&self) -> bool {
        !self.unnamed.is_empty()
    }

    fn named(&mut self, index: &Index) -> Vec<HeldObject> {
        let unnamed = std::mem::take(&mut self.unnamed);
        if unnamed.is_empty() {
            return Vec::new();
        }
        let held = index.held();
        let by_key: HashMap<u64, &HeldObject> =
            held.iter().map(|one| (held_key(&one.object, one.class), one)).collect();
        let named = unnamed.as_slice().iter().filter_map(|key| by_key.get(key).copied().copied());
        named.take(NAMED_MAX).collect()
    }
}
