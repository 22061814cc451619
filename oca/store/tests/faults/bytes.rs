//! The bytes of one file: what a program sees, what the platter has, and what lies between.
//! Knows no names.

use std::sync::Arc;

use super::dice::Dice;

/// What a write may be torn at, bytes: the sector of a disk, and the page of a cache.
const TEARS: [usize; 2] = [512, 4096];

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// See the head of the file. Contents are shared by clones until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    seen: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

impl Bytes {
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write(at, bytes.to_vec()));
    }

    pub fn set_len(&mut self, length: usize) {
        if length != self.seen.len() {
            self.change(Change::Length(length));
        }
    }

    fn change(&mut self, change: Change) {
        apply(Arc::make_mut(&mut self.seen), &change);
        self.pending.push(change);
    }

    /// All that is pending is durable from now on.
    pub fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        self.pending.drain(..).for_each(|change| apply(durable, &change));
    }

    /// A sync failed: some of what was pending went, the rest never will, and the cache may or may
    /// not go on showing it.
    pub fn lose(&mut self, dice: &mut Dice) {
        self.keep_some(dice);
        if dice.coin() {
            self.seen = Arc::clone(&self.durable);
        }
    }

    /// Clean pages go: what is seen is what the platter has, and what is on its way there.
    pub fn forget_cached(&mut self) {
        let mut seen = (*self.durable).clone();
        self.pending.iter().for_each(|change| apply(&mut seen, change));
        self.seen = Arc::new(seen);
    }

    /// The power goes.
    pub fn cut(&mut self, dice: &mut Dice) {
        self.keep_some(dice);
        self.seen = Arc::clone(&self.durable);
    }

    pub fn flip(&mut self, at: usize) {
        for side in [&mut self.seen, &mut self.durable] {
            if let Some(byte) = Arc::make_mut(side).get_mut(at) {
                *byte ^= 0x10;
            }
        }
    }

    /// Each pending change becomes durable, or does not, or, for a write, some sectors of it do.
    fn keep_some(&mut self, dice: &mut Dice) {
        let durable = Arc::make_mut(&mut self.durable);
        for change in self.pending.drain(..) {
            match (dice.below(3), &change) {
                (0, _) | (1, Change::Length(_)) => {}
                (1, Change::Write(at, bytes)) => {
                    let tear = TEARS[dice.below(2) as usize];
                    // Sectors are those of the file, wherever in one the write begins.
                    let mut from = 0;
                    while from < bytes.len() {
                        let to = bytes.len().min((at + from) / tear * tear + tear - at);
                        if dice.coin() {
                            apply(durable, &Change::Write(at + from, bytes[from..to].to_vec()));
                        }
                        from = to;
                    }
                }
                _ => apply(durable, &change),
            }
        }
    }
}

fn apply(to: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, bytes) => {
            let end = at + bytes.len();
            if to.len() < end {
                to.resize(end, 0);
            }
            to[*at..end].copy_from_slice(bytes);
        }
        Change::Length(length) => to.resize(*length, 0),
    }
}
