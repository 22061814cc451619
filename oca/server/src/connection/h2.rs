//! Many answers on one connection: HTTP/2 between the socket and the same steps that every request
//! goes through. Never judges a request and never reads a disk: it shares both with HTTP/1.1.
//!
//! ```text
//! bytes -> oca_http::h2::Session -> head as text -> read, authorize, locate, admit -> Member
//! Members, in turn: chunk -> DATA frame -> send buffer (sealed, under TLS) -> socket
//! ```
//!
//! A connection has one send under way, as in HTTP/1.1; it carries frames of several streams. Bytes
//! are copied once more than there, into the frames, which is what it costs to speak HTTP/2.
//!
//! One stream at a time waits for a disk, as one request does in HTTP/1.1: a client must not fill a
//! disk's queue by itself, and a seat that is told something must know what about. Streams whose
//! bytes are in memory go past it.
//!
//! The end of a connection is a GOAWAY: streams under way finish, later ones are told to go
//! elsewhere.

mod assemble;
mod deadlines;
mod lane;
mod listen;
mod member;
mod queue;

use std::rc::Rc;

use oca_http::Outcome;
use oca_http::h2::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES, PREFACE, Session};
use oca_sys::{Kernel, Nanos};

use super::send::{chunk_index, outcome_of};
use super::stream::{Stream, clear_bytes_that_fit};
use super::{Connection, Flow, Load, More, State, elsewhere, finish, keys};
use crate::engine::Engine;
use crate::library::Library;
use crate::limits::LISTED_STREAMS_MAX;
use crate::outcome::{CloseReason, Ending};
use crate::protocol::{GoAway, Protocol};
use crate::worker::{Station, StreamLine, Wish};
pub use deadlines::{overdue, too_slow};
use member::{Answer, Member};
use queue::Queue;

/// Places for answers that an idle connection keeps.
const MEMBERS_KEPT: usize = 4;

/// The streams of one connection.
pub struct Multiplex {
    session: Session,
    members: Vec<Member>,
    /// Whose turn it is.
    next: usize,
    /// The seat was told something: who waits for a disk may ask again, once.
    may_ask: bool,
    /// The peer broke a rule, or is too slow: nothing but our GOAWAY goes out. Why it closes then.
    failed: Option<CloseReason>,
    /// What is under way must be gone by then, for the GOAWAY to go.
    last_word_until: Option<Nanos>,
    /// Why the connection is to end once nothing is left.
    ending: Option<CloseReason>,
    /// When a request was begun that has no end yet.
    half_since: Option<Nanos>,
    /// When a frame or a block of fields was begun that has no end yet.
    begun_since: Option<Nanos>,
    /// When something was last asked for, answered, or taken off the socket at the other end, as an
    /// opened window shows: a close would cut off what is not yet. Pings do not count.
    idle_since: Nanos,
}

impl Multiplex {
    /// Whether no stream is open.
    pub fn is_quiet(&self) -> bool {
        self.members.is_empty() && self.session.streams() == 0
    }
}

/// What is left to do with the connection.
enum Next {
    Wait,
    Again,
    Part(CloseReason),
    Abort(CloseReason, Ending),
}

/// The connection speaks HTTP/2 from here on.
pub fn open<K: Kernel>(connection: &mut Connection, station: &Station<K>) {
    connection.protocol = Protocol::H2;
    station.counters.protocols.connection(Protocol::H2);
    connection.state = State::Multiplexed(Box::new(Multiplex {
        session: Session::new(),
        members: Vec::new(),
        next: 0,
        may_ask: false,
        failed: None,
        last_word_until: None,
        ending: None,
        half_since: None,
        begun_since: Some(station.now()),
        idle_since: station.now(),
    }));
}

/// Whether what could not be read as HTTP/1.1 is the start of HTTP/2 in the clear. Only a lab
/// takes that: it is for people with tools, and members come with TLS.
pub fn is_wanted<K: Kernel>(connection: &Connection, station: &Station<K>) -> bool {
    let start = connection.plain.get(..PREFACE.len()).unwrap_or(&connection.plain);
    let takes_it = station.shared.rules.clear_h2;
    matches!(connection.stream, Stream::Clear)
        && (takes_it || matches!(*station.shared.library, Library::Lab(_)))
        && start.starts_with(b"PRI * HTTP/2.0\r\n\r\n")
        && PREFACE.starts_with(start)
}

