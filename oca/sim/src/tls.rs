//! The client's end of TLS: the same library as the server's, in its ordinary form.
//! It moves no bytes by itself. Its randomness is real, so a run over TLS replays in what happens,
//! not in every byte and length.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use oca::config::TlsFiles;
use oca::tls::{Certificate, SessionKeys, server_config_with};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// Both ends' settings for one made-up certificate.
#[derive(Clone, Debug)]
pub struct Keys {
    /// What the appliance loads.
    pub server: Arc<ServerConfig>,
    /// What trusts it.
    pub client: Arc<ClientConfig>,
    /// The same, for HTTP/2.
    pub client_h2: Arc<ClientConfig>,
}

impl Keys {
    /// Makes a certificate for `edge.example` in `dir` and loads it as an appliance does.
    ///
    /// # Errors
    /// The directory cannot be written, or the TLS library refuses its own kind of keys.
    pub fn make(dir: &Path) -> std::io::Result<Self> {
        let other = std::io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
        let made = rcgen::generate_simple_self_signed(vec!["edge.example".to_owned()])
            .map_err(|error| other(error.into()))?;
        let files = TlsFiles { cert: dir.join("edge.pem"), key: dir.join("edge.key") };
        std::fs::write(&files.cert, made.cert.pem())?;
        std::fs::write(&files.key, made.signing_key.serialize_pem())?;
        let certificate = Certificate::load(files).map_err(|error| other(error.into()))?;
        let session_keys = SessionKeys::made_up().map_err(|error| other(error.into()))?;
        let alpn = ["http/1.1".to_owned(), "h2".to_owned()];
        let server = server_config_with(certificate, session_keys, &alpn)
            .map_err(|error| other(error.into()))?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|error| other(error.into()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| other(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client_h2 = client.clone();
        client_h2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { server, client: Arc::new(client), client_h2: Arc::new(client_h2) })
    }
}

/// One client's session.
#[derive(Debug)]
pub(crate) struct ClientTls {
    session: ClientConnection,
    plain: Vec<u8>,
    trouble: Option<String>,
}

impl ClientTls {
    pub(crate) fn new(config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("edge.example").expect("a host name");
        let mut session = ClientConnection::new(Arc::clone(config), name).expect("a sound config");
        // A flood is all there before the handshake is.
        session.set_buffer_limit(None);
        Self { session, plain: Vec::new(), trouble: None }
    }

    /// Clear bytes for the server; encrypted as soon as there are keys.
    pub(crate) fn send(&mut self, clear: &[u8]) {
        self.session.writer().write_all(clear).expect("memory has room");
    }

    /// Says that no more comes.
    pub(crate) fn finish(&mut self) {
        self.session.send_close_notify();
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Bytes for the wire.
    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes).expect("memory has room");
        }
        bytes
    }

    /// Bytes from the wire.
    pub(crate) fn take(&mut self, raw: &[u8]) {
        let mut left = raw;
        while !left.is_empty() && self.trouble.is_none() {
            let taken = self.session.read_tls(&mut left);
            let state = self.session.process_new_packets();
            match (taken, state) {
                (Ok(_), Ok(state)) => {
                    let mut clear = vec![0; state.plaintext_bytes_to_read()];
                    let got = self.session.reader().read(&mut clear).unwrap_or(0);
                    self.plain.extend_from_slice(clear.get(..got).unwrap_or_default());
                }
                (taken, state) => self.trouble = Some(format!("{taken:?} {state:?}")),
            }
        }
    }

    /// Clear bytes from the server.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }

    /// Clear bytes not read yet.
    pub(crate) fn waiting(&self) -> usize {
        self.plain.len()
    }

    /// What the server did that is not TLS.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}
