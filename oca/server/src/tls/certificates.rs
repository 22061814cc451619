//! Certificates by the name a client asks for, each swapped when its files change.
//! Never holds a connection; a broken new file never replaces a good old one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::{Stamp, TlsError, stamp};
use crate::config::{NamedFiles, TlsFiles};

/// One certificate and its key, and where they came from.
pub struct Certificate {
    /// In lower case; `*.example` stands for one label. None: whoever asks for something else.
    names: Vec<String>,
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
    /// Of both files when they were last read.
    read_at: ArcSwap<[Stamp; 2]>,
    /// What is in use is older than `read_at`: what was read then was not good.
    is_behind: AtomicBool,
}

impl Certificate {
    /// Reads both files; it is good for whatever name is asked for.
    ///
    /// # Errors
    /// They are not a certificate and its key.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        Self::load_named(NamedFiles { names: Vec::new(), files }).map(Arc::new)
    }

    fn load_named(named: NamedFiles) -> Result<Self, TlsError> {
        let NamedFiles { names, files } = named;
        let stamps = stamps(&files);
        let current = ArcSwap::from_pointee(read(&files, &names)?);
        let (read_at, is_behind) = (ArcSwap::from_pointee(stamps), AtomicBool::new(false));
        Ok(Self { names, files, current, read_at, is_behind })
    }

    /// Reads the files again if they changed, or were not good when they were last read. True when
    /// the certificate is a new one.
    ///
    /// # Errors
    /// They are not a certificate and its key (yet): the old one stays in use. It is said once for
    /// each change; that this process had no descriptor free, say, is no news of the files.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.files);
        let is_new = **self.read_at.load() != stamps;
        if !is_new && !self.is_behind.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.read_at.store(Arc::new(stamps));
        let read = read(&self.files, &self.names);
        self.is_behind.store(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(read) => self.current.store(Arc::new(read)),
            Err(error) if is_new => return Err(error),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    fn is_for(&self, asked: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix('*') {
            // `*.example` is for `a.example`, and neither for `a.b.example` nor for `.example`.
            Some(rest) => {
                let label = asked.len().checked_sub(rest.len()).map_or("", |at| {
                    asked.get(..at).filter(|_| asked[at..].eq_ignore_ascii_case(rest)).unwrap_or("")
                });
                !label.is_empty() && !label.contains('.')
            }
            None => name.eq_ignore_ascii_case(asked),
        })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = out.debug_struct("Certificate");
        fields.field("names", &self.names).field("files", &self.files).finish_non_exhaustive()
    }
}

/// All certificates of a server.
#[derive(Debug)]
pub struct Certificates {
    /// For clients that ask for no name, or for one that none of `named` is for.
    otherwise: Certificate,
    /// The first that fits is shown.
    named: Vec<Certificate>,
}

impl Certificates {
    /// Reads all files.
    ///
    /// # Errors
    /// The first that is not a certificate with its key, or not for the names it is given for.
    pub fn load(otherwise: TlsFiles, named: Vec<NamedFiles>) -> Result<Arc<Self>, TlsError> {
        let otherwise =
            Certificate::load_named(NamedFiles { names: Vec::new(), files: otherwise })?;
        let named =
            named.into_iter().map(Certificate::load_named).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self { otherwise, named }))
    }

    /// Reads again what changed: how many are new, and what is wrong with the others.
    pub fn refresh(&self) -> (u64, Vec<TlsError>) {
        let mut renewed = 0;
        let mut wrong = Vec::new();
        for certificate in std::iter::once(&self.otherwise).chain(&self.named) {
            match certificate.refresh() {
                Ok(is_new) => renewed += u64::from(is_new),
                Err(error) => wrong.push(error),
            }
        }
        (renewed, wrong)
    }

    fn of(&self, asked: Option<&str>) -> &Certificate {
        let fits = |asked| self.named.iter().find(|certificate| certificate.is_for(asked));
        asked.and_then(fits).unwrap_or(&self.otherwise)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.of(hello.server_name()).current.load_full())
    }
}

