//! Signs tickets with the key of the day, names the keys that verify, and takes tickets back.
//! Rotates nothing by itself: a background reconciler swaps keys in.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use control_store::ledger::RevocationRow;
use control_store::{Ledger, StoreError};
use control_token::{Claims, SignError, TicketSigner};
use control_types::UnixMillis;
use control_types::fleet::{Revocations, TicketKeys};
use control_types::limits::REVOCATIONS_MAX;

/// The keys and revocations in force. Shared by all handlers; a reader takes no lock.
pub struct TicketDesk {
    ledger: Arc<dyn Ledger>,
    keys: ArcSwap<Keys>,
    revoked: ArcSwap<Revoked>,
    /// Held over "ask the ledger, change memory": what was read before a revocation must not be
    /// stored after it, or its tickets would be good again until the next reading.
    change: tokio::sync::Mutex<()>,
}

struct Keys {
    signer: Arc<TicketSigner>,
    public: TicketKeys,
}

#[derive(Default)]
struct Revoked {
    until: HashMap<String, UnixMillis>,
    told: Revocations,
}

impl TicketDesk {
    /// Signs with `signer`; `public` are all keys whose tickets are still good, newest first.
    /// Holds no revocation before the first `refresh`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, signer: Arc<TicketSigner>, public: TicketKeys) -> Self {
        let keys = ArcSwap::from_pointee(Keys { signer, public });
        Self { ledger, keys, revoked: ArcSwap::default(), change: tokio::sync::Mutex::default() }
    }

    /// Goes over to other keys. Says whether anything changed.
    pub fn swap_keys(&self, signer: Arc<TicketSigner>, public: TicketKeys) -> bool {
        let now = self.keys.load();
        if now.signer.kid() == signer.kid() && now.public == public {
            return false;
        }
        self.keys.store(Arc::new(Keys { signer, public }));
        true
    }

    /// Takes back every ticket of `subject`; none of them lives longer than `until`. Appliances
    /// hear of it with their next report.
    ///
    /// # Errors
    /// When the ledger cannot keep it; the tickets stay good then.
    pub async fn revoke(
        &self,
        subject: String,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let _changing = self.change.lock().await;
        self.ledger.revoke(&RevocationRow { subject, until }).await?;
        self.reread(now).await
    }

    /// Reads revocations again: another process may have made one, and some have ended.
    ///
    /// # Errors
    /// When the ledger is away; what is known stays in force.
    pub async fn refresh(&self, now: UnixMillis) -> Result<(), StoreError> {
        let _changing = self.change.lock().await;
        self.reread(now).await
    }

    /// The caller holds `change`.
    async fn reread(&self, now: UnixMillis) -> Result<(), StoreError> {
        let rows = self.ledger.revocations(now, REVOCATIONS_MAX).await?;
        self.swap_revocations(rows);
        Ok(())
    }

    fn swap_revocations(&self, rows: Vec<RevocationRow>) {
        let mut subjects: Vec<String> = rows.iter().map(|row| row.subject.clone()).collect();
        subjects.sort_unstable();
        let told = Revocations::of(subjects);
        let until = rows.into_iter().map(|row| (row.subject, row.until)).collect();
        self.revoked.store(Arc::new(Revoked { until, told }));
    }

    /// The ticket that says `claims`.
    ///
    /// # Errors
    /// A claim out of bounds.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        self.keys.load().signer.sign(claims)
    }

    /// The key that signs now.
    #[must_use]
    pub fn signer(&self) -> Arc<TicketSigner> {
        Arc::clone(&self.keys.load().signer)
    }

    /// Keys that verify, newest first.
    #[must_use]
    pub fn keys(&self) -> TicketKeys {
        self.keys.load().public.clone()
    }

    /// Whether tickets of `subject` were taken back.
    #[must_use]
    pub fn is_revoked(&self, subject: &str, now: UnixMillis) -> bool {
        self.revoked.load().until.get(subject).is_some_and(|until| *until > now)
    }

    /// What an appliance that holds `digest` has to be told; none when it knows.
    #[must_use]
    pub fn revocations_for(&self, digest: Option<&str>) -> Option<Revocations> {
        let revoked = self.revoked.load();
        let news = digest.unwrap_or_default() != revoked.told.digest;
        news.then(|| revoked.told.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_appliance_is_told_what_it_does_not_know_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let ports = control_store::open_embedded(folder.path()).await.unwrap();
        let signer = Arc::new(TicketSigner::generate().unwrap());
        let desk = TicketDesk::new(ports.ledger, signer, TicketKeys::default());
        assert_eq!(desk.revocations_for(None), None, "nothing was ever taken back");
        for (subject, until) in [("b", 20), ("a", 10)] {
            desk.revoke(subject.to_owned(), UnixMillis(until), UnixMillis(5)).await.unwrap();
        }
        let told = desk.revocations_for(None).unwrap();
        assert_eq!(told.subjects, ["a", "b"]);
        assert_eq!(desk.revocations_for(Some(&told.digest)), None);
        assert!(desk.is_revoked("a", UnixMillis(9)) && !desk.is_revoked("a", UnixMillis(10)));
        desk.refresh(UnixMillis(20)).await.unwrap();
        let told = desk.revocations_for(Some(&told.digest)).unwrap();
        assert!(told.subjects.is_empty() && told.digest.is_empty());
    }
}
