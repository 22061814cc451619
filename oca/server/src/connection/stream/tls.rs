//! One TLS connection without I/O: the library's for the handshake, ours for every record after it.
//! Never looks at what the clear bytes say.

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus, WriteTraffic};
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};

use super::records::{Opened, Records};
use super::shape::Alert;
use super::{Broken, Progress, Pumped};
use crate::limits::{INCOMING_BYTES_MAX, RECORD_CONTENT_BYTES_MAX};
use oca_sys::SendKeys;

/// One TLS connection without I/O.
pub struct Tls {
    keys: Keys,
    agreed: Option<Agreed>,
    /// Received and not yet consumed: at most part of a flight or of a record, or requests that
    /// wait for the answer before them. The session is always shown all of it: it may remember
    /// places in it.
    incoming: Vec<u8>,
    /// Decrypted while an answer was being sealed; read before anything else.
    early: Vec<u8>,
    peer_closed: bool,
    /// The session failed. It must not be called again: after a fatal alert it would panic.
    broken: bool,
    said_farewell: bool,
    /// Left to say by whoever can send a record through the kernel.
    unsaid: Option<Alert>,
}

/// Who seals and opens.
enum Keys {
    /// The library, during the handshake.
    Library(Box<UnbufferedServerConnection>),
    /// We do, with the keys it agreed on.
    Own(Box<Records>),
    /// Nobody: the library would not hand over. The stream is broken.
    Lost,
}

/// What the handshake came to.
#[derive(Clone, Copy)]
pub(super) struct Agreed {
    pub(super) version: Option<ProtocolVersion>,
    suite: Option<CipherSuite>,
    is_resumed: bool,
    is_h2: bool,
}

