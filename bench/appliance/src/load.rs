//! Closed-loop load on loopback: keep-alive connections that ask for random objects until time is
//! up. One epoll loop on one core, so that a thousand connections cost the load no more than ten.
//!
//! A run warms up, is timed, and then lets every answer under way come to its end. What an answer
//! costs is taken over all of that, from nothing in any socket's buffer to nothing again; rates and
//! how busy server and load are, over the timed part. Paced answers take seconds: of them only the
//! timed part is looked at, and the connections begin one after another, as members do.

use std::time::{Duration, Instant};

use nightfill_harness::Trouble;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::answer::{Ask, Desk};
use crate::cases::Case;
use crate::line::{Line, Seen};
use crate::machine::{SyscallCount, cpu_seconds, own_cpu_seconds, resident_bytes};
use crate::peers::Server;

/// One answer in as many has every byte compared with its source.
pub const COMPARED_ONE_IN: u64 = 64;
/// How long nothing at all may arrive before the run is given up.
const SILENCE: Duration = Duration::from_secs(15);
const WARM: Duration = Duration::from_millis(400);
const EVENTS: usize = 512;
/// Ranges lie between these, so that their offsets have one length.
const RANGE_FROM: u64 = 100_000_000;
const RANGE_TO: u64 = 1_000_000_000;

/// What one run did and what it cost the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Whole answers, and body bytes, that `cpu` was spent on.
    pub requests: u64,
    /// Body bytes.
    pub bytes: u64,
    /// CPU seconds of the server.
    pub cpu: f64,
    /// Answers of them that were compared byte by byte.
    pub compared: u64,
    /// Body bytes a second while it was timed.
    pub bytes_per_s: f64,
    /// Whole answers a second while it was timed.
    pub requests_per_s: f64,
    /// CPU seconds of the server in each second while it was timed.
    pub server_busy: f64,
    /// The same of the load itself.
    pub load_busy: f64,
    /// System calls of the server for each GB, when they were counted.
    pub calls_per_gb: Option<f64>,
    /// Resident memory of the server at the end.
    pub resident: Option<u64>,
}

/// All connections to one server.
pub struct Crowd<'a> {
    case: Case,
    server: &'a Server,
    lines: Vec<Line>,
    poll: Epoll,
    desk: Desk,
    asks: Asks,
    /// Lines that have not asked for the first time yet, and answers under way.
    silent: usize,
    under_way: usize,
}

/// Counts and clocks at one moment of a run.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    cpu: f64,
    own_cpu: f64,
    bytes: u64,
    requests: u64,
}

