//! Signs fill orders and checks them: Ed25519 over the very bytes that travel. Not for tickets,
//! which many appliances check and members carry; orders go to one agent, which pins the key.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::KeyError;

/// Stands before the orders under the signature: no other signed thing begins so.
const DOMAIN: &[u8] = b"nightfill fill orders 1\0";

/// Control's end.
pub struct OrdersSigner {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl std::fmt::Debug for OrdersSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrdersSigner").field("key", &self.public_key()).finish_non_exhaustive()
    }
}

impl OrdersSigner {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| KeyError::NotPkcs8)?.as_ref().to_vec();
        Ok(Self { pair, pkcs8 })
    }

    /// The key that `to_pkcs8` wrote.
    ///
    /// # Errors
    /// When `bytes` are anything but an Ed25519 private key in PKCS #8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyError::NotPkcs8)?;
        Ok(Self { pair, pkcs8: bytes.to_vec() })
    }

    /// The private key, PKCS #8 DER. A secret.
    #[must_use]
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// What an agent pins, base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// The signature of `orders`, base64url.
    #[must_use]
    pub fn sign(&self, orders: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.sign(&told(orders)).as_ref())
    }
}

/// Whether the holder of `public_key` signed `orders`; anything malformed is no.
#[must_use]
pub fn are_signed(orders: &str, signature: &str, public_key: &str) -> bool {
    let (Ok(signature), Ok(key)) =
        (URL_SAFE_NO_PAD.decode(signature), URL_SAFE_NO_PAD.decode(public_key))
    else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(&told(orders), &signature).is_ok()
}

fn told(orders: &str) -> Vec<u8> {
    [DOMAIN, orders.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_under_the_same_key_pass() {
        let signer = OrdersSigner::generate().unwrap();
        let again = OrdersSigner::from_pkcs8(signer.to_pkcs8()).unwrap();
        let (signature, key) = (signer.sign("{\"serial\":1}"), again.public_key());
        assert!(are_signed("{\"serial\":1}", &signature, &key));
        assert!(!are_signed("{\"serial\":2}", &signature, &key));
        let other = OrdersSigner::generate().unwrap();
        assert!(!are_signed("{\"serial\":1}", &signature, &other.public_key()));
        assert!(!are_signed("{\"serial\":1}", &other.sign("{\"serial\":1}"), &key));
        for bad in ["", "AAAA", "not base64!", &signature[1..]] {
            assert!(!are_signed("{\"serial\":1}", bad, &key), "{bad}");
            assert!(!are_signed("{\"serial\":1}", &signature, bad), "{bad}");
        }
        // Bare Ed25519 over the same bytes is not an order.
        let bare = URL_SAFE_NO_PAD.encode(signer.pair.sign(b"{\"serial\":1}").as_ref());
        assert!(!are_signed("{\"serial\":1}", &bare, &key));
    }
}
