//! What a slow disk does to those who do not need it: time to first byte of hot objects on a fast
//! disk, alone and beside members who read cold objects from a disk of 120 reads a second.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nightfill_harness::Trouble;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::answer::{Ask, Desk};
use crate::cases::Cover;
use crate::keep::Stamp;
use crate::line::{Line, Seen, Segments, wall};
use crate::peers::{Server, Stage};
use crate::slow_disk::{Pen, READS_PER_SECOND, SlowDisk};

/// As it is printed and kept.
pub const NAME: &str = "cold set on a slow disk";
/// What the p99 of hot objects may grow by.
pub const GOAL: f64 = 1.2;

/// Memory of a server and its page cache; the cold set is four times that.
const MEMORY_BYTES: u64 = 512 << 20;
const OBJECT_BYTES: u64 = 4 << 20;
const COLD_OBJECTS: usize = 512;
const HOT_OBJECTS: usize = 16;
/// What a hot member asks for at a time.
const HOT_RANGE_BYTES: u64 = 256 << 10;
const HOT_LINES: usize = 16;
const COLD_LINES: usize = 64;
/// A hot member waits as long between answers, so that the server is not saturated by the hot.
const THINK: Duration = Duration::from_millis(10);

/// Microseconds to the first byte of a hot answer.
struct Tail {
    p50: f64,
    p99: f64,
    /// The same until the load looked, which the load's own work delays.
    looked_p99: f64,
    cold_bytes: u64,
}

/// Runs the case for each server, `pairs` times in turns, `seconds` each, and prints it.
///
/// # Errors
/// When the disk cannot be made (this needs root) or a server fails.
pub fn run(stage: &Stage, pairs: usize, seconds: f64) -> Result<Value, Trouble> {
    let stamp = Stamp::now();
    let disk = SlowDisk::mount(&stage.folder)?;
    let fast = stage.folder.join("fast");
    write(&fast, "hot", HOT_OBJECTS)?;
    write(&disk.path, "cold", COLD_OBJECTS)?;
    // What is not written yet stays in memory whatever is dropped.
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "1")?;
    let mut told = Vec::new();
    let mut rounds: Vec<Vec<[Tail; 2]>> = vec![Vec::new(), Vec::new()];
    for _ in 0..pairs {
        for (which, list) in rounds.iter_mut().enumerate() {
            // A server of its own a round: nothing is warm but what this round warmed.
            let pen = Pen::make(if which == 0 { "oca" } else { "nginx" }, MEMORY_BYTES, &disk)?;
            let server = start(stage, which, &fast, &disk.path)?;
            pen.enclose(server.pid())?;
            let calm = measure(&server, seconds, 0)?;
            let busy = measure(&server, seconds, COLD_LINES)?;
            drop(server);
            list.push([calm, busy]);
        }
    }
    for (name, rounds) in ["oca", "nginx"].iter().zip(&rounds) {
        let of = |figure: &dyn Fn(&[Tail; 2]) -> f64| median(rounds.iter().map(figure).collect());
        let grows = of(&|[calm, busy]| busy.p99 / calm.p99);
        let (calm, busy) = (of(&|round| round[0].p99), of(&|round| round[1].p99));
        let cold = of(&|round| round[1].cold_bytes as f64) / 1e6 / seconds;
        println!(
            "{:<40} {name:<14} p99 to first byte of hot: {calm:.0} us alone, {busy:.0} us beside \
             {cold:.0} MB/s of cold: {grows:.2} times",
            if *name == "oca" { NAME } else { "" },
        );
        told.push(json!({
            "server": name, "p50_us_alone": of(&|round| round[0].p50),
            "p99_us_alone": calm, "p99_us_beside_cold": busy, "cold_mb_per_s": cold,
            "looked_p99_us_alone": of(&|round| round[0].looked_p99),
            "looked_p99_us_beside_cold": of(&|round| round[1].looked_p99),
            "grows": grows, "goal": GOAL, "reached": grows <= GOAL,
        }));
    }
    let mut row = json!({
        "case": NAME, "pairs": pairs, "seconds": seconds, "slow_disk_reads_per_s": READS_PER_SECOND,
        "memory_bytes": MEMORY_BYTES, "servers": told,
    });
    stamp.onto(&mut row);
    Ok(row)
}

fn start(stage: &Stage, which: usize, fast: &Path, slow: &Path) -> Result<Server, Trouble> {
    if which == 0 {
        return stage.oca_on_two(fast, slow, MEMORY_BYTES / 4);
    }
    // nginx has one root: the slow disk hangs below the fast one by a link.
    let root: PathBuf = stage.folder.join("root");
    if !root.exists() {
        fs::create_dir_all(&root)?;
        for folder in [fast, slow] {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                std::os::unix::fs::symlink(entry.path(), root.join(entry.file_name()))?;
            }
        }
    }
    stage.nginx_with_threads(&root, Cover::Plain)
}

