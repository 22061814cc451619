//! Sends from the page cache on paced sockets, as the ring does them: the head, the file's pages
//! into a pipe, the pipe into the socket; what finds no room stays in the pipe. It decides nothing
//! about when; the world does.
//!
//! ```text
//! begin -> pages into the pipe (a thread's time) -> head and pipe into the socket -> told
//!              '-none, or an error: the head alone         '-rest: kept, or thrown away
//! ```
//! A kept pipe holds pages as they were: whoever goes on elsewhere in the file, or in another, must
//! not be sent them, and whoever goes on there is sent them whatever the disk says by now.

use std::rc::Rc;

use oca_sys::{Buffer, Piece, SocketId, Token};

use super::{Happening, World};
use crate::network::{Kept, Sending, Sent};
use crate::weather::{happens, latency};

/// Most bytes of a chain.
const CHAIN_BYTES_MAX: usize = 504 << 10;

/// A chain under way.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The buffer of the head, and how many of `bytes` are its.
    pub head: Option<Rc<Buffer>>,
    pub of_head: usize,
    /// What goes out now: the head, and what is in the pipe.
    pub bytes: Vec<u8>,
    /// What is in the pipe besides: the chain broke behind it.
    pub behind: Vec<u8>,
    /// The file, and where in it the pipe begins.
    pub file: u32,
    pub at: u64,
    /// Its pages are not in the pipe yet.
    pub fills: bool,
}

impl Chain {
    /// What is left in the pipe once `sent` bytes went out; nothing where there is no more.
    pub fn rest(&self, sent: usize) -> Option<Kept> {
        // Behind half a head the pipe was never filled.
        let drained = sent.checked_sub(self.of_head)?;
        let in_pipe = self.bytes.get(sent..)?.iter().chain(&self.behind);
        let bytes: Vec<u8> = in_pipe.copied().collect();
        let kept = Kept { file: self.file, at: self.at + drained as u64, bytes };
        (!kept.bytes.is_empty()).then_some(kept)
    }
}

impl World {
    /// Begins a send on a socket that the server paces.
    ///
    /// # Errors
    /// There is nothing to send, because the first page is not there: the head's buffer.
    pub(crate) fn begin_chain(
        &mut self,
        token: Token,
        socket: SocketId,
        (head, mut bytes): (Option<Rc<Buffer>>, Vec<u8>),
        (file, piece): (u32, Piece),
    ) -> Result<(), Option<Rc<Buffer>>> {
        let (of_head, mut behind) = (bytes.len(), Vec::new());
        let kept = self.wire(socket.0).kept.take();
        let mixes = self.weather.mixes_pipes;
        let fits = |kept: &Kept| mixes || (kept.file, kept.at) == (file, piece.at);
        match kept.filter(|kept| of_head == 0 && fits(kept)) {
            Some(mut kept) => {
                self.chains_resumed += 1;
                behind = kept.bytes.split_off(kept.bytes.len().min(piece.bytes));
                bytes = kept.bytes;
            }
            None => self.fill(&mut bytes, &mut behind, file, piece),
        }
        if bytes.is_empty() {
            return Err(head);
        }
        let chain = Chain { head, of_head, bytes, behind, file, at: piece.at, fills: true };
        self.chains += 1;
        self.wire(socket.0).sending = Some(Sending { token, what: Sent::Chain(chain) });
        // A page that is gone by then is read by the kernel's thread.
        let slow = happens(&mut self.random, self.weather.forgets);
        let max = if slow { self.weather.disk_latency_max } else { self.weather.latency_max };
        let nanos = latency(&mut self.random, max);
        self.later(nanos, Happening::Fills(socket.0));
        Ok(())
    }

    /// What the page cache has goes into the pipe, unless the chain breaks there: pages that were
    /// read again and not had. Then they are not sent with the head, but stay.
    fn fill(&mut self, bytes: &mut Vec<u8>, behind: &mut Vec<u8>, file: u32, piece: Piece) {
        let offer = self.random.usize(16 << 10..=CHAIN_BYTES_MAX);
        let mut pages = self.cached(file, Piece { bytes: piece.bytes.min(offer), ..piece });
        if happens(&mut self.random, self.weather.short_fill) {
            pages.truncate(self.random.usize(..=pages.len()));
            if !bytes.is_empty() {
                return behind.append(&mut pages);
            }
        }
        bytes.append(&mut pages);
    }

    /// The pages are in the pipe.
    pub(super) fn fills(&mut self, wire: u32) {
        if let Some(Sending { what: Sent::Chain(chain), .. }) = &mut self.wire(wire).sending {
            chain.fills = false;
        }
        self.offer_send(wire);
    }

    /// Some of a chain went out: what did not is kept, where there are pipes enough for that.
    pub(super) fn keep_rest(&mut self, wire: u32, rest: Option<Kept>) {
        let keeps = self.random.bool();
        let wire = self.wire(wire);
        wire.kept = rest.filter(|_| keeps && wire.closing.is_none());
    }

    /// Chains so far, and how many of them began with what a pipe had kept.
    #[must_use]
    pub fn chains(&self) -> (u64, u64) {
        (self.chains, self.chains_resumed)
    }

    /// Whether a chain reads this file.
    pub(super) fn chains_from(&self, file: u32) -> bool {
        let reads = |sending: &Sending| matches!(&sending.what, Sent::Chain(it) if it.file == file);
        self.wires.values().any(|wire| wire.sending.as_ref().is_some_and(reads))
    }
}