impl<'a> Crowd<'a> {
    /// Connects them all, and hears one answer with every byte of it compared.
    ///
    /// # Errors
    /// When a connection cannot be made or the answer is wrong.
    pub fn gather(
        case: &Case,
        server: &'a Server,
        files: &std::path::Path,
    ) -> Result<Self, Trouble> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(std::io::Error::from)?;
        let mut lines = Vec::with_capacity(case.connections);
        for index in 0..case.connections {
            let line = Line::open(server)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            poll.add(line.socket(), event).map_err(std::io::Error::from)?;
            lines.push(line);
        }
        let mut asks = Asks { case: *case, random: fastrand::Rng::with_seed(11), asked: 0 };
        let mut desk = Desk::over(files, case.objects)?;
        if case.pace_bps.is_none() {
            desk.full_records = lines[0].rehearse(asks.next(), &mut desk)?;
        }
        let silent = lines.len();
        Ok(Self { case: *case, server, lines, poll, desk, asks, silent, under_way: 0 })
    }

    /// Runs the case, timing `seconds` of it, and counts system calls if `count_calls`.
    ///
    /// # Errors
    /// When an answer is not what was asked for.
    pub fn run(&mut self, seconds: f64, count_calls: bool) -> Result<Done, Trouble> {
        let calls = if count_calls { SyscallCount::start(self.server.pid()) } else { None };
        let mut counts = (0, 0);
        let compared = self.asks.compared();
        self.silent = self.lines.len();
        let first = self.mark(counts)?;
        // A paced member is at any place of its segment when the clock starts.
        let spread = self.case.pace_bps.map_or(Duration::ZERO, |bps| {
            Duration::from_secs_f64(self.case.object_bytes as f64 * 8.0 / bps as f64)
        });
        let warm = first.at + WARM + spread;
        self.until(warm, spread, first.at, &mut counts)?;
        let from = self.mark(counts)?;
        self.until(from.at + Duration::from_secs_f64(seconds), spread, first.at, &mut counts)?;
        let to = self.mark(counts)?;
        let (mut begin, mut end) = (from, to);
        if self.case.pace_bps.is_none() {
            self.drain(&mut counts)?;
            (begin, end) = (first, self.mark(counts)?);
        }
        let calls = calls.and_then(SyscallCount::finish);
        let wall = (to.at - from.at).as_secs_f64();
        Ok(Done {
            requests: end.requests - begin.requests,
            bytes: end.bytes - begin.bytes,
            cpu: end.cpu - begin.cpu,
            compared: self.asks.compared() - compared,
            bytes_per_s: (to.bytes - from.bytes) as f64 / wall,
            requests_per_s: (to.requests - from.requests) as f64 / wall,
            server_busy: (to.cpu - from.cpu) / wall,
            load_busy: (to.own_cpu - from.own_cpu) / wall,
            calls_per_gb: calls.map(|calls| calls as f64 / (counts.1 as f64 / 1e9)),
            resident: resident_bytes(self.server.pid()),
        })
    }

    /// Closes every connection, so that nothing goes on while others are measured.
    pub fn part(&mut self) {
        self.lines.clear();
    }

    fn mark(&self, (requests, bytes): (u64, u64)) -> Result<Mark, Trouble> {
        let cpu = cpu_seconds(self.server.pid())?;
        Ok(Mark { at: Instant::now(), cpu, own_cpu: own_cpu_seconds(), bytes, requests })
    }

    /// Asks and listens until then.
    fn until(
        &mut self,
        end: Instant,
        spread: Duration,
        began: Instant,
        counts: &mut (u64, u64),
    ) -> Result<(), Trouble> {
        let mut heard = Instant::now();
        while Instant::now() < end {
            let due = if spread.is_zero() {
                self.lines.len()
            } else {
                let share = began.elapsed().as_secs_f64() / spread.as_secs_f64();
                (share * self.lines.len() as f64) as usize
            };
            while self.silent > self.lines.len().saturating_sub(due) {
                let ask = self.asks.next();
                let index = self.lines.len() - self.silent;
                self.lines[index].ask(ask)?;
                (self.silent, self.under_way) = (self.silent - 1, self.under_way + 1);
            }
            let patience = if self.silent > 0 { 2u8 } else { 100 };
            self.listen(patience, true, &mut heard, counts)?;
        }
        Ok(())
    }

    /// Listens until every answer under way is whole.
    fn drain(&mut self, counts: &mut (u64, u64)) -> Result<(), Trouble> {
        let mut heard = Instant::now();
        while self.under_way > 0 {
            self.listen(100, false, &mut heard, counts)?;
        }
        Ok(())
    }

    fn listen(
        &mut self,
        patience_ms: u8,
        again: bool,
        heard: &mut Instant,
        counts: &mut (u64, u64),
    ) -> Result<(), Trouble> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.poll.wait(&mut events, EpollTimeout::from(patience_ms)) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other.map_err(std::io::Error::from)?,
        };
        if count > 0 {
            *heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            return Err(Trouble(format!("nothing arrived for {} s", SILENCE.as_secs())));
        }
        for event in &events[..count] {
            let line = &mut self.lines[usize::try_from(event.data()).unwrap_or_default()];
            let (bytes, seen) = line.look(&mut self.desk)?;
            counts.1 += bytes;
            if seen == Seen::Whole {
                counts.0 += 1;
                self.under_way -= 1;
                if again {
                    line.ask(self.asks.next())?;
                    self.under_way += 1;
                }
            }
        }
        Ok(())
    }
}

struct Asks {
    case: Case,
    random: fastrand::Rng,
    asked: u64,
}

impl Asks {
    fn compared(&self) -> u64 {
        self.asked.div_ceil(COMPARED_ONE_IN)
    }

    fn next(&mut self) -> Ask {
        let object = self.random.usize(..self.case.objects);
        let mut request = format!("GET /{object}.mp4 HTTP/1.1\r\nHost: localhost\r\n");
        let (mut from, mut length, mut status) = (0, self.case.object_bytes, 200);
        if let Some(bytes) = self.case.range_bytes {
            (from, length, status) = (self.random.u64(RANGE_FROM..RANGE_TO - bytes), bytes, 206);
            request.push_str(&format!("Range: bytes={from}-{}\r\n", from + bytes - 1));
        }
        if let Some(bps) = self.case.pace_bps {
            // CTA-5004: the most the player asks to be sent, kbit/s. nginx has it in its config.
            request.push_str(&format!("CMCD-Status: rtp={}\r\n", bps / 1000));
        }
        request.push_str("\r\n");
        let compared = self.asked.is_multiple_of(COMPARED_ONE_IN);
        self.asked += 1;
        Ask { request: request.into_bytes(), object, from, length, status, compared }
    }
}
