//! Which bytes of a file are in the page cache, asked without touching them.
//! Never brings a page in and never waits for one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Smallest page of the machines we run on; larger ones only make a residency answer coarser.
const PAGE_BYTES: u64 = 4096;
/// Pages are asked for in spans of this length: what is resident is cut off at one.
const SPAN_BYTES: u64 = 256 * 1024;
/// cachestat(2), Linux 6.5; the same number on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

/// As the kernel defines it.
#[repr(C)]
struct Range {
    offset: u64,
    bytes: u64,
}

/// As the kernel defines it, in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many bytes from `at` on are in the page cache, at most `bytes`, cut to whole spans of 256
/// KiB when not all are.
///
/// # Errors
/// The kernel has no cachestat, or forbids it for this file: it wants its owner, or one who may
/// write it.
pub(crate) fn resident_bytes(file: BorrowedFd<'_>, at: u64, bytes: usize) -> io::Result<usize> {
    let end = at.saturating_add(bytes as u64);
    if is_resident(file, at, end)? {
        return Ok(bytes);
    }
    let mut from = at;
    while from < end {
        let to = (from / SPAN_BYTES + 1).saturating_mul(SPAN_BYTES).min(end);
        if !is_resident(file, from, to)? {
            break;
        }
        from = to;
    }
    Ok(usize::try_from(from - at).unwrap_or(usize::MAX))
}

fn is_resident(file: BorrowedFd<'_>, from: u64, to: u64) -> io::Result<bool> {
    if from >= to {
        return Ok(true);
    }
    let range = Range { offset: from, bytes: to - from };
    let mut counts = Counts::default();
    // SAFETY: needed because no wrapper for cachestat exists. Both structures are live, laid out as
    // the kernel defines them, and used only during the call; the descriptor is borrowed, so open.
    let answer = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut counts,
            0 as libc::c_uint,
        )
    };
    if answer < 0 {
        let error = io::Error::last_os_error();
        let text = format!("cachestat: {error}; the files must belong to this user");
        return Err(match error.raw_os_error() {
            Some(libc::EPERM) => io::Error::new(io::ErrorKind::Unsupported, text),
            Some(libc::ENOSYS) => io::Error::from(io::ErrorKind::Unsupported),
            _ => error,
        });
    }
    let pages = to.div_ceil(PAGE_BYTES) - from / PAGE_BYTES;
    Ok(counts.cached >= pages)
}

/// Whether this machine can say what is in its page cache.
///
/// # Errors
/// Why not, in words.
pub fn residency_known() -> Result<(), String> {
    let own = File::open("/proc/self/exe").map_err(|error| error.to_string())?;
    match is_resident(own.as_fd(), 0, 1) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported && error.get_ref().is_none() => {
            Err("the kernel has no cachestat: it needs Linux 6.5".to_owned())
        }
        // Forbidden for that file is not forbidden for ours.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_just_written_is_resident_and_what_was_dropped_is_not() {
        let mut file = tempfile::NamedTempFile::new_in(".").expect("a writable directory");
        file.write_all(&vec![7; 1 << 20]).expect("room for 1 MiB");
        let open = file.as_file();
        open.sync_all().expect("synced");
        assert_eq!(resident_bytes(open.as_fd(), 100, 1 << 19).expect("known"), 1 << 19);
        let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        let half = 512 * 1024;
        nix::fcntl::posix_fadvise(open, half, half, advice).expect("advised");
        let left = resident_bytes(open.as_fd(), 0, 1 << 20).expect("known");
        assert!(left == half as usize || left == 1 << 20, "half was dropped, {left} are left");
    }
}
