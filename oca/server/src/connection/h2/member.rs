//! One stream's answer: where it stands, what it waits for, its record at the end. It knows nothing
//! of the other streams and nothing of frames.

use oca_http::Outcome;
use oca_sys::{Kernel, Nanos};

use super::finish;
use crate::connection::Connection;
use crate::connection::admit::Turn;
use crate::connection::read::{Refusal, Short};
use crate::connection::send::{Sending, begin, record_of, refused};
use crate::limits::Bounds;
use crate::outcome::Ending;
use crate::worker::Station;

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
    /// It will not be finished, and this is what its record says.
    pub cut: Option<Ending>,
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

impl Member {
    /// An answer to the request whose head is `head`.
    pub fn new(stream: u32, head: Vec<u8>, answer: Answer, now: Nanos) -> Self {
        Self {
            stream,
            head,
            answer,
            rest: Vec::new(),
            is_over: false,
            cut: None,
            flying: None,
            waits: false,
            has_no_room: false,
            progress_at: now,
        }
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
        if !std::mem::replace(&mut self.waits, true) {
            self.progress_at = now;
        }
    }

    /// The peer's windows have no room for it from now on.
    pub fn has_no_room(&mut self, now: Nanos) {
        if !std::mem::replace(&mut self.has_no_room, true) {
            self.progress_at = now;
        }
    }

    /// Frames of it were written, with so much media in them.
    pub fn wrote(&mut self, media: u64, now: Nanos) {
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
        self.waits = false;
        self.progress_at = now;
        if let Answer::Fetching(turn) = std::mem::replace(&mut self.answer, Answer::Gone) {
            let answer = Short::Refused { outcome, total: None };
            let refusal = Refusal { note: turn.extent.note, answer, ticket: turn.extent.ticket };
            self.answer = Answer::Sending(Box::new(refused(refusal)));
        }
    }

    /// Whether there is nothing it could write now, whatever the windows say.
    pub fn has_nothing(&self) -> bool {
        let Answer::Sending(sending) = &self.answer else { return true };
        let is_paused = sending.paused_until().is_some() && self.rest.is_empty();
        self.is_over || (is_paused && !sending.has_opening())
    }

    /// The send under way is gone.
    pub fn landed<K: Kernel>(&mut self, station: &Station<K>) {
        let Some(media) = self.flying.take() else { return };
        self.progress_at = station.now();
        if let Answer::Sending(sending) = &mut self.answer {
            sending.count_first_byte(station);
            sending.record.sent += media;
            station.counters.media_bytes.add(media);
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
            Answer::Fetching(_) => Blocked::FirstChunk,
            Answer::Sending(sending) if sending.paused_until().is_some() => Blocked::Paused,
            _ if self.waits => Blocked::Chunk,
            _ if self.has_no_room => Blocked::Window,
            _ => Blocked::Not,
        }
    }

    /// When it wants to be looked at if nothing happens before.
    pub fn due(&self, bounds: &Bounds) -> Option<Nanos> {
        let within_ms = match (self.blocked(), &self.answer) {
            (Blocked::Not, _) => return None,
            (Blocked::Paused, Answer::Sending(sending)) => return sending.paused_until(),
            (Blocked::FirstChunk, _) => bounds.first_byte_ms,
            (Blocked::Paused | Blocked::Chunk | Blocked::Window, _) => bounds.send_progress_ms,
        };
        Some(self.progress_at.plus_millis(within_ms))
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        if let Answer::Sending(sending) = &mut self.answer {
            sending.resume();
        }
    }
}
