//! The fleet's own authority: signs what appliances show control, and what control shows them on
//! their port. Reads no clock and no file; `control` keeps its key. Members never meet it.
//!
//! A successor is made beside it: the earlier authority signs the successor's key once more and
//! its own private key is gone. From there on the successor signs everything. A box that knows only
//! the earlier one still believes control, by that last signature; a certificate of the earlier one
//! is believed until it is retired.
//!
//! What is kept is one text: the private key and certificate of the one that signs, then for each
//! earlier one, youngest first, its signature of the one before it in the text and its certificate.
//!
//! Its certificates begin long ago and its own end far away: a box whose clock stands in 2001 must
//! still reach control. What an appliance shows is judged by control's clock alone.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::{ApplianceId, UnixMillis};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Two control machines' clocks may differ by as much, milliseconds.
const EARLY_MS: u64 = 3_600_000;
/// Authorities at once, the one that signs among them.
const AUTHORITIES_MAX: usize = 3;
/// Longest request for a certificate, bytes.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// Why the authority cannot be used, or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum FleetCaError {
    /// What was kept is not an authority.
    #[error("it holds no private key and certificate that belong together: {0}")]
    Broken(String),
    /// A box asked with something that is no request.
    #[error("no certificate was asked for: {0}")]
    Request(String),
    /// Ours to mend.
    #[error("the certificate could not be made: {0}")]
    Signing(String),
    /// Too many at once.
    #[error(
        "there are {AUTHORITIES_MAX} authorities: retire the oldest first, \
         `ocactl fleet ca retire`"
    )]
    Crowded,
    /// It cannot be retired.
    #[error("{0} signs now: `ocactl fleet ca rotate` makes its successor first")]
    Signs(String),
    /// No such authority.
    #[error("no authority {0}; see `ocactl fleet ca show`")]
    Unknown(String),
}

/// The authority with its key, and those before it that still count.
pub struct FleetCa {
    issuer: Issuer<'static, KeyPair>,
    own: Authority,
    /// Youngest first.
    earlier: Vec<Earlier>,
}

/// One authority's certificate.
#[derive(Clone)]
struct Authority {
    pem: String,
    der: Vec<u8>,
}

/// One that signs no more.
#[derive(Clone)]
struct Earlier {
    /// Its signature of the next younger one's key.
    link: Authority,
    own: Authority,
}

impl Authority {
    fn from_pem(pem: &str) -> Result<Self, FleetCaError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|error| FleetCaError::Broken(error.to_string()))?.to_vec();
        Ok(Self { pem: pem.to_owned(), der })
    }

    /// SHA-256 of the certificate.
    fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.der).as_ref());
        hash
    }

    fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.hash())
    }
}

impl std::fmt::Debug for FleetCa {
    /// Its name, never its key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FleetCa({})", self.digest())
    }
}

/// A certificate just signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM.
    pub pem: String,
    /// SHA-256 of its DER: what the ledger knows it by.
    pub fingerprint: [u8; 32],
}

/// What control itself shows on the appliances' port.
pub struct ServerIdentity {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS #8.
    pub key: Vec<u8>,
}

impl FleetCa {
    /// A new authority, and the text to keep.
    ///
    /// # Errors
    /// `Signing`.
    pub fn generate() -> Result<(Self, String), FleetCaError> {
        let key = KeyPair::generate().map_err(signing)?;
        let own = authority(Some(0)).self_signed(&key).map_err(signing)?.pem();
        let kept = format!("{}{own}", key.serialize_pem());
        Ok((Self::from_pem(&kept)?, kept))
    }

    /// The authority whose text was kept.
    ///
    /// # Errors
    /// `Broken`.
    pub fn from_pem(kept: &str) -> Result<Self, FleetCaError> {
        let broken = |why: &dyn std::fmt::Display| FleetCaError::Broken(why.to_string());
        let begins: Vec<usize> = kept.match_indices(BEGIN).map(|(at, _)| at).collect();
        let first = *begins.first().ok_or_else(|| broken(&"there is no certificate in it"))?;
        let ends = begins.iter().skip(1).copied().chain([kept.len()]);
        let parts = begins.iter().zip(ends).map(|(from, to)| Authority::from_pem(&kept[*from..to]));
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?.into_iter();
        let own = parts.next().ok_or_else(|| broken(&"there is no certificate in it"))?;
        let mut earlier = Vec::new();
        while let Some(link) = parts.next() {
            let own = parts.next().ok_or_else(|| broken(&"its last certificate is missing"))?;
            earlier.push(Earlier { link, own });
        }
        let key = KeyPair::from_pem(&kept[..first]).map_err(|error| broken(&error))?;
        let public = key.subject_public_key_info();
        if !own.der.windows(public.len()).any(|part| part == public) {
            return Err(broken(&"the certificate is of another key"));
        }
        let issuer = Issuer::from_ca_cert_pem(&own.pem, key).map_err(|error| broken(&error))?;
        Ok(Self { issuer, own, earlier })
    }

