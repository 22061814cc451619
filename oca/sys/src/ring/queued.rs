//! How much of what a socket took its peer has not acknowledged. Asked once in a while, when
//! somebody seems to have stopped: a full socket says that it has room only when a third of it is
//! free, which may be megabytes, and until then its operations cannot tell a slow peer from a dead
//! one.

use std::os::fd::AsRawFd;

use super::{RingKernel, Socket};
use crate::kernel::SocketId;

impl RingKernel {
    pub(super) fn queued_on(&self, id: SocketId) -> Option<u64> {
        self.sockets.get(id.0)?.queued()
    }
}

impl Socket {
    fn queued(&self) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: needed because no safe wrapper asks this (SIOCOUTQ). The descriptor is our own
        // and open, and the kernel writes one int, to one that lives in our frame.
        let answer =
            unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if answer == 0 { u64::try_from(bytes).ok() } else { None }
    }
}
