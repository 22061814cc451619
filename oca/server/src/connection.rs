//! One connection: its state, and the steps that move it. Never waits; each step says whether to go
//! on or that something will happen later.
//!
//! ```text
//! accept -> Keys -> Reading -> Fetching -> Sending -> Reading …
//!             |        |  '---(answer without a chunk)--^  |
//!             v        v          v            v           v
//!           Parting (FIN sent, peer's end awaited) ----> Closing
//! ```
//!
//! The steps of a request, one file each; what a step gives is the type that the next demands:
//!
//! | step | takes → gives |
//! |---|---|
//! | accept | socket → `Connection` |
//! | keys | bytes → `Stream` with keys |
//! | read | bytes → `Request` |
//! | authorize | `Request` → `Allowed` |
//! | locate | `Allowed` → `Extent` |
//! | admit | `Extent` → `Turn` |
//! | send | `Turn` → bytes gone |
//! | finish | one record, back to read or close |

mod accept;
mod admit;
mod authorize;
mod deadlines;
mod drain_rate;
mod elsewhere;
mod finish;
mod flight;
mod h2;
mod keys;
mod line;
mod locate;
mod mood;
mod next;
mod read;
mod send;
mod steering;
mod stream;
mod taken;
mod tempo;

use std::net::SocketAddr;
use std::rc::Rc;

use oca_sys::{Buffer, Event, Kernel, Nanos, Op, SocketId};

use crate::clients::ClientPlace;
use crate::engine::Choice;
use crate::limits::Bounds;
use crate::outcome::{CloseReason, Ending};
use crate::protocol::Protocol;
use crate::worker::{Fault, Seat, Station, TokenKind};

pub use accept::accept;
use admit::Turn;
pub use deadlines::overdue;
use drain_rate::DrainRate;
pub use finish::Record;
use flight::{Flight, Holds, Load, More, Resident};
pub use mood::Mood;
pub use send::returned;
use send::{LentByConnection, Sending};
use stream::Stream;
use taken::Taken;
use tempo::Tempo;

/// What a step leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Step again: the state changed.
    Again,
    /// Something is under way and will come back.
    Wait,
}

/// Where a connection stands. Each state says what it waits for.
enum State {
    /// For the handshake's next bytes.
    Keys,
    /// For a request head.
    Reading,
    /// For the first chunk, so that a bad one can still be answered with a status.
    Fetching(Box<Turn>),
    /// For bytes to go out, or for the next chunk.
    Sending(Box<Sending>),
    /// For frames, or for what the answers on any of its streams wait for.
    Multiplexed(Box<h2::Multiplex>),
    /// For the peer's end, after ours.
    Parting,
    /// For the kernel to give the socket up.
    Closing,
}

/// One accepted socket and everything that belongs to it.
pub struct Connection {
    seat: Seat,
    socket: SocketId,
    peer: SocketAddr,
    /// Where its client is counted; absent when nobody is.
    client: Option<ClientPlace>,
    accepted_at: Nanos,
    stream: Stream,
    /// Which way bodies go, and why.
    choice: Choice,
    /// Clear bytes from the peer: the head being answered, then what came after it.
    plain: Vec<u8>,
    state: State,
    /// A `Receive` is under way.
    receiving: bool,
    /// A `Send` is under way; nothing else is stepped until it ends.
    flight: Option<Flight>,
    /// A send buffer kept between the sends of one answer.
    spare: Option<Rc<Buffer>>,
    /// What the network has of ours.
    lent: LentByConnection,
    /// The peer sent its last byte.
    peer_done: bool,
    /// FIN is on its way.
    shut: bool,
    /// Last time a byte moved, or the state was entered.
    progress_at: Nanos,
    drain_rate: DrainRate,
    /// What the peer was found to have of it all.
    taken: Taken,
    tempo: Tempo,
    /// What is spoken, as far as it is known.
    protocol: Protocol,
    requests: u64,
    sent_bytes: u64,
    reason: Option<CloseReason>,
}

impl Connection {
    /// Where its client is counted.
    pub fn client(&self) -> Option<ClientPlace> {
        self.client
    }

    fn has_begun_a_head(&self) -> bool {
        !self.plain.is_empty() || self.stream.has_incoming()
    }

    /// Asks for the peer's next bytes, once.
    fn receive<K: Kernel>(&mut self, station: &mut Station<K>) {
        if self.receiving || self.peer_done {
            return;
        }
        if self.plain.is_empty() {
            // What an idle connection keeps, fifty thousand of them keep.
            station.keep_bytes(std::mem::take(&mut self.plain));
            self.stream.rest();
        }
        self.receiving = true;
        let token = TokenKind::Receive.token(self.seat.slot, self.seat.generation);
        station.submit(token, Op::ReceiveAny { socket: self.socket });
    }

    /// Starts the end: what we have to say first, then FIN, then the peer's FIN or a deadline.
    fn part(&mut self, reason: CloseReason) -> Flow {
        self.reason.get_or_insert(reason);
        self.state = State::Parting;
        Flow::Again
    }

