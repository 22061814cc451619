//! Closed-loop load on loopback: keep-alive connections that ask for random objects until time is
//! up. One epoll loop on one core, so that a thousand connections cost the load no more than ten.

use std::time::{Duration, Instant};

use nightfill_harness::Trouble;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::cases::Case;
use crate::line::{Line, Seen, head_bytes_of};
use crate::machine::{SyscallCount, cpu_seconds, resident_bytes};
use crate::peers::Server;

/// How long nothing at all may arrive before the run is given up.
const SILENCE: Duration = Duration::from_secs(10);
const EVENTS: usize = 512;
/// The most that one look at a plain connection takes.
const SCRATCH_BYTES: usize = 1 << 20;
/// Ranges lie between these, so that their offsets, and so their heads, have one length.
const RANGE_FROM: u64 = 100_000_000;
const RANGE_TO: u64 = 1_000_000_000;

/// What one run did and what it cost the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Whole answers.
    pub requests: u64,
    /// Bytes of bodies (and, within TLS, of heads) that arrived.
    pub bytes: u64,
    /// How long it ran.
    pub seconds: f64,
    /// CPU seconds of the server meanwhile.
    pub cpu: f64,
    /// System calls of the server meanwhile, when they were counted.
    pub syscalls: Option<u64>,
    /// Resident memory of the server at the end.
    pub resident: Option<u64>,
}

/// Runs `case` against `server` for `seconds`, counting system calls if `count_calls`.
///
/// # Errors
/// When a connection cannot be made or an answer is not what was asked.
pub fn run(case: &Case, server: &Server, seconds: u64, count_calls: bool) -> Result<Done, Trouble> {
    let mut asks = Asks { case: *case, random: fastrand::Rng::with_seed(11) };
    let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(std::io::Error::from)?;
    let mut lines = Vec::with_capacity(case.connections);
    let head_bytes = match &server.trust {
        Some(_) => head_bytes_of(server, &asks.next(), asks.status())?,
        None => 0,
    };
    for index in 0..case.connections {
        let line = Line::open(server, head_bytes)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        poll.add(line.socket(), event).map_err(std::io::Error::from)?;
        lines.push(line);
    }
    let calls = if count_calls { SyscallCount::start(server.pid(), seconds) } else { None };
    let (started, cpu) = (Instant::now(), cpu_seconds(server.pid())?);
    for line in &mut lines {
        let request = asks.next();
        line.ask(&request, asks.length(), asks.status())?;
    }
    let mut done = Done::default();
    let mut events = [EpollEvent::empty(); EVENTS];
    let mut scratch = vec![0; SCRATCH_BYTES];
    let until = started + Duration::from_secs(seconds);
    let mut heard = started;
    while Instant::now() < until {
        let count = match poll.wait(&mut events, EpollTimeout::from(100u8)) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other.map_err(std::io::Error::from)?,
        };
        if count > 0 {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            return Err(Trouble(format!("nothing arrived for {} s", SILENCE.as_secs())));
        }
        for event in &events[..count] {
            let line = &mut lines[usize::try_from(event.data()).unwrap_or_default()];
            let (bytes, seen) = line.look(&mut scratch)?;
            done.bytes += bytes;
            if seen == Seen::Whole {
                done.requests += 1;
                let request = asks.next();
                line.ask(&request, asks.length(), asks.status())?;
            }
        }
    }
    done.cpu = cpu_seconds(server.pid())? - cpu;
    done.seconds = started.elapsed().as_secs_f64();
    done.resident = resident_bytes(server.pid());
    done.syscalls = calls.and_then(SyscallCount::finish);
    Ok(done)
}

struct Asks {
    case: Case,
    random: fastrand::Rng,
}

impl Asks {
    fn length(&self) -> u64 {
        self.case.range_bytes.unwrap_or(self.case.object_bytes)
    }

    fn status(&self) -> u16 {
        if self.case.range_bytes.is_some() { 206 } else { 200 }
    }

    fn next(&mut self) -> Vec<u8> {
        let name = self.random.usize(..self.case.objects);
        let mut request = format!("GET /{name}.mp4 HTTP/1.1\r\nHost: localhost\r\n");
        if let Some(bytes) = self.case.range_bytes {
            let from = self.random.u64(RANGE_FROM..RANGE_TO - bytes);
            request.push_str(&format!("Range: bytes={from}-{}\r\n", from + bytes - 1));
        }
        if let Some(bps) = self.case.pace_bps {
            // CTA-5004: the most the player asks to be sent, kbit/s. nginx has it in its config.
            request.push_str(&format!("CMCD-Status: rtp={}\r\n", bps / 1000));
        }
        request.push_str("\r\n");
        request.into_bytes()
    }
}
