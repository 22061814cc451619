//! What will happen and when, in virtual time. Things at the same moment happen in a seeded order.
//! It knows nothing of what happens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Nanoseconds of virtual time.
pub type Moment = u64;

/// A queue of happenings.
#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    /// Rises with every entry: the last tie-break, so that the order never depends on the heap.
    entered: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Moment,
    lot: u32,
    number: u64,
    what: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (Moment, u32, u64) {
        (self.at, self.lot, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), entered: 0 }
    }
}

impl<T> Agenda<T> {
    /// `what` happens at `at`; `lot` decides among things at the same moment.
    pub fn add(&mut self, at: Moment, lot: u32, what: T) {
        self.entered += 1;
        self.heap.push(Reverse(Entry { at, lot, number: self.entered, what }));
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next thing, and when.
    pub fn take_next(&mut self) -> Option<(Moment, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_first_then_by_lot_then_as_entered() {
        let mut agenda = Agenda::default();
        for (at, lot, what) in [(2, 0, 'd'), (1, 9, 'c'), (1, 1, 'a'), (1, 1, 'b')] {
            agenda.add(at, lot, what);
        }
        assert_eq!(agenda.next_at(), Some(1));
        let order: String =
            std::iter::from_fn(|| agenda.take_next()).map(|(_, what)| what).collect();
        assert_eq!(order, "abcd");
    }
}
