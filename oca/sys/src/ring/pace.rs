//! How fast the kernel may send on a socket. It knows no time; the kernel's own timers pace.
//!
//! `SO_MAX_PACING_RATE` works with any queueing discipline: with `fq` the discipline paces, without
//! it TCP does. Beside it goes `TCP_NOTSENT_LOWAT`: a socket's queue would otherwise take minutes'
//! worth of a slow body at once, which is memory held for nothing and hides whether the peer moves.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::RingKernel;
use crate::kernel::SocketId;

/// Bytes that may wait unsent, at least and at most.
const UNSENT_BYTES: std::ops::RangeInclusive<u64> = 16 * 1024..=512 * 1024;
/// How much of a paced body may wait unsent, seconds.
const UNSENT_S: u64 = 4;

impl RingKernel {
    pub(super) fn set_pace(&mut self, id: SocketId, rate: Option<u64>) -> io::Result<()> {
        let socket = self.usable(id)?;
        set(&socket.stream, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &rate.unwrap_or(u64::MAX))?;
        let unsent = rate.map_or(u64::from(u32::MAX), |rate| {
            rate.saturating_mul(UNSENT_S).clamp(*UNSENT_BYTES.start(), *UNSENT_BYTES.end())
        });
        let unsent = u32::try_from(unsent).unwrap_or(u32::MAX);
        set(&socket.stream, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &unsent)
    }
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
