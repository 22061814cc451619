//! Certificates, session tickets, versions and protocols: one `ServerConfig` for all workers.
//! Never holds a connection.

mod certificates;
mod session_keys;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, ResolvesServerCert, UnbufferedServerConnection};

pub use certificates::{Certificate, Certificates};
pub use session_keys::{EPOCH_S, SessionKeys};

use crate::config::{TlsConfig, TlsFiles};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not PEM, or not of the right kind.
    #[error("{path} holds no usable {what} in PEM: {why}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What the reader said.
        why: String,
    },
    /// The two files do not belong together, or the key is of a kind we cannot use.
    #[error("{} and {} cannot be used together: {why}", files.cert.display(), files.key.display())]
    Pair {
        /// Both.
        files: TlsFiles,
        /// What the TLS library said.
        why: String,
    },
    /// A certificate is to be shown under a name that it is not for.
    #[error("{path} is not a certificate for {name:?}: take it from names, or renew it ({why})")]
    Name {
        /// Which file.
        path: PathBuf,
        /// Which name.
        name: String,
        /// What the TLS library said.
        why: String,
    },
    /// The file of session secrets.
    #[error("{path} holds no session secret ({why}): `openssl rand -base64 48` makes one")]
    Secret {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No secret could be made up.
    #[error("this machine has no randomness: is /dev/urandom or getrandom(2) forbidden?")]
    NoRandomness,
    /// The TLS library refused our own settings.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// TLS 1.3 and 1.2, `http/1.1` only, session tickets that only this process can open.
///
/// # Errors
/// The TLS library refused.
pub fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, TlsError> {
    server_config_with(resolver, SessionKeys::made_up()?, &["http/1.1".to_owned()])
}

/// TLS 1.3 and 1.2 for the protocols of `alpn`, the one we like most first.
///
/// # Errors
/// The TLS library refused.
pub fn server_config_with(
    resolver: Arc<dyn ResolvesServerCert>,
    session_keys: Arc<dyn ProducesTickets>,
    alpn: &[String],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.ticketer = session_keys;
    config.send_tls13_tickets = 2;
    config.max_early_data_size = 0;
    // After the handshake its keys are ours: see `connection::stream`.
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    // What is wrong with the settings themselves is said now, not at the first connection.
    UnbufferedServerConnection::new(Arc::clone(&config))?;
    Ok(config)
}

/// Everything of TLS that is looked at again while the server runs.
#[derive(Debug)]
pub struct KeyKeeper {
    /// What all workers use; it asks the other two at every handshake.
    pub server: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    session_keys: Arc<SessionKeys>,
}

impl KeyKeeper {
    /// Reads all files that `config` names.
    ///
    /// # Errors
    /// The first that is not what it should be.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let certificates = Certificates::load(config.files.clone(), config.certificates.clone())?;
        let session_keys = match &config.ticket_secret_file {
            Some(path) => SessionKeys::load(path, config.ticket_epoch_s)?,
            None => SessionKeys::made_up()?,
        };
        let resolver: Arc<dyn ResolvesServerCert> = certificates.clone();
        let server = server_config_with(resolver, session_keys.clone(), &config.alpn)?;
        Ok(Self { server, certificates, session_keys })
    }

    /// Looks at all files again: how many things are new, and what is wrong with others.
    pub fn refresh(&self) -> (u64, Vec<TlsError>) {
        let (mut renewed, mut wrong) = self.certificates.refresh();
        match self.session_keys.refresh() {
            Ok(is_new) => renewed += u64::from(is_new),
            Err(error) => wrong.push(error),
        }
        (renewed, wrong)
    }
}

/// What tells one content of a file from another without reading it: time of change in
/// nanoseconds, length, number of the file. All zero when there is none.
///
/// The time is that of the last change of anything about the file. The one that programs may set
/// themselves stays as it was when only its owner or rights change, and when a copy keeps the date
/// of its original: a key that could not be read would never be looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed_s: i64,
    changed_ns: i64,
    bytes: u64,
    inode: u64,
}

/// The stamp of the file at `path` now.
pub(crate) fn stamp(path: &Path) -> Stamp {
    std::fs::metadata(path).map_or_else(
        |_| Stamp::default(),
        |file| Stamp {
            changed_s: file.ctime(),
            changed_ns: file.ctime_nsec(),
            bytes: file.len(),
            inode: file.ino(),
        },
    )
}
