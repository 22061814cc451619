//! What this machine can do for an appliance, found by trying it, and said in words.
//! It changes nothing but this process's own limits, and never fails: what is missing is an answer.

use std::fmt;
use std::fs;
use std::thread;

use crate::buffer::Pool;
use crate::machine::{raise_memlock, raise_open_files};
use crate::ring::{FixedReads, set_up};
use crate::slab::Pages;

/// Memory the trial registration asks for, bytes: more than the 8 MiB that distributions allow.
const TRIAL_BYTES: usize = 16 << 20;
const TRIAL_CHUNK_BYTES: usize = 256 * 1024;

/// What this machine can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Release of the running kernel.
    pub kernel: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Ring set-up flags that were accepted, or why there is no ring.
    pub ring: Result<&'static str, String>,
    /// Whether buffers can be registered with a ring, or why not.
    pub fixed_reads: Result<(), String>,
    /// What 16 MiB of buffers stand on.
    pub pages: Pages,
    /// Locked memory allowed, bytes; `u64::MAX` for no limit.
    pub memlock_bytes: u64,
    /// Files and sockets that may be open.
    pub open_files: u64,
    /// Whether the kernel offers TLS on sockets.
    pub kernel_tls: bool,
}

/// Tries everything once. Takes some milliseconds and 16 MiB for that long.
#[must_use]
pub fn probe() -> Probe {
    let mut pages = Pages::Small;
    let (ring, fixed_reads) = match set_up(8) {
        Err(error) => (Err(error.to_string()), Err("there is no ring".to_owned())),
        Ok((ring, setup)) => {
            let trial = Pool::new(TRIAL_CHUNK_BYTES, (TRIAL_BYTES / TRIAL_CHUNK_BYTES) as u32);
            let fixed_reads = trial.map_err(|error| error.to_string()).and_then(|pool| {
                pages = pool.pages();
                FixedReads::register(&ring, &pool).1
            });
            (Ok(setup), fixed_reads)
        }
    };
    Probe {
        kernel: first_line("/proc/sys/kernel/osrelease"),
        cores: thread::available_parallelism().map_or(1, usize::from),
        ring,
        fixed_reads,
        pages,
        memlock_bytes: raise_memlock(0).unwrap_or(0),
        open_files: raise_open_files(0).unwrap_or(0),
        kernel_tls: first_line("/proc/sys/net/ipv4/tcp_available_ulp")
            .split_ascii_whitespace()
            .any(|name| name == "tls"),
    }
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "kernel           {}, {} cores", self.kernel, self.cores)?;
        match &self.ring {
            Ok(setup) => writeln!(out, "io_uring         yes, {setup}")?,
            Err(why) => writeln!(out, "io_uring         no: {why}")?,
        }
        match &self.fixed_reads {
            Ok(()) => writeln!(out, "registered reads yes")?,
            Err(why) => writeln!(out, "registered reads no, reads are plain: {why}")?,
        }
        writeln!(out, "buffers on       {}", self.pages)?;
        match self.memlock_bytes {
            u64::MAX => writeln!(out, "locked memory    no limit")?,
            bytes => writeln!(out, "locked memory    {} MiB", bytes >> 20)?,
        }
        writeln!(out, "open files       {}", self.open_files)?;
        // The module is not loaded on demand for an unprivileged process.
        let kernel_tls = if self.kernel_tls {
            "yes"
        } else {
            "no, TLS is done in user space (the kernel module `tls` is not loaded)"
        };
        writeln!(out, "kernel TLS       {kernel_tls}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_ring_and_every_line_says_something() {
        let probe = probe();
        assert!(probe.ring.is_ok(), "{probe}");
        let text = probe.to_string();
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.lines().all(|line| line.len() > 18), "{text}");
    }
}
