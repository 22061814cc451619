//! Step 7: a `Turn` becomes bytes gone: head first, then chunk after chunk, one send at a time.
//! Never reads a disk itself and never holds more than one chunk for itself.
//!
//! Clear: the chunk's own memory is handed to the kernel, the processor copies nothing; the same
//! where the kernel seals. TLS in user space: a batch of records is encrypted from the chunk's
//! memory into a send buffer. Between two sends nothing is pinned: a slow reader keeps a place in a
//! socket's queue, not a chunk in memory.

mod file;
mod pace;
mod push;
mod zero_copy;

use std::io;
use std::rc::Rc;

use control_types::limits::CHUNK_BYTES;
use oca_http::{Method, Outcome, Spans};
use oca_sys::{Buffer, Head, Kernel, Nanos};

use super::admit::Turn;
use super::finish::{self, Record};
use super::read::{Refusal, Short};
use super::stream::Stream;
use super::{Connection, Flow, Holds, More, State, elsewhere};
use crate::counters::class_row;
use crate::hot_set::Chunk;
use crate::library::Found;
use crate::limits::{SEND_BYTES, SMALL_BODY_BYTES_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::worker::{Fault, Station, Wish};
pub use file::{access, file_sent};
use pace::Pace;
pub use push::{Piece, next_piece, open};
use push::{Pushed, give_back, push_clear, push_tls};
pub use zero_copy::{LentByConnection, returned, sent_or_refused};

/// An answer on its way out.
pub struct Sending {
    /// What will be said of it.
    pub record: Record,
    /// The head, until it is written.
    opening: Option<Opening>,
    /// What is left of a written head that did not go out with its body.
    rest: Option<Head>,
    body: Option<Body>,
    /// The stretches of the body, until its end is written; absent where there is one.
    pages: Option<Pages>,
    /// A body that is not media, until it is written behind its head.
    text: Option<Rc<[u8]>>,
    first_byte_counted: bool,
}

/// Which head to write.
#[derive(Clone)]
enum Opening {
    Media(Found),
    /// What stands between two stretches of a body, or at its end.
    Page(Found),
    Short(Short),
}

/// A body of several stretches.
struct Pages {
    spans: Box<Spans>,
    /// The stretch whose head is written next; one past the last stands for the end.
    next: usize,
}

struct Body {
    found: Found,
    position: u64,
    end: u64,
    /// The last chunk whose use is settled: it was counted, or it was awaited.
    settled: Option<u32>,
    /// The last chunk that was tried to be read ahead.
    ahead: Option<u32>,
    waits_for_disk: bool,
    /// The last chunk that the page cache was found not to have.
    cold: Option<u32>,
    /// The chunk that the body begins in, as it was found a moment ago: gone with the first step,
    /// so that whoever waits holds none.
    first: Option<(u32, Chunk)>,
    pace: Option<Pace>,
}

impl Sending {
    /// When to go on, if the rate says to wait.
    pub fn paused_until(&self) -> Option<Nanos> {
        self.body.as_ref()?.pace.as_ref()?.paused_until
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        if let Some(pace) = self.body.as_mut().and_then(|body| body.pace.as_mut()) {
            pace.paused_until = None;
        }
    }

    /// Whether the next chunk is awaited.
    pub fn waits_for_disk(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.waits_for_disk)
    }

    /// Where the next bytes of the body are.
    pub fn next_chunk(&self) -> Option<(Found, u32)> {
        self.body.as_ref().map(|body| (body.found, chunk_index(body.position)))
    }

    /// Whether a head, or what stands between two stretches, is to be written next.
    pub fn has_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// The body that goes behind the head just written, if it is not media.
    pub fn take_text(&mut self) -> Option<Rc<[u8]>> {
        self.text.take()
    }

    /// Whether the next opening is the head of the answer.
    pub fn opens_with_head(&self) -> bool {
        matches!(self.opening, Some(Opening::Media(_) | Opening::Short(_)))
    }

    /// Whether the rest is short enough to be copied beside the head.
    fn is_small(&self) -> bool {
        let small = |body: &Body| (1..=SMALL_BODY_BYTES_MAX).contains(&(body.end - body.position));
        self.body.as_ref().is_some_and(small)
    }

    /// Whether the rest fills more than a send buffer, and nothing holds it back.
    fn is_large(&self) -> bool {
        let large = |body: &Body| body.end - body.position > SEND_BYTES as u64;
        self.body.as_ref().is_some_and(|body| large(body) && body.pace.is_none())
    }

    /// Whether bytes follow the ones taken so far at once.
    fn more(&self) -> More {
        if self.is_done() || self.paused_until().is_some() { More::Last } else { More::Follows }
    }

    pub fn is_done(&self) -> bool {
        self.opening.is_none() && self.rest.is_none() && self.pages.is_none() && self.is_page_done()
    }

    /// Whether all bytes of this stretch went out.
    pub fn is_page_done(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.position >= body.end)
    }

    /// Goes on with what stands before the next stretch.
    pub fn turn_page(&mut self) {
        if self.opening.is_none()
            && self.pages.is_some()
            && self.is_page_done()
            && let Some(body) = &self.body
        {
            self.opening = Some(Opening::Page(body.found));
        }
    }
}

