//! TLS for members and machines: rustls over aws-lc-rs, HTTP/2 and HTTP/1.1.
//! Reads the files once, at start; a renewed certificate needs a restart, which players do not
//! notice.
//!
//! On the appliances' port both sides' certificates are of the fleet's own authority, and a box may
//! show none: it has none before it registered. The handshake takes whatever certificate a box
//! shows, as long as it has the key; right after it, and before any request, [`Judge`] holds the
//! certificate against the authority and the clock. A handshake that failed instead would tell the
//! box an alert at best and a reset connection at worst, and its owner nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use control_gateway::{AuthorityDesk, FleetCa, Proof};
use control_steering::Unproven;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
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
    config.alpn_protocols = protocols();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// The appliances' port under its names, as the fleet's authorities stand: when they change, the
/// next connection meets the new ones.
pub(crate) struct Door {
    authorities: Arc<AuthorityDesk>,
    names: Vec<String>,
    made: Mutex<Arc<Made>>,
}

/// How the port speaks while the authorities stay as they are.
pub(crate) struct Made {
    of: Arc<FleetCa>,
    pub acceptor: TlsAcceptor,
    /// Of what boxes show.
    pub judge: Judge,
}

impl Door {
    pub(crate) fn new(
        authorities: Arc<AuthorityDesk>,
        names: Vec<String>,
    ) -> Result<Self, Trouble> {
        let made = Mutex::new(Arc::new(appliances_acceptor(authorities.current(), &names)?));
        Ok(Self { authorities, names, made })
    }

    /// As the authorities stand now.
    pub(crate) fn now(&self) -> Arc<Made> {
        let current = self.authorities.current();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.of, &current) {
            match appliances_acceptor(current, &self.names) {
                Ok(next) => *made = Arc::new(next),
                Err(error) => tracing::error!(%error, "the appliances' port keeps its certificate"),
            }
        }
        made.clone()
    }
}

fn appliances_acceptor(authority: Arc<FleetCa>, names: &[String]) -> Result<Made, Trouble> {
    const WHAT: &str = "the appliances' port";
    let failed = |error: &(dyn std::error::Error + 'static)| Trouble::service(WHAT)(error);
    let identity = authority.server(names).map_err(|error| failed(&error))?;
    let chain = identity.chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::try_from(identity.key)
        .map_err(|why| Trouble::Service { service: WHAT, why: why.to_owned() })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for root in authority.roots() {
        roots.add(CertificateDer::from(root.to_vec())).map_err(|error| failed(&error))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| failed(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_client_cert_verifier(Arc::new(Possession(Arc::clone(&verifier))))
        .with_single_cert(chain, key)
        .map_err(|error| failed(&error))?;
    config.alpn_protocols = protocols();
    // A resumed session would bring the certificate of the first one; a box reports on one
    // connection for as long as it lives and has no use for it.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Ok(Made { of: authority, acceptor, judge: Judge(verifier) })
}

/// Holds a certificate against the fleet's authorities and control's clock.
pub(crate) struct Judge(Arc<dyn ClientCertVerifier>);

impl Judge {
    /// What a peer with this chain has proved, now; the handshake has proved that it has the key.
    pub(crate) fn judge(&self, chain: Option<&[CertificateDer<'_>]>, now: UnixTime) -> Proof {
        let Some((leaf, rest)) = chain.and_then(<[_]>::split_first) else { return Proof::Nothing };
        match self.0.verify_client_cert(leaf, rest, now) {
            Ok(_) => {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
                let mut fingerprint = [0; 32];
                fingerprint.copy_from_slice(hash.as_ref());
                Proof::Certificate(fingerprint)
            }
            Err(error) => Proof::Refused(judge_error(&error)),
        }
    }
}

fn judge_error(error: &rustls::Error) -> Unproven {
    let rustls::Error::InvalidCertificate(error) = error else { return Unproven::CertificateBad };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Unproven::CertificateOver
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Unproven::CertificateEarly
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Unproven::CertificateForeign
        }
        _ => Unproven::CertificateBad,
    }
}

/// Asks for a certificate and checks that the peer has its key; [`Judge`] does the rest.
#[derive(Debug)]
struct Possession(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Possession {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a box shows what it has, also a certificate of a fleet that it has left, so that it is
    /// told why it is refused.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
