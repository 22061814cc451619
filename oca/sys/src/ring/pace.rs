//! How fast the kernel may send on a socket. It knows no time; the kernel's own timers pace.
//!
//! `SO_MAX_PACING_RATE` works with any queueing discipline: with `fq` the discipline paces, without
//! it TCP does. Beside it goes `TCP_NOTSENT_LOWAT`: a socket's queue would otherwise take minutes'
//! worth of a slow body at once, which is memory held for nothing and hides whether the peer moves.
//!
//! The first socket is told by setsockopt(2), which shows whether this machine paces at all. Where
//! it does, the others are told by the ring (Linux 6.7), in the order of what is sent on them: a
//! thousand members cost as many system calls as one. A ring that does not know how says so with
//! its first completion, and that socket is told the other way.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use io_uring::{opcode, squeue, types};

use super::pending::{Operation, Work};
use super::{RingKernel, Socket};
use crate::kernel::{SocketId, Token};

/// Bytes that may wait unsent, at least and at most.
const UNSENT_BYTES: std::ops::RangeInclusive<u64> = 16 * 1024..=512 * 1024;
/// How much of a paced body may wait unsent, seconds.
const UNSENT_S: u64 = 4;
/// Of a socket that nobody paces.
pub(super) const UNPACED: usize = u32::MAX as usize;
/// The token of what nobody is told of.
const UNHEARD: Token = Token(u64::MAX - 1);

/// How sockets are told of their pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Telling {
    /// By system calls, until one was heard.
    #[default]
    Tries,
    /// By the ring.
    Ring,
    /// By system calls: this ring does not know how.
    Calls,
}

/// A pace as a socket's two options, in memory that stays where it is while the kernel reads it.
#[derive(Debug)]
pub(super) struct Pacing {
    rate: u64,
    unsent: u32,
    /// Completions to come.
    left: u8,
    /// One of them was an error.
    failed: bool,
}

impl Pacing {
    fn new(rate: Option<u64>) -> Self {
        let unsent = rate.map_or(u64::from(u32::MAX), |rate| {
            rate.saturating_mul(UNSENT_S).clamp(*UNSENT_BYTES.start(), *UNSENT_BYTES.end())
        });
        let unsent = u32::try_from(unsent).unwrap_or(u32::MAX);
        Self { rate: rate.unwrap_or(u64::MAX), unsent, left: 0, failed: false }
    }

    fn tell(&self, socket: &Socket) -> io::Result<()> {
        set(&socket.stream, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &self.rate)?;
        set(&socket.stream, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &self.unsent)
    }
}

impl RingKernel {
    pub(super) fn set_pace(&mut self, id: SocketId, rate: Option<u64>) -> io::Result<()> {
        let telling = self.telling;
        let socket = self.usable(id)?;
        let pacing = Pacing::new(rate);
        socket.unsent_max = pacing.unsent as usize;
        if telling == Telling::Ring && self.tell_by_ring(id, &pacing) {
            return Ok(());
        }
        pacing.tell(self.usable(id)?)?;
        if telling == Telling::Tries {
            self.telling = Telling::Ring;
        }
        Ok(())
    }

    /// Answers whether the queue had room for it.
    fn tell_by_ring(&mut self, id: SocketId, pacing: &Pacing) -> bool {
        let Ok(socket) = self.usable(id) else { return false };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let pacing = Box::new(Pacing { left: 2, ..*pacing });
        let rate = option(descriptor, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &pacing.rate);
        let unsent = option(descriptor, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &pacing.unsent);
        let key = self.pending.insert(UNHEARD, Work::Pace { socket: id, pacing });
        let entries = [rate.user_data(u64::from(key)), unsent.user_data(u64::from(key))];
        // SAFETY: needed because the entries hold addresses: of numbers in the box, which stays in
        // `pending` until the last of the two has completed.
        let pushed = unsafe { self.ring.submission().push_multiple(&entries) };
        if pushed.is_err() {
            drop(self.pending.remove(key));
            return false;
        }
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.under_way += 1;
        }
        true
    }

    /// One of the two was taken, or was not.
    pub(super) fn complete_pace(&mut self, key: u32, result: i32) {
        let found = self.pending.get_mut(key).map(|found| &mut found.work);
        let Some(Work::Pace { pacing, .. }) = found else { return };
        pacing.left -= 1;
        pacing.failed |= result < 0;
        if pacing.left > 0 {
            return;
        }
        let Some(Operation { work: Work::Pace { socket: id, pacing }, .. }) =
            self.pending.remove(key)
        else {
            return;
        };
        if pacing.failed
            && !self.ending
            && let Ok(socket) = self.usable(id)
            // A socket that is broken says so to whoever sends on it.
            && pacing.tell(socket).is_ok()
        {
            self.telling = Telling::Calls;
        }
        self.leave_socket(id);
    }
}

fn option<T: Number>(socket: types::Fd, level: i32, name: i32, value: &T) -> squeue::Entry {
    let (level, name) = (level.cast_unsigned(), name.cast_unsigned());
    let bytes = u32::try_from(size_of::<T>()).expect("a few bytes");
    opcode::SetSockOpt::new(socket, level, name, std::ptr::from_ref(value).cast(), bytes).build()
}

/// A number as a socket's option.
pub(super) trait Number: Copy {}
impl Number for u64 {}
impl Number for u32 {}

pub(super) fn set<T: Number>(
    socket: &impl AsFd,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("a few bytes");
    // SAFETY: needed because no safe wrapper has these options. The descriptor is borrowed for the
    // call, and the kernel reads `length` bytes of a number that lives in our frame.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
