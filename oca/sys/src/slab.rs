//! One anonymous memory mapping that lives as long as any buffer cut from it.
//! It never grows, never moves, and never hands out an address beyond this crate.

use std::fmt;
use std::io;
use std::ptr::NonNull;

/// What kind of pages stand behind a slab; decided once, when it is mapped, and printed at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Reserved huge pages (`vm.nr_hugepages`): never swapped, never split.
    Huge,
    /// Ordinary pages that the kernel was asked to gather into huge ones when it can.
    TransparentHuge,
    /// Ordinary pages: a small slab, or a kernel without huge ones.
    Small,
}

impl fmt::Display for Pages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Huge => "reserved huge pages",
            Self::TransparentHuge => "transparent huge pages",
            Self::Small => "small pages",
        })
    }
}

/// Huge pages of this machine class, bytes. A slab below one of them does not ask for any.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A private, zeroed, page-aligned mapping, unmapped on drop.
pub(crate) struct Slab {
    start: NonNull<u8>,
    /// Length of the mapping, bytes; what `munmap` gets back.
    bytes: usize,
    pages: Pages,
}

impl Slab {
    /// Maps `bytes` (at least one) of zeroed memory, on huge pages when the machine has them.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        if bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a slab of 0 bytes"));
        }
        if bytes < HUGE_PAGE_BYTES {
            let start = map(bytes, 0)?;
            return Ok(Self { start, bytes, pages: Pages::Small });
        }
        // Reserved huge pages first: an explicit reservation is an operator's wish. MAP_POPULATE
        // makes the shortage visible here, as ENOMEM, and not later as SIGBUS.
        let rounded = bytes.next_multiple_of(HUGE_PAGE_BYTES);
        if let Ok(start) = map(rounded, libc::MAP_HUGETLB | libc::MAP_POPULATE) {
            return Ok(Self { start, bytes: rounded, pages: Pages::Huge });
        }
        let start = map(bytes, 0)?;
        let mut slab = Self { start, bytes, pages: Pages::Small };
        if slab.ask_for_huge_pages() {
            slab.pages = Pages::TransparentHuge;
        }
        Ok(slab)
    }

    /// Length, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The kind of pages it stands on.
    pub(crate) fn pages(&self) -> Pages {
        self.pages
    }

    /// The address `offset` bytes in. Panics when that is outside: only our own sums call it.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.bytes, "offset {offset} outside a slab of {} bytes", self.bytes);
        // SAFETY: needed to turn a piece number into memory. `start` is the beginning of a live
        // mapping of `bytes` bytes (kept by `Slab`, unmapped only in `drop`), and the assertion
        // above keeps the result inside it.
        unsafe { self.start.add(offset) }
    }

    fn ask_for_huge_pages(&mut self) -> bool {
        // SAFETY: needed because no safe wrapper takes our mapping. The range is exactly the one
        // `mmap` returned to us and nobody else has seen it; MADV_HUGEPAGE changes no content.
        let answer =
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_HUGEPAGE) };
        answer == 0
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: needed to give the mapping back. `start` and `bytes` are what `mmap` returned and
        // was asked for; every `Buffer` holds an `Rc` of the owner of this slab, so none is left,
        // and the ring forgets (never frees) buffers whose operation the kernel may still run.
        let answer = unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert_eq!(answer, 0, "munmap refused a range that mmap gave");
    }
}

fn map(bytes: usize, extra_flags: i32) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | extra_flags;
    // SAFETY: needed for page-aligned memory the kernel can pin. With a null hint and no MAP_FIXED
    // the kernel picks a free range, so no existing memory is touched; `bytes` is not 0.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mmap answered with address 0"))
}
