//! When each slot wants to be looked at again. Holds no clock and fires nothing by itself.
//!
//! A slot's deadline moves with every request, so moving it must cost nothing: the table holds the
//! truth and the heap holds, for each slot, one entry that is never later than the truth. An entry
//! that turns out to be early is put back at the slot's true time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use oca_sys::Nanos;

/// Deadlines of a fixed table of slots.
pub struct Deadlines {
    slots: Vec<SlotDeadline>,
    heap: BinaryHeap<Reverse<(Nanos, u32)>>,
}

#[derive(Clone, Copy, Default)]
struct SlotDeadline {
    /// When the slot wants to be looked at; absent when it does not.
    due: Option<Nanos>,
    /// The heap entry that counts for this slot; others of the same slot are left-overs.
    armed: Option<Nanos>,
}

impl Deadlines {
    /// No deadlines, for `slots` slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let heap = BinaryHeap::with_capacity(slots * 2);
        Self { slots: vec![SlotDeadline::default(); slots], heap }
    }

    /// Sets or moves the deadline of `slot`.
    pub fn set(&mut self, slot: u32, due: Nanos) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        entry.due = Some(due);
        if entry.armed.is_none_or(|armed| due < armed) {
            entry.armed = Some(due);
            self.heap.push(Reverse((due, slot)));
        }
    }

    /// Takes the deadline of `slot` away.
    pub fn clear(&mut self, slot: u32) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.due = None;
        }
    }

    /// The next moment at which `pop` may yield something; it may turn out to be early.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// A slot whose deadline is not after `now`, if any; its deadline is taken away.
    pub fn pop(&mut self, now: Nanos) -> Option<u32> {
        while let Some(Reverse((at, slot))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let entry = &mut self.slots[slot as usize];
            if entry.armed != Some(at) {
                continue;
            }
            entry.armed = None;
            match entry.due {
                Some(due) if due <= now => {
                    entry.due = None;
                    return Some(slot);
                }
                Some(due) => {
                    entry.armed = Some(due);
                    self.heap.push(Reverse((due, slot)));
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(deadlines: &mut Deadlines, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| deadlines.pop(Nanos(now))).collect()
    }

    #[test]
    fn a_moved_deadline_fires_once_and_at_its_last_place() {
        let mut deadlines = Deadlines::new(4);
        deadlines.set(1, Nanos(10));
        deadlines.set(2, Nanos(20));
        deadlines.set(1, Nanos(30));
        assert_eq!(due(&mut deadlines, 15), Vec::<u32>::new());
        assert_eq!(due(&mut deadlines, 25), vec![2]);
        assert_eq!(deadlines.next(), Some(Nanos(30)));
        deadlines.set(1, Nanos(27));
        assert_eq!(due(&mut deadlines, 28), vec![1]);
        assert_eq!(due(&mut deadlines, 100), Vec::<u32>::new());
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_cleared_slot_is_silent_and_can_be_set_again() {
        let mut deadlines = Deadlines::new(1);
        deadlines.set(0, Nanos(10));
        deadlines.clear(0);
        assert_eq!(due(&mut deadlines, 10), Vec::<u32>::new());
        deadlines.set(0, Nanos(12));
        assert_eq!(due(&mut deadlines, 12), vec![0]);
        deadlines.set(9, Nanos(1));
        assert_eq!(due(&mut deadlines, 12), Vec::<u32>::new());
    }

    #[test]
    fn the_heap_stays_small_however_often_a_deadline_moves() {
        let mut deadlines = Deadlines::new(2);
        for now in 0..10_000u64 {
            deadlines.set(0, Nanos(now + 75));
            deadlines.set(1, Nanos(now + if now % 2 == 0 { 20 } else { 75 }));
            while deadlines.pop(Nanos(now)).is_some() {}
        }
        assert!(deadlines.heap.len() < 16, "{}", deadlines.heap.len());
    }
}
