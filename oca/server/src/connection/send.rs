//! Step 7: a `Turn` becomes bytes gone: head first, then chunk after chunk, one send at a time.
//! Never reads a disk itself and never holds more than one chunk for itself.
//!
//! Clear: the chunk's own memory is handed to the kernel, the processor copies nothing. TLS: a batch
//! of records is encrypted from the chunk's memory into a send buffer. Between two sends nothing is
//! pinned: a slow reader keeps a place in a socket's queue, not a chunk in memory.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use control_types::limits::CHUNK_BYTES;
use oca_http::answer::ANSWER_BYTES_MAX;
use oca_http::{Answer, Frame, Media, Outcome, write_head};
use oca_sys::{Buffer, Kernel, Nanos};

use super::admit::Turn;
use super::finish::{self, Record};
use super::locate::{TAG_BYTES, etag};
use super::read::{Refusal, Short};
use super::stream::{Stream, clear_bytes_that_fit};
use super::{Connection, Flow, More, State};
use crate::hot_set::Chunk;
use crate::library::Found;
use crate::limits::{PACED_SEND_BYTES_MAX, RETRY_AFTER_S, SMALL_BODY_BYTES_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::worker::{Fault, Station, Wish};

/// An answer on its way out.
pub struct Sending {
    /// What will be said of it.
    pub record: Record,
    /// The head, until it is written.
    opening: Option<Opening>,
    body: Option<Body>,
    first_byte_counted: bool,
}

/// Which head to write.
#[derive(Clone, Copy)]
enum Opening {
    Media(Found),
    Short(Short),
}

struct Body {
    found: Found,
    position: u64,
    end: u64,
    /// The last chunk asked for, so that finding it in memory is counted once.
    asked: Option<u32>,
    /// The last chunk read ahead, or tried to.
    ahead: Option<u32>,
    waits_for_disk: bool,
    pace: Option<Pace>,
}

/// Keeps a body under its ticket's rate, with one second's worth of burst.
struct Pace {
    bps_max: u64,
    began: Nanos,
    sent: u64,
    paused_until: Option<Nanos>,
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

    fn is_done(&self) -> bool {
        self.opening.is_none() && self.body.as_ref().is_none_or(|body| body.position >= body.end)
    }
}

impl Pace {
    /// How long to wait before more than `sent` bytes may go.
    fn pause(&mut self, now: Nanos) {
        let beyond = self.sent.saturating_sub(self.bps_max / 8);
        let nanos = u128::from(beyond) * 8 * 1_000_000_000 / u128::from(self.bps_max.max(1));
        let due = Nanos(self.began.0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)));
        self.paused_until = (due > now).then_some(due);
    }
}

/// Waits for the first chunk, so that a bad one is answered with a status and not with a cut.
///
/// Fetching -> Fetching (later), Sending.
pub fn fetch<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let State::Fetching(turn) = &mut connection.state else { return Flow::Wait };
    if turn.has_body() {
        let index = chunk_index(turn.extent.start);
        match station.chunk(&turn.extent.found, index, connection.seat) {
            Wish::Ready(_) => {}
            Wish::Later => {
                turn.is_hot = false;
                return Flow::Wait;
            }
            Wish::Never(fault) => return failed(connection, station, fault),
            Wish::OverBudget => return fetch_refused(connection, station, Outcome::OverBudget),
        }
    }
    let State::Fetching(turn) = std::mem::replace(&mut connection.state, State::Reading) else {
        return Flow::Wait;
    };
    connection.progress_at = station.now();
    connection.state = State::Sending(Box::new(begin(*turn, station.now())));
    Flow::Again
}

