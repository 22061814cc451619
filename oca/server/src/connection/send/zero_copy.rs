//! Bodies by lending: a chunk's memory is read by the network where it lies, and stays the
//! network's until it says so. Never waits for that, and copies instead when too much is lent.
//!
//! ```text
//! push -> the head, if it is not out; then piece by piece: Sent (the socket took it, the next may
//!         go) … Returned (the network is done with it), in whatever order, perhaps after the end
//! ```
//! What the kernel reports with a return decides how a socket goes on: after `DOUBTS_MAX`
//! doubts in a row it sends plainly, and its way out is told of each. An operator who asked for
//! zero-copy sends has them, reported as copied or not. Sealed records are not lent: the buffers
//! that they are sealed into are few, and would be waited for.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;

use nix::errno::Errno;
use oca_sys::{Buffer, Kernel, Lending, Op};

use super::Sending;
use super::push::{Piece, Pushed, next_piece, open, starve, take_send_buffer};
use crate::connection::{Connection, Flight, Flow, Holds, Load, More, State};
use crate::engine::{Choice, Engine, Why};
use crate::limits::{COPY_DOUBTS, DOUBTS_MAX, LENT_SENDS_PER_CONNECTION_MAX, ZERO_COPY_BYTES_MIN};
use crate::worker::{Station, TokenKind};

/// What a connection has lent, and heard of it.
#[derive(Debug, Default)]
pub struct LentByConnection {
    /// Our own address; absent where nothing may be lent.
    own: Option<IpAddr>,
    /// Loans that are not back.
    sends: usize,
    /// From reports of copies, since the last of use.
    doubts: u32,
}

impl From<Option<IpAddr>> for LentByConnection {
    fn from(own: Option<IpAddr>) -> Self {
        Self { own, ..Self::default() }
    }
}

/// Sends the next piece from where it lies; `None` when it goes another way.
pub fn push<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Option<Pushed> {
    if connection.choice.engine != Engine::OwnedZeroCopy || !sending.is_worth_lending() {
        return None;
    }
    if station.chunks_in_flight >= station.chunks_in_flight_max {
        return None;
    }
    if sending.opening.is_some() {
        return push_head(connection, station, sending);
    }
    let (chunk, range) = match next_piece(connection.seat, station, sending, usize::MAX) {
        Piece::Bytes(chunk, range) => (chunk.buffer, range),
        Piece::None => return Some(Pushed::Waits),
        Piece::Ended(pushed) => return Some(pushed),
    };
    let media = range.len() as u64;
    launch(connection, station, (chunk, range), sending.more(), media);
    Some(Pushed::Launched)
}

/// The head by itself: it is not worth pinning a buffer for.
fn push_head<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Option<Pushed> {
    let Some(mut out) = take_send_buffer(connection, station) else {
        return Some(starve(connection, station));
    };
    let wrote = open(station, sending, Rc::get_mut(&mut out)?);
    let load = Load { holds: Holds::SendBuffer, media: 0 };
    connection.launch(station, out, 0..wrote, sending.more(), load);
    Some(Pushed::Launched)
}

/// Sends `range` of a chunk: lent if it is worth that and there is room, or else plainly.
fn launch<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    (from, range): (Rc<Buffer>, Range<usize>),
    more: More,
    media: u64,
) {
    let is_large = range.len() as u64 >= ZERO_COPY_BYTES_MIN;
    let has_room =
        connection.lent.sends < LENT_SENDS_PER_CONNECTION_MAX && station.loans.has_room_for(&from);
    if !is_large || !has_room {
        station.counters.zero_copy.fallbacks.add(u64::from(is_large));
        return connection.launch(station, from, range, more, Load { holds: Holds::Chunk, media });
    }
    station.chunks_in_flight += 1;
    station.lend(&from);
    connection.lent.sends += 1;
    let (holds, more) = (Holds::Lent, more == More::Follows);
    connection.flight =
        Some(Flight { head: 0..0, start: range.start, end: range.end, more, holds, media });
    let token = TokenKind::Lend.token(connection.seat.slot, connection.seat.generation);
    station.submit(token, Op::SendLent { socket: connection.socket, from, range, more });
}

