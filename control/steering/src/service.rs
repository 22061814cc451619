//! The fleet: registered in the ledger, reported into memory, read as one snapshot. Decides nothing
//! by itself; `model.rs` does.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_store::StoreError;
use control_store::ledger::{ApplianceMade, FleetLedger, KeyHash};
use control_types::fill::FillAppliance;
use control_types::fleet::{
    ApplianceKey, ApplianceRecord, ApplianceReport, ApplianceStatus, Health, Site, SteerExplanation,
};
use control_types::play::SteeringManifest;
use control_types::{ApplianceId, SiteId, UnixMillis};

use crate::ear::Sight;
use crate::error::SteeringError;
use crate::fleet::{Fleet, Registry};
use crate::health::{Folded, fold, health};
use crate::limits::{APPLIANCES_MAX, REPORT_TEXT_BYTES_MAX, SITE_NAME_BYTES_MAX, VOLUMES_MAX};
use crate::model::{Question, Ranked, decide};
use crate::prefixes::parse_announced;

/// What an operator may choose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// An appliance that has not reported for this long is not offered, milliseconds.
    pub silent_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { silent_ms: 3_000 }
    }
}

/// What a report is answered with; the caller adds the ticket keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Send the whole content set next time.
    pub want_content: bool,
    /// Operator or ISP asked this appliance to drain.
    pub drain: bool,
}

/// Fleet registry, reports and ranked lists.
pub struct Steering {
    pub(crate) ledger: Arc<dyn FleetLedger>,
    settings: Settings,
    /// Readers load this and hold no lock.
    fleet: ArcSwap<Fleet>,
    /// Held for the moment of building and swapping in a new fleet: writers only.
    swap: Mutex<()>,
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
        let steering = Self {
            ledger,
            settings,
            fleet: ArcSwap::default(),
            swap: Mutex::new(()),
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
        let registry = Arc::new(Registry::of(sites, rows, keys));
        self.swap_in(|fleet| {
            let mut seen = AHashMap::clone(&fleet.seen);
            seen.retain(|id, _| registry.appliances.contains_key(id));
            Fleet { registry, seen: Arc::new(seen), ear: fleet.ear }
        });
        Ok(())
    }

    /// The whole fleet as it is now: an immutable snapshot.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        self.fleet.load_full()
    }

    fn swap_in(&self, next: impl FnOnce(&Fleet) -> Fleet) {
        // A panic of another writer leaves the snapshot whole, so its poison means nothing here.
        let _writing = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let fleet = next(&self.fleet.load());
        self.fleet.store(Arc::new(fleet));
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
        if record.capacity_bps == 0 {
            let why = "capacity_bps is 0: give what its port may send".to_owned();
            return Err(SteeringError::BadAppliance { appliance: record.id.clone(), why });
        }
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

    /// Takes an appliance out of every list; what it serves goes on.
    ///
    /// # Errors
    /// `UnknownAppliance`.
    pub async fn drain(&self, id: &ApplianceId) -> Result<(), SteeringError> {
        self.set_drain(id, true).await
    }

    /// Puts a drained appliance back.
    ///
    /// # Errors
    /// `UnknownAppliance`.
    pub async fn undrain(&self, id: &ApplianceId) -> Result<(), SteeringError> {
        self.set_drain(id, false).await
    }

    async fn set_drain(&self, id: &ApplianceId, drain: bool) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let writing = SteeringError::store("write the drain flag");
        if !self.ledger.set_drain(id, drain).await.map_err(writing)? {
            return Err(SteeringError::UnknownAppliance(id.clone()));
        }
        self.reread().await
    }

    /// Every appliance with its health, by id.
    #[must_use]
    pub fn appliances(&self, now: UnixMillis) -> Vec<ApplianceStatus> {
        let fleet = self.fleet();
        let (silent_ms, listened_ms) = (self.settings.silent_ms, fleet.ear.listened_ms(now));
        let lines = fleet.registry.appliances.iter().map(|(id, registered)| {
            let seen = fleet.seen.get(id);
            ApplianceStatus {
                record: registered.record.clone(),
                health: health(seen.map(|seen| &**seen), registered.drain, silent_ms, listened_ms),
                drain: registered.drain,
                report: seen.map(|seen| ApplianceReport::clone(&seen.report)),
                heard_at: seen.map(|seen| seen.heard_at),
                objects: seen.map_or(0, |seen| seen.held.listing.len() as u64),
                held_bytes: seen.map_or(0, |seen| seen.held.bytes),
            }
        });
        lines.collect()
    }

    /// Whose bearer key this is. Memory only.
    #[must_use]
    pub fn authenticate(&self, key: &str) -> Option<ApplianceId> {
        self.fleet.load().registry.keys.get(&hash_key(key)).cloned()
    }

    /// Where an appliance stands.
    #[must_use]
    pub fn site_of(&self, id: &ApplianceId) -> Option<SiteId> {
        let fleet = self.fleet.load();
        fleet.registry.appliances.get(id).map(|registered| registered.record.site.clone())
    }

    /// Sites with the longest announced prefix that holds `ip`: where demand of that member
    /// belongs.
    #[must_use]
    pub fn home_sites(&self, ip: IpAddr) -> Vec<SiteId> {
        let fleet = self.fleet.load();
        let covers = fleet.registry.prefixes.covers(ip);
        covers.first().map(|cover| cover.sites.to_vec()).unwrap_or_default()
    }

    /// Takes in what an appliance says of itself; the caller has matched its key.
    ///
    /// # Errors
    /// `UnknownAppliance` when it was removed meanwhile, `BadAppliance` when it says more than is
    /// kept of anybody.
    pub fn report(&self, report: ApplianceReport, now: UnixMillis) -> Result<Heard, SteeringError> {
        report_check(&report)?;
        let mut heard = Err(SteeringError::UnknownAppliance(report.appliance.clone()));
        self.swap_in(|fleet| {
            let id = report.appliance.clone();
            let Some(registered) = fleet.registry.appliances.get(&id) else { return fleet.clone() };
            let drain = registered.drain;
            let before = fleet.seen.get(&id).map(|seen| &**seen);
            let ear = fleet.ear.heard(self.settings.silent_ms, now);
            match fold(before, report, self.settings.silent_ms, ear.moment(now)) {
                Folded::Stale => {
                    heard = Ok(Heard { want_content: false, drain });
                    fleet.clone()
                }
                Folded::Heard { seen, want_content } => {
                    heard = Ok(Heard { want_content, drain });
                    let mut all = AHashMap::clone(&fleet.seen);
                    all.insert(id, Arc::new(*seen));
                    Fleet { registry: Arc::clone(&fleet.registry), seen: Arc::new(all), ear }
                }
            }
        });
        heard
    }

    /// Where a member should stream a title from, best first; empty when no appliance is known at
    /// all.
    #[must_use]
    pub fn rank(&self, question: &Question<'_>, now: UnixMillis) -> Vec<Ranked> {
        decide(&self.fleet.load(), question, self.settings.silent_ms, now).ranked()
    }

    /// The same decision with every candidate's verdict in words.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>, now: UnixMillis) -> SteerExplanation {
        decide(&self.fleet.load(), question, self.settings.silent_ms, now).explanation(question)
    }

    /// The Content Steering answer for a play under way: the same list, as pathway ids.
    #[must_use]
    pub fn steering_manifest(
        &self,
        question: &Question<'_>,
        ttl_s: u32,
        reload_uri: String,
        now: UnixMillis,
    ) -> SteeringManifest {
        let ranked = self.rank(question, now);
        SteeringManifest {
            version: 1,
            ttl: ttl_s,
            reload_uri,
            pathway_priority: ranked.iter().map(|place| place.appliance.to_string()).collect(),
        }
    }

    /// The fleet as the fill planner sees it, by id.
    #[must_use]
    pub fn fill_appliances(&self, now: UnixMillis) -> Vec<FillAppliance> {
        let fleet = self.fleet();
        let sight = Sight::of(&fleet, self.settings.silent_ms, now);
        let boxes = fleet.registry.appliances.iter().filter_map(|(id, registered)| {
            let record = &registered.record;
            let site = fleet.registry.sites.get(&record.site)?;
            let seen = fleet.seen.get(id);
            Some(FillAppliance {
                appliance: id.clone(),
                site: site.id.clone(),
                isp: site.isp.clone(),
                role: record.role,
                healthy: sight.judge(registered, seen.map(|seen| &**seen)).0 == Health::Healthy,
                media_url: seen.map(|seen| seen.report.media_url.clone()).unwrap_or_default(),
                volumes: seen.map(|seen| seen.report.volumes.clone()).unwrap_or_default(),
                holds: seen.map(|seen| seen.held.listing.clone()).unwrap_or_default(),
            })
        });
        boxes.collect()
    }
}

