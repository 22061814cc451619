//! The next piece of an answer into a socket: a chunk's own memory, or records sealed from it.
//! Never holds more than one chunk, and nothing of it after the send.

use std::ops::Range;
use std::rc::Rc;

use control_types::limits::CHUNK_BYTES;
use oca_http::answer::ANSWER_BYTES_MAX;
use oca_http::{Answer, Frame, Media, Outcome, PART_BYTES_MAX, write_head, write_part_head};
use oca_sys::{Buffer, Head, Kernel};

use super::{Opening, Sending, chunk_index, file, zero_copy};
use crate::connection::locate::{TAG_BYTES, etag};
use crate::connection::next::next_for;
use crate::connection::read::Short;
use crate::connection::stream::{Stream, clear_bytes_that_fit};
use crate::connection::{Connection, Holds, Load, More};
use crate::hot_set::Chunk;
use crate::library::Found;
use crate::limits::{PACED_SEND_BYTES_MAX, RETRY_AFTER_S};
use crate::worker::{Seat, Station, Wish};

/// What became of a push.
pub enum Pushed {
    /// A send is under way.
    Launched,
    /// A buffer or a chunk is awaited.
    Waits,
    /// The bytes will not come.
    Cut,
    /// Too many wait for a buffer.
    OverBudget,
}

/// The head and the first chunk behind it, then chunk after chunk, each from its own memory. While
/// sends hold too many chunks, pieces of them are copied.
pub fn push_clear<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Pushed {
    if let Some(pushed) = file::push(connection, station, sending) {
        return pushed;
    }
    if let Some(pushed) = zero_copy::push(connection, station, sending) {
        return pushed;
    }
    if sending.opening.is_none() && station.chunks_in_flight < station.chunks_in_flight_max {
        let (chunk, range) = match next_piece(connection.seat, station, sending, usize::MAX) {
            Piece::Bytes(chunk, range) => (chunk, range),
            Piece::None => return Pushed::Waits,
            Piece::Ended(pushed) => return pushed,
        };
        let load = Load { holds: Holds::Chunk, media: range.len() as u64 };
        connection.launch(station, chunk.buffer, range, sending.more(), load);
        return Pushed::Launched;
    }
    let Some(mut out) = take_send_buffer(connection, station) else {
        return starve(connection, station);
    };
    let Some(buffer) = Rc::get_mut(&mut out) else { return Pushed::Cut };
    let mut wrote = open(station, sending, buffer);
    if let Some(text) = sending.take_text() {
        buffer[wrote..wrote + text.len()].copy_from_slice(&text);
        wrote += text.len();
    }
    let mut media = 0;
    let may_lend = wrote > 0 && station.chunks_in_flight < station.chunks_in_flight_max;
    if wrote == 0 || sending.is_small() || (may_lend && !sending.is_page_done()) {
        let room = if may_lend { usize::MAX } else { buffer.len() - wrote };
        match next_piece(connection.seat, station, sending, room) {
            Piece::Bytes(chunk, range) if may_lend => {
                let head = Head { from: out, range: 0..wrote };
                connection.launch_behind(station, head, (chunk.buffer, range), sending.more());
                return Pushed::Launched;
            }
            Piece::Bytes(chunk, range) => {
                media = range.len() as u64;
                buffer[wrote..wrote + range.len()].copy_from_slice(&chunk.buffer[range]);
                wrote += media as usize;
            }
            // The head goes out; this is asked for again after.
            Piece::None | Piece::Ended(_) if wrote > 0 => {}
            Piece::None => return Pushed::Waits,
            Piece::Ended(pushed) => return pushed,
        }
    }
    let load = Load { holds: Holds::SendBuffer, media };
    connection.launch(station, out, 0..wrote, sending.more(), load);
    Pushed::Launched
}

/// As many records as a send buffer holds.
pub fn push_tls<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Pushed {
    let holds = if sending.is_large() && !station.large.is_empty() {
        Holds::Large
    } else {
        Holds::SendBuffer
    };
    let taken = match holds {
        Holds::Large => station.large.pop().map(Rc::new),
        _ => take_send_buffer(connection, station),
    };
    let Some(mut out) = taken else { return starve(connection, station) };
    let (wrote, media) = match fill_tls(connection, station, sending, &mut out) {
        Ok(filled) => filled,
        Err(pushed) => {
            give_back(connection, station, holds, out);
            return pushed;
        }
    };
    connection.launch(station, out, 0..wrote, More::Last, Load { holds, media });
    Pushed::Launched
}

/// A buffer that nothing is sent from any more.
pub fn give_back<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    holds: Holds,
    buffer: Rc<Buffer>,
) {
    match holds {
        Holds::Large => station.large.extend(Rc::into_inner(buffer)),
        // A chunk's memory is shared with the hot set; a send buffer is ours alone again.
        Holds::SendBuffer => connection.spare = Some(buffer),
        Holds::Chunk | Holds::Lent | Holds::Pages(_) => {}
    }
}

