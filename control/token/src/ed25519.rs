//! Ed25519 over a domain and the very bytes that travel: what fill orders and steering bundles are
//! signed with. Never names a domain of its own: who signs says what for.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::KeyError;

/// What stands before the text under a signature, so that no signed thing passes for another.
/// Ends in a zero byte: none is the beginning of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Domain(pub &'static [u8]);

impl Domain {
    fn before(self, text: &str) -> Vec<u8> {
        [self.0, text.as_bytes()].concat()
    }
}

/// One private key.
pub(crate) struct SecretKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl SecretKey {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| KeyError::NotPkcs8)?.as_ref().to_vec();
        Ok(Self { pair, pkcs8 })
    }

    pub(crate) fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyError::NotPkcs8)?;
        Ok(Self { pair, pkcs8: bytes.to_vec() })
    }

    pub(crate) fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Base64url.
    pub(crate) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// Base64url.
    pub(crate) fn sign(&self, domain: Domain, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.sign(&domain.before(text)).as_ref())
    }
}

/// Whether the holder of `public_key` signed `text` in this domain; anything malformed is no.
pub(crate) fn is_signed(domain: Domain, text: &str, signature: &str, public_key: &str) -> bool {
    let (Ok(signature), Ok(key)) =
        (URL_SAFE_NO_PAD.decode(signature), URL_SAFE_NO_PAD.decode(public_key))
    else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(&domain.before(text), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Domain = Domain(b"here\0");
    const THERE: Domain = Domain(b"there\0");

    #[test]
    fn only_the_same_bytes_in_the_same_domain_under_the_same_key_pass() {
        let secret = SecretKey::generate().unwrap();
        let again = SecretKey::from_pkcs8(secret.to_pkcs8()).unwrap();
        let (text, other_text) = ("{\"serial\":1}", "{\"serial\":2}");
        let (signature, key) = (secret.sign(HERE, text), again.public());
        assert!(is_signed(HERE, text, &signature, &key));
        assert!(!is_signed(HERE, other_text, &signature, &key));
        assert!(!is_signed(THERE, text, &signature, &key));
        let other = SecretKey::generate().unwrap();
        assert!(!is_signed(HERE, text, &signature, &other.public()));
        assert!(!is_signed(HERE, text, &other.sign(HERE, text), &key));
        for bad in ["", "AAAA", "not base64!", &signature[1..]] {
            assert!(!is_signed(HERE, text, bad, &key), "{bad}");
            assert!(!is_signed(HERE, text, &signature, bad), "{bad}");
        }
        // Bare Ed25519 over the same bytes is of no domain.
        let bare = URL_SAFE_NO_PAD.encode(secret.pair.sign(text.as_bytes()).as_ref());
        assert!(!is_signed(HERE, text, &bare, &key));
    }
}