fn put_site_check(site: &Site) -> Result<(), SteeringError> {
    let refused =
        |why: &str| Err(SteeringError::BadSite { site: site.id.clone(), why: why.to_owned() });
    if site.name.is_empty() || site.name.len() > SITE_NAME_BYTES_MAX {
        return refused("its name is empty or longer than 120 bytes");
    }
    if !(-90.0..=90.0).contains(&site.latitude) || !(-180.0..=180.0).contains(&site.longitude) {
        return refused("its place is not on Earth: latitude -90 to 90, longitude -180 to 180");
    }
    parse_announced(site).map(|_| ())
}

/// Refuses a prefix that overlaps one that a site of another ISP has.
fn put_site_claims(site: &Site, registry: &Registry) -> Result<(), SteeringError> {
    let before = registry.sites.get(&site.id).filter(|before| before.isp == site.isp);
    for prefix in parse_announced(site)? {
        // What the site has is not taken from it by a rule that is younger than it.
        if before.is_some() && registry.prefixes.exactly(&prefix).contains(&site.id) {
            continue;
        }
        for held in registry.prefixes.overlapping(&prefix) {
            let mut claims = held.sites.iter().filter_map(|id| registry.sites.get(id));
            if let Some(other) = claims.find(|other| other.id != site.id && other.isp != site.isp) {
                return Err(SteeringError::PrefixClaimed {
                    prefix: prefix.to_string(),
                    held: held.prefix.to_string(),
                    isp: other.isp.clone(),
                    site: other.id.clone(),
                });
            }
        }
    }
    Ok(())
}

/// A report is kept until the next one and copied for operators: nothing in it may be long. What
/// `content` holds is bounded by the body it came in.
fn report_check(report: &ApplianceReport) -> Result<(), SteeringError> {
    let refused =
        |why: String| Err(SteeringError::BadAppliance { appliance: report.appliance.clone(), why });
    if report.volumes.len() > VOLUMES_MAX {
        return refused(format!("it reports {} volumes, over {VOLUMES_MAX}", report.volumes.len()));
    }
    let paths = report.volumes.iter().map(|volume| &volume.path);
    let texts = [&report.content_digest, &report.media_url];
    if paths.chain(texts).any(|text| text.len() > REPORT_TEXT_BYTES_MAX) {
        let what = "a path, digest or URL it reports";
        return refused(format!("{what} is longer than {REPORT_TEXT_BYTES_MAX} bytes"));
    }
    Ok(())
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