/// Asks again for the first chunk.
///
/// Fetching -> Fetching (later), Sending.
pub fn fetch<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    match std::mem::replace(&mut connection.state, State::Reading) {
        State::Fetching(turn) => take_up(connection, station, *turn),
        state => {
            connection.state = state;
            Flow::Wait
        }
    }
}

/// Waits for the first chunk, so that a bad one is answered with a status and not with a cut.
///
/// Reading, Fetching -> Fetching (later), Sending.
pub fn take_up<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    mut turn: Turn,
) -> Flow {
    let wish = match first_chunk(connection, station, &turn) {
        Some(wish) => wish,
        None => return begin_sending(connection, station, turn, None),
    };
    match wish {
        Wish::Ready(chunk) => begin_sending(connection, station, turn, Some(chunk)),
        Wish::Later => {
            turn.is_hot = false;
            connection.state = State::Fetching(Box::new(turn));
            Flow::Wait
        }
        Wish::Never(fault) => refuse_turn(connection, station, turn, outcome_of(fault)),
        Wish::OverBudget => refuse_turn(connection, station, turn, Outcome::OverBudget),
    }
}

/// The chunk that the body begins in; `None` where no chunk is needed.
fn first_chunk<K: Kernel>(
    connection: &Connection,
    station: &mut Station<K>,
    turn: &Turn,
) -> Option<Wish> {
    if !turn.has_body() {
        return None;
    }
    let extent = &turn.extent;
    let is_plain = extent.spans.is_none() && extent.found.bytes > CHUNK_BYTES;
    let range = extent.start..extent.end;
    if is_plain && file::is_resident(station, connection, &extent.found, range) {
        return None;
    }
    let (index, began) = (chunk_index(extent.start), extent.note.began);
    Some(station.first_chunk(&extent.found, index, connection.seat, began))
}

fn begin_sending<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    turn: Turn,
    first: Option<Chunk>,
) -> Flow {
    connection.progress_at = station.now();
    connection.state = State::Sending(Box::new(begin_with(turn, first, station.now())));
    Flow::Again
}

pub fn begin(turn: Turn, now: Nanos) -> Sending {
    begin_with(turn, None, now)
}

fn begin_with(mut turn: Turn, first: Option<Chunk>, now: Nanos) -> Sending {
    let has_body = turn.has_body();
    let pages = turn.extent.spans.take().map(|spans| Pages { spans, next: 0 });
    let found = turn.extent.found;
    let pace = turn.rate_bps_max.map(|bps_max| Pace::new(bps_max, now));
    let first = first.map(|chunk| (chunk_index(turn.extent.start), chunk));
    let body = Body {
        found,
        position: turn.extent.start,
        end: turn.extent.end,
        // A first chunk that had to be awaited was not found in memory.
        settled: (!turn.is_hot).then_some(chunk_index(turn.extent.start)),
        ahead: None,
        waits_for_disk: false,
        cold: None,
        first,
        pace,
    };
    let mut record = record_of(turn);
    if pages.is_some() {
        record.outcome = Outcome::Parts;
    }
    Sending {
        record,
        opening: Some(Opening::Media(found)),
        rest: None,
        body: has_body.then_some(body),
        pages,
        text: None,
        first_byte_counted: false,
    }
}

/// The record of a turn whose media is about to go out.
pub fn record_of(turn: Turn) -> Record {
    let extent = turn.extent;
    Record {
        note: extent.note,
        outcome: if extent.is_part { Outcome::Part } else { Outcome::Whole },
        ticket: extent.ticket,
        found: Some(extent.found),
        start: extent.start,
        end: extent.end,
        sent: 0,
        is_hot: turn.is_hot,
    }
}

