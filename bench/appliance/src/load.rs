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
use crate::line::{Line, Seen, Segments};
use crate::machine::{SyscallCount, cpu_seconds, own_cpu_seconds, resident_bytes, waited_seconds};
use crate::peers::Server;

/// One answer in as many has every byte compared with its source.
pub const COMPARED_ONE_IN: u64 = 64;
/// How long nothing at all may arrive before the run is given up.
const SILENCE: Duration = Duration::from_secs(15);
const WARM: Duration = Duration::from_millis(400);
/// What is asked for at a time, and by how many connections, before a case begins.
const WARM_BYTES: u64 = 4 << 20;
const WARMERS: usize = 16;
/// Answers up to this are asked for on connections with segments as a network has them.
const SMALL_BYTES: u64 = 512 << 10;
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
    /// Seconds in each second that the server was ready while others had its core.
    pub server_waits: f64,
    /// Both of the load itself.
    pub load_busy: f64,
    /// See `server_waits`.
    pub load_waits: f64,
    /// System calls of the server for each GB, when they were counted: over what `cpu` is of.
    pub calls_per_gb: Option<f64>,
    /// The same from the first request on: with connections that have asked for nothing yet.
    pub calls_per_gb_from_start: Option<f64>,
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
    waited: f64,
    own_cpu: f64,
    own_waited: f64,
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
        let answer_bytes = case.range_bytes.unwrap_or(case.object_bytes);
        let segments =
            if answer_bytes <= SMALL_BYTES { Segments::Ethernet } else { Segments::Loopback };
        let mut lines = Vec::with_capacity(case.connections);
        for index in 0..case.connections {
            let line = Line::open(server, index, segments)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            poll.add(line.socket(), event).map_err(std::io::Error::from)?;
            lines.push(line);
        }
        let asks = Asks::of(case);
        let desk = Desk::over(files, case.objects)?;
        let case = *case;
        let mut crowd = Self { case, server, lines, poll, desk, asks, silent: 0, under_way: 0 };
        if case.pace_bps.is_none() {
            let first = crowd.asks.any();
            crowd.desk.full_records = crowd.lines[0].rehearse(first, &mut crowd.desk)?;
            crowd.warm()?;
        }
        Ok(crowd)
    }

    /// A few of them ask for everything once, so that every server has in memory what it keeps
    /// there, and nobody's first disk read is measured.
    fn warm(&mut self) -> Result<(), Trouble> {
        for line in self.lines.iter_mut().take(WARMERS) {
            if let Some(ask) = self.asks.next(Supply::Everything) {
                line.ask(ask)?;
                self.under_way += 1;
            }
        }
        let mut heard = Instant::now();
        while self.under_way > 0 {
            self.listen(100, Supply::Everything, &mut heard, &mut (0, 0))?;
        }
        Ok(())
    }

    /// Runs the case, timing `seconds` of it, and counts system calls if `count_calls`.
    ///
    /// # Errors
    /// When an answer is not what was asked for.
    pub fn run(&mut self, seconds: f64, count_calls: bool) -> Result<Done, Trouble> {
        let counter = || count_calls.then(|| SyscallCount::of(self.server.pid())).flatten();
        let (all, timed) = (counter(), counter());
        let all = all.and_then(SyscallCount::begin);
        let mut counts = (0, 0);
        let compared = self.asks.compared();
        self.silent = self.lines.len();
        let first = self.mark(counts)?;
        // A paced member is at any place of its segment when the clock starts.
        let spread = self.case.pace_bps.map_or(WARM / 2, |bps| {
            Duration::from_secs_f64(self.case.object_bytes as f64 * 8.0 / bps as f64)
        });
        let warm = first.at + WARM + spread;
        self.until(warm, spread, first.at, &mut counts)?;
        let timed = timed.and_then(SyscallCount::begin);
        let from = self.mark(counts)?;
        self.until(from.at + Duration::from_secs_f64(seconds), spread, first.at, &mut counts)?;
        let to = self.mark(counts)?;
        let timed = timed.and_then(SyscallCount::finish);
        let (mut begin, mut end) = (from, to);
        if self.case.pace_bps.is_none() {
            self.drain(&mut counts)?;
            (begin, end) = (first, self.mark(counts)?);
        }
        let all = all.and_then(SyscallCount::finish);
        let per_gb = |calls: Option<u64>, bytes| calls.map(|it| it as f64 / (bytes as f64 / 1e9));
        let from_start = per_gb(all, counts.1);
        let paced = self.case.pace_bps.is_some();
        let wall = (to.at - from.at).as_secs_f64();
        Ok(Done {
            requests: end.requests - begin.requests,
            bytes: end.bytes - begin.bytes,
            cpu: end.cpu - begin.cpu,
            compared: self.asks.compared() - compared,
            bytes_per_s: (to.bytes - from.bytes) as f64 / wall,
            requests_per_s: (to.requests - from.requests) as f64 / wall,
            server_busy: (to.cpu - from.cpu) / wall,
            server_waits: (to.waited - from.waited) / wall,
            load_busy: (to.own_cpu - from.own_cpu) / wall,
            load_waits: (to.own_waited - from.own_waited) / wall,
            calls_per_gb: if paced { per_gb(timed, to.bytes - from.bytes) } else { from_start },
            calls_per_gb_from_start: from_start,
            resident: resident_bytes(self.server.pid()),
        })
    }

    /// Closes every connection, so that nothing goes on while others are measured.
    pub fn part(&mut self) {
        self.lines.clear();
    }

    fn mark(&self, (requests, bytes): (u64, u64)) -> Result<Mark, Trouble> {
        let pid = self.server.pid();
        let (cpu, waited) = (cpu_seconds(pid)?, waited_seconds(pid));
        let (own_cpu, own_waited) = (own_cpu_seconds(), waited_seconds(std::process::id()));
        Ok(Mark { at: Instant::now(), cpu, waited, own_cpu, own_waited, bytes, requests })
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
            let share = began.elapsed().as_secs_f64() / spread.as_secs_f64();
            let due = (share * self.lines.len() as f64) as usize;
            while self.silent > self.lines.len().saturating_sub(due) {
                let ask = self.asks.any();
                let index = self.lines.len() - self.silent;
                self.lines[index].ask(ask)?;
                (self.silent, self.under_way) = (self.silent - 1, self.under_way + 1);
            }
            let patience = if self.silent > 0 { 2u8 } else { 100 };
            self.listen(patience, Supply::Any, &mut heard, counts)?;
        }
        Ok(())
    }

    /// Listens until every answer under way is whole.
    fn drain(&mut self, counts: &mut (u64, u64)) -> Result<(), Trouble> {
        let mut heard = Instant::now();
        while self.under_way > 0 {
            self.listen(100, Supply::Nothing, &mut heard, counts)?;
        }
        Ok(())
    }

    fn listen(
        &mut self,
        patience_ms: u8,
        supply: Supply,
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
            let (under_way, seconds) = (self.under_way, SILENCE.as_secs());
            return Err(Trouble(format!(
                "nothing of {under_way} answers under way arrived for {seconds} s"
            )));
        }
        for event in &events[..count] {
            let line = &mut self.lines[usize::try_from(event.data()).unwrap_or_default()];
            let (bytes, seen) = line.look(&mut self.desk)?;
            counts.1 += bytes;
            if seen == Seen::Whole {
                counts.0 += 1;
                self.under_way -= 1;
                if let Some(ask) = self.asks.next(supply) {
                    line.ask(ask)?;
                    self.under_way += 1;
                }
            }
        }
        Ok(())
    }
}

