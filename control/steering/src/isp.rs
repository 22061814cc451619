//! Keys of ISPs, and what such a key reaches: the sites of its ISP, their appliances, and windows
//! for those alone. Decides nothing about which endpoint takes which key: the gateway does.

use std::sync::Arc;

use control_store::StoreError;
use control_store::ledger::IspKeyRow;
use control_types::fill::WindowScope;
use control_types::fleet::{IspKey, IspKeyListed};
use control_types::{ApplianceId, IspId, IspKeyId, SiteId, UnixMillis};

use crate::error::SteeringError;
use crate::fleet::{Fleet, Registry};
use crate::limits::ISP_KEYS_MAX;
use crate::service::{Steering, hash_key, new_key};

/// Begins every ISP key, so that a person sees what they hold.
const KEY_PREFIX: &str = "nfi_";
/// Bytes of the key's hash that name it.
const ID_BYTES: usize = 4;

/// How far a caller's key reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The operator's: the whole network.
    Everything,
    /// An ISP's: its own sites.
    Isp(IspId),
}

impl Reach {
    /// Whether a site is inside.
    #[must_use]
    pub fn has_site(&self, site: &SiteId, fleet: &Fleet) -> bool {
        let Self::Isp(isp) = self else { return true };
        fleet.registry.sites.get(site).is_some_and(|site| site.isp == *isp)
    }

    /// Whether an appliance stands inside.
    #[must_use]
    pub fn has_appliance(&self, id: &ApplianceId, fleet: &Fleet) -> bool {
        let Self::Isp(_) = self else { return true };
        let registered = fleet.registry.appliances.get(id);
        registered.is_some_and(|registered| self.has_site(&registered.record.site, fleet))
    }

    /// Whether a window's scope is wholly inside: it may be opened, changed and closed.
    #[must_use]
    pub fn has_scope(&self, scope: &WindowScope, fleet: &Fleet) -> bool {
        let Self::Isp(isp) = self else { return true };
        match scope {
            WindowScope::Appliance(id) => self.has_appliance(id, fleet),
            WindowScope::Site(id) => self.has_site(id, fleet),
            WindowScope::Isp(id) => id == isp,
            WindowScope::Everyone => false,
        }
    }

    /// Whether a window reaches something inside: it may be seen.
    #[must_use]
    pub fn sees_scope(&self, scope: &WindowScope, fleet: &Fleet) -> bool {
        *scope == WindowScope::Everyone || self.has_scope(scope, fleet)
    }

    /// Refuses a site that is outside; to an ISP, one that does not exist is outside too.
    ///
    /// # Errors
    /// `NotYours`.
    pub fn check_site(&self, site: &SiteId, fleet: &Fleet) -> Result<(), SteeringError> {
        self.refuse_unless(self.has_site(site, fleet), || format!("site {site}"))
    }

    /// Refuses an appliance that is outside, likewise.
    ///
    /// # Errors
    /// `NotYours`.
    pub fn check_appliance(&self, id: &ApplianceId, fleet: &Fleet) -> Result<(), SteeringError> {
        self.refuse_unless(self.has_appliance(id, fleet), || format!("appliance {id}"))
    }

    /// Refuses a scope that is not wholly inside; `what` names the window.
    pub(crate) fn check_scope(
        &self,
        scope: &WindowScope,
        fleet: &Fleet,
        what: impl FnOnce() -> String,
    ) -> Result<(), SteeringError> {
        self.refuse_unless(self.has_scope(scope, fleet), what)
    }

    fn refuse_unless(
        &self,
        inside: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), SteeringError> {
        match self {
            Self::Isp(isp) if !inside => {
                Err(SteeringError::NotYours { isp: isp.clone(), what: what() })
            }
            _ => Ok(()),
        }
    }
}

impl Steering {
    /// Makes a key for an ISP that has a site. It is shown here and never again; older ones stay
    /// good until they are revoked, so that a key can be replaced without a gap.
    ///
    /// # Errors
    /// `UnknownIsp`, `IspKeysFull`.
    pub async fn make_isp_key(
        &self,
        isp: &IspId,
        now: UnixMillis,
    ) -> Result<IspKey, SteeringError> {
        let _changing = self.change.lock().await;
        let registry: Arc<Registry> = Arc::clone(&self.fleet().registry);
        if !registry.sites.values().any(|site| site.isp == *isp) {
            return Err(SteeringError::UnknownIsp(isp.clone()));
        }
        if registry.isp_keys.values().filter(|holder| *holder == isp).count() >= ISP_KEYS_MAX {
            return Err(SteeringError::IspKeysFull { isp: isp.clone(), max: ISP_KEYS_MAX });
        }
        loop {
            let key = format!("{KEY_PREFIX}{}", new_key()?);
            let key_hash = hash_key(&key);
            let name: String =
                key_hash[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
            let id: IspKeyId = name.parse().expect("hex digits are a slug");
            let row = IspKeyRow { id: id.clone(), isp: isp.clone(), key_hash, made_at: now };
            match self.ledger.add_isp_key(&row).await {
                Ok(()) => {
                    self.reread().await?;
                    return Ok(IspKey { id, isp: isp.clone(), key });
                }
                // Two keys of one name, once in four thousand million: roll again.
                Err(StoreError::Taken(_)) => {}
                Err(error) => return Err(SteeringError::store("write the ISP's key")(error)),
            }
        }
    }

    /// Ends a key at once.
    ///
    /// # Errors
    /// `UnknownIspKey`.
    pub async fn revoke_isp_key(&self, key: &IspKeyId) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let removing = SteeringError::store("revoke the ISP's key");
        if !self.ledger.remove_isp_key(key).await.map_err(removing)? {
            return Err(SteeringError::UnknownIspKey(key.clone()));
        }
        self.reread().await
    }

    /// All keys that count, by ISP, without the keys.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn isp_keys(&self) -> Result<Vec<IspKeyListed>, SteeringError> {
        let reading = SteeringError::store("read the ISPs' keys");
        let rows = self.ledger.isp_keys().await.map_err(reading)?;
        let listed =
            |row: IspKeyRow| IspKeyListed { id: row.id, isp: row.isp, made_at: row.made_at };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Which ISP's bearer key this is. Memory only.
    #[must_use]
    pub fn authenticate_isp(&self, key: &str) -> Option<IspId> {
        let hash = key.starts_with(KEY_PREFIX).then(|| hash_key(key))?;
        self.fleet().registry.isp_keys.get(&hash).cloned()
    }
}
