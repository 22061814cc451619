//! The fleet: registered in the ledger, reported into memory, read as one snapshot. Decides nothing
//! by itself; `model.rs` does.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_routes::RouteTable;
use control_store::ledger::{ApplianceMade, FleetLedger, KeyHash};
use control_store::{Events, StoreError};
use control_types::content::HeldKeys;
use control_types::fill::FillAppliance;
use control_types::fleet::{
    ApplianceKey, ApplianceRecord, ApplianceReport, ApplianceStatus, CertificateListed, Health,
    Site,
};
use control_types::{ApplianceId, UnixMillis};

use crate::asks::Tallies;
use crate::checks::{put_appliance_check, put_site_check, put_site_claims};
use crate::ear::{Ear, silent_ms_of};
use crate::error::SteeringError;
use crate::fleet::{Fleet, Registry};
use crate::health::health;
use crate::identity::listed;
use crate::library::Library;
use crate::limits::APPLIANCES_MAX;
use crate::policy::Policy;
use crate::recorder::Recorder;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An appliance that has not reported for this long is not offered, milliseconds.
    pub silent_ms: u64,
    /// One whose report is overdue this long stands behind all others, milliseconds.
    pub late_ms: u64,
    /// Most of the fleet that may be left out at once for silence, per cent of those heard within
    /// an hour: more is taken for a fault of control's own sight.
    pub silent_percent_max: usize,
    /// Order and thresholds of the ranking.
    pub policy: Policy,
    /// Whether a box's busy processor counts as load. Not for boxes that share one machine.
    pub cpu_in_load: bool,
    /// Questions recorded in a second, for replay; more are counted only. 0: none.
    pub asks_per_second_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            silent_ms: 3_000,
            late_ms: 1_500,
            silent_percent_max: 50,
            policy: Policy::default(),
            cpu_in_load: true,
            asks_per_second_max: 200,
        }
    }
}

/// What a report is answered with; the caller adds the ticket keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Send the whole content set next time.
    pub want_content: bool,
    /// Operator, ISP or calendar asked this appliance to drain.
    pub drain: bool,
    /// Keys that nobody here has a name for.
    pub unnamed: HeldKeys,
}

/// Fleet registry, reports and ranked lists.
pub struct Steering {
    pub(crate) ledger: Arc<dyn FleetLedger>,
    pub(crate) settings: Settings,
    /// Readers load this and hold no lock.
    pub(crate) fleet: ArcSwap<Fleet>,
    /// Rises with everything that a snapshot would show.
    pub(crate) changes: AtomicU64,
    /// Held for the moment of composing and swapping in a new snapshot: writers only.
    pub(crate) swap: Mutex<()>,
    /// Read while a report's content is folded in, written while objects get their slots.
    pub(crate) library: RwLock<Arc<Library>>,
    pub(crate) routes: ArcSwap<RouteTable>,
    pub(crate) ear: Mutex<Ear>,
    pub(crate) recorder: Mutex<Recorder>,
    /// Where questions are recorded; empty: nowhere.
    pub(crate) log: OnceLock<Arc<dyn Events>>,
    pub(crate) tallies: Tallies,
    /// Held over a registry change, from check to ledger to snapshot, so that two operators cannot
    /// announce one prefix at once.
    pub(crate) change: tokio::sync::Mutex<()>,
}

