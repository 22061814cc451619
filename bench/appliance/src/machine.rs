//! What the machine is, and what a process of it has cost so far. Reads only.

use std::process::{Command, Stdio};
use std::time::Duration;

use nightfill_harness::Trouble;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The core that every measured server is tied to; the load has the others.
pub const SERVER_CORE: usize = 0;

/// CPU seconds, user and system, that all threads of `pid` have used.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64, Trouble> {
    let pid = Pid::from_raw(i32::try_from(pid).map_err(|_| Trouble("not a pid".to_owned()))?);
    let time = clock_getcpuclockid(pid)
        .and_then(clock_gettime)
        .map_err(|error| Trouble(format!("the CPU clock of {pid}: {error}")))?;
    Ok(Duration::from(time).as_secs_f64())
}

/// Resident bytes of `pid`.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// A count of system calls under way; `perf` does the counting.
pub struct SyscallCount(std::process::Child);

impl SyscallCount {
    /// Starts to count the calls of `pid` for `seconds`. None where `perf` or the kernel's
    /// tracepoints are not to be had; the figure is then left out rather than guessed.
    #[must_use]
    pub fn start(pid: u32, seconds: u64) -> Option<Self> {
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string()]);
        perf.args(["--", "sleep", &seconds.to_string()]);
        perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        perf.spawn().ok().map(Self)
    }

    /// How many there were.
    #[must_use]
    pub fn finish(self) -> Option<u64> {
        let output = self.0.wait_with_output().ok()?;
        let text = String::from_utf8(output.stderr).ok()?;
        let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
        line.split(',').next()?.parse().ok()
    }
}

/// Model, cores and kernel, for the file of results.
#[must_use]
pub fn facts() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let nginx = Command::new("nginx").arg("-v").output();
    let nginx = nginx.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
    json!({
        "cpu": model,
        "cores": cores,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "memory": memory.trim(),
        "nginx": nginx.unwrap_or_default(),
    })
}

/// Ties this process to every core but the servers', when there is more than one.
pub fn leave_the_server_its_core() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut set = nix::sched::CpuSet::new();
    if cores > 1 && (1..cores).all(|core| set.set(core).is_ok()) {
        // Without it the figures are noisier, not wrong.
        let _ = nix::sched::sched_setaffinity(Pid::from_raw(0), &set);
    }
}