fn begin(turn: Turn, now: Nanos) -> Sending {
    let has_body = turn.has_body();
    let found = turn.extent.found;
    let pace =
        turn.rate_bps_max.map(|bps_max| Pace { bps_max, began: now, sent: 0, paused_until: None });
    let body = Body {
        found,
        position: turn.extent.start,
        end: turn.extent.end,
        // A first chunk that had to be read is not found in memory.
        asked: (!turn.is_hot).then_some(chunk_index(turn.extent.start)),
        ahead: None,
        waits_for_disk: false,
        pace,
    };
    Sending {
        record: record_of(turn),
        opening: Some(Opening::Media(found)),
        body: has_body.then_some(body),
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
    let (outcome, found) = match refusal.answer {
        Short::Refused { outcome, .. } => (outcome, None),
        Short::NotModified(found) => (Outcome::NotModified, Some(found)),
        Short::Preflight => (Outcome::Preflight, None),
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
    connection.progress_at = station.now();
    connection.state = State::Sending(Box::new(Sending {
        record,
        opening: Some(Opening::Short(refusal.answer)),
        body: None,
        first_byte_counted: false,
    }));
}

/// The turn of a fetching connection comes to nothing.
fn fetch_refused<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    outcome: Outcome,
) -> Flow {
    let State::Fetching(turn) = std::mem::replace(&mut connection.state, State::Reading) else {
        return Flow::Wait;
    };
    let extent = turn.extent;
    let answer = Short::Refused { outcome, total: None };
    refuse(connection, station, Refusal { note: extent.note, answer, ticket: extent.ticket });
    Flow::Again
}

/// The bytes will not come: a status if the head is not out yet, else the connection is cut, so that
/// the player notices and goes elsewhere.
pub fn failed<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    fault: Fault,
) -> Flow {
    match &connection.state {
        State::Fetching(_) => {
            let outcome = match fault {
                Fault::Gone => Outcome::UnknownObject,
                Fault::Disk => Outcome::DiskFailed,
                Fault::Corrupt => Outcome::ChunkBad,
            };
            fetch_refused(connection, station, outcome)
        }
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
    let pushed = match connection.stream {
        Stream::Clear => push_clear(connection, station, &mut sending),
        Stream::Tls(_) => push_tls(connection, station, &mut sending),
    };
    connection.state = State::Sending(sending);
    match pushed {
        Pushed::Launched | Pushed::Waits => Flow::Wait,
        Pushed::Cut => connection.abort(station, CloseReason::Cut, Ending::Cut),
        Pushed::OverBudget => connection.abort(station, CloseReason::OverBudget, Ending::Abandoned),
    }
}

/// What became of a push.
enum Pushed {
    /// A send is under way.
    Launched,
    /// A buffer or a chunk is awaited.
    Waits,
    /// The bytes will not come.
    Cut,
    /// Too many wait for a buffer.
    OverBudget,
}

fn push_clear<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Pushed {
    if sending.opening.is_none() {
        let (chunk, range) = match next_piece(connection, station, sending, usize::MAX) {
            Piece::Bytes(chunk, range) => (chunk, range),
            Piece::None => return Pushed::Waits,
            Piece::Ended(pushed) => return pushed,
        };
        let media = range.len() as u64;
        let more = if sending.is_done() { More::Last } else { More::Follows };
        connection.launch(station, chunk.buffer, range, more, media);
        return Pushed::Launched;
    }
    let Some(mut out) = take_send_buffer(connection, station) else {
        return starve(connection, station);
    };
    let Some(buffer) = Rc::get_mut(&mut out) else { return Pushed::Cut };
    let mut wrote = open(station, sending, buffer);
    let mut media = 0;
    let small = |body: &Body| body.end - body.position <= SMALL_BODY_BYTES_MAX;
    if sending.body.as_ref().is_some_and(small)
        && let Piece::Bytes(chunk, range) = next_piece(connection, station, sending, usize::MAX)
    {
        media = range.len() as u64;
        buffer[wrote..wrote + range.len()].copy_from_slice(&chunk.buffer[range]);
        wrote += media as usize;
    }
    let more = if sending.is_done() { More::Last } else { More::Follows };
    connection.launch(station, out, 0..wrote, more, media);
    Pushed::Launched
}

fn push_tls<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Pushed {
    let Some(mut out) = take_send_buffer(connection, station) else {
        return starve(connection, station);
    };
    let Some(buffer) = Rc::get_mut(&mut out) else { return Pushed::Cut };
    let mut wrote = 0;
    if sending.opening.is_some() {
        let mut head = [0u8; ANSWER_BYTES_MAX];
        let head_bytes = open(station, sending, &mut head);
        match seal(connection, &head[..head_bytes], buffer) {
            Some(bytes) => wrote = bytes,
            None => return Pushed::Cut,
        }
    }
    let mut media = 0;
    loop {
        let room = clear_bytes_that_fit(buffer.len() - wrote);
        if room == 0 || sending.is_done() || (wrote > 0 && sending.paused_until().is_some()) {
            break;
        }
        let (chunk, range) = match next_piece(connection, station, sending, room) {
            Piece::Bytes(chunk, range) => (chunk, range),
            // What is sealed already goes out; this is asked for again after.
            Piece::None | Piece::Ended(_) if wrote > 0 => break,
            Piece::None => {
                connection.spare = Some(out);
                return Pushed::Waits;
            }
            Piece::Ended(pushed) => return pushed,
        };
        media += range.len() as u64;
        match seal(connection, &chunk.buffer[range], &mut buffer[wrote..]) {
            Some(bytes) => wrote += bytes,
            None => return Pushed::Cut,
        }
    }
    connection.launch(station, out, 0..wrote, More::Last, media);
    Pushed::Launched
}

fn seal(connection: &mut Connection, clear: &[u8], out: &mut [u8]) -> Option<usize> {
    match &mut connection.stream {
        Stream::Tls(tls) => tls.seal(clear, out).ok(),
        Stream::Clear => None,
    }
}

/// The buffer of the last send of this answer, or a fresh one.
fn take_send_buffer<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
) -> Option<Rc<Buffer>> {
    connection.spare.take().or_else(|| station.send_buffer().map(Rc::new))
}

