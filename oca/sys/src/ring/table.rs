//! Small numbered slots whose numbers are not reused at once.
//! It knows nothing of what it holds.

use std::collections::VecDeque;

/// Low bits of an id that are the slot; the rest is a generation that a stale id fails on.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// Values under 32-bit ids.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    /// Freed slots, oldest first, so that a generation lasts as long as it can.
    free: VecDeque<u32>,
    used: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// A table that allocates for `capacity` values now; it can hold a million.
    pub(super) fn new(capacity: usize) -> Self {
        let (slots, free) = (Vec::with_capacity(capacity), VecDeque::with_capacity(capacity));
        Self { slots, free, used: 0 }
    }

    /// Values held.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Stores `value`; gives it back when a million are held.
    pub(super) fn insert(&mut self, value: T) -> Result<u32, T> {
        let slot = match self.free.pop_front() {
            Some(slot) => slot,
            None => match u32::try_from(self.slots.len()) {
                Ok(slot) if slot <= SLOT_MASK => {
                    self.slots.push(Slot { generation: 0, value: None });
                    slot
                }
                _ => return Err(value),
            },
        };
        let Some(entry) = self.slots.get_mut(slot as usize) else { return Err(value) };
        entry.value = Some(value);
        self.used += 1;
        Ok(slot | entry.generation << SLOT_BITS)
    }

    /// The value of `id`, if that is still what the id means.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slot_mut(id)?.value.as_mut()
    }

    /// The value of `id`, to look at.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let slot = self.slots.get((id & SLOT_MASK) as usize)?;
        if slot.generation == id >> SLOT_BITS { slot.value.as_ref() } else { None }
    }

    /// Takes the value of `id` out; the id means nothing from here on.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self.slot_mut(id)?;
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) & (u32::MAX >> SLOT_BITS);
        self.free.push_back(id & SLOT_MASK);
        self.used -= 1;
        Some(value)
    }

    fn slot_mut(&mut self, id: u32) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut((id & SLOT_MASK) as usize)?;
        (slot.generation == id >> SLOT_BITS).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_means_nothing() {
        let mut table = Table::new(1);
        let first = table.insert('a').expect("room");
        assert_eq!(table.get_mut(first), Some(&mut 'a'));
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b').expect("room");
        assert_ne!(first, second);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn the_oldest_free_slot_is_used_first() {
        let mut table = Table::new(2);
        let ids = [table.insert(0).expect("room"), table.insert(1).expect("room")];
        table.remove(ids[1]);
        table.remove(ids[0]);
        let next = table.insert(2).expect("room");
        assert_eq!(next & SLOT_MASK, ids[1] & SLOT_MASK);
    }
}
