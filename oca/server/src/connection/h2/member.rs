//! One stream's answer: where it stands, what it waits for, its record at the end. It knows nothing
//! of the other streams and nothing of frames.

use oca_http::Outcome;
use oca_http::h2::Code;
use oca_sys::{Kernel, Nanos};

use super::finish;
use super::lane::Lane;
use crate::connection::Connection;
use crate::connection::admit::Turn;
use crate::connection::drain_rate::DrainRate;
use crate::connection::read::{Refusal, Short};
use crate::connection::send::{Sending, begin, record_of, refused};
use crate::engine::Engine;
use crate::limits::Bounds;
use crate::outcome::Ending;
use crate::protocol::{StreamReset, Window};
use crate::worker::{Station, StreamLine};

/// An answer on its way.
pub struct Member {
    /// The stream it goes out on.
    pub stream: u32,
    /// The request's head; the record's places lie in it.
    head: Vec<u8>,
    /// What is being said.
    pub answer: Answer,
    /// Bytes of the body that are not media and go out next: a refusal's word, a part's head.
    pub rest: Vec<u8>,
    /// Its last frame was written.
    pub is_over: bool,
    /// It will not be finished, and this is why.
    pub cut: Option<Cut>,
    /// Its pace; absent where that does not matter.
    lane: Option<Box<Lane>>,
    /// How fast the peer lets it go, while its windows hold it up.
    slow: DrainRate,
    /// Something of it is in the send under way, with so much media.
    flying: Option<u64>,
    /// It asked for a chunk that was not there.
    waits: bool,
    /// The peer's windows had no room for it.
    has_no_room: bool,
    /// When it last moved, or began to wait.
    progress_at: Nanos,
}

/// As the states of a connection that speaks HTTP/1.1.
pub enum Answer {
    /// Waits for the first chunk.
    Fetching(Box<Turn>),
    /// On its way out.
    Sending(Box<Sending>),
    /// Closed: nothing is left of it but the place.
    Gone,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Nothing, or its turn.
    Not,
    /// Its rate.
    Paused,
    /// A disk, and nothing was said yet.
    FirstChunk,
    /// A disk.
    Chunk,
    /// The peer.
    Window,
}

/// What of the connection matters to how long its streams may wait.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// A send is under way. What a stream waits for may have come: it is asked for, and heard of,
    /// after that.
    pub in_flight: bool,
    /// While the connection's window is shut: when anything last went.
    pub shut_since: Option<Nanos>,
}

/// Why an answer that has begun is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The disk failed, or a chunk was bad.
    Disk,
    /// Its window stayed shut.
    Stalled,
    /// Its window let too little through.
    Slow,
}

impl Cut {
    /// What its record says.
    pub fn ending(self) -> Ending {
        match self {
            Self::Disk => Ending::Cut,
            Self::Stalled | Self::Slow => Ending::Stalled,
        }
    }

    /// What the peer hears.
    pub fn code(self) -> Code {
        match self {
            Self::Disk => Code::Internal,
            Self::Stalled | Self::Slow => Code::Cancel,
        }
    }

    /// How it is counted.
    pub fn counted(self) -> StreamReset {
        match self {
            Self::Disk => StreamReset::Cut,
            Self::Stalled => StreamReset::Stalled,
            Self::Slow => StreamReset::SlowReader,
        }
    }
}

impl Member {
    /// An answer to the request whose head is `head`.
    pub fn new(
        stream: u32,
        head: Vec<u8>,
        (answer, lane): (Answer, Option<Box<Lane>>),
        now: Nanos,
    ) -> Self {
        Self {
            stream,
            head,
            answer,
            lane,
            slow: DrainRate::default(),
            rest: Vec::new(),
            is_over: false,
            cut: None,
            flying: None,
            waits: false,
            has_no_room: false,
            progress_at: now,
        }
    }

    /// The head of its request.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether it asked for a chunk and was told to wait.
    pub fn is_waiting(&self) -> bool {
        self.waits
    }

