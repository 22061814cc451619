//! Who a box is to control: one private file with its key, its certificate and the authority it
//! believes. Makes no key and asks for no certificate; `oca` does both.
//!
//! The file is PEM: the private key, the certificate, the authority's certificate, in this order.
//! One file, so that a rename replaces all three or none.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::registration::{FleetAuthority, IssuedCertificate};
use reqwest::{Certificate, Client, Identity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::client::{builder, checked_base};
use crate::error::{ClientError, deepest};

/// Where a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// How often the file is looked at, at most: a renewal is taken up this much later.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest identity file read, bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Keeps a new identity in place of the old one, readable by its owner only. When root
/// registers the box, that is whoever owns the folder: the programs do not run as root.
///
/// # Errors
/// The disk's own; the old file stays then.
pub fn store_identity(path: &Path, key: &str, issued: &IssuedCertificate) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    // A file that was left there may be open to others, and its mode would stay.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    for part in [key, &issued.certificate, &issued.authority] {
        writeln!(file, "{}", part.trim_end())?;
    }
    file.sync_all()?;
    let keeper = std::fs::metadata(folder.unwrap_or(Path::new(".")))?;
    if file.metadata()?.uid() == 0 && keeper.uid() != 0 {
        fchown(&file, Some(keeper.uid()), Some(keeper.gid()))?;
    }
    std::fs::rename(&beside, path)?;
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The authority of the fleet at `base_url`, PEM, which the registration key vouches for: what
/// answers there need not be believed for it.
///
/// # Errors
/// [`ClientError::Url`], [`ClientError::Registration`] for a key that is none or that vouches for
/// another authority, or what a call fails with.
pub async fn fleet_authority(base_url: &str, key: &str) -> Result<String, ClientError> {
    let base = checked_base(base_url)?;
    let refused = |why: &str| ClientError::Registration { url: base.clone(), why: why.to_owned() };
    if !base.starts_with("https://") {
        return Err(refused("boxes register at control's https port for appliances"));
    }
    let (_, wanted) = key
        .trim()
        .rsplit_once('.')
        .ok_or_else(|| refused("the registration key is cut short: copy all of it"))?;
    let url = format!("{base}/v1/appliance/authority");
    let failed = |error: reqwest::Error| ClientError::Unreachable {
        url: format!("GET {url}"),
        reason: deepest(&error),
        broke: false,
    };
    // Believed by its digest below, and nothing is told to it before.
    let client = builder().tls_danger_accept_invalid_certs(true).tls_certs_only([]);
    let client = client.build().map_err(failed)?;
    let answer = client.get(&url).timeout(Duration::from_secs(15)).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let body: FleetAuthority = answer.json().await.map_err(failed)?;
    for authority in std::iter::once(body.authority).chain(body.earlier) {
        let der = CertificateDer::from_pem_slice(authority.as_bytes())
            .map_err(|_| refused("what answers there shows no certificate"))?;
        if URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der)) == wanted {
            return Ok(authority);
        }
    }
    Err(refused(
        "what answers there is not the control that the registration key is of, or no longer: \
         check the URL, or somebody is in between, or ask for a new key",
    ))
}

/// HTTP as whoever an identity file says, taken up anew when the file changes.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    path: PathBuf,
    base: String,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    client: Option<Client>,
    /// Of the file that `client` is made from.
    changed: Option<(SystemTime, u64)>,
    looked: Option<Instant>,
    /// Why there is no client.
    why: String,
}

impl Identified {
    pub(crate) fn new(path: PathBuf, base: String) -> Self {
        let kept = Kept { client: None, changed: None, looked: None, why: String::new() };
        Self { path, base, kept: Arc::new(Mutex::new(kept)) }
    }

    /// A client as the file says now. With a file that is gone or broken, the last good one.
    pub(crate) fn client(&self) -> Result<Client, ClientError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            kept.looked = Some(Instant::now());
            if let Err(why) = self.look(&mut kept) {
                kept.why = why;
            }
        }
        kept.client.clone().ok_or_else(|| ClientError::Identity {
            url: self.base.clone(),
            path: self.path.clone(),
            why: kept.why.clone(),
        })
    }

    fn look(&self, kept: &mut Kept) -> Result<(), String> {
        let state = std::fs::metadata(&self.path).map_err(|error| error.to_string())?;
        let modified = state.modified().map_err(|error| error.to_string())?;
        let changed = Some((modified, state.ino()));
        if kept.changed == changed {
            return Ok(());
        }
        if state.len() > FILE_BYTES_MAX {
            return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        }
        let text =
            control_types::config_file::read_text(&self.path).map_err(|error| error.to_string())?;
        let at = text.rfind(BEGIN).ok_or("there is no certificate in it")?;
        let (own, authority) = text.split_at(at);
        let root = Certificate::from_pem(authority.as_bytes()).map_err(|e| deepest(&e))?;
        let identity = Identity::from_pem(own.as_bytes()).map_err(|e| deepest(&e))?;
        let client = builder().tls_certs_only([root]).identity(identity).build();
        kept.client = Some(client.map_err(|e| deepest(&e))?);
        kept.changed = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use std::os::unix::fs::PermissionsExt;

    use control_types::UnixMillis;

    use super::*;

    #[test]
    fn an_identity_is_kept_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/identity.pem");
        let issued = |text: &str| IssuedCertificate {
            appliance: "edge-a1".parse().unwrap(),
            certificate: format!("{text}\n"),
            authority: "authority".to_owned(),
            expires_at: UnixMillis(0),
        };
        store_identity(&path, "key\n", &issued("first")).unwrap();
        store_identity(&path, "key two", &issued("second")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "key two\nsecond\nauthority\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    /// Says nothing unless root runs it, because nobody else can give a folder away.
    #[test]
    fn what_root_registers_belongs_to_the_keeper_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        if std::os::unix::fs::chown(folder.path(), Some(12_345), Some(12_346)).is_err() {
            return;
        }
        let path = folder.path().join("identity.pem");
        let issued = IssuedCertificate {
            appliance: "edge-a1".parse().unwrap(),
            certificate: "certificate".to_owned(),
            authority: "authority".to_owned(),
            expires_at: UnixMillis(0),
        };
        store_identity(&path, "key", &issued).unwrap();
        let kept = std::fs::metadata(&path).unwrap();
        assert_eq!((kept.uid(), kept.gid(), kept.mode() & 0o777), (12_345, 12_346, 0o600));
    }

    #[test]
    fn without_an_identity_the_cure_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.pem");
        let identified = Identified::new(path.clone(), "https://control.example".to_owned());
        let error = identified.client().unwrap_err().to_string();
        assert!(error.contains("oca register") && error.contains("identity.pem"), "{error}");
        std::fs::write(&path, "nothing").unwrap();
        let broken = Identified::new(path, "https://control.example".to_owned());
        assert!(broken.client().unwrap_err().to_string().contains("no certificate"));
    }
}