/// Answers without media.
///
/// Reading, Fetching -> Sending.
pub fn refuse<K: Kernel>(connection: &mut Connection, station: &mut Station<K>, refusal: Refusal) {
    connection.progress_at = station.now();
    connection.state = State::Sending(Box::new(refused(refusal)));
}

/// An answer without media.
pub fn refused(refusal: Refusal) -> Sending {
    let (outcome, found) = match &refusal.answer {
        Short::Refused { outcome, .. } => (*outcome, None),
        Short::NotModified(found) => (Outcome::NotModified, Some(*found)),
        Short::Steering(_) => (Outcome::Steered, None),
        Short::Elsewhere(_) => (Outcome::Elsewhere, None),
        Short::Preflight(_) => (Outcome::Preflight, None),
    };
    let text = match &refusal.answer {
        Short::Steering(text) if refusal.note.method == Method::Get => Some(Rc::clone(text)),
        _ => None,
    };
    let record = Record {
        note: refusal.note,
        outcome,
        ticket: refusal.ticket,
        found,
        start: 0,
        end: 0,
        sent: 0,
        is_hot: true,
    };
    Sending {
        record,
        opening: Some(Opening::Short(refusal.answer)),
        rest: None,
        body: None,
        pages: None,
        text,
        first_byte_counted: false,
    }
}

/// The turn of a fetching connection comes to nothing.
fn fetch_refused<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    outcome: Outcome,
) -> Flow {
    match std::mem::replace(&mut connection.state, State::Reading) {
        State::Fetching(turn) => refuse_turn(connection, station, *turn, outcome),
        state => {
            connection.state = state;
            Flow::Wait
        }
    }
}

fn refuse_turn<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    turn: Turn,
    outcome: Outcome,
) -> Flow {
    let extent = turn.extent;
    let answer = elsewhere::or_refused(&connection.plain, connection.peer, station, outcome);
    refuse(connection, station, Refusal { note: extent.note, answer, ticket: extent.ticket });
    Flow::Again
}

/// What is answered when bytes will not come and nothing was said yet.
pub fn outcome_of(fault: Fault) -> Outcome {
    match fault {
        Fault::Gone => Outcome::UnknownObject,
        Fault::Disk => Outcome::DiskFailed,
        Fault::Corrupt => Outcome::ChunkBad,
    }
}

/// The bytes will not come: a status if the head is not out yet, else the connection is cut, so
/// that the player notices and goes elsewhere.
pub fn failed<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    fault: Fault,
) -> Flow {
    match &connection.state {
        State::Fetching(_) => fetch_refused(connection, station, outcome_of(fault)),
        // What is in flight is good; only a connection that waits for these bytes is cut.
        State::Sending(sending) if sending.waits_for_disk() && connection.flight.is_none() => {
            connection.abort(station, CloseReason::Cut, Ending::Cut)
        }
        _ => Flow::Again,
    }
}

/// Sends the next piece.
///
/// Sending -> Sending, Reading or Parting (done), Closing (cut).
pub fn step<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let placeholder = std::mem::replace(&mut connection.state, State::Reading);
    let State::Sending(mut sending) = placeholder else { return Flow::Wait };
    if sending.is_done() {
        return finish::complete(connection, station, &sending.record);
    }
    if sending.paused_until().is_some() {
        connection.state = State::Sending(sending);
        return Flow::Wait;
    }
    sending.turn_page();
    let pushed = match connection.stream {
        _ if sending.rest.is_some() => file::push_rest(connection, station, &mut sending),
        Stream::Clear => push_clear(connection, station, &mut sending),
        Stream::Tls(ref tls) if tls.kernel_seals() => push_clear(connection, station, &mut sending),
        Stream::Tls(_) => push_tls(connection, station, &mut sending),
    };
    if let Some(body) = &mut sending.body {
        body.first = None;
    }
    connection.state = State::Sending(sending);
    match pushed {
        Pushed::Launched | Pushed::Waits => Flow::Wait,
        Pushed::Cut => connection.abort(station, CloseReason::Cut, Ending::Cut),
        Pushed::OverBudget => connection.abort(station, CloseReason::OverBudget, Ending::Abandoned),
    }
}

/// A send of a head and of a chunk behind it ended, perhaps short.
pub fn behind_sent<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    (head, chunk): (Rc<Buffer>, Rc<Buffer>),
) -> Flow {
    let Some(flight) = &connection.flight else { return Flow::Wait };
    let of_head = flight.head.len();
    let went = result.as_ref().map_or(0, |went| *went);
    if (1..of_head).contains(&went) && !matches!(connection.state, State::Closing) {
        return head_sent_short(connection, station, went, (head, chunk));
    }
    if went >= of_head {
        connection.spare = Some(head);
    }
    sent_behind(connection, station, result, of_head, chunk)
}