/// A chunk, a buffer or a turn on a device may be there.
pub fn told(connection: &mut Connection) {
    if let State::Multiplexed(multiplex) = &mut connection.state {
        multiplex.may_ask = true;
    }
}

/// Takes in what has come and sends what can go.
///
/// Multiplexed -> Multiplexed, Parting (left, or a broken rule), Closing.
pub fn step<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let encrypted = connection.stream.is_encrypted();
    if encrypted && keys::decrypt(connection, station, has_frame) == Flow::Wait {
        return Flow::Wait;
    }
    with(connection, station, |multiplex, connection, station| {
        multiplex.advance(connection, station)
    })
}

fn has_frame(plain: &[u8], _seen: usize) -> bool {
    plain.len() >= FRAME_HEAD_BYTES + FRAME_BYTES_MAX
}

/// Lends the streams out of their connection and does with it what is left to do.
fn with<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    act: impl FnOnce(&mut Multiplex, &mut Connection, &mut Station<K>) -> Next,
) -> Flow {
    let state = std::mem::replace(&mut connection.state, State::Reading);
    let State::Multiplexed(mut multiplex) = state else {
        connection.state = state;
        return Flow::Wait;
    };
    let next = act(&mut multiplex, connection, station);
    connection.state = State::Multiplexed(multiplex);
    match next {
        Next::Wait => Flow::Wait,
        Next::Again => Flow::Again,
        Next::Part(reason) => connection.part(reason),
        Next::Abort(reason, ending) => connection.abort(station, reason, ending),
    }
}

impl Multiplex {
    fn advance<K: Kernel>(
        &mut self,
        connection: &mut Connection,
        station: &mut Station<K>,
    ) -> Next {
        self.retire(connection, station);
        let heard = self.listen(connection, station);
        if station.parts_idle || (station.draining && !self.members.is_empty()) {
            self.leave(station, CloseReason::Draining);
        }
        lane::settle(&mut self.members, connection, station);
        self.fetch(connection, station);
        let pushed = self.push(connection, station);
        match pushed {
            // Windows are opened while bytes are on their way.
            Next::Wait if connection.flight.is_some() => connection.receive(station),
            Next::Wait if let Some(reason) = self.failed => return Next::Part(reason),
            Next::Wait if self.members.is_empty() => {
                self.rest();
                if let Some(reason) = self.ending.filter(|_| self.session.streams() == 0) {
                    return Next::Part(reason);
                }
                if connection.peer_done {
                    return Next::Part(CloseReason::PeerClosed);
                }
                connection.receive(station);
            }
            Next::Wait => connection.receive(station),
            _ => return pushed,
        }
        // A record may still be undecrypted behind the bytes that were taken.
        if heard && connection.flight.is_none() { Next::Again } else { Next::Wait }
    }

    /// No answer is under way: room that only many at once needed is given back.
    fn rest(&mut self) {
        if self.members.capacity() > MEMBERS_KEPT {
            self.members.shrink_to(MEMBERS_KEPT);
        }
        self.session.rest();
    }

    /// Answers no more requests than those under way, and ends with the last of them.
    fn leave<K: Kernel>(&mut self, station: &Station<K>, reason: CloseReason) {
        if self.failed.is_none() && !self.session.is_leaving() {
            self.session.leave();
            station.counters.protocols.go_away(GoAway::Leaving);
        }
        self.ending.get_or_insert(reason);
    }

    /// Gets first chunks.
    fn fetch<K: Kernel>(&mut self, connection: &Connection, station: &mut Station<K>) {
        let mut queue = Queue::of(&self.members, &mut self.may_ask);
        for member in &mut self.members {
            let Answer::Fetching(turn) = &member.answer else { continue };
            if !turn.has_body() {
                member.start(station.now());
                continue;
            }
            let (found, index) = (turn.extent.found, chunk_index(turn.extent.start));
            if !queue.lets(member, station, &found, index) {
                continue;
            }
            let began = turn.extent.note.began;
            match station.first_chunk(&found, index, connection.seat, began) {
                Wish::Ready(_) => member.start(station.now()),
                Wish::Later => member.waits(station.now()),
                Wish::Never(fault) => {
                    let (head, outcome) = (member.head(), outcome_of(fault));
                    let answer = elsewhere::or_refused(head, connection.peer, station, outcome);
                    member.answer_with(answer, station.now());
                }
                Wish::OverBudget => member.refuse(Outcome::OverBudget, station.now()),
            }
            queue.asked(member);
        }
    }

