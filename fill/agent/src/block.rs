//! Memory for one chunk that begins on a block of the disk, as writes past the page cache demand.
//! Holds bytes and knows nothing of what they are.

use control_types::limits::CHUNK_BYTES;

/// What `O_DIRECT` wants of addresses, offsets and lengths, on every disk we know.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Room for a chunk.
pub(crate) struct Block {
    bytes: Vec<u8>,
    /// Where in `bytes` the first whole block begins; the vector never grows, so it stays there.
    start: usize,
    length: usize,
}

impl Block {
    pub(crate) fn new() -> Self {
        Self::over(vec![0; CHUNK_BYTES as usize + BLOCK_BYTES])
    }

    /// Empty, over memory that an earlier one had.
    fn over(bytes: Vec<u8>) -> Self {
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Self { bytes, start, length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    /// Adds bytes; the caller keeps to a chunk.
    pub(crate) fn extend(&mut self, more: &[u8]) {
        let at = self.start + self.length;
        self.bytes[at..at + more.len()].copy_from_slice(more);
        self.length += more.len();
    }

    /// Whether all of it can be written past the page cache.
    pub(crate) fn is_whole_blocks(&self) -> bool {
        self.length > 0 && self.length.is_multiple_of(BLOCK_BYTES)
    }

    /// The memory and which part of it is filled, for the kernel.
    pub(crate) fn into_parts(self) -> (Vec<u8>, std::ops::Range<usize>) {
        (self.bytes, self.start..self.start + self.length)
    }

    /// The memory back from the kernel.
    pub(crate) fn back(bytes: Vec<u8>, range: &std::ops::Range<usize>) -> Self {
        Self { start: range.start, length: range.len(), bytes }
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_on_a_block_and_keeps_what_it_was_given() {
        let mut block = Block::new();
        block.extend(&[1; 5000]);
        block.extend(&[2; 3192]);
        assert!(block.is_whole_blocks() && block.len() == 8192);
        assert_eq!(block.as_slice().as_ptr().align_offset(BLOCK_BYTES), 0);
        assert_eq!((block.as_slice()[4999], block.as_slice()[5000]), (1, 2));
        let (bytes, range) = block.into_parts();
        let mut block = Block::back(bytes, &range);
        assert_eq!(block.as_slice().as_ptr().align_offset(BLOCK_BYTES), 0);
        block.clear();
        block.extend(&[3; CHUNK_BYTES as usize]);
        assert!(block.is_whole_blocks());
    }
}
