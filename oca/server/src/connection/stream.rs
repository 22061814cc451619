//! The bytes of a connection, clear or under TLS: records in, records out, no socket.
//! Never holds a response: it encrypts from the chunk's memory into the caller's send buffer.

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus, WriteTraffic};
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig};

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
            Self::Tls(tls) => !tls.incoming.is_empty() || !tls.early.is_empty() || tls.peer_closed,
        }
    }

    /// The connection has nothing to do: room for bytes is given back.
    pub fn rest(&mut self) {
        if let Self::Tls(tls) = self
            && tls.incoming.is_empty()
            && tls.early.is_empty()
        {
            (tls.incoming, tls.early) = (Vec::new(), Vec::new());
        }
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
        Self {
            session,
            incoming: Vec::new(),
            early: Vec::new(),
            peer_closed: false,
            broken: false,
            said_farewell: false,
        }
    }

    /// Whether close_notify was written.
    pub fn said_farewell(&self) -> bool {
        self.said_farewell
    }

    /// Whether both ends agreed on HTTP/2.
    pub fn speaks_h2(&self) -> bool {
        self.session.alpn_protocol() == Some(b"h2")
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

    /// What was agreed on; absent during the handshake.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.session.negotiated_cipher_suite().map(|suite| suite.suite())
    }

    /// Consumes what was received: clear bytes are added to `plain`, bytes for the peer to `out`.
    pub fn pump(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Pumped {
        if !self.early.is_empty() {
            plain.append(&mut self.early);
            return Pumped { wrote: 0, progress: Progress::Decrypted };
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
        Pumped { wrote, progress }
    }

    fn pump_once(&mut self, plain: &mut Vec<u8>, out: &mut [u8]) -> Result<Step, Broken> {
        if self.broken {
            return Err(Broken);
        }
        if self.peer_closed {
            return Ok(Step::At(Progress::PeerClosed));
        }
        let UnbufferedStatus { mut discard, state } =
            self.session.process_tls_records(&mut self.incoming);
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
        while self.session.wants_write() {
            let status = self.session.process_tls_records(&mut self.incoming);
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
        let mut wrote = 0;
        for content in clear.chunks(RECORD_CONTENT_BYTES_MAX) {
            wrote += self.write(&mut out[wrote..], |mut traffic, out| {
                traffic.encrypt(content, out).map_err(|_| Broken)
            })?;
        }
        Ok(wrote)
    }

    /// Writes close_notify; 0 when the session cannot say it any more.
    pub fn farewell(&mut self, out: &mut [u8]) -> usize {
        self.said_farewell = true;
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
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut self.incoming);
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

/// Most clear bytes whose records fit `room` bytes.
pub fn clear_bytes_that_fit(room: usize) -> usize {
    let whole = room / (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    let rest = room % (RECORD_CONTENT_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    whole * RECORD_CONTENT_BYTES_MAX + rest.saturating_sub(RECORD_OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;
    use crate::config::TlsFiles;
    use crate::limits::SEND_BYTES;
    use crate::tls::{Certificate, server_config};

    /// Goal: whatever a peer sends, a session never takes the worker down with it. Method: a real
    /// client, whose bytes are damaged from some point on; the server side is pumped, made to write
    /// and said goodbye to in any order, as the connection might.
    #[test]
    fn damaged_bytes_at_any_point_are_survived() {
        let (server, der) = server();
        let mut roots = RootCertStore::empty();
        roots.add(der).unwrap();
        let (mut intact, mut failed) = (0, 0);
        for seed in 0..400u64 {
            let versions =
                if seed % 2 == 0 { &[&rustls::version::TLS13] } else { &[&rustls::version::TLS12] };
            let provider = Arc::new(aws_lc());
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            let progress = converse(&server, Arc::new(client), seed);
            failed += usize::from(progress == Progress::Failed);
            intact += usize::from(progress != Progress::Failed);
        }
        assert!(intact > 20 && failed > 100, "{intact} conversations survived, {failed} failed");
    }

    fn server() -> (Arc<ServerConfig>, rustls_pki_types::CertificateDer<'static>) {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsFiles { cert: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let server = server_config(Certificate::load(files).unwrap()).unwrap();
        (server, made.cert.der().clone())
    }

    #[test]
    #[should_panic(expected = "nothing of it changes")]
    fn a_session_that_cannot_be_made_is_never_a_clear_stream() {
        let mut config = ServerConfig::clone(&server().0);
        // Below what the library takes.
        config.max_fragment_size = Some(1);
        Stream::new(Some(&Arc::new(config)));
    }

    fn aws_lc() -> rustls::crypto::CryptoProvider {
        rustls::crypto::aws_lc_rs::default_provider()
    }

    fn converse(server: &Arc<ServerConfig>, client: Arc<ClientConfig>, seed: u64) -> Progress {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let Stream::Tls(mut tls) = Stream::new(Some(server)) else { panic!("TLS was asked for") };
        let mut client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
        let damaged_round = draw(6);
        let (mut plain, mut out) = (Vec::new(), vec![0; SEND_BYTES]);
        let mut last = Progress::NeedsMore;
        for round in 0..8 {
            if !client.is_handshaking() {
                // A client that was sent an alert writes no more.
                let _ = std::io::Write::write_all(&mut client.writer(), b"GET / HTTP/1.1\n\n");
            }
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            if round >= damaged_round && !bytes.is_empty() {
                let at = draw(bytes.len() as u64) as usize;
                match draw(4) {
                    0 => bytes[at] ^= 1 << draw(8),
                    1 => bytes.truncate(at),
                    2 => bytes.extend_from_within(at..),
                    _ => bytes.insert(at, 22),
                }
            }
            // In pieces, with the server made to write between them.
            for piece in bytes.chunks(1 + draw(600) as usize) {
                if !tls.take(piece) {
                    return Progress::Failed;
                }
                let pumped = tls.pump(&mut plain, &mut out);
                last = pumped.progress;
                let _ = client.read_tls(&mut &out[..pumped.wrote]);
                let _ = client.process_new_packets();
                match draw(8) {
                    0 if last == Progress::Decrypted || last == Progress::Failed => {
                        let _ = tls.seal(b"HTTP/1.1 200 OK", &mut out);
                    }
                    1 if last == Progress::Failed => {
                        tls.farewell(&mut out);
                    }
                    _ => {}
                }
            }
        }
        tls.farewell(&mut out);
        tls.pump(&mut plain, &mut out);
        last
    }
}