    /// A chunk is awaited from now on.
    pub fn waits(&mut self, now: Nanos) {
        if let Answer::Fetching(turn) = &mut self.answer {
            turn.is_hot = false;
        }
        self.slow.rest();
        self.waits = true;
        // It asks when it has heard something: the chunk may have come and gone meanwhile.
        self.progress_at = now;
    }

    /// The peer's windows have no room for it from now on.
    pub fn has_no_room<K: Kernel>(&mut self, station: &Station<K>, is_shut: bool) {
        if is_shut {
            // No stream is to blame for the window of all of them.
            self.slow.rest();
        } else {
            self.slow.begin(station.now());
        }
        if !std::mem::replace(&mut self.has_no_room, true) {
            self.progress_at = station.now();
            let window = if is_shut { Window::Connection } else { Window::Stream };
            station.counters.protocols.stall(window);
        }
    }

    /// Frames of it were written, with so much media in them.
    pub fn wrote(&mut self, media: u64, now: Nanos) {
        self.slow.take(media);
        if let Some(lane) = &mut self.lane {
            lane.went(media);
        }
        self.flying = Some(self.flying.unwrap_or_default() + media);
        self.waits = false;
        self.has_no_room = false;
        self.progress_at = now;
    }

    /// The first chunk is there.
    pub fn start(&mut self, now: Nanos) {
        self.waits = false;
        self.progress_at = now;
        if let Answer::Fetching(turn) = std::mem::replace(&mut self.answer, Answer::Gone) {
            self.answer = Answer::Sending(Box::new(begin(*turn, now)));
        }
    }

    /// The first chunk will not come.
    pub fn refuse(&mut self, outcome: Outcome, now: Nanos) {
        self.answer_with(Short::Refused { outcome, total: None }, now);
    }

    /// It is answered so instead.
    pub fn answer_with(&mut self, answer: Short, now: Nanos) {
        self.waits = false;
        self.progress_at = now;
        if let Answer::Fetching(turn) = std::mem::replace(&mut self.answer, Answer::Gone) {
            let refusal = Refusal { note: turn.extent.note, answer, ticket: turn.extent.ticket };
            self.answer = Answer::Sending(Box::new(refused(refusal)));
        }
    }

    /// Whether there is nothing it could write now, whatever the windows say.
    pub fn has_nothing(&self) -> bool {
        let Answer::Sending(sending) = &self.answer else { return true };
        let is_paused = self.is_paused() && self.rest.is_empty();
        self.is_over || (is_paused && !sending.has_opening())
    }

    /// The send under way is gone.
    pub fn landed<K: Kernel>(&mut self, station: &Station<K>, engine: Engine) {
        let Some(media) = self.flying.take() else { return };
        self.progress_at = station.now();
        if let Answer::Sending(sending) = &mut self.answer {
            sending.count_first_byte(station);
            sending.record.sent += media;
            station.counters.media_bytes.add(media);
            station.counters.engine_bytes[engine.index()].add(media);
            if sending.record.note.is_fill {
                station.counters.fill_bytes.add(media);
            }
        }
    }

    /// Whether all of it went out.
    pub fn is_out(&self) -> bool {
        self.is_over && self.flying.is_none()
    }

    /// Writes its record.
    pub fn close<K: Kernel>(
        self,
        connection: &Connection,
        station: &mut Station<K>,
        ending: Ending,
    ) {
        station.counters.protocols.streams.take(1);
        let record = match self.answer {
            Answer::Fetching(turn) => record_of(*turn),
            Answer::Sending(sending) => sending.record,
            Answer::Gone => return,
        };
        finish::write_of(connection, station, &record, ending, &self.head);
    }

    /// What it waits for.
    pub fn blocked(&self) -> Blocked {
        match &self.answer {
            // Its turn to ask has not come.
            Answer::Fetching(_) if !self.waits => Blocked::Not,
            Answer::Fetching(_) => Blocked::FirstChunk,
            Answer::Sending(_) if self.is_paused() => Blocked::Paused,
            _ if self.waits => Blocked::Chunk,
            _ if self.has_no_room => Blocked::Window,
            _ => Blocked::Not,
        }
    }

