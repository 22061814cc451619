//! A certificate authority made on the spot, for appliances on loopback.
//! Not for production: its key lies beside its certificate and it lasts as long as the folder.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};

use crate::trouble::Trouble;

/// The authority and where its public half is kept.
pub struct DemoCa {
    issuer: Issuer<'static, KeyPair>,
    /// PEM file to trust.
    pub certificate: PathBuf,
    /// The same as text.
    pub pem: String,
}

/// One server's certificate and key files.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
    /// Base64 of SHA-256 of the public key info: how Chromium names a key it shall trust.
    pub spki: String,
}

impl DemoCa {
    /// Makes a new authority and writes its certificate into `folder`.
    ///
    /// # Errors
    /// When a key cannot be made or a file cannot be written.
    pub fn make(folder: &Path) -> Result<Self, Trouble> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named("Nightfill demo CA");
        let pem = params.self_signed(&key)?.pem();
        let certificate = folder.join("demo-ca.pem");
        std::fs::write(&certificate, &pem)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate, pem })
    }

    /// Makes a certificate for a server on this machine.
    ///
    /// # Errors
    /// As [`DemoCa::make`].
    pub fn server(&self, name: &str, folder: &Path) -> Result<ServerFiles, Trouble> {
        self.server_at(name, "127.0.0.1", folder)
    }

    /// Makes a certificate for a server at one of this machine's loopback addresses.
    ///
    /// # Errors
    /// As [`DemoCa::make`].
    pub fn server_at(&self, name: &str, host: &str, folder: &Path) -> Result<ServerFiles, Trouble> {
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), host.to_owned(), format!("{name}.local")];
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let chain = params.signed_by(&key, &self.issuer)?.pem() + &self.pem;
        let files = ServerFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
            spki: fingerprint(&key),
        };
        std::fs::write(&files.certificate, chain)?;
        write_private(&files.key, key.serialize_pem().as_bytes())?;
        Ok(files)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn fingerprint(key: &KeyPair) -> String {
    let digest = digest::digest(&digest::SHA256, &key.subject_public_key_info());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When the file system refuses.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
