//! Bodies straight from the page cache: which bytes may go that way, and what became of them.
//! Never sends a chunk that was not found good since it was read, and never waits for a disk: what
//! is not resident goes the other way, by a read through the page cache that brings it in.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_sys::{Access, Buffer, Head, Kernel, Piece};

use super::push::{Pushed, open, starve, take_send_buffer};
use super::{Sending, chunk_index, count_first_byte, count_media};
use crate::connection::{Connection, Flow, Holds, Load, Mood, More, Resident, State};
use crate::engine::{Choice, Source};
use crate::files::FileLookup;
use crate::hot_set::ChunkKey;
use crate::library::{Found, View};
use crate::limits::{FILE_SEND_BYTES_MAX, PACED_SEND_BYTES_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::worker::Station;

/// Which way a socket's chunks are read when they have to be.
pub fn access(choice: Choice) -> Access {
    match choice.source {
        Source::Pages => Access::Cached,
        Source::Buffers => Access::Direct,
    }
}

/// Whether the first bytes of `range` are known to be good and were resident a moment ago. Asks for
/// the piece that `push` will send, so that the kernel is asked once for both. Who is in no hurry
/// need not know of what cannot go bad: a cold page then costs a thread of the kernel a wait.
pub fn is_resident<K: Kernel>(
    station: &mut Station<K>,
    connection: &Connection,
    found: &Found,
    range: Range<u64>,
) -> bool {
    if connection.choice.source != Source::Pages || found.view != View::Payload {
        return false;
    }
    let Some(known) = known_pages(station, found, range) else { return false };
    let is_trusted = found.sealed.is_none() && found.class == DiskClass::Ssd;
    if is_trusted && connection.tempo.is_paced() && connection.mood() == Mood::Calm {
        return true;
    }
    station.kernel.resident(known.file, known.piece) > 0
}

/// The bytes at the start of `range` that were found good when they were last read.
fn known_pages<K: Kernel>(
    station: &mut Station<K>,
    found: &Found,
    range: Range<u64>,
) -> Option<Resident> {
    let FileLookup::Ready(place) = station.files.get(found) else { return None };
    let (file, seal) = station.files.open(place)?;
    // A lab file has nothing to be checked against.
    let is_checked = seal.is_some();
    if is_checked && station.shared.library.is_condemned(found) {
        return None;
    }
    let mut end = range.start;
    let limit = range.end.min(range.start + FILE_SEND_BYTES_MAX);
    while end < limit && (!is_checked || station.known.has(file, chunk_index(end))) {
        end = (end / CHUNK_BYTES + 1) * CHUNK_BYTES;
    }
    let bytes = usize::try_from(end.min(limit) - range.start).unwrap_or(usize::MAX);
    let piece = Piece { at: found.offset + range.start, bytes };
    (bytes > 0).then_some(Resident { place, file, piece })
}

/// Sends the next bytes from the page cache, behind the head if that is not out yet; `None` when
/// they have to go another way.
pub fn push<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Option<Pushed> {
    if connection.choice.source != Source::Pages {
        return None;
    }
    if sending.pages.is_some() {
        // Stretches of one body are short, and what stands between them is not in the file.
        return None;
    }
    let is_small = sending.is_small();
    let body = sending.body.as_mut()?;
    let index = chunk_index(body.position);
    if body.found.view != View::Payload || body.cold == Some(index) {
        return None;
    }
    let key = ChunkKey { object: body.found.object, view: body.found.view, index };
    let is_object_small = body.found.bytes <= CHUNK_BYTES;
    let is_in_memory = || body.first.is_some() || station.hot.knows(&key);
    if is_small && sending.opening.is_some() && (is_object_small || is_in_memory()) {
        // In one piece with its head, which costs less than a second call. An object of one chunk
        // is worth a place in memory for that.
        return None;
    }
    let mut pages = known_pages(station, &body.found, body.position..body.end)?;
    if body.pace.is_some() {
        pages.piece.bytes = pages.piece.bytes.min(PACED_SEND_BYTES_MAX);
    }
    let ends = body.position + pages.piece.bytes as u64 >= body.end;
    let more = if ends || body.pace.is_some() { More::Last } else { More::Follows };
    body.waits_for_disk = false;
    let mut head = None;
    if sending.opening.is_some() {
        let Some(mut from) = take_send_buffer(connection, station) else {
            return Some(starve(connection, station));
        };
        let buffer = Rc::get_mut(&mut from)?;
        let wrote = open(station, sending, buffer);
        head = Some(Head { from, range: 0..wrote });
    }
    connection.launch_file(station, head, pages, more);
    Some(Pushed::Launched)
}

/// Sends what is left of a head.
pub fn push_rest<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    sending: &mut Sending,
) -> Pushed {
    let Some(rest) = sending.rest.take() else { return Pushed::Waits };
    let load = Load { holds: Holds::SendBuffer, media: 0 };
    connection.launch(station, rest.from, rest.range, sending.more(), load);
    Pushed::Launched
}

/// A send from the page cache ended, perhaps short.
pub fn file_sent<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    head: Option<Rc<Buffer>>,
) -> Flow {
    let Some(flight) = connection.flight.take() else { return Flow::Wait };
    if let Holds::Pages(place) = flight.holds
        && let Some(file) = station.files.unpin(place)
    {
        station.close_file(file);
    }
    let State::Sending(sending) = &mut connection.state else { return Flow::Wait };
    let went = match result {
        Ok(went) => went,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            station.engines.refuse_page_cache(error.to_string());
            connection.choice = connection.choice.without_pages();
            0
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return connection.abort(station, CloseReason::Cut, Ending::Cut);
        }
        Err(_) => return connection.abort(station, CloseReason::PeerReset, Ending::ClientGone),
    };
    let of_head = went.min(flight.end - flight.start);
    let start = flight.start + of_head;
    match head {
        Some(from) if start < flight.end => {
            sending.rest = Some(Head { from, range: start..flight.end });
        }
        Some(from) => connection.spare = Some(from),
        None => {}
    }
    let media = (went - of_head) as u64;
    advance(sending, station, media, went == 0);
    if went == 0 {
        return Flow::Again;
    }
    connection.progress_at = station.now();
    connection.sent_bytes += went as u64;
    station.counters.sent_bytes.add(went as u64);
    count_first_byte(connection, station);
    count_media(connection, station, media);
    if !connection.stream.count_sealed(went as u64) {
        return connection.abort(station, CloseReason::KeySpent, Ending::Cut);
    }
    Flow::Again
}

/// Moves the body's position past `media` bytes; `is_cold`: the first of them was not resident.
fn advance<K: Kernel>(sending: &mut Sending, station: &mut Station<K>, media: u64, is_cold: bool) {
    let Some(body) = sending.body.as_mut() else { return };
    let index = chunk_index(body.position);
    if is_cold {
        // It has to be read again, and checked again before it is sent.
        body.cold = Some(index);
        if let FileLookup::Ready(place) = station.files.get(&body.found)
            && let Some((file, _)) = station.files.open(place)
        {
            station.known.unmark(file, index);
        }
        return;
    }
    if media == 0 {
        return;
    }
    body.position += media;
    let last = chunk_index(body.position - 1);
    let first = body.settled.map_or(index, |settled| index.max(settled.saturating_add(1)));
    station.counters.hot_hits.add(u64::from((last + 1).saturating_sub(first)));
    body.settled = Some(last);
    if let Some(pace) = &mut body.pace {
        pace.sent += media;
        pace.pause(station.now());
    }
}
