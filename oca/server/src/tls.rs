//! Certificates, ticketer and versions: one `ServerConfig` for all workers, its certificate swapped
//! when the files change. Never holds a connection.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

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
    /// The TLS library refused our own settings.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The certificate in use, and where it came from.
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
    /// Modification times of both files when they were last read.
    read_at: ArcSwap<Stamps>,
}

type Stamps = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// They are not a certificate and its key.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let stamps = stamps(&files);
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Self { files, current, read_at: ArcSwap::from_pointee(stamps) }))
    }

    /// Reads the files again if they changed. True when the certificate is a new one.
    ///
    /// # Errors
    /// They are not a certificate and its key (yet): the old one stays in use, and the files are
    /// looked at again when they change again.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.files);
        if **self.read_at.load() == stamps {
            return Ok(false);
        }
        self.read_at.store(Arc::new(stamps));
        self.current.store(Arc::new(read(&self.files)?));
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

/// TLS 1.3 and 1.2, `http/1.1` only, sessions resumed by tickets that every worker can read.
///
/// # Errors
/// The TLS library refused.
pub fn server_config(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Stateless: nothing to share between workers but this one key, rotated by the library.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 2;
    config.max_early_data_size = 0;
    let config = Arc::new(config);
    // What is wrong with the settings themselves is said now, not at the first connection.
    UnbufferedServerConnection::new(Arc::clone(&config))?;
    Ok(config)
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &PathBuf, what, why: String| TlsError::Pem { path: path.clone(), what, why };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(&files.cert, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(pem(&files.cert, "certificate", "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| pem(&files.key, "private key", error.to_string()))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| TlsError::Pair { files: files.clone(), why: error.to_string() })
}

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.cert, &files.key].map(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
}
