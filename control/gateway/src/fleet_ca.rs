//! The fleet's own authority: signs what appliances show control, and what control shows them on
//! their port. Reads no clock and no file; `control` keeps its key. Members never meet it.
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
}

/// The authority with its key.
pub struct FleetCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    der: Vec<u8>,
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
    /// A new authority, and the text to keep: private key and certificate in PEM.
    ///
    /// # Errors
    /// `Signing`.
    pub fn generate() -> Result<(Self, String), FleetCaError> {
        let key = KeyPair::generate().map_err(signing)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named("Nightfill fleet");
        for_ever(&mut params);
        let certificate = params.self_signed(&key).map_err(signing)?.pem();
        let kept = format!("{}{certificate}", key.serialize_pem());
        Ok((Self::from_pem(&kept)?, kept))
    }

    /// The authority whose key and certificate were kept.
    ///
    /// # Errors
    /// `Broken`.
    pub fn from_pem(kept: &str) -> Result<Self, FleetCaError> {
        let broken = |why: &dyn std::fmt::Display| FleetCaError::Broken(why.to_string());
        let at = kept.find("-----BEGIN CERTIFICATE-----");
        let at = at.ok_or_else(|| broken(&"there is no certificate in it"))?;
        let (key, certificate) = kept.split_at(at);
        let key = KeyPair::from_pem(key).map_err(|error| broken(&error))?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes());
        let der = der.map_err(|error| broken(&error))?.to_vec();
        let public = key.subject_public_key_info();
        if !der.windows(public.len()).any(|part| part == public) {
            return Err(broken(&"the certificate is of another key"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(|error| broken(&error))?;
        Ok(Self { issuer, certificate: certificate.to_owned(), der })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of its certificate, base64url: what a registration key carries.
    #[must_use]
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
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

    /// A new identity of control under these host names and addresses.
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
        let chain = vec![signed.der().to_vec()];
        Ok(ServerIdentity { chain, key: key.serialize_der() })
    }
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn request() -> String {
        let mut params = CertificateParams::new(vec!["control.example".to_owned()]).unwrap();
        params.distinguished_name = named("the operator");
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn it_is_the_same_authority_after_a_restart() {
        let (made, kept) = FleetCa::generate().unwrap();
        let read = FleetCa::from_pem(&kept).unwrap();
        assert_eq!(made.digest(), read.digest());
        let appliance = "edge-a1".parse().unwrap();
        let issued = read.issue(&request(), &appliance, NOW, NOW.plus_millis(1_000)).unwrap();
        assert!(issued.pem.contains("BEGIN CERTIFICATE"));
    }

    #[test]
    fn a_request_cannot_ask_for_a_name_or_be_forged() {
        let (ca, _) = FleetCa::generate().unwrap();
        let appliance = "edge-a1".parse().unwrap();
        let issue = |request: &str| ca.issue(request, &appliance, NOW, NOW.plus_millis(1_000));
        let issued = issue(&request()).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let holds = |text: &str| der.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds("nightfill://appliance/edge-a1"));
        assert!(!holds("control.example") && !holds("the operator"));
        // One bit of the signature, which is what the base64 before the end is.
        let forged = request();
        let at = forged.find("-----END").unwrap() - 10;
        let other = if forged.as_bytes()[at] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &forged[..at], &forged[at + 1..]);
        for bad in [forged.as_str(), "", "-----BEGIN CERTIFICATE REQUEST-----", &"x".repeat(20_000)]
        {
            assert!(matches!(issue(bad), Err(FleetCaError::Request(_))), "{bad:.40}");
        }
    }

    #[test]
    fn what_does_not_belong_together_is_no_authority() {
        let (_, one) = FleetCa::generate().unwrap();
        let (_, other) = FleetCa::generate().unwrap();
        let at = |text: &str| text.find("-----BEGIN CERTIFICATE-----").unwrap();
        let mixed = format!("{}{}", &one[..at(&one)], &other[at(&other)..]);
        for bad in [mixed.as_str(), "", &one[..at(&one)], &one[at(&one)..]] {
            assert!(matches!(FleetCa::from_pem(bad), Err(FleetCaError::Broken(_))));
        }
    }
}