fn starve<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Pushed {
    match station.starve(connection.seat) {
        Ok(()) => Pushed::Waits,
        Err(_) => Pushed::OverBudget,
    }
}

/// The next bytes of a body.
enum Piece {
    /// This range of this chunk; the body's position is past it.
    Bytes(Chunk, Range<usize>),
    /// Not in memory yet; the seat will be told.
    None,
    /// They will not come.
    Ended(Pushed),
}

fn next_piece<K: Kernel>(
    connection: &Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
    bytes_max: usize,
) -> Piece {
    let Some(body) = sending.body.as_mut() else { return Piece::None };
    let index = chunk_index(body.position);
    let is_first_ask = body.asked.replace(index) != Some(index);
    body.waits_for_disk = false;
    let chunk = match station.chunk(&body.found, index, connection.seat) {
        Wish::Ready(chunk) => chunk,
        Wish::Later => {
            body.waits_for_disk = true;
            sending.record.is_hot = false;
            return Piece::None;
        }
        Wish::Never(_) => return Piece::Ended(Pushed::Cut),
        Wish::OverBudget => return Piece::Ended(Pushed::OverBudget),
    };
    if is_first_ask {
        station.counters.hot_hits.add(1);
    }
    let next = index.saturating_add(1);
    if body.ahead.replace(next) != Some(next) && u64::from(next) * CHUNK_BYTES < body.end {
        station.read_ahead(&body.found, next);
    }
    let start = (body.position - u64::from(index) * CHUNK_BYTES) as usize;
    let left = usize::try_from(body.end - body.position).unwrap_or(usize::MAX);
    let cap = if body.pace.is_some() { PACED_SEND_BYTES_MAX } else { usize::MAX };
    let bytes = (chunk.bytes.saturating_sub(start)).min(left).min(bytes_max).min(cap);
    if bytes == 0 {
        // The index and the file disagree about the length: nothing more can be right.
        return Piece::Ended(Pushed::Cut);
    }
    body.position += bytes as u64;
    if let Some(pace) = &mut body.pace {
        pace.sent += bytes as u64;
        pace.pause(station.now());
    }
    Piece::Bytes(chunk, start..start + bytes)
}

