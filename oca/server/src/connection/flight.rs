//! A send under way: what it carries, whose memory it holds, and how each kind is begun.
//! Never looks at what a send is for; what follows its end is `send`'s.

use std::ops::Range;
use std::rc::Rc;

use oca_sys::{Buffer, FileId, Head, Kernel, Op, Piece};

use super::{Connection, stream};
use crate::worker::{Station, TokenKind};

/// A send under way.
pub(super) struct Flight {
    pub start: usize,
    pub end: usize,
    /// Of another buffer, in front of a chunk's; empty elsewhere.
    pub head: Range<usize>,
    pub more: bool,
    pub holds: Holds,
    pub media: u64,
}

impl Flight {
    pub fn load(&self) -> Load {
        Load { holds: self.holds, media: self.media }
    }
}

/// What a send carries.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub holds: Holds,
    /// Bytes of media in it, counted when it is gone.
    pub media: u64,
}

/// Whose memory a send holds until it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The connection's own.
    SendBuffer,
    /// The hot set's: the chunk cannot be evicted meanwhile.
    Chunk,
    /// The same, and the network may keep it beyond the end of the send.
    Lent,
    /// The station's, for many records; it goes back there.
    Large,
    /// None: pages of the file at this place of `Files`, which stays open. `start` and `end` of the
    /// flight are those of the head before them.
    Pages(u32),
}

/// Bytes of an open file that may go out as they are in the page cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    /// Its place in `Files`.
    pub place: u32,
    pub file: FileId,
    pub piece: Piece,
}

impl Load {
    /// Bytes that are not media: keys, alerts.
    pub const NO_MEDIA: Self = Self { holds: Holds::SendBuffer, media: 0 };
}

/// Whether bytes follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// They do: the kernel may wait to fill a packet.
    Follows,
    /// They do not.
    Last,
}

impl Connection {
    /// Sends `range` of `from`.
    pub(super) fn launch<K: Kernel>(
        &mut self,
        station: &mut Station<K>,
        from: Rc<Buffer>,
        range: Range<usize>,
        more: More,
        load: Load,
    ) {
        debug_assert!(self.flight.is_none() && range.end <= from.len());
        let Load { holds, media } = load;
        if holds == Holds::Chunk {
            station.chunks_in_flight += 1;
        }
        let more = more == More::Follows;
        self.flight =
            Some(Flight { head: 0..0, start: range.start, end: range.end, more, holds, media });
        let token = TokenKind::Send.token(self.seat.slot, self.seat.generation);
        station.submit(token, Op::Send { socket: self.socket, from, range, more });
    }

    /// Sends `head` and, behind it, `range` of a chunk: all of it media.
    pub(super) fn launch_behind<K: Kernel>(
        &mut self,
        station: &mut Station<K>,
        head: Head,
        (from, range): (Rc<Buffer>, Range<usize>),
        more: More,
    ) {
        debug_assert!(self.flight.is_none() && !head.range.is_empty() && range.end <= from.len());
        station.chunks_in_flight += 1;
        let more = more == More::Follows;
        self.flight = Some(Flight {
            start: range.start,
            end: range.end,
            head: head.range.clone(),
            more,
            holds: Holds::Chunk,
            media: range.len() as u64,
        });
        let token = TokenKind::Send.token(self.seat.slot, self.seat.generation);
        station.submit(token, Op::SendBehind { socket: self.socket, head, from, range, more });
    }

    /// Sends the first `bytes` of `from` as an alert that the kernel seals.
    pub(super) fn launch_alert<K: Kernel>(
        &mut self,
        station: &mut Station<K>,
        from: Rc<Buffer>,
        bytes: usize,
    ) {
        debug_assert!(self.flight.is_none());
        let Load { holds, media } = Load::NO_MEDIA;
        self.flight = Some(Flight { head: 0..0, start: 0, end: bytes, more: false, holds, media });
        let token = TokenKind::Send.token(self.seat.slot, self.seat.generation);
        let (socket, range) = (self.socket, 0..bytes);
        station.submit(token, Op::SendRecord { socket, kind: stream::ALERT, from, range });
    }

    /// Sends `head`, if there is one, and then `pages`.
    pub(super) fn launch_file<K: Kernel>(
        &mut self,
        station: &mut Station<K>,
        head: Option<Head>,
        pages: Resident,
        more: More,
    ) {
        debug_assert!(self.flight.is_none() && pages.piece.bytes > 0);
        station.files.pin(pages.place);
        let more = more == More::Follows;
        let range = head.as_ref().map_or(0..0, |head| head.range.clone());
        self.flight = Some(Flight {
            start: range.start,
            end: range.end,
            head: 0..0,
            more,
            holds: Holds::Pages(pages.place),
            media: 0,
        });
        let token = TokenKind::Send.token(self.seat.slot, self.seat.generation);
        let Resident { file, piece, .. } = pages;
        station.submit(token, Op::SendFile { socket: self.socket, head, file, piece, more });
    }
}