/// What a connection asks for when its answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    /// Any object, or any range of one.
    Any,
    /// What of everything was not asked for yet.
    Everything,
    /// No more.
    Nothing,
}

struct Asks {
    case: Case,
    random: fastrand::Rng,
    asked: u64,
    /// Object and offset of what has not been asked for once.
    missing: Vec<(usize, u64)>,
}

impl Asks {
    fn of(case: &Case) -> Self {
        let steps = case.object_bytes.div_ceil(WARM_BYTES);
        let all = (0..case.objects)
            .flat_map(|object| (0..steps).map(move |step| (object, step * WARM_BYTES)));
        let missing = all.collect();
        Self { case: *case, random: fastrand::Rng::with_seed(11), asked: 0, missing }
    }

    fn compared(&self) -> u64 {
        self.asked.div_ceil(COMPARED_ONE_IN)
    }

    fn next(&mut self, supply: Supply) -> Option<Ask> {
        match supply {
            Supply::Any => Some(self.any()),
            Supply::Everything => {
                let (object, from) = self.missing.pop()?;
                Some(self.ask(object, from, WARM_BYTES.min(self.case.object_bytes - from)))
            }
            Supply::Nothing => None,
        }
    }

    fn any(&mut self) -> Ask {
        let object = self.random.usize(..self.case.objects);
        match self.case.range_bytes {
            Some(bytes) => {
                let from = self.random.u64(RANGE_FROM..RANGE_TO - bytes);
                self.ask(object, from, bytes)
            }
            None => self.ask(object, 0, self.case.object_bytes),
        }
    }

    fn ask(&mut self, object: usize, from: u64, length: u64) -> Ask {
        let mut request = format!("GET /{object}.mp4 HTTP/1.1\r\nHost: localhost\r\n");
        let mut status = 200;
        if length < self.case.object_bytes {
            status = 206;
            request.push_str(&format!("Range: bytes={from}-{}\r\n", from + length - 1));
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