/// Writes the head, and a refusal's body, to the start of `out`; answers its length.
fn open<K: Kernel>(station: &mut Station<K>, sending: &mut Sending, out: &mut [u8]) -> usize {
    let Some(opening) = sending.opening.take() else { return 0 };
    let record = &mut sending.record;
    if station.draining {
        record.note.keep_alive = false;
    }
    let mut tag = [0u8; TAG_BYTES];
    let answer = match opening {
        Opening::Media(found) => {
            let media = media(&found, &mut tag);
            match record.outcome {
                Outcome::Part => Answer::Part { media, start: record.start, end: record.end },
                _ => Answer::Whole(media),
            }
        }
        Opening::Short(Short::NotModified(found)) => Answer::NotModified(media(&found, &mut tag)),
        Opening::Short(Short::Preflight) => Answer::Preflight,
        Opening::Short(Short::Refused { outcome, total }) => Answer::Refusal {
            outcome,
            total,
            retry_after_s: (outcome.status() == 503).then_some(RETRY_AFTER_S),
        },
    };
    let date = station.date();
    let frame = Frame {
        method: record.note.method,
        keep_alive: record.note.keep_alive && !record.outcome.must_close(),
        date: &date,
    };
    write_head(out, &answer, &frame).expect("ANSWER_BYTES_MAX is room for every answer")
}

fn media<'a>(found: &Found, tag: &'a mut [u8; TAG_BYTES]) -> Media<'a> {
    Media {
        etag: etag(found, tag),
        media_type: found.media_type,
        total: found.bytes,
        modified: None,
    }
}

/// A send ended, perhaps short: the rest goes again, or the next piece.
pub fn sent<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    buffer: Rc<Buffer>,
) -> Flow {
    let Some(flight) = connection.flight.take() else { return Flow::Wait };
    let went = match result {
        Ok(went) if went > 0 => went,
        _ if matches!(connection.state, State::Parting) => return Flow::Again,
        _ => return connection.abort(station, CloseReason::PeerReset, Ending::ClientGone),
    };
    connection.progress_at = station.now();
    connection.sent_bytes += went as u64;
    station.counters.sent_bytes.add(went as u64);
    count_first_byte(connection, station);
    let start = flight.start + went;
    if start < flight.end {
        let more = if flight.more { More::Follows } else { More::Last };
        connection.launch(station, buffer, start..flight.end, more, flight.media);
        return Flow::Wait;
    }
    if let State::Sending(sending) = &mut connection.state {
        sending.record.sent += flight.media;
        station.counters.media_bytes.add(flight.media);
        if sending.record.note.is_fill {
            station.counters.fill_bytes.add(flight.media);
        }
        // A chunk's memory is shared with the hot set; a send buffer is ours alone again.
        if Rc::strong_count(&buffer) == 1 && buffer.len() < CHUNK_BYTES as usize {
            connection.spare = Some(buffer);
        }
    }
    Flow::Again
}

fn count_first_byte<K: Kernel>(connection: &mut Connection, station: &Station<K>) {
    if let State::Sending(sending) = &mut connection.state
        && !std::mem::replace(&mut sending.first_byte_counted, true)
    {
        station.counters.first_byte.add(station.now().since(sending.record.note.began));
    }
}

fn chunk_index(position: u64) -> u32 {
    u32::try_from(position / CHUNK_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_body_waits_exactly_as_long_as_its_rate_says() {
        let mut pace = Pace { bps_max: 8_000, began: Nanos(0), sent: 1_000, paused_until: None };
        pace.pause(Nanos(0));
        assert_eq!(pace.paused_until, None, "one second's worth goes at once");
        pace.sent = 3_000;
        pace.pause(Nanos(0));
        assert_eq!(pace.paused_until, Some(Nanos(2_000_000_000)));
        pace.pause(Nanos(2_000_000_000));
        assert_eq!(pace.paused_until, None);
    }
}
