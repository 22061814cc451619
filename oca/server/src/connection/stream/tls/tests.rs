//! Streams against the library's own client: whole conversations, damaged ones, and every cipher.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use super::*;
use crate::config::TlsFiles;
use crate::connection::stream::Stream;
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

/// One end to end conversation with the library's client.
struct Talk {
    tls: Box<Tls>,
    client: ClientConnection,
    plain: Vec<u8>,
    out: Vec<u8>,
}

impl Talk {
    fn new(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Self {
        let Stream::Tls(tls) = Stream::new(Some(server)) else { panic!("TLS was asked for") };
        let client = ClientConnection::new(client.clone(), "localhost".try_into().unwrap());
        let out = vec![0; 2 * SEND_BYTES];
        let mut talk = Self { tls, client: client.unwrap(), plain: Vec::new(), out };
        while talk.client.is_handshaking() || !matches!(talk.tls.keys, Keys::Own(_)) {
            talk.client_to_server();
        }
        talk
    }

    /// Everything the client has to say, in pieces; and what the server says to that.
    fn client_to_server(&mut self) -> Progress {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        let mut last = Progress::NeedsMore;
        for piece in bytes.chunks(3001) {
            assert!(self.tls.take(piece));
            loop {
                let pumped = self.tls.pump(&mut self.plain, &mut self.out);
                self.hear(pumped.wrote);
                last = pumped.progress;
                if last != Progress::Decrypted {
                    break;
                }
            }
        }
        last
    }

    /// The client reads what the server wrote to `out`.
    fn hear(&mut self, wrote: usize) {
        let mut bytes = &self.out[..wrote];
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    fn says(&mut self, clear: &[u8]) -> Vec<u8> {
        let wrote = self.tls.seal(clear, &mut self.out).unwrap();
        let mut heard = Vec::new();
        let mut bytes = &self.out[..wrote];
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            let ready = self.client.process_new_packets().unwrap().plaintext_bytes_to_read();
            let from = heard.len();
            heard.resize(from + ready, 0);
            std::io::Read::read_exact(&mut self.client.reader(), &mut heard[from..]).unwrap();
        }
        heard
    }

    fn is_told(&mut self, clear: &[u8]) -> Vec<u8> {
        for piece in clear.chunks(10_000) {
            std::io::Write::write_all(&mut self.client.writer(), piece).unwrap();
            self.client_to_server();
        }
        std::mem::take(&mut self.plain)
    }
}

fn clients(der: &rustls_pki_types::CertificateDer<'static>) -> Vec<(String, Arc<ClientConfig>)> {
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let mut clients = Vec::new();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for suite in aws_lc().cipher_suites {
            // The test's certificate is not an RSA one.
            if suite.version() != version || format!("{:?}", suite.suite()).contains("_RSA_") {
                continue;
            }
            let provider =
                rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..aws_lc() };
            let client = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            clients.push((format!("{:?}", suite.suite()), Arc::new(client)));
        }
    }
    clients
}

/// Goal: what we seal the library opens and the other way round, for every cipher of both versions,
/// at every awkward length, over changes of keys. Method: echoes of lengths drawn from one seed.
#[test]
fn every_cipher_carries_every_length_both_ways() {
    let (server, der) = server();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut tried = 0;
    for (name, client) in clients(&der) {
        let mut talk = Talk::new(&server, &client);
        let is_13 = talk.client.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let edges = [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 32_768, 40_000];
        for round in 0..edges.len() + 30 {
            let bytes = edges.get(round).copied().unwrap_or_else(|| draw(40_001));
            let clear: Vec<u8> = (0..bytes).map(|at| (at * 31 + round) as u8).collect();
            assert!(talk.says(&clear) == clear, "{name}: {bytes} bytes from us, round {round}");
            assert!(talk.is_told(&clear) == clear, "{name}: {bytes} bytes to us, round {round}");
            if is_13 && round % 7 == 3 {
                talk.client.refresh_traffic_keys().unwrap();
            }
        }
        tried += 1;
        // The ends: ours is heard as such, and so is theirs.
        let wrote = talk.tls.farewell(&mut talk.out);
        let mut bytes = &talk.out[..wrote];
        talk.client.read_tls(&mut bytes).unwrap();
        assert!(talk.client.process_new_packets().unwrap().peer_has_closed(), "{name}");
        talk.client.send_close_notify();
        assert_eq!(talk.client_to_server(), Progress::PeerClosed, "{name}");
    }
    assert_eq!(tried, 6, "three ciphers of each version");
}

#[test]
fn sessions_are_resumed_after_the_keys_were_taken_over() {
    let (server, der) = server();
    for (name, client) in clients(&der) {
        let mut first = Talk::new(&server, &client);
        assert!(!first.tls.is_resumed(), "{name}");
        // The client must have read the tickets.
        assert_eq!(first.says(b"x"), b"x");
        let mut second = Talk::new(&server, &client);
        assert!(second.tls.is_resumed(), "{name}");
        assert_eq!(second.says(b"again"), b"again");
        assert_eq!(second.tls.suite().map(|suite| format!("{suite:?}")), Some(name));
    }
}

#[test]
fn a_bent_record_a_long_one_and_too_many_key_updates_end_with_an_alert() {
    let (server, der) = server();
    for (name, client) in clients(&der) {
        let mut talk = Talk::new(&server, &client);
        std::io::Write::write_all(&mut talk.client.writer(), b"hello").unwrap();
        let mut bytes = Vec::new();
        talk.client.write_tls(&mut bytes).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(talk.tls.take(&bytes));
        let pumped = talk.tls.pump(&mut talk.plain, &mut talk.out);
        assert_eq!((pumped.progress, talk.plain.len()), (Progress::Failed, 0), "{name}");
        talk.client.read_tls(&mut &talk.out[..pumped.wrote]).unwrap();
        let error = talk.client.process_new_packets().unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{name}: {error}");
        assert_eq!(talk.tls.farewell(&mut talk.out), 0, "nothing after a fatal alert");
        assert!(talk.tls.seal(b"x", &mut talk.out).is_err());

        let mut talk = Talk::new(&server, &client);
        assert!(talk.tls.take(&[23, 3, 3, 0x7f, 0xff, 0]));
        let pumped = talk.tls.pump(&mut talk.plain, &mut talk.out);
        assert_eq!(pumped.progress, Progress::Failed, "{name}");
        talk.client.read_tls(&mut &talk.out[..pumped.wrote]).unwrap();
        let error = talk.client.process_new_packets().unwrap_err();
        assert!(error.to_string().contains("RecordOverflow"), "{name}: {error}");
    }
    let (_, client) = &clients(&der)[0];
    let mut talk = Talk::new(&server, client);
    for _ in 0..crate::limits::KEY_UPDATES_MAX {
        talk.client.refresh_traffic_keys().unwrap();
        assert_ne!(talk.client_to_server(), Progress::Failed);
    }
    assert_eq!(talk.is_told(b"still there"), b"still there");
    for _ in 0..=crate::limits::KEY_UPDATES_MAX {
        talk.client.refresh_traffic_keys().unwrap();
    }
    let mut bytes = Vec::new();
    while talk.client.wants_write() {
        talk.client.write_tls(&mut bytes).unwrap();
    }
    assert!(talk.tls.take(&bytes));
    assert_eq!(talk.tls.pump(&mut talk.plain, &mut talk.out).progress, Progress::Failed);
}
