//! The keys of orders: which one signs, and which will next. Keys are made and kept in the ledger;
//! nobody has to touch one.
//!
//! ```text
//! made --(announced in orders signed by the one before, for ORDERS_KEY_OVERLAP_MS)--> signs
//! signs --(a newer one was announced for as long)--> rests; what it signed is believed no more
//! ```
//!
//! An agent believes one key, and takes over the next one from orders that key signed; the same
//! keys sign steering bundles, which bring their whole succession along. So a key signs only after
//! the one before it had the whole overlap to announce it, however many were made meanwhile; every
//! process of control works that out from the ledger alone.

use control_store::StoreError;
use control_store::ledger::{FillLedger, KeyPurpose, SigningKeyRow};
use control_token::{BundleKeys, OrdersSigner};
use control_types::UnixMillis;

use crate::error::SteeringError;
use crate::limits::{ORDERS_KEY_MS, ORDERS_KEY_OVERLAP_MS};

/// All keys of orders, oldest first; never empty.
pub(super) struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    signer: OrdersSigner,
    made_at: UnixMillis,
    signs_from: UnixMillis,
}

impl Keyring {
    /// Reads the keys; makes the first one, and a successor when the newest is old enough.
    pub(super) async fn read(
        ledger: &dyn FillLedger,
        now: UnixMillis,
    ) -> Result<Self, SteeringError> {
        let store = SteeringError::store;
        let keys = ledger.signing_keys(KeyPurpose::Orders).await;
        let mut rows = keys.map_err(store("read the keys of orders"))?;
        if rows.is_empty() {
            // Of processes that start at once, all go on with the same one.
            let first = ledger.first_signing_key(&fresh(now)?).await;
            rows.push(first.map_err(store("keep the key of orders"))?);
        }
        rows.reverse();
        let mut ring = Self::of(&rows)?;
        if ring.is_due(now) {
            let row = fresh(now)?;
            let kept = ledger.add_signing_key(&row).await;
            kept.map_err(store("keep the next key of orders"))?;
            rows.push(row);
            ring = Self::of(&rows)?;
        }
        Ok(ring)
    }

    /// `rows` oldest first.
    fn of(rows: &[SigningKeyRow]) -> Result<Self, SteeringError> {
        let mut keys: Vec<Key> = Vec::with_capacity(rows.len());
        for row in rows {
            let signer = OrdersSigner::from_pkcs8(&row.pkcs8).map_err(|error| {
                let (what, why) = (format!("orders key {}", row.kid), error.to_string());
                SteeringError::store("read the keys of orders")(StoreError::Damaged { what, why })
            })?;
            let signs_from = keys.last().map_or(UnixMillis(0), |before| {
                before.signs_from.max(row.made_at).plus_millis(ORDERS_KEY_OVERLAP_MS)
            });
            keys.push(Key { signer, made_at: row.made_at, signs_from });
        }
        Ok(Self { keys })
    }

    fn is_due(&self, now: UnixMillis) -> bool {
        let newest = self.keys.last().expect("there is a first key");
        newest.signs_from <= now && newest.made_at.plus_millis(ORDERS_KEY_MS) <= now
    }

    /// The key that signs at `now`.
    pub(super) fn signer(&self, now: UnixMillis) -> &OrdersSigner {
        &self.keys[self.signing(now)].signer
    }

    /// The key that signs after that one, if there is one.
    pub(super) fn next(&self, now: UnixMillis) -> Option<String> {
        self.keys.get(self.signing(now) + 1).map(|key| key.signer.public_key())
    }

    /// The same keys for steering bundles.
    pub(super) fn bundle_keys(&self, now: UnixMillis) -> BundleKeys {
        let keys: Vec<&OrdersSigner> = self.keys.iter().map(|key| &key.signer).collect();
        BundleKeys::of(&keys, self.signing(now)).expect("they were read from there before")
    }

    fn signing(&self, now: UnixMillis) -> usize {
        // `signs_from` rises, and that of the first is 0.
        self.keys.partition_point(|key| key.signs_from <= now).saturating_sub(1)
    }
}

fn fresh(now: UnixMillis) -> Result<SigningKeyRow, SteeringError> {
    let fresh = OrdersSigner::generate().map_err(|_| SteeringError::NoRandomness)?;
    Ok(SigningKeyRow {
        purpose: KeyPurpose::Orders,
        kid: fresh.public_key(),
        pkcs8: fresh.to_pkcs8().to_vec(),
        made_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_made_at_once_take_over_one_after_the_other_each_announced_for_the_whole_overlap() {
        let made = [0, 1_000, 1_005];
        let rows: Vec<SigningKeyRow> =
            made.iter().map(|at| fresh(UnixMillis(*at)).unwrap()).collect();
        let ring = Keyring::of(&rows).unwrap();
        let at = |now: u64| {
            let (signs, next) = (ring.signer(UnixMillis(now)), ring.next(UnixMillis(now)));
            let place = |key: &str| rows.iter().position(|row| row.kid == key).unwrap();
            (place(&signs.public_key()), next.map(|key| place(&key)))
        };
        let overlap = ORDERS_KEY_OVERLAP_MS;
        assert_eq!(at(0), (0, Some(1)));
        assert_eq!(at(1_000 + overlap - 1), (0, Some(1)));
        assert_eq!(at(1_000 + overlap), (1, Some(2)));
        assert_eq!(at(1_000 + 2 * overlap - 1), (1, Some(2)), "an overlap of its own");
        assert_eq!(at(1_000 + 2 * overlap), (2, None));
        assert!(!ring.is_due(UnixMillis(1_004 + ORDERS_KEY_MS)));
        assert!(ring.is_due(UnixMillis(1_005 + ORDERS_KEY_MS)));
    }
}
