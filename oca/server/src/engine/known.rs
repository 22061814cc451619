//! Which chunks of open files were read through the page cache and found good.
//! Never says that they are still there: who sends asks the kernel, and takes the mark away when a
//! chunk is not, so that it is read and checked again.

use ahash::{HashMap, RandomState};
use oca_sys::FileId;

/// A bit for each chunk of each open file.
pub struct Known {
    files: HashMap<FileId, Vec<u64>>,
}

impl Known {
    /// Nothing is known. `seed` keys the table.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = RandomState::with_seeds(seed, 0x6b6e, seed.rotate_left(11), 0x6f77);
        Self { files: HashMap::with_hasher(state) }
    }

    /// Chunk `index` of `file` was found good.
    pub fn mark(&mut self, file: FileId, index: u32) {
        let (word, bit) = place(index);
        let words = self.files.entry(file).or_default();
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= bit;
    }

    /// Chunk `index` of `file` is not in memory any more.
    pub fn unmark(&mut self, file: FileId, index: u32) {
        let (word, bit) = place(index);
        if let Some(word) = self.files.get_mut(&file).and_then(|words| words.get_mut(word)) {
            *word &= !bit;
        }
    }

    /// Whether chunk `index` of `file` was found good.
    #[must_use]
    pub fn has(&self, file: FileId, index: u32) -> bool {
        let (word, bit) = place(index);
        let word = self.files.get(&file).and_then(|words| words.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// `file` is closed.
    pub fn forget(&mut self, file: FileId) {
        self.files.remove(&file);
    }
}

fn place(index: u32) -> (usize, u64) {
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_of_one_chunk_of_one_file() {
        let mut known = Known::new(1);
        let (first, second) = (FileId(1), FileId(2));
        known.mark(first, 63);
        known.mark(first, 64);
        assert!(known.has(first, 63) && known.has(first, 64));
        assert!(!known.has(first, 62) && !known.has(first, 6400) && !known.has(second, 63));
        known.unmark(first, 63);
        known.unmark(second, 9);
        assert!(!known.has(first, 63) && known.has(first, 64));
        known.forget(first);
        assert!(!known.has(first, 64));
    }
}
