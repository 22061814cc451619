//! A memory of bounded size that keeps what is asked for. Never the only record of anything.
//!
//! Policy: two generations. When the young one is full it becomes the old one and the former old
//! one is forgotten, so that memory is bounded and the busy entries stay, because finding one in
//! the old generation makes it young again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// At most twice `max` entries.
pub(crate) struct Generations<K, V> {
    max: usize,
    both: Mutex<Both<K, V>>,
}

struct Both<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Copy, V: Clone> Generations<K, V> {
    /// A generation holds `max`.
    pub fn new(max: usize) -> Self {
        let both = Mutex::new(Both { young: HashMap::new(), old: HashMap::new() });
        Self { max, both }
    }

    pub fn put(&self, key: K, value: V) {
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        if both.young.len() >= self.max {
            both.old = std::mem::take(&mut both.young);
        }
        both.young.insert(key, value);
    }

    pub fn find(&self, key: &K) -> Option<V> {
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = both.young.get(key) {
            return Some(found.clone());
        }
        let found = both.old.get(key)?.clone();
        // A full young generation makes room with the next entry; until then it stays where it is.
        if both.young.len() < self.max {
            both.old.remove(key);
            both.young.insert(*key, found.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_twice_is_found_twice() {
        let memory = Generations::new(100);
        (0..200).for_each(|number| memory.put(number, number));
        assert_eq!(memory.find(&7), Some(7));
        assert_eq!(memory.find(&7), Some(7), "both generations are full, and it is still known");
        (200..300).for_each(|number| memory.put(number, number));
        assert_eq!(memory.find(&7), None, "nobody asked for it in time");
    }
}