    /// Ends at once; an answer under way gets `ending`.
    fn abort<K: Kernel>(
        &mut self,
        station: &mut Station<K>,
        reason: CloseReason,
        ending: Ending,
    ) -> Flow {
        if matches!(self.state, State::Closing) {
            return Flow::Wait;
        }
        let state = std::mem::replace(&mut self.state, State::Closing);
        finish::abandoned(self, station, state, ending);
        let reason = *self.reason.get_or_insert(reason);
        station.counters.close(reason);
        let token = TokenKind::CloseSocket.token(self.seat.slot, self.seat.generation);
        station.submit(token, Op::CloseSocket { socket: self.socket });
        Flow::Wait
    }
}

/// Steps the connection once.
pub fn advance<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if connection.flight.is_some() {
        return Flow::Wait;
    }
    station.access = send::access(connection.choice);
    let flow = match &mut connection.state {
        State::Keys => keys::step(connection, station),
        State::Reading => advance_reading(connection, station),
        State::Fetching(_) => send::fetch(connection, station),
        State::Sending(_) => send::step(connection, station),
        State::Multiplexed(_) => h2::step(connection, station),
        State::Parting => finish::part(connection, station),
        State::Closing => Flow::Wait,
    };
    if is_held_up(connection, &station.shared.rules.bounds) {
        connection.drain_rate.begin(station.now());
    } else {
        connection.drain_rate.rest();
    }
    if !matches!(connection.state, State::Fetching(_) | State::Sending(_)) {
        connection.tempo.rest();
    }
    flow
}

/// Whether bytes wait for the client, and it is not us who holds them back.
fn is_held_up(connection: &Connection, bounds: &Bounds) -> bool {
    match &connection.state {
        State::Sending(_) => connection.flight.is_some() && !connection.tempo.is_slow(bounds),
        State::Multiplexed(multiplex) => multiplex.is_held_up(connection, bounds),
        _ => false,
    }
}

/// The life of a request, in order.
fn advance_reading<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if let Stream::Tls(_) = connection.stream {
        keys::offer(connection, station);
        if keys::decrypt(connection, station, read::has_head) == Flow::Wait {
            return Flow::Wait;
        }
        if !matches!(connection.state, State::Reading) {
            // It failed, and what is left to do is said or on its way.
            return Flow::Again;
        }
        if matches!(&connection.stream, Stream::Tls(tls) if tls.must_end()) {
            return connection.part(CloseReason::KeySpent);
        }
    }
    let turned = match read::next(connection, station) {
        Ok(None) => return read::more(connection, station),
        Ok(Some(request)) => turn(request, connection.peer, station),
        Err(_) if h2::is_wanted(connection, station) => {
            h2::open(connection, station);
            return Flow::Again;
        }
        Err(refusal) => Err(refusal),
    };
    if connection.requests == 0 {
        station.counters.protocols.connection(Protocol::H1);
    }
    connection.requests += 1;
    connection.progress_at = station.now();
    match turned {
        Ok(mut turn) => {
            tempo::begin(connection, station, &mut turn);
            send::take_up(connection, station, turn)
        }
        Err(refusal) => {
            send::refuse(connection, station, *refusal);
            Flow::Again
        }
    }
}

/// From what is asked to what may go out.
fn turn<K: Kernel>(
    request: read::Request<'_>,
    peer: SocketAddr,
    station: &mut Station<K>,
) -> Result<Turn, Box<read::Refusal>> {
    authorize::check(request, peer, station)
        .and_then(|allowed| locate::find(allowed, station))
        .and_then(|extent| admit::admit(extent, station))
}

/// Something the connection had under way ended.
pub fn arrived<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    event: Event,
) -> Flow {
    match event {
        Event::Received(result, buffer) => {
            connection.receiving = false;
            read::received(connection, station, result, &buffer)
        }
        Event::ReceiveEnded(result) => {
            connection.receiving = false;
            read::received(connection, station, result.map(|()| 0), &[])
        }
        Event::Sent(result, buffer) => {
            connection.drain_rate.take(result.as_ref().map_or(0, |bytes| *bytes as u64));
            tempo::renew(connection, station);
            send::sent_or_refused(connection, station, result, buffer)
        }
        Event::SentBehind(result, head, chunk) => {
            connection.drain_rate.take(result.as_ref().map_or(0, |bytes| *bytes as u64));
            tempo::renew(connection, station);
            send::behind_sent(connection, station, result, (head, chunk))
        }
        Event::FileSent(result, head) => {
            connection.drain_rate.take(result.as_ref().map_or(0, |bytes| *bytes as u64));
            tempo::renew(connection, station);
            send::file_sent(connection, station, result, head)
        }
        Event::ShutDown(_) => Flow::Again,
        _ => Flow::Wait,
    }
}

/// Something that the connection waits for may be there: it is worth asking again.
pub fn told(connection: &mut Connection) -> Flow {
    h2::told(connection);
    Flow::Again
}

/// Bytes that the connection waits for will not come.
pub fn failed<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    fault: Fault,
) -> Flow {
    h2::told(connection);
    send::failed(connection, station, fault)
}

/// The appliance drains: idle connections part now, the others after their answer, or soon when
/// they have not asked yet.
pub fn drain<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    match connection.state {
        State::Reading if connection.flight.is_none() && connection.is_let_go(station) => {
            connection.part(CloseReason::Draining)
        }
        State::Multiplexed(_) => Flow::Again,
        _ => Flow::Wait,
    }
}

/// Ends the connection whatever it does.
pub fn end<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    reason: CloseReason,
) -> Flow {
    connection.abort(station, reason, Ending::Abandoned)
}
