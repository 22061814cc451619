//! Wakes a ring's thread from any other, through an event counter that the ring reads.
//! It carries no message: the woken worker looks into its own mailbox.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use crate::kernel::Waker;

/// Cheap to clone; stays harmless after its ring is gone.
#[derive(Clone, Debug)]
pub struct RingWaker {
    event: Arc<File>,
}

impl RingWaker {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: needed because no safe wrapper for eventfd is compiled in. It takes two numbers
        // and touches no memory of ours.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: needed to own it. The descriptor was just made, is open, and nobody else has it.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { event: Arc::new(File::from(owned)) })
    }

    pub(super) fn event(&self) -> &File {
        &self.event
    }
}

impl Waker for RingWaker {
    fn wake(&self) {
        // An event counter refuses only at 2^64-2 unread wakes; then a wake is already under way.
        let _ = (&*self.event).write(&1u64.to_ne_bytes());
    }
}
