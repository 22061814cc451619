//! How a box becomes an appliance and is known since: registration keys, certificates, and which
//! of them still count. Signs no certificate and speaks no TLS.
//!
//! ```text
//! key made ──▶ admitted ──▶ certificate kept ──▶ renewed ──▶ … ──▶ over
//!                │               │ registered again, voided, appliance removed
//!                └ refused       └──▶ void
//! ```
//!
//! A certificate counts while the ledger has its fingerprint; what is signed in it only lets it
//! come this far. So a box that was stolen is shut out by one row less, at once.

use std::sync::Arc;

use control_store::StoreError;
use control_store::ledger::{CertificateRow, Fingerprint, Registered, RegistrationKeyRow};
use control_types::fleet::CertificateListed;
use control_types::registration::{
    NewRegistrationKey, RegistrationKey, RegistrationKeyListed, RegistrationScope,
};
use control_types::{ApplianceId, RegistrationKeyId, UnixMillis};

use crate::error::{SteeringError, Unproven};
use crate::fleet::{Fleet, Registry};
use crate::isp::Reach;
use crate::limits::{
    REGISTRATION_KEYS_MAX, REGISTRATION_MS_MAX, REGISTRATION_MS_MIN, REGISTRATION_USES_MAX,
};
use crate::service::{Steering, hash_key, new_key};

/// Begins every registration key, so that a person sees what they hold.
const KEY_PREFIX: &str = "nfr_";
/// Bytes of the key's hash that name it.
const ID_BYTES: usize = 4;

/// A registration that may go on to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who the box is to be.
    pub appliance: ApplianceId,
    key: RegistrationKeyId,
    only_first: bool,
}

impl Reach {
    fn check_registration(
        &self,
        scope: &RegistrationScope,
        fleet: &Fleet,
    ) -> Result<(), SteeringError> {
        match scope {
            RegistrationScope::Appliance(id) => self.check_appliance(id, fleet),
            RegistrationScope::Site(id) => self.check_site(id, fleet),
        }
    }

    fn has_registration(&self, scope: &RegistrationScope, fleet: &Fleet) -> bool {
        self.check_registration(scope, fleet).is_ok()
    }
}

impl Steering {
    /// Makes a key with which boxes register. It is shown here and never again. `authority` names
    /// the fleet's authority, for whoever holds the key.
    ///
    /// # Errors
    /// `NotYours`, `UnknownAppliance`, `UnknownSite`, `BadRegistrationKey`.
    pub async fn make_registration_key(
        &self,
        new: &NewRegistrationKey,
        by: &Reach,
        authority: &str,
        now: UnixMillis,
    ) -> Result<RegistrationKey, SteeringError> {
        let refused = |why: String| Err(SteeringError::BadRegistrationKey { why });
        if !(1..=REGISTRATION_USES_MAX).contains(&new.uses) {
            return refused(format!("{} uses are not 1 to {REGISTRATION_USES_MAX}", new.uses));
        }
        if !(REGISTRATION_MS_MIN..=REGISTRATION_MS_MAX).contains(&new.life_ms) {
            return refused(format!("a life of {} ms is not 1 minute to 31 days", new.life_ms));
        }
        let fleet = self.fleet();
        by.check_registration(&new.scope, &fleet)?;
        match &new.scope {
            RegistrationScope::Appliance(id) if !fleet.registry.appliances.contains_key(id) => {
                return Err(SteeringError::UnknownAppliance(id.clone()));
            }
            RegistrationScope::Site(id) if !fleet.registry.sites.contains_key(id) => {
                return Err(SteeringError::UnknownSite(id.clone()));
            }
            _ => {}
        }
        let _changing = self.change.lock().await;
        let reading = SteeringError::store("read the registration keys");
        let keys = self.ledger.registration_keys().await.map_err(reading)?;
        if keys.iter().filter(|key| key.expires_at > now).count() >= REGISTRATION_KEYS_MAX {
            return refused(format!(
                "there are {REGISTRATION_KEYS_MAX} of them: remove some first"
            ));
        }
        let isp = match by {
            Reach::Everything => None,
            Reach::Isp(isp) => Some(isp.clone()),
        };
        loop {
            let key = format!("{KEY_PREFIX}{}.{authority}", new_key()?);
            let key_hash = hash_key(&key);
            let name: String =
                key_hash[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
            let id: RegistrationKeyId = name.parse().expect("hex digits are a slug");
            let row = RegistrationKeyRow {
                id: id.clone(),
                scope: new.scope.clone(),
                isp: isp.clone(),
                key_hash,
                uses_left: new.uses,
                made_at: now,
                expires_at: now.plus_millis(new.life_ms),
            };
            match self.ledger.add_registration_key(&row).await {
                Ok(()) => {
                    let (scope, expires_at) = (row.scope, row.expires_at);
                    return Ok(RegistrationKey { id, key, scope, expires_at });
                }
                // Two keys of one name, once in four thousand million: roll again.
                Err(StoreError::Taken(_)) => {}
                Err(error) => {
                    return Err(SteeringError::store("write the registration key")(error));
                }
            }
        }
    }

    /// Keys that may still be used, without the keys; an ISP sees those for its own sites.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn registration_keys(
        &self,
        by: &Reach,
        now: UnixMillis,
    ) -> Result<Vec<RegistrationKeyListed>, SteeringError> {
        let reading = SteeringError::store("read the registration keys");
        let rows = self.ledger.registration_keys().await.map_err(reading)?;
        let fleet = self.fleet();
        let counts = |row: &RegistrationKeyRow| {
            row.expires_at > now && row.uses_left > 0 && by.has_registration(&row.scope, &fleet)
        };
        let listed = |row: RegistrationKeyRow| RegistrationKeyListed {
            id: row.id,
            scope: row.scope,
            by: row.isp,
            uses_left: row.uses_left,
            made_at: row.made_at,
            expires_at: row.expires_at,
        };
        Ok(rows.into_iter().filter(counts).map(listed).collect())
    }

