//! What the machine is, and what a process of it has cost so far. Reads only.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use nightfill_harness::Trouble;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The core that every measured server is tied to; the load has the others.
pub const SERVER_CORE: usize = 0;
/// Files this process and each of its servers may have open; a connection is one on either side.
const OPEN_FILES: u64 = 131_072;
/// How long `perf` may take to hear an order, milliseconds.
const PERF_HEARS_WITHIN: u16 = 3000;

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

/// Seconds that threads of `pid` were ready to run while others had their core. They grow only.
#[must_use]
pub fn waited_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let waited = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').nth(1)?.parse().ok()
    };
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(waited).sum::<f64>() / 1e9
}

/// CPU seconds of this process.
#[must_use]
pub fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(f64::NAN, |time| Duration::from(time).as_secs_f64())
}

/// Resident bytes of `pid`, large pages included.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((kib("VmRSS:")? + kib("HugetlbPages:").unwrap_or(0)) << 10)
}

/// Counts the system calls of a process between two moments; `perf` does the counting.
pub struct SyscallCount {
    perf: std::process::Child,
    /// It is told to begin and to stop by the one, and says by the other that it has.
    orders: File,
    answers: File,
    _folder: tempfile::TempDir,
}

impl SyscallCount {
    /// Makes ready to count the calls of `pid`. None where `perf` or the kernel's tracepoints are
    /// not to be had; the figure is then left out rather than guessed.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).ok()?;
            // Open for both, so that neither waits for `perf` to open it too.
            let file = File::options().read(true).write(true).open(&path).ok()?;
            Some((path, file))
        };
        let ((orders_at, orders), (answers_at, answers)) = (pipe("orders")?, pipe("answers")?);
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-D", "-1", "--control"]);
        perf.arg(format!("fifo:{},{}", orders_at.display(), answers_at.display()));
        perf.args(["-p", &pid.to_string()]);
        perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let perf = perf.spawn().ok()?;
        Some(Self { perf, orders, answers, _folder: folder })
    }

    /// Counts from here.
    #[must_use]
    pub fn begin(mut self) -> Option<Self> {
        self.order(b"enable\n")?;
        Some(self)
    }

    /// How many there were until now.
    #[must_use]
    pub fn finish(mut self) -> Option<u64> {
        self.order(b"disable\n")?;
        let perf = Pid::from_raw(i32::try_from(self.perf.id()).ok()?);
        nix::sys::signal::kill(perf, nix::sys::signal::Signal::SIGINT).ok()?;
        let output = self.perf.wait_with_output().ok()?;
        let text = String::from_utf8(output.stderr).ok()?;
        let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
        line.split(',').next()?.parse().ok()
    }

    /// Answers when it was done; none when `perf` is not there to do it.
    fn order(&mut self, order: &[u8]) -> Option<()> {
        self.orders.write_all(order).ok()?;
        let mut ears = [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ears, PERF_HEARS_WITHIN).ok()? == 0 {
            return None;
        }
        let mut answer = [0; 16];
        self.answers.read(&mut answer).ok().filter(|bytes| *bytes > 0).map(drop)
    }
}

/// The load average of the last minute: who else was at work on this machine.
#[must_use]
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|figure| figure.parse().ok()).unwrap_or(f64::NAN)
}

/// Bytes that the kernel says of the machine in `/proc/meminfo` under `name`.
#[must_use]
pub fn machine_bytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Lets this process and those it starts open as many files as the kernel allows it to, and says
/// how many that are.
///
/// # Errors
/// When the kernel does not say.
pub fn raise_open_files() -> Result<u64, Trouble> {
    let limit = Resource::RLIMIT_NOFILE;
    if setrlimit(limit, OPEN_FILES, OPEN_FILES).is_ok() {
        return Ok(OPEN_FILES);
    }
    let (_, hard) = getrlimit(limit).map_err(std::io::Error::from)?;
    setrlimit(limit, hard, hard).map_err(std::io::Error::from)?;
    Ok(hard)
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
    // Not how many this process is allowed: it has left the servers theirs.
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
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
