//! Receives that take a buffer only when bytes are there: the ring lends the kernel the free
//! buffers of the receive pool, and the kernel picks one for whichever socket has something to say.
//! It never lends a buffer that somebody owns, and an idle connection holds none.
//!
//! ```text
//! pool -> `held[piece]` and an entry of the shared ring -> the kernel picks it -> Event::Received
//! ```
//! Without a buffer at hand the receive is parked and begins again when one is free. A kernel that
//! takes no buffer ring (before 5.19) is given a buffer with each receive instead.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{self, BufRingEntry};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::RingKernel;
use super::complete::outcome;
use super::pending::Work;
use crate::buffer::{Buffer, Pool};
use crate::kernel::{Event, SocketId, Token};
use crate::slab::Slab;

/// Number of our one group of buffers.
const GROUP: u16 = 0;
/// Most entries of a shared ring, a limit of the kernel.
const ENTRIES_MAX: usize = 32_768;

/// What the kernel has been lent.
pub(super) struct Lent {
    /// The ring that is shared with the kernel; absent when it takes none.
    shared: Option<Shared>,
    /// Lent buffers by the number of their piece, which is their name in the ring.
    held: Vec<Option<Buffer>>,
    /// How many.
    count: usize,
    /// Receives that found no buffer.
    parked: VecDeque<(Token, SocketId)>,
}

struct Shared {
    memory: Slab,
    entries: u16,
    /// Our end of the ring, counted without end.
    tail: u16,
}

impl Lent {
    /// Shares a ring that has room for all buffers of `pool`, as far as the kernel allows.
    pub(super) fn new(ring: &IoUring, pool: &Pool) -> io::Result<Self> {
        let pieces = pool.level().total;
        if pieces > ENTRIES_MAX {
            return Ok(Self { shared: None, held: Vec::new(), count: 0, parked: VecDeque::new() });
        }
        let entries = pieces.max(1).next_power_of_two();
        let memory = Slab::new(entries * size_of::<BufRingEntry>())?;
        let entries = u16::try_from(entries).expect("32768 is below 2^16");
        let address = memory.at(0).as_ptr() as u64;
        // SAFETY: needed to share the ring. `memory` is page-aligned, zeroed, holds `entries`
        // entries, and lives in the ring kernel behind the ring itself, so it outlives it.
        let answer =
            unsafe { ring.submitter().register_buf_ring_with_flags(address, entries, GROUP, 0) };
        let shared = answer.ok().map(|()| Shared { memory, entries, tail: 0 });
        let held = std::iter::repeat_with(|| None).take(pieces).collect();
        Ok(Self { shared, held, count: 0, parked: VecDeque::new() })
    }

    /// Buffers that only the kernel has, and nobody else waits for.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Lends all free buffers of `pool`.
    fn lend(&mut self, pool: &Pool) {
        let Some(shared) = &mut self.shared else { return };
        let before = shared.tail;
        while self.count < usize::from(shared.entries)
            && let Some(buffer) = pool.take()
        {
            shared.put(&buffer);
            let piece = buffer.piece();
            if let Some(place) = self.held.get_mut(piece as usize) {
                *place = Some(buffer);
                self.count += 1;
            }
        }
        if shared.tail != before {
            shared.publish();
        }
    }

    fn take_back(&mut self, piece: u16) -> Option<Buffer> {
        let buffer = self.held.get_mut(usize::from(piece))?.take()?;
        self.count -= 1;
        Some(buffer)
    }

    /// What the kernel may still write to is lost on purpose; see the ring's `drop`.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.held));
        std::mem::forget(self.shared.take());
    }
}

impl Shared {
    fn first(&self) -> NonNull<BufRingEntry> {
        self.memory.at(0).cast()
    }

    /// Writes the next entry; the kernel sees it after `publish`.
    fn put(&mut self, buffer: &Buffer) {
        let at = usize::from(self.tail & (self.entries - 1));
        // SAFETY: needed to write to memory that is shared with the kernel. `at` is below `entries`
        // (a power of two), so the entry lies in the mapping; the kernel reads entries before the
        // published tail only, and at most `entries` buffers are lent, so it is done with this one.
        let entry = unsafe { self.first().add(at).as_mut() };
        entry.set_addr(buffer.as_ptr() as u64);
        entry.set_len(u32::try_from(buffer.len()).unwrap_or(u32::MAX));
        entry.set_bid(u16::try_from(buffer.piece()).expect("fewer pieces than entries"));
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: needed to find the tail, which the kernel's interface puts into the first entry.
        // `first` is the address that was registered, and its memory is initialized.
        let tail = unsafe { BufRingEntry::tail(self.first().as_ptr()) }.cast_mut();
        // SAFETY: needed to write it as the kernel reads it. The address is aligned for u16, lives
        // as long as `self`, and is only ever accessed atomically: here and by the kernel.
        unsafe { AtomicU16::from_ptr(tail) }.store(self.tail, Ordering::Release);
    }
}

impl RingKernel {
    pub(super) fn start_receive_any(&mut self, token: Token, id: SocketId) {
        let mind = self.minds_non_blocking;
        let descriptor = match self.usable(id) {
            Ok(socket) => {
                socket.be_blocking(mind);
                types::Fd(socket.stream.as_raw_fd())
            }
            Err(error) => return self.ready(token, Event::ReceiveEnded(Err(error))),
        };
        self.lent.lend(&self.receive_pool);
        if self.lent.shared.is_none() {
            return match self.receive_pool.take() {
                Some(into) => self.start_receive(token, id, into),
                None => self.lent.parked.push_back((token, id)),
            };
        }
        if let Ok(socket) = self.usable(id) {
            socket.under_way += 1;
        }
        let bytes = u32::try_from(self.config.receive_bytes).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(descriptor, std::ptr::null_mut(), bytes).buf_group(GROUP);
        let entry = entry.build().flags(squeue::Flags::BUFFER_SELECT);
        self.begin(token, Work::ReceiveAny { socket: id }, entry);
    }

    pub(super) fn complete_receive_any(
        &mut self,
        token: Token,
        id: SocketId,
        result: i32,
        flags: u32,
    ) {
        let buffer = cqueue::buffer_select(flags).and_then(|piece| self.lent.take_back(piece));
        match buffer {
            Some(buffer) => self.ready(token, Event::Received(outcome(result), buffer)),
            None if self.meant_to_wait(id, result) => self.start_receive_any(token, id),
            None if result == -libc::ENOBUFS && !self.ending => {
                self.lent.parked.push_back((token, id));
            }
            None => self.ready(token, Event::ReceiveEnded(outcome(result).map(drop))),
        }
        self.leave_socket(id);
    }

    /// Called once a turn: lends what became free, and begins parked receives again.
    pub(super) fn lend_free(&mut self) {
        if self.lent.count == 0 && self.lent.parked.is_empty() {
            // Nobody has asked for a receive of this kind, or all buffers are with the server.
            return;
        }
        self.lent.lend(&self.receive_pool);
        let free = self.lent.count + self.receive_pool.level().free;
        for _ in 0..free.min(self.lent.parked.len()) {
            if let Some((token, id)) = self.lent.parked.pop_front() {
                self.start_receive_any(token, id);
            }
        }
    }
}