/// Records for `out`: how many bytes they take, and how many of them are media.
fn fill_tls<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
    out: &mut Rc<Buffer>,
) -> Result<(usize, u64), Pushed> {
    let Some(buffer) = Rc::get_mut(out) else { return Err(Pushed::Cut) };
    let mut wrote = 0;
    if sending.opening.is_some() {
        let mut head = [0u8; ANSWER_BYTES_MAX + PART_BYTES_MAX];
        let head_bytes = open(station, sending, &mut head);
        match seal(connection, &head[..head_bytes], buffer) {
            Some(bytes) => wrote = bytes,
            None => return Err(Pushed::Cut),
        }
        if let Some(text) = sending.take_text() {
            match seal(connection, &text, &mut buffer[wrote..]) {
                Some(bytes) => wrote += bytes,
                None => return Err(Pushed::Cut),
            }
        }
    }
    let mut media = 0;
    loop {
        let room = clear_bytes_that_fit(buffer.len() - wrote);
        if room == 0 || sending.is_page_done() || (wrote > 0 && sending.paused_until().is_some()) {
            break;
        }
        let (chunk, range) = match next_piece(connection.seat, station, sending, room) {
            Piece::Bytes(chunk, range) => (chunk, range),
            // What is sealed already goes out; this is asked for again after.
            Piece::None | Piece::Ended(_) if wrote > 0 => break,
            Piece::None => return Err(Pushed::Waits),
            Piece::Ended(pushed) => return Err(pushed),
        };
        media += range.len() as u64;
        match seal(connection, &chunk.buffer[range], &mut buffer[wrote..]) {
            Some(bytes) => wrote += bytes,
            None => return Err(Pushed::Cut),
        }
    }
    Ok((wrote, media))
}

fn seal(connection: &mut Connection, clear: &[u8], out: &mut [u8]) -> Option<usize> {
    match &mut connection.stream {
        Stream::Tls(tls) => tls.seal(clear, out).ok(),
        Stream::Clear => None,
    }
}

/// The buffer of the last send of this answer, or a fresh one.
pub(super) fn take_send_buffer<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
) -> Option<Rc<Buffer>> {
    connection.spare.take().or_else(|| station.send_buffer().map(Rc::new))
}

pub(super) fn starve<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Pushed {
    match station.starve(connection.seat) {
        Ok(()) => Pushed::Waits,
        Err(_) => Pushed::OverBudget,
    }
}

/// The next bytes of a body.
pub enum Piece {
    /// This range of this chunk; the body's position is past it.
    Bytes(Chunk, Range<usize>),
    /// Not in memory yet; the seat will be told.
    None,
    /// They will not come.
    Ended(Pushed),
}

/// The next bytes of a body, at most `bytes_max`.
pub fn next_piece<K: Kernel>(
    seat: Seat,
    station: &mut Station<K>,
    sending: &mut Sending,
    bytes_max: usize,
) -> Piece {
    let Some(body) = sending.body.as_mut() else { return Piece::None };
    let index = chunk_index(body.position);
    body.waits_for_disk = false;
    let wish = match body.first.take() {
        Some((first, chunk)) if first == index => Wish::Ready(chunk),
        _ => station.chunk(&body.found, index, seat),
    };
    let chunk = match wish {
        Wish::Ready(chunk) => chunk,
        Wish::Later => {
            body.waits_for_disk = true;
            body.settled = Some(index);
            sending.record.is_hot = false;
            return Piece::None;
        }
        Wish::Never(_) => return Piece::Ended(Pushed::Cut),
        Wish::OverBudget => return Piece::Ended(Pushed::OverBudget),
    };
    if body.settled.replace(index) != Some(index) {
        station.count_use(&chunk);
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

/// Writes the head, and a refusal's body, or what stands before a stretch, to the start of `out`;
/// answers its length.
pub fn open<K: Kernel>(station: &mut Station<K>, sending: &mut Sending, out: &mut [u8]) -> usize {
    let mut wrote = match sending.opening.take() {
        None => return 0,
        Some(Opening::Page(_)) => 0,
        Some(opening) => open_answer(station, sending, opening, out),
    };
    if sending.pages.is_some() {
        wrote += open_page(sending, &mut out[wrote..]);
    }
    wrote
}

/// Writes what stands before the next stretch and turns the body to it, or writes the end.
fn open_page(sending: &mut Sending, out: &mut [u8]) -> usize {
    let (Some(pages), Some(body)) = (&mut sending.pages, &mut sending.body) else { return 0 };
    let mut tag = [0u8; TAG_BYTES];
    let media = media(&body.found, &mut tag);
    let wrote = write_part_head(out, &media, &pages.spans, pages.next);
    match pages.spans.as_slice().get(pages.next) {
        Some(span) => {
            pages.next += 1;
            body.position = span.start;
            body.end = span.end;
        }
        None => sending.pages = None,
    }
    wrote.expect("PART_BYTES_MAX is room for the head of every part")
}

fn open_answer<K: Kernel>(
    station: &mut Station<K>,
    sending: &mut Sending,
    opening: Opening,
    out: &mut [u8],
) -> usize {
    let record = &mut sending.record;
    if station.draining {
        record.note.keep_alive = false;
    }
    let next = next_for(station, record);
    let mut tag = [0u8; TAG_BYTES];
    let load: Option<String>;
    let location: Rc<str>;
    let answer = match opening {
        Opening::Media(found) | Opening::Page(found) => {
            let media = media(&found, &mut tag);
            match (record.outcome, &sending.pages) {
                (_, Some(pages)) => Answer::Parts { media, spans: &pages.spans },
                (Outcome::Part, None) => {
                    Answer::Part { media, start: record.start, end: record.end }
                }
                _ => Answer::Whole(media),
            }
        }
        Opening::Short(Short::NotModified(found)) => Answer::NotModified(media(&found, &mut tag)),
        Opening::Short(Short::Steering(text)) => Answer::Steering { bytes: text.len() as u64 },
        Opening::Short(Short::Elsewhere(url)) => {
            location = url;
            Answer::Elsewhere { location: &location }
        }
        Opening::Short(Short::Preflight(hint)) => {
            load = hint.map(|hint| hint.to_string());
            Answer::Preflight { load: load.as_deref() }
        }
        Opening::Short(Short::Refused { outcome, total }) => Answer::Refusal {
            outcome,
            total,
            retry_after_s: (outcome.status() == 503).then_some(RETRY_AFTER_S),
            next: next.as_deref().map(String::as_str),
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
        modified: found.modified,
    }
}
