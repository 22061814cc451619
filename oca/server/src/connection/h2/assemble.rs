//! Frames into a buffer: what is owed first, then the answers in turn, a frame each. Never holds a
//! chunk longer than it takes to copy a frame of it.

use oca_http::PART_BYTES_MAX;
use oca_http::answer::ANSWER_BYTES_MAX;
use oca_http::h2::FRAME_HEAD_BYTES;
use oca_sys::Kernel;

use super::member::{Answer, Cut, Member};
use super::queue::Queue;
use super::{Multiplex, Session};
use crate::connection::send::{Piece, Sending, next_piece, open};
use crate::worker::{Seat, Station};

/// Less room than this is left for the next buffer: frames of a few bytes cost more than they
/// bring.
const ROOM_MIN: usize = 512;

/// What a member wrote.
enum Wrote {
    /// Nothing: it waits for something.
    Nothing,
    /// Its head, to what is owed.
    Head,
    /// So many bytes of frames, with so much media in them.
    Frame { bytes: usize, media: u64 },
}

impl Multiplex {
    /// Fills `out` with frames; answers how much of it, and how much media is in that.
    pub(super) fn assemble<K: Kernel>(
        &mut self,
        seat: Seat,
        station: &mut Station<K>,
        out: &mut [u8],
    ) -> (usize, u64) {
        let (mut at, mut all_media) = (0, 0);
        loop {
            at += put_control(&mut self.session, &mut out[at..]);
            if !self.session.control().is_empty()
                || out.len() - at < ROOM_MIN
                || self.failed.is_some()
            {
                break;
            }
            match self.put_next(seat, station, &mut out[at..]) {
                Wrote::Nothing => break,
                Wrote::Head => {}
                Wrote::Frame { bytes, media } => {
                    at += bytes;
                    all_media += media;
                }
            }
        }
        (at, all_media)
    }

    /// Lets the members write in turn, until one did.
    fn put_next<K: Kernel>(
        &mut self,
        seat: Seat,
        station: &mut Station<K>,
        out: &mut [u8],
    ) -> Wrote {
        let mut queue = Queue::of(&self.members, &mut self.may_ask);
        for step in 0..self.members.len() {
            let at = (self.next + step) % self.members.len();
            let Some(member) = self.members.get_mut(at) else { break };
            let wrote = member.put(&mut self.session, seat, station, out, &mut queue);
            if !matches!(wrote, Wrote::Nothing) {
                self.next = at + 1;
                return wrote;
            }
        }
        Wrote::Nothing
    }
}

impl Member {
    fn put<K: Kernel>(
        &mut self,
        session: &mut Session,
        seat: Seat,
        station: &mut Station<K>,
        out: &mut [u8],
        queue: &mut Queue<'_>,
    ) -> Wrote {
        let now = station.now();
        let Answer::Sending(sending) = &mut self.answer else { return Wrote::Nothing };
        if self.is_over || self.cut.is_some() {
            return Wrote::Nothing;
        }
        sending.turn_page();
        if sending.has_opening() {
            let is_head = sending.opens_with_head();
            let mut text = [0u8; ANSWER_BYTES_MAX + PART_BYTES_MAX];
            let bytes = open(station, sending, &mut text);
            let (head, rest) = text[..bytes].split_at(if is_head { head_bytes(&text) } else { 0 });
            self.rest.extend_from_slice(rest);
            self.rest.extend(sending.take_text().iter().flat_map(|text| text.iter()));
            if is_head {
                self.is_over = is_done(sending, &self.rest);
                session.head(self.stream, head, self.is_over);
                self.wrote(0, now);
                return Wrote::Head;
            }
        }
        let room = session.room(self.stream).min(out.len().saturating_sub(FRAME_HEAD_BYTES));
        if room == 0 {
            self.has_no_room(station, session.is_shut());
            return Wrote::Nothing;
        }
        let (head_place, body_place) = out.split_at_mut(FRAME_HEAD_BYTES);
        let (bytes, media) = if self.rest.is_empty() {
            let Some((found, index)) = sending.next_chunk() else { return Wrote::Nothing };
            if !self.may_go(now) || !queue.lets(self, station, &found, index) {
                return Wrote::Nothing;
            }
            let Answer::Sending(sending) = &mut self.answer else { return Wrote::Nothing };
            match next_piece(seat, station, sending, room) {
                Piece::Bytes(chunk, range) => {
                    let bytes = range.len();
                    body_place[..bytes].copy_from_slice(&chunk.buffer[range]);
                    (bytes, bytes as u64)
                }
                Piece::None => {
                    self.waits(now);
                    queue.asked(self);
                    return Wrote::Nothing;
                }
                Piece::Ended(_) => {
                    self.cut = Some(Cut::Disk);
                    return Wrote::Nothing;
                }
            }
        } else {
            let bytes = room.min(self.rest.len());
            body_place[..bytes].copy_from_slice(&self.rest[..bytes]);
            self.rest.drain(..bytes);
            (bytes, 0)
        };
        let Answer::Sending(sending) = &self.answer else { return Wrote::Nothing };
        self.is_over = is_done(sending, &self.rest);
        head_place.copy_from_slice(&session.body_head(self.stream, bytes, self.is_over));
        self.wrote(media, now);
        Wrote::Frame { bytes: FRAME_HEAD_BYTES + bytes, media }
    }
}

fn is_done(sending: &Sending, rest: &[u8]) -> bool {
    rest.is_empty() && sending.is_done()
}

/// Length of a head, its blank line included.
fn head_bytes(text: &[u8]) -> usize {
    text.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4)
}

/// Moves as much of what is owed as fits.
fn put_control(session: &mut Session, out: &mut [u8]) -> usize {
    let control = session.control();
    let bytes = control.len().min(out.len());
    out[..bytes].copy_from_slice(&control[..bytes]);
    control.drain(..bytes);
    bytes
}
