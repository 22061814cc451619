//! One TCP connection as the two ends see it: bytes on their way, ends, resets.
//! It knows no HTTP and no time; the world decides when anything moves.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use oca_sys::{Buffer, Event, Token};

use crate::loan::Loans;
use crate::world::Chain;

/// A receive the server has under way.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub token: Token,
    /// Absent: any free one, when bytes are there.
    pub into: Option<Buffer>,
}

/// A send the server has under way.
#[derive(Debug)]
pub(crate) struct Sending {
    pub token: Token,
    pub what: Sent,
}

/// What is being sent.
#[derive(Debug)]
pub(crate) enum Sent {
    /// This range of a buffer.
    Buffer(Rc<Buffer>, Range<usize>),
    /// Bytes of a head, then of another buffer; both go back with the answer, the head's first.
    Behind(Rc<Buffer>, Rc<Buffer>, Vec<u8>),
    /// This range of a buffer, read when it is needed.
    Lent(Rc<Buffer>, Range<usize>),
    /// Bytes of a head, then of the page cache, as they were when the send began; the head's buffer
    /// goes back with the answer.
    File(Option<Rc<Buffer>>, Vec<u8>),
    /// The same by a pipe.
    Chain(Chain),
}

/// Bytes of a file that are in a pipe and did not find room.
#[derive(Debug)]
pub(crate) struct Kept {
    pub file: u32,
    pub at: u64,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Buffer(from, range) | Self::Lent(from, range) => &from[range.clone()],
            Self::Behind(_, _, bytes) | Self::File(_, bytes) => bytes,
            Self::Chain(chain) => &chain.bytes,
        }
    }

    /// How the server is told.
    pub(crate) fn into_event(self, answer: io::Result<usize>) -> Event {
        match self {
            Self::Buffer(from, _) | Self::Lent(from, _) => Event::Sent(answer, from),
            Self::Behind(head, from, _) => Event::SentBehind(answer, head, from),
            Self::File(head, _) | Self::Chain(Chain { head, .. }) => Event::FileSent(answer, head),
        }
    }
}

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Sent by the client, not yet received.
    pub to_server: VecDeque<u8>,
    /// Sent by the server, not yet read by the client.
    pub to_client: VecDeque<u8>,
    /// Memory that bytes in `to_client` are still read from, or may have to be once more.
    pub loans: Loans,
    /// Most bytes in `to_client`: what the sockets' buffers and the path hold.
    pub room_max: usize,
    /// Least room at which the server may send more.
    pub room_min: usize,
    pub client: End,
    pub server: End,
    pub receiving: Option<Receiving>,
    pub sending: Option<Sending>,
    /// The server paces it: what it sends from files goes by pipes.
    pub is_paced: bool,
    /// What its last send left in a pipe.
    pub kept: Option<Kept>,
    /// Ending the sending side is under way.
    pub shutting: Option<Token>,
    /// Giving the socket up is under way.
    pub closing: Option<Token>,
    /// A move (a receive or a send ending) is on the agenda already.
    pub receive_due: bool,
    pub send_due: bool,
}

/// How far one end has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Open,
    /// It sends no more, and still listens.
    Finished,
    /// It is gone; what the other sends is answered with a reset.
    Gone,
    /// It was torn down; the other end learns of it at its next move.
    Reset,
}

impl Wire {
    pub(crate) fn new(room_max: usize) -> Self {
        Self {
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            loans: Loans::default(),
            room_max,
            room_min: 1,
            client: End::Open,
            server: End::Open,
            receiving: None,
            sending: None,
            is_paced: false,
            kept: None,
            shutting: None,
            closing: None,
            receive_due: false,
            send_due: false,
        }
    }

    /// Whether a receive under way could end now.
    pub(crate) fn can_receive(&self) -> bool {
        self.receiving.is_some()
            && (!self.to_server.is_empty() || self.client != End::Open || self.closing.is_some())
    }

    /// Whether a send under way could end now.
    pub(crate) fn can_send(&self) -> bool {
        let fills = |it: &Sending| matches!(&it.what, Sent::Chain(chain) if chain.fills);
        self.sending.as_ref().is_some_and(|sending| !fills(sending))
            && (self.room_max.saturating_sub(self.to_client.len()) >= self.room_min
                || matches!(self.client, End::Gone | End::Reset)
                || self.closing.is_some())
    }

    /// Whether the server has nothing under way but the close.
    pub(crate) fn can_close(&self) -> bool {
        self.closing.is_some()
            && self.receiving.is_none()
            && self.sending.is_none()
            && self.shutting.is_none()
    }

    /// The client is torn down: what was on its way to it is lost.
    pub(crate) fn reset_by_client(&mut self) {
        self.client = End::Reset;
        self.to_client.clear();
        self.to_server.clear();
    }

    /// The server gave the socket up. Unread bytes make that a reset, which overtakes the bytes
    /// that the client has not read yet: the reason why servers linger.
    pub(crate) fn closed_by_server(&mut self) {
        if self.to_server.is_empty() {
            self.server = End::Gone;
        } else {
            self.server = End::Reset;
            self.to_client.clear();
        }
    }
}

/// Takes the first `count` bytes, which must be there, as two copies: byte by byte, a run of
/// hundreds of megabytes would wait for it.
pub(crate) fn take_front(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let (front, back) = queue.as_slices();
    let from_front = count.min(front.len());
    let mut bytes = Vec::with_capacity(count);
    bytes.extend_from_slice(&front[..from_front]);
    bytes.extend_from_slice(&back[..count - from_front]);
    queue.drain(..count);
    bytes
}