    /// Its pace, while it may still send.
    pub fn lane(&self) -> Option<&Lane> {
        self.lane.as_deref().filter(|_| !self.is_over)
    }

    /// The same, to be told another.
    pub fn lane_mut(&mut self) -> Option<&mut Lane> {
        self.lane.as_deref_mut().filter(|_| !self.is_over)
    }

    /// Whether media of it may go at `now`; if not, it pauses.
    pub fn may_go(&mut self, now: Nanos) -> bool {
        let may = self.lane.as_mut().is_none_or(|lane| lane.may_go(now));
        if !may {
            self.slow.rest();
        }
        may
    }

    fn is_paused(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.paused_until().is_some())
    }

    /// Whether its windows let too little through, beside so many streams. Reads like a question,
    /// and begins the next window when this one was good enough.
    pub fn is_too_slow(&mut self, now: Nanos, bounds: &Bounds, streams: u64) -> bool {
        if bounds.slow_reader_bps == 0 {
            return false;
        }
        let own = self.lane.as_ref().and_then(|lane| lane.bps()).map_or(u64::MAX, |bps| bps / 2);
        let owed = bounds.slow_reader_bps.min(own) / streams.max(1);
        // 0 would stand for no bound.
        let bounds = Bounds { slow_reader_bps: owed.max(1), ..*bounds };
        if self.blocked() != Blocked::Window {
            if self.slow.due(&bounds).is_some_and(|due| due <= now) {
                self.slow.rest();
            }
            return false;
        }
        self.slow.is_too_slow(now, &bounds)
    }

    /// When it wants to be looked at if nothing happens before.
    pub fn due(&self, bounds: &Bounds, around: Around) -> Option<Nanos> {
        let slow = self.slow.due(bounds).filter(|_| !around.in_flight);
        self.progress_due(bounds, around).into_iter().chain(slow).min()
    }

    /// When it has waited too long for what it waits for, or its pause is over.
    pub fn progress_due(&self, bounds: &Bounds, around: Around) -> Option<Nanos> {
        let within_ms = match self.blocked() {
            Blocked::Not => return None,
            Blocked::Paused => return self.lane.as_ref()?.paused_until(),
            _ if around.in_flight => return None,
            Blocked::FirstChunk => bounds.first_byte_ms,
            Blocked::Chunk | Blocked::Window => bounds.send_progress_ms,
        };
        // It may be the turn of others, when there is little to share.
        let since = around.shut_since.filter(|_| self.blocked() == Blocked::Window);
        let since = since.map_or(self.progress_at, |shut| shut.max(self.progress_at));
        Some(since.plus_millis(within_ms))
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        if let Some(lane) = &mut self.lane {
            lane.resume();
        }
    }

    /// One line for people.
    pub fn line(&self) -> StreamLine {
        let state = match (self.blocked(), &self.answer) {
            (_, Answer::Gone) => "gone",
            (_, Answer::Fetching(_)) | (Blocked::FirstChunk, _) => "fetching",
            (Blocked::Not, _) => "sending",
            (Blocked::Paused, _) => "paused",
            (Blocked::Chunk, _) => "waits_for_disk",
            (Blocked::Window, _) => "waits_for_window",
        };
        let sent_bytes = match &self.answer {
            Answer::Sending(sending) => sending.record.sent,
            Answer::Fetching(_) | Answer::Gone => 0,
        };
        let pace_bps = self.lane.as_ref().and_then(|lane| lane.bps());
        StreamLine { stream: self.stream, state, sent_bytes, pace_bps }
    }

    /// Subject of its ticket.
    pub fn play(&self) -> Option<&str> {
        let ticket = match &self.answer {
            Answer::Fetching(turn) => turn.extent.ticket.as_ref(),
            Answer::Sending(sending) => sending.record.ticket.as_ref(),
            Answer::Gone => None,
        };
        ticket.map(|ticket| &*ticket.claims.subject)
    }
}