    /// Ends a key at once.
    ///
    /// # Errors
    /// `UnknownRegistrationKey`; to an ISP, what is not for its own sites is not there.
    pub async fn remove_registration_key(
        &self,
        id: &RegistrationKeyId,
        by: &Reach,
        now: UnixMillis,
    ) -> Result<(), SteeringError> {
        let unknown = || SteeringError::UnknownRegistrationKey(id.clone());
        if *by != Reach::Everything {
            let mut keys = self.registration_keys(by, now).await?.into_iter();
            keys.find(|key| key.id == *id).ok_or_else(unknown)?;
        }
        let removing = SteeringError::store("remove the registration key");
        let was = self.ledger.remove_registration_key(id).await.map_err(removing)?;
        if was { Ok(()) } else { Err(unknown()) }
    }

    /// Whether a box with this key may become that appliance; uses nothing up.
    ///
    /// # Errors
    /// `Unproven` with the word for it.
    pub async fn admit(
        &self,
        appliance: &ApplianceId,
        key: &str,
        now: UnixMillis,
    ) -> Result<Admitted, SteeringError> {
        let refused = |why: Unproven| {
            self.tallies.unproven(why);
            Err(SteeringError::Unproven { appliance: appliance.clone(), why })
        };
        let reading = SteeringError::store("read the registration key");
        let row = self.ledger.registration_key(&hash_key(key)).await.map_err(reading)?;
        let Some(row) = row else { return refused(Unproven::KeyUnknown) };
        if row.expires_at <= now {
            return refused(Unproven::KeyOver);
        }
        if row.uses_left == 0 {
            return refused(Unproven::KeySpent);
        }
        let registry = Arc::clone(&self.fleet().registry);
        let only_first = matches!(row.scope, RegistrationScope::Site(_));
        let is_meant = match &row.scope {
            RegistrationScope::Appliance(id) => id == appliance,
            RegistrationScope::Site(site) => registry
                .appliances
                .get(appliance)
                .is_some_and(|registered| registered.record.site == *site),
        };
        // An ISP's key opens what is that ISP's now: the site may have changed hands since.
        let by = row.isp.map_or(Reach::Everything, Reach::Isp);
        let is_theirs = by.has_appliance(appliance, &self.fleet());
        if !is_meant || !is_theirs || !registry.appliances.contains_key(appliance) {
            return refused(Unproven::KeyElsewhere);
        }
        if only_first && registry.certificates_of(appliance).any(|one| one.expires_at > now) {
            return refused(Unproven::Taken);
        }
        Ok(Admitted { appliance: appliance.clone(), key: row.id, only_first })
    }

