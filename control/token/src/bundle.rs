//! Signs steering bundles and checks them: Ed25519 over the very bytes that travel, by the key that
//! signs fill orders, in a domain of its own. Never reads a bundle: who believes it does.

use control_types::bundle::SignedBundle;

use crate::ed25519::{Domain, SecretKey, is_signed};
use crate::error::KeyError;

const BUNDLE: Domain = Domain(b"nightfill steering bundle 1\0");

/// Control's end.
pub struct BundleSigner(SecretKey);

impl std::fmt::Debug for BundleSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleSigner").field("key", &self.public_key()).finish_non_exhaustive()
    }
}

impl BundleSigner {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        SecretKey::generate().map(Self)
    }

    /// The key that [`crate::OrdersSigner::to_pkcs8`] wrote: both sign with one key.
    ///
    /// # Errors
    /// When `bytes` are anything but an Ed25519 private key in PKCS #8.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        SecretKey::from_pkcs8(bytes).map(Self)
    }

    /// What an appliance pins, base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.0.public()
    }

    /// `bundle` (JSON of a `SteeringBundle`) as it travels.
    #[must_use]
    pub fn seal(&self, bundle: String) -> SignedBundle {
        let signature = self.0.sign(BUNDLE, &bundle);
        SignedBundle { bundle, signature, key: self.public_key() }
    }
}

/// Whether the holder of `public_key` signed this bundle; anything malformed is no. `public_key` is
/// the pinned one, which is the caller's to compare with `signed.key`: that one proves nothing.
#[must_use]
pub fn is_bundle_signed(signed: &SignedBundle, public_key: &str) -> bool {
    is_signed(BUNDLE, &signed.bundle, &signed.signature, public_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_passes_as_it_was_sealed_and_orders_do_not() {
        let signer = BundleSigner::generate().unwrap();
        let sealed = signer.seal("{\"serial\":1}".to_owned());
        assert!(is_bundle_signed(&sealed, &signer.public_key()));
        let changed = SignedBundle { bundle: "{\"serial\":2}".to_owned(), ..sealed.clone() };
        assert!(!is_bundle_signed(&changed, &signer.public_key()));
        // The key that came along is not asked: somebody else's own is consistent in itself.
        let thief = BundleSigner::generate().unwrap();
        assert!(!is_bundle_signed(&thief.seal(sealed.bundle.clone()), &signer.public_key()));
        let orders = crate::OrdersSigner::generate().unwrap();
        let signature = orders.sign(&sealed.bundle);
        assert!(!is_bundle_signed(&SignedBundle { signature, ..sealed }, &orders.public_key()));
    }
}