fn read(files: &TlsFiles, names: &[String]) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &std::path::PathBuf, what, why: String| TlsError::Pem {
        path: path.clone(),
        what,
        why,
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(&files.cert, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(pem(&files.cert, "certificate", "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| pem(&files.key, "private key", error.to_string()))?;
    let pair = |why: String| TlsError::Pair { files: files.clone(), why };
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| pair(error.to_string()))?;
    let leaf = certified.end_entity_cert().map_err(|error| pair(error.to_string()))?;
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| pair(error.to_string()))?;
    for name in names {
        // A wildcard is tried with a label that nobody has.
        let asked = name.strip_prefix('*').map_or(name.clone(), |rest| format!("nightfill{rest}"));
        let wrong =
            |why: String| TlsError::Name { path: files.cert.clone(), name: name.clone(), why };
        let asked = ServerName::try_from(asked).map_err(|error| wrong(error.to_string()))?;
        verify_server_name(&parsed, &asked).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(certified)
}

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    [stamp(&files.cert), stamp(&files.key)]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;

    fn make(dir: &Path, file: &str, names: &[&str]) -> TlsFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let files = TlsFiles {
            cert: dir.join(format!("{file}.pem")),
            key: dir.join(format!("{file}.key")),
        };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn named(names: &[&str], files: TlsFiles) -> NamedFiles {
        NamedFiles { names: names.iter().map(|name| (*name).to_owned()).collect(), files }
    }

    #[test]
    fn each_name_has_its_own_and_strangers_have_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let one = make(dir.path(), "one", &["one.example"]);
        let two = make(dir.path(), "two", &["two.example", "*.cdn.example"]);
        let three = make(dir.path(), "three", &["three.example"]);
        let certificates = Certificates::load(
            one.clone(),
            vec![
                named(&["two.example", "*.cdn.example"], two.clone()),
                named(&["three.example"], three.clone()),
            ],
        )
        .unwrap();
        let check = |asked: Option<&str>, wanted: &TlsFiles| {
            assert_eq!(&certificates.of(asked).files, wanted, "{asked:?}");
        };
        check(None, &one);
        check(Some("one.example"), &one);
        check(Some("elsewhere.example"), &one);
        check(Some("TWO.example"), &two);
        check(Some("a.CDN.example"), &two);
        check(Some("a.b.cdn.example"), &one);
        check(Some(".cdn.example"), &one);
        check(Some("cdn.example"), &one);
        check(Some("three.example"), &three);
    }

    #[test]
    fn a_certificate_must_be_for_its_names_and_fit_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let one = make(dir.path(), "one", &["one.example"]);
        let two = make(dir.path(), "two", &["two.example"]);
        let said = |named| Certificates::load(one.clone(), vec![named]).unwrap_err().to_string();
        assert!(said(named(&["three.example"], two.clone())).contains("three.example"));
        let mixed = TlsFiles { cert: one.cert.clone(), key: two.key.clone() };
        let error = Certificate::load(mixed).unwrap_err().to_string();
        assert!(error.contains("one.pem") && error.contains("two.key"), "{error}");
    }

    #[test]
    fn a_broken_new_file_keeps_the_old_one_until_both_are_right() {
        let dir = tempfile::tempdir().unwrap();
        let files = make(dir.path(), "edge", &["edge.example"]);
        let certificates = Certificates::load(files.clone(), Vec::new()).unwrap();
        let leaf = || certificates.of(None).current.load().end_entity_cert().unwrap().to_vec();
        let old = leaf();
        assert_eq!(certificates.refresh().0, 0);
        let newer = make(&dir.path().join("."), "newer", &["edge.example"]);
        std::fs::rename(&newer.cert, &files.cert).unwrap();
        let (renewed, wrong) = certificates.refresh();
        assert_eq!((renewed, wrong.len(), leaf()), (0, 1, old.clone()), "the key is the old one");
        assert_eq!(certificates.refresh().1.len(), 0, "said once");
        std::fs::rename(&newer.key, &files.key).unwrap();
        assert_eq!(certificates.refresh().0, 1);
        assert_ne!(leaf(), old);
        std::fs::remove_file(&files.cert).unwrap();
        assert_eq!(certificates.refresh().1.len(), 1);
    }

    /// Goal: a new certificate is found whatever its date says. Method: other bytes of the same
    /// length in the same file, whose date is set back to what it was, as `cp --preserve` does.
    #[test]
    fn a_new_file_with_an_old_date_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = make(dir.path(), "edge", &["edge.example"]);
        let certificates = Certificates::load(files.clone(), Vec::new()).unwrap();
        let date = std::fs::metadata(&files.cert).unwrap().modified().unwrap();
        let good = std::fs::read(&files.cert).unwrap();
        let put = |bytes: &[u8]| {
            let changed = || {
                let file = std::fs::metadata(&files.cert).unwrap();
                (file.ctime(), file.ctime_nsec())
            };
            let before = changed();
            // The clock of a file system ticks coarsely.
            while changed() == before {
                std::fs::write(&files.cert, bytes).unwrap();
                let file = std::fs::File::options().write(true).open(&files.cert).unwrap();
                file.set_modified(date).unwrap();
            }
        };
        put(&vec![b'x'; good.len()]);
        assert_eq!(certificates.refresh().1.len(), 1, "it is not one any more");
        put(&good);
        assert_eq!(certificates.refresh().0, 1);
    }
}