/// A send that lent was short: the rest goes, perhaps another way.
pub fn go_on<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    rest: (Rc<Buffer>, Range<usize>),
    flight: &Flight,
) {
    let more = if flight.more { More::Follows } else { More::Last };
    match connection.choice.engine {
        Engine::OwnedZeroCopy => launch(connection, station, rest, more, flight.media),
        _ => {
            let load = Load { holds: Holds::Chunk, media: flight.media };
            connection.launch(station, rest.0, rest.1, more, load);
        }
    }
}

/// A send ended. Where it was to lend and the kernel would not, the same bytes go again, plainly,
/// and so do all that follow.
pub fn sent_or_refused<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    from: Rc<Buffer>,
) -> Flow {
    let lends = connection.flight.as_ref().is_some_and(|flight| flight.holds == Holds::Lent);
    if let (true, Ok(bytes)) = (lends, &result) {
        station.counters.zero_copy.bytes.add(*bytes as u64);
    }
    let is_refused = lends && result.as_ref().is_err_and(is_refusal);
    if !is_refused || matches!(connection.state, State::Closing) {
        return super::sent(connection, station, result, from);
    }
    let Some(flight) = connection.flight.take() else { return Flow::Wait };
    station.chunks_in_flight = station.chunks_in_flight.saturating_sub(1);
    demote(connection, station, Why::LendingRefused);
    let range = flight.start..flight.end;
    go_on(connection, station, (from, range), &flight);
    Flow::Wait
}

/// Whether an error says that this socket does not lend, or not now, and nothing of the connection.
fn is_refusal(error: &io::Error) -> bool {
    const REFUSALS: [Errno; 4] = [Errno::EOPNOTSUPP, Errno::EINVAL, Errno::ENOMEM, Errno::ENOBUFS];
    let code = error.raw_os_error();
    error.kind() == io::ErrorKind::Unsupported
        || REFUSALS.iter().any(|refusal| code == Some(*refusal as i32))
}

/// The network is done with what a send of this connection lent.
pub fn returned<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    lending: Lending,
) -> Flow {
    connection.lent.sends = connection.lent.sends.saturating_sub(1);
    let Some(own) = connection.lent.own else { return Flow::Wait };
    let doubts = match lending {
        Lending::Nothing => return Flow::Wait,
        Lending::Used => {
            connection.lent.doubts = 0;
            station.engines.zero_copy().used(own);
            return Flow::Wait;
        }
        Lending::Copied => COPY_DOUBTS,
        Lending::Unsure => 1,
    };
    connection.lent.doubts = connection.lent.doubts.saturating_add(doubts);
    let now = station.now();
    let way_copies = station.engines.zero_copy().doubted(own, doubts, now);
    let lends = connection.choice.engine == Engine::OwnedZeroCopy;
    if !lends || connection.choice.why == Why::Configured {
        return Flow::Wait;
    }
    if connection.lent.doubts >= DOUBTS_MAX {
        demote(connection, station, Why::CopiedByKernel);
    } else if way_copies {
        demote(connection, station, Why::WayOutCopies);
    }
    Flow::Wait
}

/// From here on the socket sends plainly.
fn demote<K: Kernel>(connection: &mut Connection, station: &Station<K>, why: Why) {
    connection.choice = Choice { engine: Engine::Owned, why, ..connection.choice };
    station.counters.choose(connection.choice);
}

impl Sending {
    /// Whether enough is left of a body of one stretch that lending it pays off.
    fn is_worth_lending(&self) -> bool {
        let large = |body: &super::Body| body.end - body.position >= ZERO_COPY_BYTES_MIN;
        self.pages.is_none() && self.body.as_ref().is_some_and(large)
    }
}
