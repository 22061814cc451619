//! TLS for members and machines: rustls over aws-lc-rs, HTTP/2 and HTTP/1.1.
//! Reads the files once, at start; a renewed certificate needs a restart, which players do not
//! notice.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::trouble::Trouble;

/// An acceptor for this chain and key.
pub(crate) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, Trouble> {
    let broken = |what: &'static str, path: &Path, why: String| Trouble::KeyFile {
        what,
        path: path.to_owned(),
        why,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| broken("tls.cert", cert, format!("{error}; give a PEM chain")))?;
    if chain.is_empty() {
        let why = "it holds no certificate; give PEM with BEGIN CERTIFICATE".to_owned();
        return Err(broken("tls.cert", cert, why));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| broken("tls.key", key, format!("{error}; give a PEM private key")))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| {
            broken("tls.key", key, format!("{error}; check that it belongs to tls.cert"))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