/// Less than the head went: what is left of it goes again, and the chunk behind it.
fn head_sent_short<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    went: usize,
    (head, chunk): (Rc<Buffer>, Rc<Buffer>),
) -> Flow {
    let Some(flight) = connection.flight.take() else { return Flow::Wait };
    station.chunks_in_flight = station.chunks_in_flight.saturating_sub(1);
    if !count_sent(connection, station, went) {
        return connection.abort(station, CloseReason::KeySpent, Ending::Cut);
    }
    let more = if flight.more { More::Follows } else { More::Last };
    let head = Head { from: head, range: flight.head.start + went..flight.head.end };
    let range = flight.start..flight.end;
    connection.launch_behind(station, head, (chunk, range), more);
    Flow::Wait
}

/// Counts what the socket took; false when the kernel's key must not seal any more.
fn count_sent<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    went: usize,
) -> bool {
    connection.progress_at = station.now();
    connection.sent_bytes += went as u64;
    station.counters.sent_bytes.add(went as u64);
    count_first_byte(connection, station);
    connection.stream.count_sealed(went as u64)
}

/// A send ended, perhaps short: the rest goes again, or the next piece.
pub fn sent<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    buffer: Rc<Buffer>,
) -> Flow {
    sent_behind(connection, station, result, 0, buffer)
}

/// The same, where the first `of_head` bytes were of another buffer.
fn sent_behind<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    of_head: usize,
    buffer: Rc<Buffer>,
) -> Flow {
    let Some(flight) = connection.flight.take() else { return Flow::Wait };
    if matches!(flight.holds, Holds::Chunk | Holds::Lent) {
        station.chunks_in_flight = station.chunks_in_flight.saturating_sub(1);
    }
    let went = match (&connection.state, result) {
        (State::Closing, _) => 0,
        (_, went) => went.unwrap_or(0),
    };
    if went == 0 {
        give_back(connection, station, flight.holds, buffer);
        connection.spare = None;
        return match connection.state {
            State::Closing => Flow::Wait,
            State::Parting => Flow::Again,
            _ => connection.abort(station, CloseReason::PeerReset, Ending::ClientGone),
        };
    }
    if !count_sent(connection, station, went) {
        give_back(connection, station, flight.holds, buffer);
        return connection.abort(station, CloseReason::KeySpent, Ending::Cut);
    }
    let start = flight.start + went.saturating_sub(of_head);
    if start < flight.end {
        if flight.holds == Holds::Lent {
            zero_copy::go_on(connection, station, (buffer, start..flight.end), &flight);
            return Flow::Wait;
        }
        let more = if flight.more { More::Follows } else { More::Last };
        connection.launch(station, buffer, start..flight.end, more, flight.load());
        return Flow::Wait;
    }
    if let State::Multiplexed(multiplex) = &mut connection.state {
        multiplex.landed(station, connection.choice.engine);
    }
    count_media(connection, station, flight.media);
    if flight.holds == Holds::Large || matches!(connection.state, State::Sending(_)) {
        give_back(connection, station, flight.holds, buffer);
    }
    Flow::Again
}

fn count_media<K: Kernel>(connection: &mut Connection, station: &Station<K>, media: u64) {
    let State::Sending(sending) = &mut connection.state else { return };
    sending.record.sent += media;
    station.counters.media_bytes.add(media);
    station.counters.engine_bytes[connection.choice.engine.index()].add(media);
    if sending.record.note.is_fill {
        station.counters.fill_bytes.add(media);
    }
}

fn count_first_byte<K: Kernel>(connection: &mut Connection, station: &Station<K>) {
    if let State::Sending(sending) = &mut connection.state {
        sending.count_first_byte(station);
    }
}

impl Sending {
    /// Counts the time to the first byte, once.
    pub fn count_first_byte<K: Kernel>(&mut self, station: &Station<K>) {
        if std::mem::replace(&mut self.first_byte_counted, true) {
            return;
        }
        let took = station.now().since(self.record.note.began);
        station.counters.first_byte.add(took);
        if let Some(found) = &self.record.found {
            let tier = if self.record.is_hot { 0 } else { 1 + class_row(found.class) };
            station.counters.first_byte_from[tier].add(took);
        }
    }
}

pub fn chunk_index(position: u64) -> u32 {
    u32::try_from(position / CHUNK_BYTES).unwrap_or(u32::MAX)
}
