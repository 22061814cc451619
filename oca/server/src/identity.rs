//! Who this box is to control: makes its key, has it signed with a registration key, and again
//! before the certificate ends. Never lets a private key leave the box, and never asks the box's
//! clock: control says when a certificate is due.

use std::path::{Path, PathBuf};
use std::time::Duration;

use control_client::{ClientError, ControlClient, Credential, fleet_authority, store_identity};
use control_types::UnixMillis;
use control_types::registration::{IssuedCertificate, Registration, Renewal};
use rcgen::{CertificateParams, KeyPair};

use crate::config::{Config, ControlProof};

/// Longest time until control is asked again whether the certificate is due.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(3_600);
/// Shortest time until then, also after control did not answer.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// Time until control is asked again after it could not say.
const ASK_AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// Why a box has no identity now.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The config does not say where to keep one.
    #[error(
        "{path} gives this box no place for an identity: \
         set control.identity = \"/var/lib/nightfill/oca/identity.pem\""
    )]
    NoPlace {
        /// The config file.
        path: PathBuf,
    },
    /// Control did not give a certificate.
    #[error(transparent)]
    Control(#[from] ClientError),
    /// No key or request could be made.
    #[error("no key could be made")]
    Key(#[from] rcgen::Error),
    /// The certificate is there and cannot be kept.
    #[error("the identity {path} cannot be written: mend that, and register with a new key")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No runtime to call control with.
    #[error("control cannot be called")]
    Runtime(#[source] std::io::Error),
}

/// What a registration came to.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Where the identity is kept.
    pub path: PathBuf,
    /// When the certificate ends, by control's clock.
    pub expires_at: UnixMillis,
}

/// Registers the box that the config at `path` describes, with the key its owner was given.
///
/// # Errors
/// [`IdentityError`]; an earlier identity stays then.
pub fn register(path: &Path, config: &Config, key: &str) -> Result<Registered, IdentityError> {
    let no_place = || IdentityError::NoPlace { path: path.to_owned() };
    let control = config.control.as_ref().ok_or_else(no_place)?;
    let ControlProof::Identity(identity) = &control.proof else { return Err(no_place()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(IdentityError::Runtime)?;
    let key = key.trim();
    let issued = runtime.block_on(async {
        let authority = fleet_authority(&control.url, key).await?;
        let nobody = Credential::Nobody;
        let client = ControlClient::new(&control.url, nobody, Some(authority.as_bytes()))?;
        let (private, csr) = request()?;
        let body = Registration { appliance: config.appliance.clone(), key: key.to_owned(), csr };
        let issued = client.register(&body).await?;
        keep(identity, &private, &issued)?;
        Ok::<_, IdentityError>(issued)
    })?;
    Ok(Registered { path: identity.clone(), expires_at: issued.expires_at })
}

/// Has the certificate renewed whenever control says that it is due, for as long as the process
/// lives. `client` calls with the identity at `path`.
pub(crate) async fn renew_for_ever(client: ControlClient, path: PathBuf) {
    let mut said = String::new();
    loop {
        let pause = match renew_if_due(&client, &path).await {
            Ok(pause) => {
                said.clear();
                pause
            }
            Err(error) => {
                let error = error.to_string();
                if error != said {
                    tracing::warn!(error, "control cannot say whether our certificate is due");
                    said = error;
                }
                ASK_AFTER_TROUBLE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn renew_if_due(client: &ControlClient, path: &Path) -> Result<Duration, IdentityError> {
    let status = client.certificate().await?;
    if status.renew {
        let (private, csr) = request()?;
        let issued = client.renew(&Renewal { csr }).await?;
        keep(path, &private, &issued)?;
        tracing::info!(path = %path.display(), expires_at = issued.expires_at.0,
            "our certificate is renewed");
    }
    Ok(Duration::from_millis(status.ask_again_ms).clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX))
}

/// A new key, and the request that proves that we have it.
fn request() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
    Ok((key.serialize_pem(), csr))
}

fn keep(path: &Path, private: &str, issued: &IssuedCertificate) -> Result<(), IdentityError> {
    store_identity(path, private, issued)
        .map_err(|source| IdentityError::Disk { path: path.to_owned(), source })
}
