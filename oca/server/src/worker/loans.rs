//! Chunks of a worker that the network has: how many, and how many more it may get. Never holds
//! one: the kernel does, until the network is done with it.
//!
//! A chunk that is lent cannot be evicted, and how long it stays lent is the peer's choice. So only
//! a share of the chunks may be lent at a time; a chunk that is, may be lent again at no cost.

use oca_sys::Buffer;

use crate::limits::{LENT_SENDS_MAX, LENT_SHARE};

/// What is lent.
pub struct Loans {
    /// Loans of each chunk buffer, by its number in the pool.
    of: Vec<u32>,
    /// Chunk buffers that are lent.
    chunks: usize,
    chunks_max: usize,
    /// Loans of all.
    sends: usize,
}

impl Loans {
    /// Nothing is lent, of `chunk_buffers`.
    pub(super) fn new(chunk_buffers: usize) -> Self {
        let chunks_max = chunk_buffers / LENT_SHARE;
        Self { of: vec![0; chunk_buffers], chunks: 0, chunks_max, sends: 0 }
    }

    /// Whether a chunk may be lent that perhaps is not yet.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.chunks < self.chunks_max && self.sends < LENT_SENDS_MAX
    }

    /// Whether this chunk may be lent.
    #[must_use]
    pub fn has_room_for(&self, chunk: &Buffer) -> bool {
        let is_lent = self.of.get(chunk.piece() as usize).is_some_and(|loans| *loans > 0);
        self.has_room() || (is_lent && self.sends < LENT_SENDS_MAX)
    }

    /// A send from this chunk begins.
    pub fn lend(&mut self, chunk: &Buffer) {
        let Some(loans) = self.of.get_mut(chunk.piece() as usize) else { return };
        self.chunks += usize::from(*loans == 0);
        *loans += 1;
        self.sends += 1;
    }

    /// The network is done with one of the sends from this chunk.
    pub(super) fn take_back(&mut self, chunk: &Buffer) {
        let Some(loans) = self.of.get_mut(chunk.piece() as usize) else { return };
        debug_assert!(*loans > 0, "a chunk came back that was not lent");
        *loans = loans.saturating_sub(1);
        self.chunks -= usize::from(*loans == 0);
        self.sends = self.sends.saturating_sub(1);
    }

    /// Chunk buffers that are lent.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use oca_sys::Pool;

    use super::*;

    #[test]
    fn a_share_is_lent_and_what_is_lent_may_be_lent_again() {
        let pool = Pool::new(4096, 8).expect("a few pages");
        let chunks: Vec<Buffer> = std::iter::from_fn(|| pool.take()).collect();
        let mut loans = Loans::new(chunks.len());
        let share = chunks.len() / LENT_SHARE;
        for chunk in &chunks[..share] {
            assert!(loans.has_room() && loans.has_room_for(chunk));
            loans.lend(chunk);
        }
        assert!(!loans.has_room() && !loans.has_room_for(&chunks[share]));
        assert!(loans.has_room_for(&chunks[0]));
        loans.lend(&chunks[0]);
        loans.take_back(&chunks[0]);
        assert_eq!(loans.chunks(), share, "one loan is left of it");
        loans.take_back(&chunks[0]);
        assert_eq!(loans.chunks(), share - 1);
        assert!(loans.has_room_for(&chunks[share]));
    }

    #[test]
    fn sends_are_bounded_however_few_chunks_they_are_from() {
        let pool = Pool::new(4096, 8).expect("a few pages");
        let chunk = pool.take().expect("one of them");
        let mut loans = Loans::new(8);
        for _ in 0..LENT_SENDS_MAX {
            assert!(loans.has_room_for(&chunk));
            loans.lend(&chunk);
        }
        assert!(!loans.has_room_for(&chunk));
        assert_eq!(loans.chunks(), 1);
    }
}
