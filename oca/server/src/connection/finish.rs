//! Step 8: one record for each request, then back to read, or the end of the connection.
//! Never sends media; what it sends is a farewell.

use std::rc::Rc;

use oca_http::Outcome;
use oca_sys::{Kernel, Op};

use super::read::Note;
use super::stream::Stream;
use super::{Connection, Flow, Load, More, State, keys};
use crate::access_log::Line;
use crate::library::{Found, View};
use crate::outcome::{CloseReason, Ending};
use crate::sovereign::LOOK_PATH;
use crate::tickets::Verified;
use crate::worker::{Station, TokenKind};

/// What is known of an answer, for its record.
pub struct Record {
    /// Of the request.
    pub note: Note,
    /// What is answered.
    pub outcome: Outcome,
    /// Its ticket, if one was found good.
    pub ticket: Option<Verified>,
    /// What the bytes are of.
    pub found: Option<Found>,
    /// First byte of the extent.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Bytes of it that went out.
    pub sent: u64,
    /// Whether every chunk was in memory.
    pub is_hot: bool,
}

/// The answer is out.
///
/// Sending -> Reading (kept), Parting (not kept).
pub fn complete<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    record: &Record,
) -> Flow {
    write(connection, station, record, Ending::Complete);
    connection.spare = None;
    let head_bytes = record.note.head_bytes.min(connection.plain.len());
    connection.plain.drain(..head_bytes);
    connection.progress_at = station.now();
    if record.outcome.must_close() {
        return connection.part(CloseReason::Malformed);
    }
    if station.parts_idle {
        return connection.part(CloseReason::Draining);
    }
    if !record.note.keep_alive {
        return connection.part(CloseReason::NotKept);
    }
    connection.state = State::Reading;
    Flow::Again
}

/// The connection ends in `state`; an answer that was under way is recorded with `ending`.
pub fn abandoned<K: Kernel>(
    connection: &Connection,
    station: &mut Station<K>,
    state: State,
    ending: Ending,
) {
    match state {
        State::Fetching(turn) => {
            write(connection, station, &super::send::record_of(*turn), ending);
        }
        State::Sending(sending) => write(connection, station, &sending.record, ending),
        State::Multiplexed(mut multiplex) => multiplex.abandon(connection, station, ending),
        State::Keys | State::Reading | State::Parting | State::Closing => {}
    }
}

/// The one record of a request.
fn write<K: Kernel>(
    connection: &Connection,
    station: &mut Station<K>,
    record: &Record,
    ending: Ending,
) {
    write_of(connection, station, record, ending, &connection.plain);
}

/// The one record of a request whose head is `head`.
pub fn write_of<K: Kernel>(
    connection: &Connection,
    station: &mut Station<K>,
    record: &Record,
    ending: Ending,
    head: &[u8],
) {
    station.counters.answer(record.outcome, ending);
    station.counters.protocols.request(connection.protocol);
    if let Some(found) = record.found.as_ref().filter(|found| found.view == View::Payload) {
        let now = station.now();
        station.heat.count(&found.object, found.bytes, record.sent, now);
    }
    if is_look(record, head) {
        return;
    }
    let line = Line {
        wall_ms: station.kernel.wall_ms(),
        took_ns: station.now().since(record.note.began),
        record,
        ending,
        head,
        peer: connection.peer,
        keys: connection.stream.keys(),
        protocol: connection.protocol,
    };
    station.log.add(&line, &station.counters);
}

/// Whether a neighbour asked if we are there: counted, and no news for a log.
fn is_look(record: &Record, head: &[u8]) -> bool {
    let path = head.get(record.note.path.clone()).unwrap_or_default();
    record.outcome == Outcome::Preflight && path == LOOK_PATH.as_bytes()
}

/// One step of the end: farewell, FIN, then the peer's FIN.
///
/// Parting -> Parting, Closing.
pub fn part<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if !connection.shut {
        if farewell(connection, station) == Flow::Wait {
            return Flow::Wait;
        }
        connection.shut = true;
        connection.progress_at = station.now();
        let token = TokenKind::Shutdown.token(connection.seat.slot, connection.seat.generation);
        station.submit(token, Op::Shutdown { socket: connection.socket });
        return Flow::Wait;
    }
    if connection.peer_done {
        return connection.abort(station, CloseReason::PeerClosed, Ending::Complete);
    }
    connection.receive(station);
    Flow::Wait
}

/// TLS says goodbye before TCP does, so that nobody can cut an answer short unnoticed. `Wait` when
/// it is on its way; it is said once.
fn farewell<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let Stream::Tls(tls) = &mut connection.stream else { return Flow::Again };
    if tls.said_farewell() {
        return Flow::Again;
    }
    if tls.kernel_seals() {
        tls.farewell(&mut []);
        let said = keys::say_by_kernel(connection, station);
        return if said { Flow::Wait } else { Flow::Again };
    }
    // Without a buffer the peer has to do without.
    let Some(mut out) = station.send_buffer() else { return Flow::Again };
    let wrote = tls.farewell(&mut out);
    if wrote == 0 {
        return Flow::Again;
    }
    connection.launch(station, Rc::new(out), 0..wrote, More::Last, Load::NO_MEDIA);
    Flow::Wait
}
