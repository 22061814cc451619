//! The bytes of a connection, clear or under TLS: records in, records out, no socket.
//! Never holds a response: it encrypts from the chunk's memory into the caller's send buffer.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use crate::limits::{INCOMING_BYTES_MAX, RECORD_CONTENT_BYTES_MAX};

/// Bytes that a record takes besides its content, at most: header, type byte, nonce, tag.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Clear or encrypted.
pub enum Stream {
    /// Bytes as they are.
    Clear,
    /// TLS 1.2 or 1.3.
    Tls(Box<Tls>),
}

/// One TLS connection without I/O.
pub struct Tls {
    session: UnbufferedServerConnection,
    /// Received and not yet consumed: at most part of a flight or of a record.
    incoming: Vec<u8>,
    said_farewell: bool,
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

/// A record could not be written: a bug of ours, or the key's life is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealFailed;

impl Stream {
    /// A stream with keys to be agreed on, or a clear one.
    pub fn new(tls: Option<&Arc<ServerConfig>>) -> Self {
        let session = tls.and_then(|config| UnbufferedServerConnection::new(config.clone()).ok());
        match session {
            Some(session) => Self::Tls(Box::new(Tls::new(session))),
            None => Self::Clear,
        }
    }

    /// Whether it has, or will have, keys.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether a record has begun to arrive and is not complete.
    pub fn has_part_of_a_record(&self) -> bool {
        matches!(self, Self::Tls(tls) if !tls.incoming.is_empty())
    }

    /// `clear` or the protocol version, for people.
    pub fn keys(&self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Tls(tls) => match tls.session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1_2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1_3",
                _ => "handshake",
            },
        }
    }
}

impl Tls {
    fn new(session: UnbufferedServerConnection) -> Self {
        Self { session, incoming: Vec::new(), said_farewell: false }
    }

    /// Whether close_notify was written.
    pub fn said_farewell(&self) -> bool {
        self.said_farewell
    }

    /// Takes in received bytes. False when they are more than any honest peer sends at once.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        self.incoming.extend_from_slice(bytes);
        self.incoming.len() <= INCOMING_BYTES_MAX
    }

    /// Whether the handshake was shortened by a session ticket.
    pub fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Consumes what was received: clear bytes are added to `plain`, bytes for the peer to `out`.
    pub fn pump(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Pumped {
        let mut wrote = 0;
        let mut failed = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut self.incoming);
            let progress = match state {
                Ok(ConnectionState::EncodeTlsData(mut record)) => {
                    match record.encode(&mut out[wrote..]) {
                        Ok(bytes) => {
                            wrote += bytes;
                            None
                        }
                        // It stays queued and comes again after this send.
                        Err(EncodeError::InsufficientSize(_)) if wrote > 0 => {
                            Some(Progress::NeedsMore)
                        }
                        Err(_) => Some(Progress::Failed),
                    }
                }
                // What was encoded goes out as soon as the caller has it.
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    None
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    Some(Progress::Decrypted)
                }
                Ok(ConnectionState::WriteTraffic(_)) => Some(Progress::Established),
                Ok(ConnectionState::BlockedHandshake) => Some(Progress::NeedsMore),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    Some(Progress::PeerClosed)
                }
                Ok(_) => Some(Progress::Failed),
                // The first error may have queued an alert: one more round writes it.
                Err(_) if failed => Some(Progress::Failed),
                Err(_) => {
                    failed = true;
                    None
                }
            };
            self.incoming.drain(..discard.min(self.incoming.len()));
            match progress {
                Some(_) if failed => return Pumped { wrote, progress: Progress::Failed },
                Some(progress) => return Pumped { wrote, progress },
                None => {}
            }
        }
    }

    /// Encrypts `clear` into records at the start of `out`.
    ///
    /// # Errors
    /// `out` is too small, or the session cannot write any more.
    pub fn seal(&mut self, clear: &[u8], out: &mut [u8]) -> Result<usize, SealFailed> {
        let mut wrote = 0;
        for content in clear.chunks(RECORD_CONTENT_BYTES_MAX) {
            wrote += self.seal_record(content, &mut out[wrote..])?;
        }
        Ok(wrote)
    }

    fn seal_record(&mut self, content: &[u8], out: &mut [u8]) -> Result<usize, SealFailed> {
        let mut wrote = 0;
        loop {
            // Requests that wait in `incoming` stay there: they are read after this answer.
            let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut []);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return match traffic.encrypt(content, &mut out[wrote..]) {
                        Ok(bytes) => Ok(wrote + bytes),
                        Err(EncryptError::InsufficientSize(_) | EncryptError::EncryptExhausted) => {
                            Err(SealFailed)
                        }
                    };
                }
                // A key update or session ticket that is due goes first.
                Ok(ConnectionState::EncodeTlsData(mut record)) => {
                    wrote += record.encode(&mut out[wrote..]).map_err(|_| SealFailed)?;
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                _ => return Err(SealFailed),
            }
        }
    }

    /// Writes close_notify; 0 when the session cannot say it any more.
    pub fn farewell(&mut self, out: &mut [u8]) -> usize {
        self.said_farewell = true;
        match self.session.process_tls_records(&mut []).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                traffic.queue_close_notify(out).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// Most clear bytes whose records fit `room` bytes.
pub fn clear_bytes_that_fit(room: usize) -> usize {
    let whole = room / (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    let rest = room % (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    whole * RECORD_CONTENT_BYTES_MAX + rest.saturating_sub(RECORD_OVERHEAD_BYTES)
}
