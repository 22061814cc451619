//! Makes tickets with one P-256 key. Never stores the key: whoever owns it keeps `to_pkcs8` safe.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::fleet::TicketKey;
use control_types::limits::TICKET_BYTES_MAX;
use coset::{CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana};

use crate::claims::Claims;
use crate::encoding::encode_claims;
use crate::error::{KeyError, SignError};

/// Bytes of the public key's SHA-256 that become its `kid`: 64 bits tell a handful of keys apart.
const KID_HASH_BYTES: usize = 8;

/// Signs tickets; cheap to share behind an `Arc`.
pub struct TicketSigner {
    pair: EcdsaKeyPair,
    kid: String,
    random: SystemRandom,
}

impl std::fmt::Debug for TicketSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketSigner").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TicketSigner {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Self::new)
            .map_err(|_| KeyError::NoRandomness)
    }

    /// The key that `to_pkcs8` wrote.
    ///
    /// # Errors
    /// When `bytes` are anything but a P-256 private key in PKCS #8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
            .map(Self::new)
            .map_err(|_| KeyError::NotPkcs8)
    }

    fn new(pair: EcdsaKeyPair) -> Self {
        let hash = digest::digest(&digest::SHA256, pair.public_key().as_ref());
        let kid = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..KID_HASH_BYTES]);
        Self { pair, kid, random: SystemRandom::new() }
    }

    /// The private key, PKCS #8 DER. A secret: file mode 0600.
    ///
    /// # Errors
    /// When the cryptographic library cannot write its own key.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| KeyError::NotPkcs8)?;
        Ok(document.as_ref().to_vec())
    }

    /// Name of the key, in the header of every ticket; made from the public key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What a verifier needs to accept this signer's tickets.
    #[must_use]
    pub fn verification_key(&self) -> TicketKey {
        let public = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        TicketKey { kid: self.kid.clone(), public }
    }

    /// The ticket that says `claims`, base64url without padding, at most `TICKET_BYTES_MAX` bytes.
    ///
    /// # Errors
    /// When a claim is out of bounds; see [`SignError`].
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let payload = encode_claims(claims)?;
        let protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::ES256)
            .key_id(self.kid.as_bytes().to_vec())
            .build();
        let signed = CoseSign1Builder::new()
            .protected(protected)
            .payload(payload)
            .try_create_signature(&[], |bytes| {
                self.pair.sign(&self.random, bytes).map(|signature| signature.as_ref().to_vec())
            })
            .map_err(|_| SignError::Crypto)?
            .build();
        let bytes = signed.to_tagged_vec().map_err(|_| SignError::Crypto)?;
        let ticket = URL_SAFE_NO_PAD.encode(bytes);
        if ticket.len() > TICKET_BYTES_MAX {
            return Err(SignError::TooLong { bytes: ticket.len() });
        }
        Ok(ticket)
    }
}