impl Agreed {
    fn of(session: &UnbufferedServerConnection) -> Self {
        Self {
            version: session.protocol_version(),
            suite: session.negotiated_cipher_suite().map(|suite| suite.suite()),
            is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            is_h2: session.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Tls {
    pub(super) fn new(session: UnbufferedServerConnection) -> Self {
        Self {
            keys: Keys::Library(Box::new(session)),
            agreed: None,
            incoming: Vec::new(),
            early: Vec::new(),
            peer_closed: false,
            broken: false,
            said_farewell: false,
            unsaid: None,
        }
    }

    /// Whether there is something to pump.
    pub(super) fn has_incoming(&self) -> bool {
        !self.incoming.is_empty() || !self.early.is_empty() || self.peer_closed
    }

    /// There is nothing to do: room for bytes is given back.
    pub(super) fn rest(&mut self) {
        if self.incoming.is_empty() && self.early.is_empty() {
            (self.incoming, self.early) = (Vec::new(), Vec::new());
        }
    }

    /// Whether close_notify was written.
    pub fn said_farewell(&self) -> bool {
        self.said_farewell
    }

    /// Whether both ends agreed on HTTP/2.
    pub fn speaks_h2(&self) -> bool {
        self.agreed().is_some_and(|agreed| agreed.is_h2)
    }

    /// Offers the sealing key to `take`; `None`: not yet, or it was offered before. Nothing of what
    /// was sealed so far may still wait to be sent.
    pub fn hand_over<E>(
        &mut self,
        take: impl FnOnce(&SendKeys<'_>) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        self.take_over();
        match &mut self.keys {
            Keys::Own(records) if !self.broken => records.hand_over(take),
            _ => None,
        }
    }

    /// The key will not be offered to anybody.
    pub fn keep_key(&mut self) {
        self.take_over();
        if let Keys::Own(records) = &mut self.keys {
            records.keep_key();
        }
    }

    /// Whether the kernel seals: what is sent goes to the socket in clear.
    pub fn kernel_seals(&self) -> bool {
        matches!(&self.keys, Keys::Own(records) if records.kernel_seals())
    }

    /// Whether the kernel's key must not seal another answer.
    pub fn must_end(&self) -> bool {
        matches!(&self.keys, Keys::Own(records) if records.must_end())
    }

    /// Counts what the kernel was given to seal; false when its key must not seal any more.
    #[must_use]
    pub fn count_sealed(&mut self, bytes: u64) -> bool {
        match &mut self.keys {
            Keys::Own(records) => records.count_sealed(bytes),
            Keys::Library(_) | Keys::Lost => true,
        }
    }

    /// The alert that the kernel has to seal, once.
    pub fn take_unsaid(&mut self) -> Option<Alert> {
        self.unsaid.take()
    }

    /// Takes in received bytes. False when they are more than any honest peer sends at once.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        self.incoming.extend_from_slice(bytes);
        self.incoming.len() <= INCOMING_BYTES_MAX
    }

    /// Whether the handshake was shortened by a session ticket.
    pub fn is_resumed(&self) -> bool {
        self.agreed().is_some_and(|agreed| agreed.is_resumed)
    }

    /// What was agreed on; absent during the handshake.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.agreed()?.suite
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        match &self.keys {
            Keys::Library(session) => Some(Agreed::of(session)),
            Keys::Own(_) | Keys::Lost => self.agreed,
        }
    }

    /// The library's keys become ours, as soon as it has nothing left to say.
    fn take_over(&mut self) {
        let Keys::Library(session) = &self.keys else { return };
        if self.broken || session.is_handshaking() || session.wants_write() {
            return;
        }
        self.agreed = Some(Agreed::of(session));
        let Keys::Library(session) = std::mem::replace(&mut self.keys, Keys::Lost) else { return };
        let handed = session.dangerous_into_kernel_connection().ok();
        match handed.and_then(|(secrets, next_keys)| Records::new(secrets, next_keys)) {
            Some(records) => self.keys = Keys::Own(Box::new(records)),
            None => self.broken = true,
        }
    }

    /// Consumes what was received: clear bytes are added to `plain`, bytes for the peer to `out`.
    pub fn pump(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Pumped {
        if !self.early.is_empty() {
            plain.append(&mut self.early);
            return Pumped { wrote: 0, progress: Progress::Decrypted };
        }
        if matches!(self.keys, Keys::Own(_)) {
            return self.pump_own(plain, out);
        }
        let mut wrote = 0;
        let progress = loop {
            match self.pump_once(plain, &mut out[wrote..]) {
                Ok(Step::Wrote(bytes)) => wrote += bytes,
                Ok(Step::Full) if wrote > 0 => break Progress::NeedsMore,
                Ok(Step::Full) | Err(Broken) => {
                    self.broken = true;
                    wrote += self.alert(&mut out[wrote..]);
                    break Progress::Failed;
                }
                Ok(Step::At(progress)) => break progress,
            }
        };
        if progress == Progress::Established {
            self.take_over();
        }
        Pumped { wrote, progress }
    }

    /// Opens records up to the first that says something.
    fn pump_own(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Pumped {
        let Keys::Own(records) = &mut self.keys else { unreachable!("the caller looked") };
        let (mut at, mut wrote) = (0, 0);
        let before = plain.len();
        let progress = loop {
            if self.broken {
                break Progress::Failed;
            }
            if self.peer_closed {
                break Progress::PeerClosed;
            }
            match records.open(&mut self.incoming[at..], plain) {
                Opened::Nothing { record } => at += record,
                Opened::Content { record } => {
                    at += record;
                    if plain.len() > before {
                        break Progress::Decrypted;
                    }
                }
                Opened::NeedsMore if at == self.incoming.len() => break Progress::Established,
                Opened::NeedsMore => break Progress::NeedsMore,
                Opened::Closed => {
                    self.peer_closed = true;
                    at = self.incoming.len();
                }
                Opened::PeerFailed => self.broken = true,
                Opened::Failed(alert) => {
                    self.broken = true;
                    if records.kernel_seals() {
                        self.unsaid = Some(alert);
                    } else {
                        wrote = records.say(alert, out).unwrap_or(0);
                    }
                }
            }
        };
        self.incoming.drain(..at);
        Pumped { wrote, progress }
    }

    fn pump_once(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Result<Step, Broken> {
        if self.broken {
            return Err(Broken);
        }
        if self.peer_closed {
            return Ok(Step::At(Progress::PeerClosed));
        }
        let Keys::Library(session) = &mut self.keys else { return Err(Broken) };
        let UnbufferedStatus { mut discard, state } =
            session.process_tls_records(&mut self.incoming);
        let step = match state {
            Ok(ConnectionState::EncodeTlsData(mut record)) => match record.encode(out) {
                Ok(bytes) => Ok(Step::Wrote(bytes)),
                // It stays queued and comes again after this send.
                Err(EncodeError::InsufficientSize(_)) => Ok(Step::Full),
                Err(EncodeError::AlreadyEncoded) => Err(Broken),
            },
            // What was encoded goes out as soon as the caller has it.
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                sent.done();
                Ok(Step::Wrote(0))
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                Ok(Step::At(Progress::Decrypted))
            }
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::At(Progress::Established)),
            Ok(ConnectionState::BlockedHandshake) => Ok(Step::At(Progress::NeedsMore)),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                self.peer_closed = true;
                Ok(Step::At(Progress::PeerClosed))
            }
            // Early data was never offered.
            Ok(_) | Err(_) => Err(Broken),
        };
        self.incoming.drain(..discard.min(self.incoming.len()));
        step
    }

    /// Writes what the failed session still has to say. Only while it wants to write: it hands that
    /// out before it looks at the bytes that broke it.
    fn alert(&mut self, out: &mut [u8]) -> usize {
        let mut wrote = 0;
        let Keys::Library(session) = &mut self.keys else { return 0 };
        while session.wants_write() {
            let status = session.process_tls_records(&mut self.incoming);
            let Ok(ConnectionState::EncodeTlsData(mut record)) = status.state else { break };
            match record.encode(&mut out[wrote..]) {
                Ok(bytes) => wrote += bytes,
                Err(_) => break,
            }
        }
        wrote
    }

    /// Encrypts `clear` into records at the start of `out`.
    ///
    /// # Errors
    /// `out` is too small, or the session cannot write any more.
    pub fn seal(&mut self, clear: &[u8], out: &mut [u8]) -> Result<usize, Broken> {
        self.take_over();
        if let (Keys::Own(records), false) = (&mut self.keys, self.broken) {
            let sealed = records.seal(clear, out);
            self.broken = sealed.is_err();
            return sealed;
        }
        let mut wrote = 0;
        for content in clear.chunks(RECORD_CONTENT_BYTES_MAX) {
            wrote += self.write(&mut out[wrote..], |mut traffic, out| {
                traffic.encrypt(content, out).map_err(|_| Broken)
            })?;
        }
        Ok(wrote)
    }

    /// Writes close_notify; 0 when the session cannot say it any more, or leaves it to
    /// `take_unsaid`.
    pub fn farewell(&mut self, out: &mut [u8]) -> usize {
        self.said_farewell = true;
        self.take_over();
        if let Keys::Own(records) = &mut self.keys {
            if self.broken {
                return 0;
            }
            if records.kernel_seals() {
                self.unsaid = Some(Alert::CloseNotify);
                return 0;
            }
            return records.say(Alert::CloseNotify, out).unwrap_or(0);
        }
        self.write(out, |mut traffic, out| traffic.queue_close_notify(out).map_err(|_| Broken))
            .unwrap_or(0)
    }

    /// Brings the session to where it can write, and lets `say` write. What it has to say first (a
    /// key update, a session ticket) goes first; requests that wait are decrypted into `early`.
    fn write(
        &mut self,
        out: &mut [u8],
        say: impl FnOnce(Writer<'_>, &mut [u8]) -> Result<usize, Broken>,
    ) -> Result<usize, Broken> {
        let mut wrote = 0;
        while !self.broken {
            let Keys::Library(session) = &mut self.keys else { break };
            let UnbufferedStatus { mut discard, state } =
                session.process_tls_records(&mut self.incoming);
            match state {
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    let said = say(traffic, &mut out[wrote..]);
                    self.incoming.drain(..discard.min(self.incoming.len()));
                    return said.map(|bytes| wrote + bytes);
                }
                Ok(ConnectionState::EncodeTlsData(mut record)) => {
                    wrote += record.encode(&mut out[wrote..]).map_err(|_| Broken)?;
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        self.early.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                _ => self.broken = true,
            }
            self.incoming.drain(..discard.min(self.incoming.len()));
        }
        Err(Broken)
    }
}

/// A session that can write.
type Writer<'a> = WriteTraffic<'a, ServerConnectionData>;

/// What one call of the session did.
enum Step {
    /// Bytes for the peer.
    Wrote(usize),
    /// No room for what it wants to write.
    Full,
    /// It is there.
    At(Progress),
}

#[cfg(test)]
mod tests;
