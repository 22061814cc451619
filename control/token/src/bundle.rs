//! Signs steering bundles and checks them: Ed25519 over the very bytes that travel, by the key that
//! signs fill orders, in a domain of its own. Never reads a bundle: who believes it does.
//!
//! Keys follow one another. Each signs a *handover* to the next, in a third domain, and all
//! handovers travel beside every bundle, outside of what is signed: each proves itself. So a box
//! that believes the key of last year walks to the one of today, and one that has arrived there
//! refuses the old one, whoever holds it now.

use control_types::bundle::{KeyHandover, SignedBundle};
use control_types::limits::BUNDLE_HANDOVERS_MAX;

use crate::ed25519::{Domain, SecretKey, is_signed};
use crate::error::KeyError;

const BUNDLE: Domain = Domain(b"nightfill steering bundle 1\0");
const HANDOVER: Domain = Domain(b"nightfill steering handover 1\0");

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
        SignedBundle { bundle, signature, key: self.public_key(), handovers: Vec::new() }
    }

    /// This key's word that `next` signs after it.
    #[must_use]
    pub fn hand_over(&self, next: &str) -> KeyHandover {
        let signature = self.0.sign(HANDOVER, next);
        KeyHandover { key: self.public_key(), next: next.to_owned(), signature }
    }
}

/// The key that signs bundles now, and the handovers that lead to it and on from it.
#[derive(Debug)]
pub struct BundleKeys {
    signer: BundleSigner,
    handovers: Vec<KeyHandover>,
}

impl BundleKeys {
    /// Of all keys, oldest first, of which the one at `signing` signs; the one after it is
    /// announced, later ones are not.
    ///
    /// # Errors
    /// When a key cannot be read.
    ///
    /// # Panics
    /// When there is no key at `signing`.
    pub fn of(keys: &[&crate::OrdersSigner], signing: usize) -> Result<Self, KeyError> {
        let told = &keys[..keys.len().min(signing + 2)];
        let signers: Vec<BundleSigner> = told
            .iter()
            .map(|key| BundleSigner::from_pkcs8(key.to_pkcs8()))
            .collect::<Result<_, _>>()?;
        let pairs = signers.windows(2).map(|pair| pair[0].hand_over(&pair[1].public_key()));
        let mut handovers: Vec<KeyHandover> = pairs.collect();
        handovers.drain(..handovers.len().saturating_sub(BUNDLE_HANDOVERS_MAX));
        let signer = BundleSigner::from_pkcs8(keys[signing].to_pkcs8())?;
        Ok(Self { signer, handovers })
    }

    /// `bundle` (JSON of a `SteeringBundle`) as it travels.
    #[must_use]
    pub fn seal(&self, bundle: String) -> SignedBundle {
        SignedBundle { handovers: self.handovers.clone(), ..self.signer.seal(bundle) }
    }

    /// Whether a bundle sealed by `other` would say the same of its keys.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.signer.public_key() == other.signer.public_key() && self.handovers == other.handovers
    }

    /// What an appliance that is set up now pins, base64url.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.signer.public_key()
    }
}

/// One key that nobody follows.
impl From<BundleSigner> for BundleKeys {
    fn from(signer: BundleSigner) -> Self {
        Self { signer, handovers: Vec::new() }
    }
}

/// Whether the key that this names as its own signed it; anything malformed is no. Says nothing of
/// whether that key is believed.
#[must_use]
pub fn is_handover_signed(handover: &KeyHandover) -> bool {
    is_signed(HANDOVER, &handover.next, &handover.signature, &handover.key)
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

    #[test]
    fn every_key_before_leads_to_the_one_that_signs_and_that_one_to_the_next() {
        let made: Vec<_> = (0..4).map(|_| crate::OrdersSigner::generate().unwrap()).collect();
        let keys: Vec<_> = made.iter().collect();
        let public: Vec<String> = keys.iter().map(|key| key.public_key()).collect();
        let ring = BundleKeys::of(&keys, 1).unwrap();
        let sealed = ring.seal("{}".to_owned());
        assert!(is_bundle_signed(&sealed, &public[1]));
        let way: Vec<_> = sealed.handovers.iter().map(|one| (&one.key, &one.next)).collect();
        assert_eq!(way, [(&public[0], &public[1]), (&public[1], &public[2])]);
        assert!(sealed.handovers.iter().all(is_handover_signed));
        assert!(ring.is_same(&BundleKeys::of(&keys, 1).unwrap()));
        assert!(!ring.is_same(&BundleKeys::of(&keys[..2], 1).unwrap()), "one more is announced");
        // To another key, from another key, or under a signature for something else: no word.
        let (first, last) = (&sealed.handovers[0], &sealed.handovers[1]);
        for bad in [
            KeyHandover { next: public[3].clone(), ..first.clone() },
            KeyHandover { key: public[3].clone(), ..first.clone() },
            KeyHandover { signature: last.signature.clone(), ..first.clone() },
            KeyHandover { signature: keys[0].sign(&public[1]), ..first.clone() },
            KeyHandover { key: "?".to_owned(), ..first.clone() },
        ] {
            assert!(!is_handover_signed(&bad), "{bad:?}");
        }
        let many: Vec<_> = (0..40).map(|at| keys[at % 4]).collect();
        let long = BundleKeys::of(&many, 39).unwrap().seal(String::new()).handovers;
        assert_eq!(long.len(), BUNDLE_HANDOVERS_MAX);
        assert_eq!(long.last().unwrap().next, public[3], "the newest stay");
    }
}
