//! Fixed-size pieces of a slab, handed out one owner at a time and returned by dropping them.
//! A buffer never grows, is never copied, and never leaves the thread that made its pool.
//!
//! ```text
//! Pool::take -> Buffer (one owner, may write) -> Op (the kernel may write) -> Completion -> Buffer
//!                 \-> Rc<Buffer> (many readers, nobody writes) -> Op::Send -> Completion
//! drop of the last owner -> back on the pool's free list
//! ```

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use crate::slab::{Pages, Slab};

/// Every piece starts at and is a multiple of this, so that any buffer can take a direct disk read.
pub const BUFFER_ALIGN_BYTES: usize = 4096;

/// A set of equal buffers cut from one mapping.
#[derive(Clone)]
pub struct Pool {
    core: Rc<Core>,
}

struct Core {
    slab: Slab,
    piece_bytes: usize,
    pieces: u32,
    /// Numbers of the pieces nobody owns. Its capacity is `pieces` from the start, so returning a
    /// buffer never allocates.
    free: RefCell<Vec<u32>>,
}

impl Pool {
    /// Maps `pieces` buffers of `piece_bytes` each; sizes are rounded up to [`BUFFER_ALIGN_BYTES`].
    ///
    /// # Errors
    /// Zero buffers, a size that overflows, or a machine without the memory.
    pub fn new(piece_bytes: usize, pieces: u32) -> io::Result<Self> {
        let piece_bytes = piece_bytes
            .max(1)
            .checked_next_multiple_of(BUFFER_ALIGN_BYTES)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "buffer size overflows"))?;
        let bytes = usize::try_from(pieces)
            .ok()
            .and_then(|pieces| pieces.checked_mul(piece_bytes))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "pool size overflows"))?;
        let slab = Slab::new(bytes)?;
        // Popped from the back: piece 0 goes out first, so a quiet server touches few pages.
        let free = (0..pieces).rev().collect();
        Ok(Self { core: Rc::new(Core { slab, piece_bytes, pieces, free: RefCell::new(free) }) })
    }

    /// A buffer nobody else owns, or `None` when all are out. It holds whatever was last in it.
    #[must_use]
    pub fn take(&self) -> Option<Buffer> {
        let piece = self.core.free.borrow_mut().pop()?;
        let memory = self.core.slab.at(piece as usize * self.core.piece_bytes);
        Some(Buffer { memory, piece, core: Rc::clone(&self.core) })
    }

    /// How many are free and how many there are.
    #[must_use]
    pub fn level(&self) -> PoolLevel {
        PoolLevel { free: self.core.free.borrow().len(), total: self.core.pieces as usize }
    }

    /// Size of one buffer, bytes.
    #[must_use]
    pub fn piece_bytes(&self) -> usize {
        self.core.piece_bytes
    }

    /// What kind of memory it stands on.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.core.slab.pages()
    }

    /// The whole mapping, for registration with a ring.
    pub(crate) fn span(&self) -> (NonNull<u8>, usize) {
        (self.core.slab.at(0), self.core.slab.bytes())
    }

    /// Byte offset of `buffer` in this pool's mapping; `None` when it came from another pool.
    pub(crate) fn offset_of(&self, buffer: &Buffer) -> Option<usize> {
        Rc::ptr_eq(&self.core, &buffer.core).then(|| buffer.piece as usize * self.core.piece_bytes)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pool")
            .field("piece_bytes", &self.core.piece_bytes)
            .field("level", &self.level())
            .finish()
    }
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolLevel {
    /// Buffers nobody owns.
    pub free: usize,
    /// All buffers of the pool.
    pub total: usize,
}

impl PoolLevel {
    /// Buffers somebody owns.
    #[must_use]
    pub fn out(self) -> usize {
        self.total.saturating_sub(self.free)
    }
}

/// One owner's piece of a pool: a byte slice of fixed length, 4096-aligned, returned on drop.
pub struct Buffer {
    /// Start of this piece; `core.piece_bytes` bytes belong to this value alone.
    memory: NonNull<u8>,
    piece: u32,
    /// Keeps the mapping alive, whatever happens to the pool.
    core: Rc<Core>,
}

impl Buffer {
    /// Its number in its pool, counted from 0: a name for as long as the pool lives.
    #[must_use]
    pub fn piece(&self) -> u32 {
        self.piece
    }

    /// For the kernel to write to while it owns the buffer.
    pub(crate) fn start_mut(&mut self) -> *mut u8 {
        self.memory.as_ptr()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: needed to see the piece as a slice. `memory` points at `piece_bytes` bytes of a
        // live mapping (`core` keeps it), always initialized (the kernel zeroed it), aligned for
        // u8. The free list gives a piece to one `Buffer` at a time, and an operation that lets the
        // kernel write takes the `Buffer` by value, so nobody writes while this borrow lives.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.core.piece_bytes) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` proves that no other borrow of this piece exists, and
        // a shared send holds an `Rc`, through which no `&mut Buffer` can be had.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.core.piece_bytes) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.core.free.borrow_mut().push(self.piece);
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Buffer({} of {} bytes)", self.piece, self.core.piece_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_one_owner_and_comes_back() {
        let pool = Pool::new(5000, 3).expect("three small buffers");
        assert_eq!(pool.piece_bytes(), 8192);
        let mut owned: Vec<Buffer> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(owned.len(), 3);
        assert_eq!(pool.level(), PoolLevel { free: 0, total: 3 });
        for (number, buffer) in owned.iter_mut().enumerate() {
            assert_eq!(buffer.as_ptr() as usize % BUFFER_ALIGN_BYTES, 0);
            buffer.fill(number as u8 + 1);
        }
        for (number, buffer) in owned.iter().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == number as u8 + 1), "pieces overlap");
        }
        owned.clear();
        assert_eq!(pool.level().out(), 0);
    }

    #[test]
    fn a_buffer_outlives_its_pool() {
        let pool = Pool::new(4096, 1).expect("one small buffer");
        let mut buffer = pool.take().expect("the only one");
        drop(pool);
        buffer.fill(7);
        assert_eq!(buffer[4095], 7);
    }

    #[test]
    fn a_shared_buffer_returns_with_its_last_reader() {
        let pool = Pool::new(4096, 1).expect("one small buffer");
        let shared = Rc::new(pool.take().expect("the only one"));
        let reader = Rc::clone(&shared);
        drop(shared);
        assert_eq!(pool.level().out(), 1);
        drop(reader);
        assert_eq!(pool.level().out(), 0);
    }

    #[test]
    fn impossible_pools_are_refused() {
        assert!(Pool::new(4096, 0).is_err());
        assert!(Pool::new(usize::MAX, 2).is_err());
    }

    #[test]
    fn a_large_pool_says_what_it_stands_on() {
        let pool = Pool::new(256 * 1024, 16).expect("4 MiB");
        assert!(!pool.pages().to_string().is_empty());
        let (_, bytes) = pool.span();
        assert!(bytes >= 4 << 20);
    }
}
