//! What a process may ask of its machine besides I/O: cores, limits, free disk space.
//! Nothing here is on the segment path; each is called at boot or by the admin thread.

use std::io;
use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

/// Binds the calling thread to one core this process may use, counted modulo how many there are.
/// Answers the core's own number.
///
/// # Errors
/// The machine refuses, for example inside a sandbox that forbids `sched_setaffinity`.
pub fn pin_to_core(worker: usize) -> io::Result<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cores: Vec<usize> =
        (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
    let Some(core) = worker.checked_rem(cores.len()).and_then(|at| cores.get(at)).copied() else {
        return Err(io::Error::other("this process may use no core at all"));
    };
    let mut one = CpuSet::new();
    one.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    Ok(core)
}

/// The cores that the calling thread may use, as the kernel takes them.
pub(crate) fn allowed_cores() -> io::Result<libc::cpu_set_t> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    // SAFETY: needed because libc gives no other way to make one. It is an array of integers, for
    // which all zeros is a value: no core.
    let mut cores: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in 0..CpuSet::count() {
        if allowed.is_set(core)? {
            // SAFETY: needed because it is unsafe in libc. `core` is below the size of the set, and
            // the set is ours.
            unsafe { libc::CPU_SET(core, &mut cores) };
        }
    }
    Ok(cores)
}

/// Bytes an unprivileged process may still write to the file system of `path`.
///
/// # Errors
/// The path does not exist or its file system does not answer.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let answer = statvfs(path)?;
    Ok(answer.blocks_available().saturating_mul(answer.fragment_size()))
}

/// Raises how much memory may be locked to at least `bytes` if that is allowed; answers the limit
/// then in force, `u64::MAX` for none. Registered buffers count against it.
///
/// # Errors
/// The limit cannot even be read.
pub fn raise_memlock(bytes: u64) -> io::Result<u64> {
    raise(Resource::RLIMIT_MEMLOCK, bytes)
}

/// Raises how many files and sockets may be open to at least `count` if that is allowed; answers
/// the limit then in force.
///
/// # Errors
/// The limit cannot even be read.
pub fn raise_open_files(count: u64) -> io::Result<u64> {
    raise(Resource::RLIMIT_NOFILE, count)
}

/// The lowest change that does it: the soft limit first, then, for the privileged, the hard one.
fn raise(resource: Resource, wanted: rlim_t) -> io::Result<u64> {
    let (soft, hard) = getrlimit(resource)?;
    if soft >= wanted {
        return Ok(soft);
    }
    let within = wanted.min(hard);
    if within < wanted && setrlimit(resource, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    if within > soft {
        setrlimit(resource, within, hard)?;
        return Ok(within);
    }
    Ok(soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_system_has_a_size() {
        assert!(free_bytes(Path::new("/")).expect("it is mounted") > 0);
        assert!(free_bytes(Path::new("/no such place")).is_err());
    }

    #[test]
    fn limits_are_raised_never_lowered() {
        let before = getrlimit(Resource::RLIMIT_NOFILE).expect("readable").0;
        assert!(raise_open_files(1).expect("readable") >= before);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).expect("readable").0, before);
    }

    #[test]
    fn a_thread_can_be_pinned_to_any_worker_number() {
        // Its own thread: affinity is a thread's property and must not leak into other tests.
        let core = std::thread::spawn(|| pin_to_core(usize::MAX)).join().expect("no panic");
        assert!(core.is_ok(), "{core:?}");
    }
}
