//! The bytes of a connection, clear or under TLS: records in, records out, no socket.
//! Never holds a response: it encrypts from the chunk's memory into the caller's send buffer.
//!
//! ```text
//! Library (handshake, session tickets) -> Own (every record after) -> broken or closed
//!                                         '-> the kernel seals, we open
//! ```
//! The library does the handshake. Once it has nothing left to say, its keys become ours: it would
//! copy each record twice on its way out. From then on the kernel may be handed the one that seals.

mod records;
mod shape;
mod tls;

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::{ProtocolVersion, ServerConfig};

use crate::limits::RECORD_CONTENT_BYTES_MAX;

pub use shape::{ALERT, Alert};
pub use tls::Tls;

/// Bytes that a record takes besides its content, at most: header, type byte, nonce, tag.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Clear or encrypted.
pub enum Stream {
    /// Bytes as they are.
    Clear,
    /// TLS 1.2 or 1.3.
    Tls(Box<Tls>),
}

/// How far the records received so far got us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More must arrive first.
    NeedsMore,
    /// The handshake is done, or was before, and nothing is left to decrypt.
    Established,
    /// Clear bytes were added.
    Decrypted,
    /// The peer said close_notify.
    PeerClosed,
    /// Not TLS, or not a TLS that we can agree on. An alert may have been written.
    Failed,
}

/// What a pump did.
#[derive(Clone, Copy, Debug)]
pub struct Pumped {
    /// Bytes written for the peer; they go out before anything else.
    pub wrote: usize,
    /// How far we got.
    pub progress: Progress,
}

/// The session cannot go on: not TLS, a broken rule, or the end of its key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Stream {
    /// A stream with keys to be agreed on, or a clear one.
    pub fn new(tls: Option<&Arc<ServerConfig>>) -> Self {
        let Some(config) = tls else { return Self::Clear };
        // Never clear instead: a port that speaks TLS says nothing that anybody can read.
        let session = UnbufferedServerConnection::new(config.clone())
            .expect("`server_config` tried it, and nothing of it changes");
        Self::Tls(Box::new(Tls::new(session)))
    }

    /// Whether it has, or will have, keys.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether there is something to pump: received bytes, decrypted ones, or the peer's end.
    pub fn has_incoming(&self) -> bool {
        match self {
            Self::Clear => false,
            Self::Tls(tls) => tls.has_incoming(),
        }
    }

    /// The connection has nothing to do: room for bytes is given back.
    pub fn rest(&mut self) {
        if let Self::Tls(tls) = self {
            tls.rest();
        }
    }

    /// Counts what went out for the kernel to seal, if it does; false when nothing more may.
    #[must_use]
    pub fn count_sealed(&mut self, bytes: u64) -> bool {
        match self {
            Self::Clear => true,
            Self::Tls(tls) => tls.count_sealed(bytes),
        }
    }

    /// `clear` or the protocol version, for people.
    pub fn keys(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Tls(tls) => match tls.agreed().and_then(|agreed| agreed.version) {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1_2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1_3",
                _ => "handshake",
            },
        }
    }
}

/// Most clear bytes whose records fit `room` bytes.
pub fn clear_bytes_that_fit(room: usize) -> usize {
    let whole = room / (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    let rest = room % (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    whole * RECORD_CONTENT_BYTES_MAX + rest.saturating_sub(RECORD_OVERHEAD_BYTES)
}
