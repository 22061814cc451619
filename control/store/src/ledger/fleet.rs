//! Ledger of sites, appliances and the prefixes announced to sites. Not their health: reports live
//! in memory.

use async_trait::async_trait;
use control_types::fleet::{ApplianceRecord, Drains, Site};
use control_types::schedule::MaintenanceSchedule;
use control_types::{ApplianceId, IspId, IspKeyId, SiteId, UnixMillis, WindowId};

use super::IdentityLedger;
use crate::StoreError;

/// SHA-256 of an appliance's or an ISP's bearer key.
pub type KeyHash = [u8; 32];

/// One appliance as registered.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplianceRow {
    /// As the operator wrote it.
    pub record: ApplianceRecord,
    /// Of the key shown when it was made.
    pub key_hash: KeyHash,
    /// Who asked it to drain.
    pub drains: Drains,
    /// When it was made.
    pub made_at: UnixMillis,
}

/// One bearer key of an ISP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IspKeyRow {
    /// Names it; unique.
    pub id: IspKeyId,
    /// Whose sites it reaches.
    pub isp: IspId,
    /// Of the key shown when it was made.
    pub key_hash: KeyHash,
    /// When it was made.
    pub made_at: UnixMillis,
}

/// Whose wish a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainBy {
    /// The operator's.
    Operator,
    /// The ISP's.
    Isp,
}

/// Maintenance that comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceRow {
    /// The rule.
    pub schedule: MaintenanceSchedule,
    /// Who made it; absent: the operator.
    pub isp: Option<IspId>,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplianceMade {
    /// New: the offered key counts.
    New,
    /// It was there: record replaced, its earlier key and drain flag kept.
    Replaced,
}

/// Sites, appliances, prefixes.
#[async_trait]
pub trait FleetLedger: IdentityLedger {
    /// Registers or replaces a site with its prefixes.
    async fn put_site(&self, site: &Site) -> Result<(), StoreError>;

    /// Removes a site; says whether it was there. `Refused` while appliances stand in it.
    async fn remove_site(&self, site: &SiteId) -> Result<bool, StoreError>;

    /// All sites, by id, prefixes as given.
    async fn sites(&self) -> Result<Vec<Site>, StoreError>;

    /// Registers or replaces; `Missing` when its site is unknown.
    async fn put_appliance(
        &self,
        record: &ApplianceRecord,
        key_hash: &KeyHash,
        now: UnixMillis,
    ) -> Result<ApplianceMade, StoreError>;

    /// Gives it another key; says whether the appliance exists.
    async fn set_appliance_key(
        &self,
        appliance: &ApplianceId,
        key_hash: &KeyHash,
    ) -> Result<bool, StoreError>;

    /// Removes; says whether it was there.
    async fn remove_appliance(&self, appliance: &ApplianceId) -> Result<bool, StoreError>;

    /// All appliances, by id.
    async fn appliances(&self) -> Result<Vec<ApplianceRow>, StoreError>;

    /// Sets one of the drain flags; says whether the appliance exists.
    async fn set_drain(
        &self,
        appliance: &ApplianceId,
        by: DrainBy,
        drain: bool,
    ) -> Result<bool, StoreError>;

    /// Adds or replaces maintenance that comes again.
    async fn put_maintenance(&self, row: &MaintenanceRow) -> Result<(), StoreError>;

    /// Deletes one; says whether it was there.
    async fn remove_maintenance(&self, id: &WindowId) -> Result<bool, StoreError>;

    /// All maintenance that comes again, by id.
    async fn maintenance(&self) -> Result<Vec<MaintenanceRow>, StoreError>;

    /// Keeps a key of an ISP; `Taken` when its id or hash is.
    async fn add_isp_key(&self, key: &IspKeyRow) -> Result<(), StoreError>;

    /// Deletes one; says whether it was there.
    async fn remove_isp_key(&self, key: &IspKeyId) -> Result<bool, StoreError>;

    /// All keys of all ISPs, by ISP then id.
    async fn isp_keys(&self) -> Result<Vec<IspKeyRow>, StoreError>;
}
