//! Which ticket key signs, which ones verify, and when a new one is made. A key is made known
//! before it signs and stays known after it signed last, so that no appliance meets a ticket of a
//! key it has not heard of, and no ticket dies before its end. Never logs a key.

use std::sync::Arc;

use control_store::Ledger;
use control_store::ledger::{KeyPurpose, SigningKeyRow};
use control_token::TicketSigner;
use control_types::UnixMillis;
use control_types::fleet::TicketKeys;

use crate::limits::{KEY_OVERLAP_MS_MIN, KEY_PUBLISH_MS};
use crate::trouble::Trouble;

/// How long keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Age at which the newest key gets a successor, milliseconds.
    pub every_ms: u64,
    /// Longest life of a ticket, milliseconds.
    pub ticket_ms: u64,
}

/// What is to be done with the keys that there are.
#[derive(Debug, PartialEq, Eq)]
struct Judgement {
    /// The place of the key that signs.
    signs: usize,
    /// Whether the newest key is old enough for a successor.
    make: bool,
    /// Places of keys whose last ticket is over.
    retire: Vec<usize>,
}

impl Rotation {
    /// `made_at` is newest first and not empty.
    ///
    /// A key signs from `made_at + KEY_PUBLISH_MS` until its successor does; it verifies for the
    /// longest of a ticket's life and `KEY_OVERLAP_MS_MIN` after that.
    fn judge(&self, made_at: &[UnixMillis], now: UnixMillis) -> Judgement {
        let signs_from = |at: &UnixMillis| at.plus_millis(KEY_PUBLISH_MS);
        let last = made_at.len() - 1;
        // The oldest signs when none has been known for long enough: there was nobody before it.
        let signs = made_at.iter().position(|at| signs_from(at) <= now).unwrap_or(last);
        let keep_ms = self.ticket_ms.max(KEY_OVERLAP_MS_MIN);
        let is_over = |place: &usize| signs_from(&made_at[*place - 1]).plus_millis(keep_ms) <= now;
        Judgement {
            signs,
            make: made_at[0].plus_millis(self.every_ms) <= now,
            retire: (signs + 1..made_at.len()).filter(is_over).collect(),
        }
    }
}

/// The key that signs and the keys that verify, newest first. Makes the first key, and a successor
/// when it is time, and deletes keys that nobody needs any more.
///
/// # Errors
/// When the ledger is away or holds what is no key.
pub(crate) async fn in_force(
    ledger: &dyn Ledger,
    rotation: &Rotation,
    now: UnixMillis,
) -> Result<(Arc<TicketSigner>, TicketKeys), Trouble> {
    let broken = Trouble::service("the ticket signer");
    let mut rows = ledger.signing_keys(KeyPurpose::Ticket).await.map_err(|error| broken(&error))?;
    if rows.is_empty() {
        let row = fresh(now)?;
        rows.push(ledger.first_signing_key(&row).await.map_err(|error| broken(&error))?);
    }
    let made_at: Vec<UnixMillis> = rows.iter().map(|row| row.made_at).collect();
    let judged = rotation.judge(&made_at, now);
    for place in judged.retire.iter().rev() {
        let row = rows.remove(*place);
        let gone = ledger.remove_signing_key(KeyPurpose::Ticket, &row.kid).await;
        gone.map_err(|error| broken(&error))?;
        tracing::info!(kid = row.kid, "retired a ticket key");
    }
    let mut signs = judged.signs;
    if judged.make {
        // Two processes may both make one: each is known everywhere before it signs.
        let row = fresh(now)?;
        ledger.add_signing_key(&row).await.map_err(|error| broken(&error))?;
        tracing::info!(kid = row.kid, "made a ticket key; it signs once all appliances know it");
        rows.insert(0, row);
        signs += 1;
    }
    let mut signers = Vec::with_capacity(rows.len());
    for row in &rows {
        signers.push(TicketSigner::from_pkcs8(&row.pkcs8).map_err(|error| broken(&error))?);
    }
    let keys = signers.iter().map(TicketSigner::verification_key).collect();
    Ok((Arc::new(signers.swap_remove(signs)), TicketKeys { keys }))
}

fn fresh(now: UnixMillis) -> Result<SigningKeyRow, Trouble> {
    let broken = Trouble::service("the ticket signer");
    let fresh = TicketSigner::generate().map_err(|error| broken(&error))?;
    Ok(SigningKeyRow {
        purpose: KeyPurpose::Ticket,
        kid: fresh.kid().to_owned(),
        pkcs8: fresh.to_pkcs8().map_err(|error| broken(&error))?,
        made_at: now,
    })
}

#[cfg(test)]
mod tests {
    use control_store::open_embedded;
    use control_token::{Claims, Verifier};

    use super::*;

    const HOUR: u64 = 3_600_000;
    const ROTATION: Rotation = Rotation { every_ms: 48 * HOUR, ticket_ms: 6 * HOUR };

    /// Goal: over two months of hours, every ticket verifies from its press to its end, with the
    /// keys that an appliance heard of a moment ago or ten minutes ago; and keys do not pile up.
    #[tokio::test]
    async fn no_ticket_meets_a_verifier_without_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open_embedded(folder.path()).await.unwrap().ledger;
        let start = UnixMillis(1_790_000_000_000);
        let mut tickets: Vec<(UnixMillis, String)> = Vec::new();
        let (mut kids, mut heard) = (std::collections::BTreeSet::new(), TicketKeys::default());
        for step in 0..(60 * 24 * 2) {
            let now = start.plus_millis(step * HOUR / 2);
            let (signer, keys) = in_force(&*ledger, &ROTATION, now).await.unwrap();
            assert!((1..=3).contains(&keys.keys.len()), "{} keys", keys.keys.len());
            kids.insert(signer.kid().to_owned());
            let until = now.plus_millis(ROTATION.ticket_ms);
            let title = "night".parse().unwrap();
            let claims = Claims::play("p".to_owned(), &title, now, until);
            tickets.push((until, signer.sign(&claims).unwrap()));
            tickets.retain(|(until, _)| *until > now);
            // The appliance that heard last has the keys of half an hour ago.
            let known = if step == 0 { keys.clone() } else { heard };
            let verifier = Verifier::new(&known).unwrap();
            for (_, ticket) in &tickets {
                verifier.verify(ticket, now).unwrap();
            }
            heard = keys;
        }
        assert!(kids.len() > 20, "{} keys signed in 60 days", kids.len());
    }

    #[test]
    fn a_key_verifies_a_day_after_its_successor_signs() {
        let hours = |h: u64| UnixMillis(1_000_000 + h * HOUR);
        let judge = |now| ROTATION.judge(&[hours(48), hours(0)], now);
        let change = hours(48).plus_millis(KEY_PUBLISH_MS);
        let at = |signs, retire: &[usize]| Judgement { signs, make: false, retire: retire.into() };
        assert_eq!(judge(hours(48)), at(1, &[]));
        assert_eq!(judge(change), at(0, &[]));
        assert_eq!(judge(change.plus_millis(24 * HOUR - 1)), at(0, &[]));
        assert_eq!(judge(change.plus_millis(24 * HOUR)), at(0, &[1]));
        assert!(judge(hours(96)).make);
    }
}