fn write(folder: &Path, kind: &str, count: usize) -> Result<(), Trouble> {
    fs::create_dir_all(folder)?;
    let mut random = fastrand::Rng::with_seed(5);
    let mut bytes = vec![0; usize::try_from(OBJECT_BYTES).unwrap_or_default()];
    for index in 0..count {
        random.fill(&mut bytes);
        fs::write(folder.join(format!("{kind}{index}.mp4")), &bytes)?;
    }
    Ok(())
}

/// One connection and when it asked.
struct Member {
    line: Line,
    hot: bool,
    /// By the wall clock, since 1970: what the kernel notes arrivals by.
    asked: Duration,
    heard: bool,
}

fn measure(server: &Server, seconds: f64, cold: usize) -> Result<Tail, Trouble> {
    let mut random = fastrand::Rng::with_seed(3);
    let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(std::io::Error::from)?;
    let mut members = Vec::new();
    for index in 0..HOT_LINES + cold {
        let hot = index < HOT_LINES;
        let segments = if hot { Segments::Ethernet } else { Segments::Loopback };
        let line = Line::open(server, index, segments)?;
        if hot {
            line.note_arrivals()?;
        }
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        poll.add(line.socket(), event).map_err(std::io::Error::from)?;
        members.push(Member { line, hot, asked: wall(), heard: true });
    }
    for member in &mut members {
        member.ask(&mut random)?;
    }
    let started = Instant::now();
    // The first second makes the hot objects hot; it is not counted.
    let (from, until) = (Duration::from_secs(1), Duration::from_secs_f64(seconds + 1.0));
    let mut thinking: VecDeque<(Instant, usize)> = VecDeque::new();
    let (mut waits, mut looks, mut cold_bytes) = (Vec::new(), Vec::new(), 0);
    let mut events = [EpollEvent::empty(); 256];
    let mut desk = Desk::over(Path::new(""), 0)?;
    while started.elapsed() < until {
        while let Some((at, index)) = thinking.front().copied()
            && at <= Instant::now()
        {
            thinking.pop_front();
            members[index].ask(&mut random)?;
        }
        let count = match poll.wait(&mut events, EpollTimeout::from(1u8)) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other.map_err(std::io::Error::from)?,
        };
        for event in &events[..count] {
            let index = usize::try_from(event.data()).unwrap_or_default();
            let member = &mut members[index];
            let counted = started.elapsed() > from;
            if member.hot
                && !member.heard
                && let Some(arrived) = member.line.arrival()?
            {
                member.heard = true;
                if counted {
                    let micros = |at: Duration| at.saturating_sub(member.asked).as_secs_f64() * 1e6;
                    waits.push(micros(arrived));
                    looks.push(micros(wall()));
                }
            }
            let (bytes, seen) = member.line.look(&mut desk)?;
            cold_bytes += if member.hot || !counted { 0 } else { bytes };
            if seen == Seen::Whole {
                if member.hot {
                    thinking.push_back((Instant::now() + THINK, index));
                } else {
                    member.ask(&mut random)?;
                }
            }
        }
    }
    let (Some(p50), Some(p99), Some(looked_p99)) =
        (at_share(&mut waits, 0.5), at_share(&mut waits, 0.99), at_share(&mut looks, 0.99))
    else {
        return Err(Trouble("no hot answer began within the time".to_owned()));
    };
    Ok(Tail { p50, p99, looked_p99, cold_bytes })
}

fn at_share(samples: &mut [f64], share: f64) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get((samples.len() as f64 * share) as usize).copied()
}

impl Member {
    fn ask(&mut self, random: &mut fastrand::Rng) -> Result<(), Trouble> {
        (self.asked, self.heard) = (wall(), false);
        let (name, from, length) = if self.hot {
            let places = OBJECT_BYTES / HOT_RANGE_BYTES;
            let from = random.u64(..places) * HOT_RANGE_BYTES;
            (format!("hot{}", random.usize(..HOT_OBJECTS)), from, HOT_RANGE_BYTES)
        } else {
            (format!("cold{}", random.usize(..COLD_OBJECTS)), 0, OBJECT_BYTES)
        };
        let range = format!("Range: bytes={from}-{}\r\n", from + length - 1);
        let range = if self.hot { range.as_str() } else { "" };
        let request = format!("GET /{name}.mp4 HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
        let status = if self.hot { 206 } else { 200 };
        let request = request.into_bytes();
        self.line.ask(Ask { request, object: 0, from, length, status, compared: false })
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