impl Steering {
    /// Reads the registry; reports begin empty and are rebuilt by the appliances.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn open(
        ledger: Arc<dyn FleetLedger>,
        settings: Settings,
    ) -> Result<Self, SteeringError> {
        let recorder = Recorder::new(settings.asks_per_second_max);
        let steering = Self {
            ledger,
            settings,
            fleet: ArcSwap::default(),
            changes: AtomicU64::new(0),
            swap: Mutex::new(()),
            library: RwLock::default(),
            routes: ArcSwap::default(),
            ear: Mutex::default(),
            recorder: Mutex::new(recorder),
            log: OnceLock::new(),
            tallies: Tallies::default(),
            change: tokio::sync::Mutex::new(()),
        };
        steering.reread().await?;
        Ok(steering)
    }

    /// Reads the registry again: what a reconciler calls when another control process may have
    /// changed it. Takes no input and forgets no report of an appliance still registered.
    ///
    /// # Errors
    /// When the ledger cannot be read; the registry then stays as it was.
    pub async fn refresh(&self) -> Result<(), SteeringError> {
        // In turn with changes: what was read before a change must not be swapped in after it, or a
        // new appliance's key would be unknown and a removed one's known until the next reading.
        let _changing = self.change.lock().await;
        self.reread().await
    }

    /// The caller holds `change`, or is the only one there is.
    pub(crate) async fn reread(&self) -> Result<(), SteeringError> {
        let reading = SteeringError::store;
        let sites = self.ledger.sites().await.map_err(reading("read the sites"))?;
        let rows = self.ledger.appliances().await.map_err(reading("read the appliances"))?;
        let keys = self.ledger.isp_keys().await.map_err(reading("read the ISPs' keys"))?;
        let certificates =
            self.ledger.certificates().await.map_err(reading("read the certificates"))?;
        let maintenance =
            self.ledger.maintenance().await.map_err(reading("read the maintenance"))?;
        let mut registry = Registry::of(sites, rows, keys).knowing(certificates, maintenance);
        let before = self.fleet();
        if before.registry.says_the_same(&registry) {
            return Ok(());
        }
        registry.index.adopt(&before.registry.index);
        self.note_drains(&before.registry, &registry);
        self.compose(Some(Arc::new(registry)), before.at);
        Ok(())
    }

    /// Registers or replaces a site with its prefixes.
    ///
    /// # Errors
    /// `BadSite` for fields out of range, `PrefixClaimed` when another ISP announced one of them.
    pub async fn put_site(&self, site: &Site) -> Result<(), SteeringError> {
        put_site_check(site)?;
        let _changing = self.change.lock().await;
        put_site_claims(site, &self.fleet().registry)?;
        self.ledger.put_site(site).await.map_err(SteeringError::store("write the site"))?;
        self.reread().await
    }

    /// All sites, by id.
    #[must_use]
    pub fn sites(&self) -> Vec<Site> {
        self.fleet().registry.sites.values().cloned().collect()
    }

    /// Registers or replaces an appliance. A new one gets a key, which is shown here and never
    /// again: the ledger keeps its SHA-256 (a fast hash is right, the key is 256 random bits).
    ///
    /// # Errors
    /// `UnknownSite`, `BadAppliance`, `FleetFull`.
    pub async fn put_appliance(
        &self,
        record: &ApplianceRecord,
        now: UnixMillis,
    ) -> Result<ApplianceKey, SteeringError> {
        put_appliance_check(record)?;
        let _changing = self.change.lock().await;
        let registry = Arc::clone(&self.fleet().registry);
        if !registry.sites.contains_key(&record.site) {
            return Err(SteeringError::UnknownSite(record.site.clone()));
        }
        let is_new = !registry.appliances.contains_key(&record.id);
        if is_new && registry.appliances.len() >= APPLIANCES_MAX {
            return Err(SteeringError::FleetFull { max: APPLIANCES_MAX });
        }
        let key = new_key()?;
        let made = match self.ledger.put_appliance(record, &hash_key(&key), now).await {
            Ok(made) => made,
            Err(StoreError::Missing(_)) => {
                return Err(SteeringError::UnknownSite(record.site.clone()));
            }
            Err(error) => return Err(SteeringError::store("write the appliance")(error)),
        };
        self.reread().await?;
        Ok(ApplianceKey { key: (made == ApplianceMade::New).then_some(key) })
    }

    /// Forgets an appliance, its key and its reports.
    ///
    /// # Errors
    /// `UnknownAppliance`.
    pub async fn remove_appliance(&self, id: &ApplianceId) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let removing = SteeringError::store("remove the appliance");
        if !self.ledger.remove_appliance(id).await.map_err(removing)? {
            return Err(SteeringError::UnknownAppliance(id.clone()));
        }
        self.reread().await
    }

    /// Every appliance with its health, by id.
    #[must_use]
    pub fn appliances(&self, now: UnixMillis) -> Vec<ApplianceStatus> {
        let fleet = self.fleet();
        let ear = *self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        let listened_ms = ear.listened_ms(now);
        let registry = &fleet.registry;
        let boxes = registry.appliances.values().zip(&registry.index.boxes);
        let open = registry.calendar.open_at(now);
        let mut certificates: BTreeMap<&ApplianceId, Vec<CertificateListed>> = BTreeMap::new();
        for row in registry.certificates.values().filter(|row| row.expires_at > now) {
            certificates.entry(&row.appliance).or_default().push(listed(row));
        }
        certificates.values_mut().for_each(|of_one| of_one.sort_by_key(|one| one.made_at));
        let lines = boxes.map(|(registered, one)| {
            let seen = one.cell.seen.load_full();
            let silent_ms =
                seen.as_deref().map_or(0, |seen| silent_ms_of(seen, self.settings.silent_ms));
            let maintained = registry.maintained_in(registered, &open, now);
            let drain = registered.drains.any() || maintained.is_some();
            let id = &registered.record.id;
            ApplianceStatus {
                record: registered.record.clone(),
                health: health(seen.as_deref(), drain, silent_ms, listened_ms),
                drain: registered.drains.any(),
                drains: registered.drains,
                maintained_until: maintained.map(|window| window.until),
                certificates: certificates.remove(id).unwrap_or_default(),
                report: seen.as_ref().map(|seen| ApplianceReport::clone(&seen.report)),
                heard_at: seen.as_ref().map(|seen| seen.heard_at),
                objects: seen.as_ref().map_or(0, |seen| seen.held.objects),
                held_bytes: seen.as_ref().map_or(0, |seen| seen.held.bytes),
            }
        });
        lines.collect()
    }

    /// Whose bearer key this is. Memory only.
    #[must_use]
    pub fn authenticate(&self, key: &str) -> Option<ApplianceId> {
        self.fleet.load().registry.keys.get(&hash_key(key)).cloned()
    }

    /// The fleet as the fill planner sees it, by id.
    #[must_use]
    pub fn fill_appliances(&self, now: UnixMillis) -> Vec<FillAppliance> {
        let fleet = self.fleet_at(now);
        let boxes = fleet.registry.appliances.iter().zip(&fleet.states);
        let lines = boxes.filter_map(|((id, registered), state)| {
            let record = &registered.record;
            let site = fleet.registry.sites.get(&record.site)?;
            let seen = state.seen.as_ref();
            Some(FillAppliance {
                appliance: id.clone(),
                site: site.id.clone(),
                isp: site.isp.clone(),
                role: record.role,
                healthy: state.health == Health::Healthy,
                media_url: seen.map(|seen| seen.report.media_url.clone()).unwrap_or_default(),
                volumes: seen.map(|seen| seen.report.volumes.clone()).unwrap_or_default(),
                holds: seen.map(|seen| seen.held.listing(&fleet.library)).unwrap_or_default(),
            })
        });
        lines.collect()
    }
}

/// 256 random bits as text.
pub(crate) fn new_key() -> Result<String, SteeringError> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| SteeringError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn hash_key(key: &str) -> KeyHash {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    let mut out = [0u8; 32];
    out.copy_from_slice(hash.as_ref());
    out
}
