//! Checks tickets against a set of public keys. Never fetches a key and never remembers a ticket:
//! an appliance caches the answer itself, because one verification costs about 50 µs.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::UnixMillis;
use control_types::fleet::TicketKeys;
use control_types::limits::TICKET_BYTES_MAX;
use coset::{
    CborSerializable, CoseSign1, RegisteredLabelWithPrivate, TaggedCborSerializable, iana,
};

use crate::claims::Claims;
use crate::encoding::decode_claims;
use crate::error::{KeyError, TicketError};
use crate::limits::{CLOCK_LEEWAY_MS, KEYS_MAX};

/// Uncompressed point: `04`, x, y.
const POINT_BYTES: usize = 65;
/// CBOR tag 61 (CWT, RFC 8392) and tag 18 (COSE_Sign1), as their encoded heads.
const CWT_HEAD: [u8; 2] = [0xd8, 0x3d];
const SIGN1_HEAD: u8 = 0xd2;

/// Verifies tickets; immutable, so a new key set is a new verifier swapped in.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<(String, ParsedPublicKey)>,
}

impl Verifier {
    /// A verifier that accepts tickets signed by any of `keys`. No keys is valid and accepts none.
    ///
    /// # Errors
    /// When a key is not a P-256 point, or there are more than [`KEYS_MAX`].
    pub fn new(keys: &TicketKeys) -> Result<Self, KeyError> {
        if keys.keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany { count: keys.keys.len(), max: KEYS_MAX });
        }
        let mut parsed = Vec::with_capacity(keys.keys.len());
        for key in &keys.keys {
            let refused = || KeyError::NotPoint { kid: key.kid.clone() };
            let point = URL_SAFE_NO_PAD.decode(&key.public).map_err(|_| refused())?;
            if point.len() != POINT_BYTES {
                return Err(refused());
            }
            let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point[..])
                .map_err(|_| refused())?;
            parsed.push((key.kid.clone(), public));
        }
        Ok(Self { keys: parsed })
    }

    /// Names of the keys held, newest first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(kid, _)| kid.as_str())
    }

    /// The claims of `token` if one of our keys signed it and `now` is within its life.
    ///
    /// # Errors
    /// See [`TicketError`]; nothing in `token` can make this panic.
    pub fn verify(&self, token: &str, now: UnixMillis) -> Result<Claims, TicketError> {
        let claims = self.verify_at_any_time(token)?;
        if now >= claims.expires_at.plus_millis(CLOCK_LEEWAY_MS) {
            return Err(TicketError::Expired);
        }
        if now.plus_millis(CLOCK_LEEWAY_MS) < claims.not_before {
            return Err(TicketError::NotYet);
        }
        Ok(claims)
    }

    /// The claims of `token` if one of our keys signed it. Whether its time has come, or is over,
    /// is left to the caller, who must look at both.
    ///
    /// # Errors
    /// See [`TicketError`]; never for its time.
    pub fn verify_at_any_time(&self, token: &str) -> Result<Claims, TicketError> {
        let signed = verify_open(token)?;
        let payload = signed.payload.as_deref().ok_or(TicketError::NotCose)?;
        let key = self.verify_header(&signed)?;
        signed
            .verify_signature(&[], |signature, bytes| key.verify_sig(bytes, signature))
            .map_err(|_| TicketError::BadSignature)?;
        decode_claims(payload)
    }

    /// The key the protected header names. Only ES256 is known, so a header cannot talk us into
    /// another algorithm, and an unprotected header is never read.
    fn verify_header(&self, signed: &CoseSign1) -> Result<&ParsedPublicKey, TicketError> {
        let header = &signed.protected.header;
        let es256 = RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256);
        if header.alg.as_ref() != Some(&es256) || !header.crit.is_empty() {
            return Err(TicketError::WrongAlgorithm);
        }
        self.keys
            .iter()
            .find(|(kid, _)| kid.as_bytes() == header.key_id)
            .map(|(_, key)| key)
            .ok_or(TicketError::UnknownKey)
    }
}

/// Text to COSE_Sign1, with or without the CWT and COSE_Sign1 tags, which CTA-5007 leaves open.
fn verify_open(token: &str) -> Result<CoseSign1, TicketError> {
    if token.len() > TICKET_BYTES_MAX {
        return Err(TicketError::TooLong);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TicketError::NotBase64)?;
    let untagged = bytes.strip_prefix(&CWT_HEAD).unwrap_or(&bytes);
    let opened = match untagged.first() {
        Some(&SIGN1_HEAD) => CoseSign1::from_tagged_slice(untagged),
        _ => CoseSign1::from_slice(untagged),
    };
    opened.map_err(|_| TicketError::NotCose)
}
