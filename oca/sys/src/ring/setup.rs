//! Making a ring with the best flags the kernel accepts, and lending it the chunk slab.
//! It decides once, at boot; each thing it could not have is said in words.

use std::fmt;
use std::io;

use io_uring::IoUring;

use crate::buffer::{Buffer, Pool};
use crate::config::IO_THREADS_MAX;
use crate::machine::raise_memlock;
use crate::slab::Pages;

/// Largest piece of memory that one registration takes, bytes: a limit of the kernel.
const REGISTERED_BYTES_MAX: usize = 1 << 30;
/// Largest submission queue, a limit of the kernel.
const ENTRIES_MAX: u32 = 32_768;

/// What the machine granted one ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingReport {
    /// Names of the set-up flags in force.
    pub setup: &'static str,
    /// Whether disk reads go to registered memory; if not, why not and what would cure it.
    pub fixed_reads: Result<(), String>,
    /// What the chunk buffers stand on.
    pub chunk_pages: Pages,
}

impl fmt::Display for RingReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ring {}, chunks on {}, ", self.setup, self.chunk_pages)?;
        match &self.fixed_reads {
            Ok(()) => out.write_str("registered reads"),
            Err(why) => write!(out, "plain reads ({why})"),
        }
    }
}

/// From the best to what any kernel takes.
const SETUPS: [&str; 4] = [
    "SINGLE_ISSUER|DEFER_TASKRUN|NO_SQARRAY",
    "SINGLE_ISSUER|DEFER_TASKRUN",
    "COOP_TASKRUN",
    "plain",
];

/// A ring of at least `entries`, and the flags it got.
pub(crate) fn set_up(entries: u32) -> io::Result<(IoUring, &'static str)> {
    let entries = entries.clamp(8, ENTRIES_MAX);
    let mut last = io::Error::other("no set-up was tried");
    for setup in SETUPS {
        let mut builder = IoUring::builder();
        // A turn's completions fit without overflow even if every operation ends in it.
        builder.setup_clamp().setup_cqsize(entries.saturating_mul(2)).dontfork();
        if setup != "plain" {
            builder.setup_submit_all();
        }
        if setup.contains("COOP_TASKRUN") {
            builder.setup_coop_taskrun().setup_taskrun_flag();
        }
        if setup.contains("DEFER_TASKRUN") {
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        }
        if setup.contains("NO_SQARRAY") {
            builder.setup_no_sqarray();
        }
        match builder.build(entries) {
            Ok(ring) if ring.params().is_feature_ext_arg() && ring.params().is_feature_nodrop() => {
                bound_threads(&ring);
                return Ok((ring, setup));
            }
            Ok(_) => last = io::Error::other("this kernel's io_uring cannot wait with a deadline"),
            // EINVAL is how a kernel says that it does not know a flag: try without.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => last = error,
            Err(error) => return Err(explain(&error)),
        }
    }
    Err(explain(&last))
}

/// Bounds the threads that the kernel keeps for this ring, or rather for the thread that made it.
fn bound_threads(ring: &IoUring) {
    let mut counts = IO_THREADS_MAX;
    // A kernel before 5.15 has its own bound, and no other way to say so.
    let _ = ring.submitter().register_iowq_max_workers(&mut counts);
}

fn explain(error: &io::Error) -> io::Error {
    let cure = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "io_uring is forbidden here; see sysctl kernel.io_uring_disabled, or the container's \
             seccomp profile"
        }
        Some(libc::ENOSYS) => "this kernel has no io_uring; version 6.1 or later is needed",
        Some(libc::ENOMEM) => "the locked-memory limit is spent; set LimitMEMLOCK=infinity",
        Some(libc::EMFILE | libc::ENFILE) => "no file descriptor is free; raise LimitNOFILE",
        _ => "version 6.1 or later of the kernel is needed",
    };
    io::Error::new(error.kind(), format!("cannot set up io_uring: {error}: {cure}"))
}

/// The chunk pool as registered memory: which registration a buffer lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedReads {
    /// Bytes of one registration, a multiple of the chunk size; 0 when nothing is registered.
    piece_bytes: usize,
}

impl FixedReads {
    /// Lends the chunk pool's memory to the ring, which pins it. If locked memory is short the
    /// limit is raised once; failing that, reads are plain and the answer says why.
    pub(crate) fn register(ring: &IoUring, chunks: &Pool) -> (Self, Result<(), String>) {
        let (start, bytes) = chunks.span();
        let chunk_bytes = chunks.piece_bytes();
        // A chunk must not lie across two registrations.
        let piece_bytes = REGISTERED_BYTES_MAX / chunk_bytes * chunk_bytes;
        if piece_bytes == 0 {
            return (Self { piece_bytes: 0 }, Err("a chunk above 1 GiB".into()));
        }
        let pieces: Vec<libc::iovec> = (0..bytes)
            .step_by(piece_bytes)
            .map(|offset| libc::iovec {
                iov_base: start.as_ptr().wrapping_add(offset).cast(),
                iov_len: piece_bytes.min(bytes - offset),
            })
            .collect();
        let mut answer = register_once(ring, &pieces);
        if matches!(&answer, Err(error) if error.raw_os_error() == Some(libc::ENOMEM)) {
            // No limit at all is what the service unit sets; the sum is what we need at least.
            let raised = raise_memlock(u64::MAX).or_else(|_| raise_memlock(bytes as u64));
            if raised.is_ok() {
                answer = register_once(ring, &pieces);
            }
        }
        match answer {
            Ok(()) => (Self { piece_bytes }, Ok(())),
            Err(error) => (Self { piece_bytes: 0 }, Err(explain_registration(&error, bytes))),
        }
    }

    /// Number of the registration that `buffer` lies in; `None`: read it plainly.
    pub(crate) fn index_of(self, chunks: &Pool, buffer: &Buffer) -> Option<u16> {
        let offset = chunks.offset_of(buffer)?;
        u16::try_from(offset.checked_div(self.piece_bytes)?).ok()
    }
}

fn register_once(ring: &IoUring, pieces: &[libc::iovec]) -> io::Result<()> {
    // SAFETY: needed to pin the slab. Each piece lies inside the chunk pool's mapping, which the
    // kernel object owns beside the ring and which no `Buffer` lets go of; the kernel holds its own
    // reference to the pinned pages until the ring is closed.
    unsafe { ring.submitter().register_buffers(pieces) }
}

fn explain_registration(error: &io::Error, bytes: usize) -> String {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => format!(
            "cannot lock {} MiB of buffers: the limit is {} MiB; set LimitMEMLOCK=infinity",
            bytes >> 20,
            raise_memlock(0).unwrap_or(0) >> 20
        ),
        _ => format!("cannot register buffers: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_threads_are_bounded() {
        let (ring, _) = set_up(8).expect("a ring");
        // Zeros ask for what is in force.
        let mut counts = [0, 0];
        ring.submitter().register_iowq_max_workers(&mut counts).expect("a kernel from 5.15 on");
        assert_eq!(counts, IO_THREADS_MAX);
    }
}