    /// Uses the key once: from here on this certificate is the appliance's, and no earlier one.
    ///
    /// # Errors
    /// `Unproven` when the key was used up or the appliance taken meanwhile.
    pub async fn register(
        &self,
        admitted: &Admitted,
        certificate: CertificateRow,
    ) -> Result<(), SteeringError> {
        let row = CertificateRow { appliance: admitted.appliance.clone(), ..certificate };
        let _changing = self.change.lock().await;
        let registered =
            self.ledger.register_certificate(&admitted.key, &row, admitted.only_first).await;
        let why = match registered {
            Ok(Registered::Done) => return self.reread().await,
            Ok(Registered::Spent) => Unproven::KeySpent,
            Ok(Registered::Taken) => Unproven::Taken,
            Err(StoreError::Missing(_)) => Unproven::KeyElsewhere,
            Err(error) => return Err(SteeringError::store("register the appliance")(error)),
        };
        self.tallies.unproven(why);
        Err(SteeringError::Unproven { appliance: row.appliance, why })
    }

    /// Keeps a successor of the certificate `presented`, which counts on beside it.
    ///
    /// # Errors
    /// `Unproven` when `presented` is void by now.
    pub async fn renew(
        &self,
        presented: &Fingerprint,
        successor: CertificateRow,
    ) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let renewing = SteeringError::store("renew the certificate");
        if !self.ledger.renew_certificate(presented, &successor).await.map_err(renewing)? {
            let why = Unproven::CertificateVoid;
            self.tallies.unproven(why);
            return Err(SteeringError::Unproven { appliance: successor.appliance, why });
        }
        self.reread().await
    }

    /// Makes all certificates of an appliance void, at once; says how many there were.
    ///
    /// # Errors
    /// `UnknownAppliance`.
    pub async fn void_certificates(&self, id: &ApplianceId) -> Result<u64, SteeringError> {
        let _changing = self.change.lock().await;
        if !self.fleet().registry.appliances.contains_key(id) {
            return Err(SteeringError::UnknownAppliance(id.clone()));
        }
        let voiding = SteeringError::store("void the certificates");
        let count = self.ledger.void_certificates(id).await.map_err(voiding)?;
        self.reread().await?;
        Ok(count)
    }

    /// Every certificate that is good at `now`, in no order. Memory only.
    #[must_use]
    pub fn good_certificates(&self, now: UnixMillis) -> Vec<CertificateRow> {
        let registry = Arc::clone(&self.fleet().registry);
        registry.certificates.values().filter(|row| row.expires_at > now).cloned().collect()
    }

    /// Whose certificate this is, and from when until when. Memory only.
    ///
    /// # Errors
    /// `CertificateVoid` or `CertificateOver`, counted.
    pub fn authenticate_certificate(
        &self,
        fingerprint: &Fingerprint,
        now: UnixMillis,
    ) -> Result<CertificateRow, Unproven> {
        let fleet = self.fleet();
        let row = fleet.registry.certificates.get(fingerprint);
        let judged = match row {
            None => Err(Unproven::CertificateVoid),
            // A connection outlives the handshake in which its certificate was good.
            Some(row) if row.expires_at <= now => Err(Unproven::CertificateOver),
            Some(row) => Ok(row.clone()),
        };
        judged.inspect_err(|why| self.tallies.unproven(*why))
    }

    /// Counts what somebody else found wrong with a caller.
    pub fn note_unproven(&self, why: Unproven) {
        self.tallies.unproven(why);
    }
}

impl Registry {
    /// An appliance's certificates, in no order.
    pub(crate) fn certificates_of(
        &self,
        appliance: &ApplianceId,
    ) -> impl Iterator<Item = &CertificateRow> {
        // Few calls, all behind an operator or a registration key: not worth an index of its own.
        self.certificates.values().filter(move |row| row.appliance == *appliance)
    }
}

/// A certificate as listings show it.
pub(crate) fn listed(row: &CertificateRow) -> CertificateListed {
    let fingerprint = row.fingerprint[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    CertificateListed { fingerprint, made_at: row.made_at, expires_at: row.expires_at }
}