    /// Sends as many frames as a send buffer holds.
    fn push<K: Kernel>(&mut self, connection: &mut Connection, station: &mut Station<K>) -> Next {
        if self.session.control().is_empty() && self.members.iter().all(Member::has_nothing) {
            return Next::Wait;
        }
        let Some(mut out) = station.send_buffer() else { return starve(connection, station) };
        let (wrote, media) = match &mut connection.stream {
            Stream::Clear => self.assemble(connection.seat, station, &mut out),
            Stream::Tls(_) => {
                let Some(mut clear) = station.send_buffer() else {
                    return starve(connection, station);
                };
                let room = clear_bytes_that_fit(out.len()).min(clear.len());
                let (bytes, media) = self.assemble(connection.seat, station, &mut clear[..room]);
                let Stream::Tls(tls) = &mut connection.stream else { return Next::Wait };
                match tls.seal(&clear[..bytes], &mut out) {
                    Ok(wrote) => (wrote, media),
                    Err(_) => return Next::Abort(CloseReason::Cut, Ending::Cut),
                }
            }
        };
        let cut = self.cut(connection, station);
        if wrote > 0 {
            let load = Load { media, ..Load::NO_MEDIA };
            // What it waited for so far was not the socket.
            connection.progress_at = station.now();
            connection.launch(station, Rc::new(out), 0..wrote, More::Last, load);
        }
        if cut && wrote == 0 { Next::Again } else { Next::Wait }
    }

    /// Resets the streams whose bytes will not come; true when there were any.
    fn cut<K: Kernel>(&mut self, connection: &Connection, station: &mut Station<K>) -> bool {
        let cut: Vec<_> =
            self.members.iter().filter_map(|member| Some((member.stream, member.cut?))).collect();
        for (stream, cut) in &cut {
            self.session.reset(*stream, cut.code());
            station.counters.protocols.reset(cut.counted());
            self.lose(connection, station, *stream, cut.ending());
        }
        !cut.is_empty()
    }

    /// The last send is gone: what it carried counts.
    pub fn landed<K: Kernel>(&mut self, station: &Station<K>, engine: Engine) {
        // Nothing was listened to meanwhile: the rest may be here.
        for since in [&mut self.begun_since, &mut self.half_since] {
            *since = since.map(|_| station.now());
        }
        for member in &mut self.members {
            member.landed(station, engine);
        }
    }

    /// Writes the records of answers that are out.
    fn retire<K: Kernel>(&mut self, connection: &Connection, station: &mut Station<K>) {
        let mut at = 0;
        while let Some(member) = self.members.get(at) {
            if !member.is_out() {
                at += 1;
                continue;
            }
            let member = self.members.remove(at);
            self.idle_since = station.now();
            member.close(connection, station, Ending::Complete);
        }
    }

    /// A stream ended before its answer.
    fn lose<K: Kernel>(
        &mut self,
        connection: &Connection,
        station: &mut Station<K>,
        stream: u32,
        ending: Ending,
    ) {
        if let Some(at) = self.members.iter().position(|member| member.stream == stream) {
            self.idle_since = station.now();
            self.members.remove(at).close(connection, station, ending);
        }
    }

    /// The connection ends: every answer under way gets `ending`.
    pub fn abandon<K: Kernel>(
        &mut self,
        connection: &Connection,
        station: &mut Station<K>,
        ending: Ending,
    ) {
        for member in std::mem::take(&mut self.members) {
            let ending = if member.is_out() { Ending::Complete } else { ending };
            member.close(connection, station, ending);
        }
    }

    /// Streams under way, for people: how many, and some of them.
    pub fn lines(&self) -> (usize, Vec<StreamLine>) {
        let some = self.members.iter().take(LISTED_STREAMS_MAX);
        (self.members.len(), some.map(Member::line).collect())
    }

    /// Subject of the first ticket under way.
    pub fn play(&self) -> Option<&str> {
        self.members.iter().find_map(Member::play)
    }
}

fn starve<K: Kernel>(connection: &Connection, station: &mut Station<K>) -> Next {
    match station.starve(connection.seat) {
        Ok(()) => Next::Wait,
        Err(_) => Next::Abort(CloseReason::OverBudget, Ending::Abandoned),
    }
}