    /// A successor that counts beside this one, and the text to keep in place of this one's.
    ///
    /// # Errors
    /// `Crowded`, `Signing`.
    pub fn successor(&self) -> Result<(Self, String), FleetCaError> {
        if self.earlier.len() + 1 >= AUTHORITIES_MAX {
            return Err(FleetCaError::Crowded);
        }
        let key = KeyPair::generate().map_err(signing)?;
        let own = authority(Some(0)).self_signed(&key).map_err(signing)?.pem();
        let link = authority(None).signed_by(&key, &self.issuer).map_err(signing)?.pem();
        let link = Authority::from_pem(&link)?;
        let mut earlier = vec![Earlier { link, own: self.own.clone() }];
        earlier.extend(self.earlier.iter().cloned());
        let kept = text(&key, &own, &earlier);
        Ok((Self::from_pem(&kept)?, kept))
    }

    /// This one without an earlier one and all before it, and the text to keep.
    ///
    /// # Errors
    /// `Signs`, `Unknown`.
    pub fn without(&self, digest: &str) -> Result<(Self, String), FleetCaError> {
        if self.digest() == digest {
            return Err(FleetCaError::Signs(digest.to_owned()));
        }
        let at = self.earlier.iter().position(|one| one.own.digest() == digest);
        let at = at.ok_or_else(|| FleetCaError::Unknown(digest.to_owned()))?;
        let kept = text(self.issuer.key(), &self.own.pem, &self.earlier[..at]);
        Ok((Self::from_pem(&kept)?, kept))
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.own.pem
    }

    /// Certificates of the earlier ones that still count, PEM, youngest first.
    #[must_use]
    pub fn earlier(&self) -> Vec<String> {
        self.earlier.iter().map(|one| one.own.pem.clone()).collect()
    }

    /// Certificates of all that count, DER, the one that signs first.
    pub fn roots(&self) -> impl Iterator<Item = &[u8]> {
        let earlier = self.earlier.iter().map(|one| one.own.der.as_slice());
        std::iter::once(self.own.der.as_slice()).chain(earlier)
    }

    /// Hashes of all that count, the one that signs first.
    pub fn hashes(&self) -> impl Iterator<Item = [u8; 32]> {
        let earlier = self.earlier.iter().map(|one| one.own.hash());
        std::iter::once(self.own.hash()).chain(earlier)
    }

    /// SHA-256 of its certificate: what certificates of appliances hang on.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.own.hash()
    }

    /// The same, base64url: what a registration key carries.
    #[must_use]
    pub fn digest(&self) -> String {
        self.own.digest()
    }

    /// Signs the public key of a request for an appliance. Nothing else in the request is taken
    /// over, so that it cannot ask for another name or another use.
    ///
    /// # Errors
    /// `Request` when the request is none or its signature does not hold, `Signing`.
    pub fn issue(
        &self,
        request: &str,
        appliance: &ApplianceId,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Issued, FleetCaError> {
        if request.len() > REQUEST_BYTES_MAX {
            let why = format!("it is longer than {REQUEST_BYTES_MAX} bytes");
            return Err(FleetCaError::Request(why));
        }
        let asked = CertificateSigningRequestParams::from_pem(request)
            .map_err(|error| FleetCaError::Request(error.to_string()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(appliance.as_str());
        let name = format!("nightfill://appliance/{appliance}");
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(name).map_err(signing)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let moment = |ms: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(ms / 1_000);
        params.not_before = moment(now.0.saturating_sub(EARLY_MS));
        params.not_after = moment(until.0);
        let signed = params.signed_by(&asked.public_key, &self.issuer).map_err(signing)?;
        let hash = digest::digest(&digest::SHA256, signed.der());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.as_ref());
        Ok(Issued { pem: signed.pem(), fingerprint })
    }

    /// A new identity of control under these host names and addresses, believed by whoever knows
    /// any of the authorities that count.
    ///
    /// # Errors
    /// `Signing`, also for a name that is none.
    pub fn server(&self, names: &[String]) -> Result<ServerIdentity, FleetCaError> {
        let key = KeyPair::generate().map_err(signing)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(signing)?;
        params.distinguished_name = named("Nightfill control");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for_ever(&mut params);
        let signed = params.signed_by(&key, &self.issuer).map_err(signing)?;
        let links = self.earlier.iter().map(|one| one.link.der.clone());
        let chain = std::iter::once(signed.der().to_vec()).chain(links).collect();
        Ok(ServerIdentity { chain, key: key.serialize_der() })
    }
}

/// Where a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// What is kept.
fn text(key: &KeyPair, own: &str, earlier: &[Earlier]) -> String {
    let parts = earlier.iter().flat_map(|one| [one.link.pem.as_str(), one.own.pem.as_str()]);
    let rest: String = parts.collect();
    format!("{}{own}{rest}", key.serialize_pem())
}

/// An authority's certificate to be; `below` bounds how many others it may sign in a row.
fn authority(below: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca =
        IsCa::Ca(below.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("Nightfill fleet");
    for_ever(&mut params);
    params
}

fn for_ever(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(2095, 1, 1));
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn signing(error: rcgen::Error) -> FleetCaError {
    FleetCaError::Signing(error.to_string())
}

#[cfg(test)]
mod tests;
