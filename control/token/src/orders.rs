//! Signs fill orders and checks them: Ed25519 over the very bytes that travel. Not for tickets,
//! which many appliances check and members carry; orders go to one agent, which pins the key.

use crate::ed25519::{Domain, SecretKey, is_signed};
use crate::error::KeyError;

const ORDERS: Domain = Domain(b"nightfill fill orders 1\0");

/// Control's end.
pub struct OrdersSigner(SecretKey);

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
        SecretKey::generate().map(Self)
    }

    /// The key that `to_pkcs8` wrote.
    ///
    /// # Errors
    /// When `bytes` are anything but an Ed25519 private key in PKCS #8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        SecretKey::from_pkcs8(bytes).map(Self)
    }

    /// The private key, PKCS #8 DER. A secret.
    #[must_use]
    pub fn to_pkcs8(&self) -> &[u8] {
        self.0.to_pkcs8()
    }

    /// What an agent pins, base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.0.public()
    }

    /// The signature of `orders`, base64url.
    #[must_use]
    pub fn sign(&self, orders: &str) -> String {
        self.0.sign(ORDERS, orders)
    }
}

/// Whether the holder of `public_key` signed `orders`; anything malformed is no.
#[must_use]
pub fn are_signed(orders: &str, signature: &str, public_key: &str) -> bool {
    is_signed(ORDERS, orders, signature, public_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_pass_as_orders_and_nothing_else_does() {
        let signer = OrdersSigner::generate().unwrap();
        let orders = "{\"serial\":1}";
        assert!(are_signed(orders, &signer.sign(orders), &signer.public_key()));
        let bundle = crate::BundleSigner::from_pkcs8(signer.to_pkcs8()).unwrap();
        let sealed = bundle.seal(orders.to_owned());
        assert_eq!(sealed.key, signer.public_key());
        assert!(!are_signed(orders, &sealed.signature, &signer.public_key()));
    }
}
