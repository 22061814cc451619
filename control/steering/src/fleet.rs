//! The fleet: what is registered, what each appliance last said, and the snapshot of both that
//! decisions read. Decides nothing.
//!
//! A report changes one [`Cell`] and costs the same in a fleet of any size. [`Fleet`] is composed
//! from all cells when a question finds it too old (`service.rs`), and never changes then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::AHashMap;
use arc_swap::ArcSwapOption;
use control_routes::RouteTable;
use control_store::ledger::{
    ApplianceRow, CertificateRow, Fingerprint, IspKeyRow, KeyHash, MaintenanceRow,
};
use control_types::fill::WindowScope;
use control_types::fleet::{
    ApplianceRecord, ApplianceReport, Drains, Health, Link, Maintenance, Role, Site,
};
use control_types::{ApplianceId, IspId, SiteId, UnixMillis};

use crate::calendar::{Calendar, Time};
use crate::complaints::Complaints;
use crate::ear::{Ear, Sight};
use crate::health::{Conduct, LoadStep};
use crate::held::Held;
use crate::index::Index;
use crate::library::Library;
use crate::prefixes::Prefixes;
use crate::service::Settings;

/// Everything a decision looks at, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// From the ledger.
    pub registry: Arc<Registry>,
    /// Objects by name and slot.
    pub library: Arc<Library>,
    /// What networks announce, beyond what sites are registered with.
    pub routes: RouteTable,
    /// By the registry's numbers.
    pub states: Vec<State>,
    /// The same, for decisions: made from `states` by [`Self::warm`].
    pub(crate) brief: Vec<Brief>,
    /// By the routes' numbers of sites: the registry's.
    pub(crate) route_sites: Arc<[u32]>,
    /// By the routes' numbers of appliances: the registry's.
    pub(crate) route_boxes: Arc<[u32]>,
    /// Nobody at all was heard for longer than `silent_ms`.
    pub is_deaf: bool,
    /// When it was composed.
    pub at: UnixMillis,
    /// How many changes it has seen.
    pub(crate) version: u64,
}

/// What operators registered.
#[derive(Debug, Default)]
pub struct Registry {
    /// By id.
    pub sites: BTreeMap<SiteId, Site>,
    /// By id.
    pub appliances: BTreeMap<ApplianceId, Registered>,
    /// Whose key hashes to this.
    pub keys: AHashMap<KeyHash, ApplianceId>,
    /// The ISP whose key hashes to this.
    pub isp_keys: AHashMap<KeyHash, IspId>,
    /// Certificates that count.
    pub certificates: AHashMap<Fingerprint, CertificateRow>,
    /// Maintenance that comes again.
    pub calendar: Calendar,
    /// Announced to sites.
    pub prefixes: Prefixes,
    /// Sites and appliances by number.
    pub index: Index,
}

/// One registered appliance.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// As the operator wrote it.
    pub record: ApplianceRecord,
    /// Who asked it to drain.
    pub drains: Drains,
}

/// What changes of one appliance without an operator: its last report, and what players say.
#[derive(Debug, Default)]
pub struct Cell {
    /// Absent before its first report.
    pub seen: ArcSwapOption<Seen>,
    /// Held by whoever folds a report in.
    pub(crate) folding: Mutex<()>,
    complaints: Mutex<Complaints>,
    /// When it was first known to be asked to drain, milliseconds; 0: not, or before we started.
    pub(crate) drains_since: std::sync::atomic::AtomicU64,
}

/// What one appliance last said.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its last report, without the content set.
    pub report: Arc<ApplianceReport>,
    /// When that came, by control's clock: shown, never compared.
    pub heard_at: UnixMillis,
    /// The same as [`Ear`] counts: ages are measured from here.
    pub steady_ms: u64,
    /// How it behaved over the last reports.
    pub conduct: Conduct,
    /// How loaded it is, with hysteresis.
    pub load: LoadStep,
    /// Busy share of its processors over the last reports, per mille.
    pub cpu_per_mille: u32,
    /// Earlier runs of its process with their last sequence, newest first.
    pub past_runs: Vec<(uuid::Uuid, u64)>,
    /// What it holds.
    pub held: Arc<Held>,
}

/// One appliance as decisions see it.
#[derive(Clone, Debug)]
pub struct State {
    /// What it last said.
    pub seen: Option<Arc<Seen>>,
    /// As far as is believed.
    pub health: Health,
    /// Offered in spite of its silence.
    pub is_doubted: bool,
    /// Its report is overdue.
    pub is_late: bool,
    /// Players complain of it.
    pub is_shunned: bool,
    /// Asked to drain at this time; sessions may leave one by one. 0: they must leave at once.
    pub drains_since: UnixMillis,
    /// Fingerprints it is not believed to hold, sorted.
    pub denied: Vec<u64>,
}

impl Registry {
    /// The registry that these ledger rows make.
    #[must_use]
    pub fn of(sites: Vec<Site>, appliances: Vec<ApplianceRow>, isp_keys: Vec<IspKeyRow>) -> Self {
        let prefixes = Prefixes::of(sites.iter());
        let mut registry = Self { prefixes, ..Self::default() };
        registry.sites = sites.into_iter().map(|site| (site.id.clone(), site)).collect();
        registry.isp_keys = isp_keys.into_iter().map(|key| (key.key_hash, key.isp)).collect();
        for row in appliances {
            let id = row.record.id.clone();
            registry.keys.insert(row.key_hash, id.clone());
            registry.appliances.insert(id, Registered { record: row.record, drains: row.drains });
        }
        registry.index = Index::of(&registry.sites, &registry.appliances);
        registry
    }

    /// The same registry with who is known by what, and when work is done on whom.
    #[must_use]
    pub fn knowing(
        mut self,
        certificates: Vec<CertificateRow>,
        maintenance: Vec<MaintenanceRow>,
    ) -> Self {
        self.certificates = certificates.into_iter().map(|row| (row.fingerprint, row)).collect();
        self.calendar = Calendar::of(maintenance);
        self
    }

    /// Whether the ledger still says the same, so that nothing needs to be made anew.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.sites == other.sites
            && self.appliances == other.appliances
            && self.keys == other.keys
            && self.isp_keys == other.isp_keys
            && self.certificates == other.certificates
            && self.calendar.rows().eq(other.calendar.rows())
    }
}

impl Registry {
    /// The maintenance under way at `now` of one appliance: of its own, or by a rule.
    #[must_use]
    pub fn maintained(&self, one: &Registered, now: UnixMillis) -> Option<Maintenance> {
        self.maintained_in(one, &self.calendar.open_at(now), now)
    }

    /// The same, with the rules' times under way as `open`; the one that ends last when there are
    /// several.
    pub(crate) fn maintained_in(
        &self,
        one: &Registered,
        open: &[Time],
        now: UnixMillis,
    ) -> Option<Maintenance> {
        let record = &one.record;
        let own = record.detail.maintenance.iter();
        let own = own.filter(|window| window.from <= now && now < window.until);
        let isp_of = |site| self.sites.get(site).map(|site| &site.isp);
        let ruled = open.iter().filter(|time| match &time.scope {
            WindowScope::Appliance(id) => *id == record.id,
            WindowScope::Site(id) => *id == record.site,
            WindowScope::Isp(id) => isp_of(&record.site) == Some(id),
            WindowScope::Everyone => true,
        });
        own.chain(ruled.map(|time| &time.when)).max_by_key(|window| window.until).cloned()
    }
}

impl Cell {
    /// What players say of it.
    pub(crate) fn complaints<T>(&self, look: impl FnOnce(&mut Complaints) -> T) -> T {
        look(&mut self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a snapshot is composed from.
pub struct Parts<'a> {
    /// From the ledger, with the cells.
    pub registry: &'a Arc<Registry>,
    /// Objects by name and slot.
    pub library: &'a Arc<Library>,
    /// What networks announce.
    pub routes: &'a RouteTable,
    /// When anybody was heard.
    pub ear: Ear,
    /// Thresholds.
    pub settings: &'a Settings,
}

impl Fleet {
    /// The fleet at `now`; `before` lends what has not changed.
    #[must_use]
    pub fn compose(parts: &Parts<'_>, before: Option<&Self>, now: UnixMillis) -> Self {
        let registry = parts.registry;
        let boxes = &registry.index.boxes;
        let heard: Vec<Option<Arc<Seen>>> =
            boxes.iter().map(|one| one.cell.seen.load_full()).collect();
        let sight = Sight::of(registry, &heard, parts.ear, parts.settings, now);
        let open = registry.calendar.open_at(now);
        let mut states: Vec<State> = boxes
            .iter()
            .zip(heard)
            .zip(registry.appliances.values())
            .map(|((one, seen), registered)| {
                let maintained = registry.maintained_in(registered, &open, now);
                let asked = Asked { drains: registered.drains, maintained };
                compose_state(&sight, &one.cell, seen, &asked, now)
            })
            .collect();
        // That many boxes at once are not sick: the players' network is, or somebody lies.
        let shunned = states.iter().filter(|state| state.is_shunned).count();
        if shunned > sight.left_out_max(states.len()) {
            states.iter_mut().for_each(|state| state.is_shunned = false);
        }
        let same = before.filter(|before| {
            Arc::ptr_eq(&before.registry, registry)
                && before.routes.version() == parts.routes.version()
        });
        let (route_sites, route_boxes) = match same {
            Some(before) => (Arc::clone(&before.route_sites), Arc::clone(&before.route_boxes)),
            None => registry.index.of_routes(parts.routes.names()),
        };
        let mut fleet = Self {
            registry: Arc::clone(registry),
            library: Arc::clone(parts.library),
            routes: parts.routes.clone(),
            states,
            brief: Vec::new(),
            route_sites,
            route_boxes,
            is_deaf: sight.is_deaf,
            at: now,
            version: 0,
        };
        fleet.warm();
        fleet
    }

    /// Makes what decisions read from `states`; whoever changes those calls it.
    pub fn warm(&mut self) {
        let boxes = self.registry.index.boxes.iter().zip(&self.states);
        self.brief = boxes.map(|(one, state)| Brief::of(one, state)).collect();
    }

    /// What an appliance last said.
    #[must_use]
    pub fn seen(&self, id: &ApplianceId) -> Option<&Arc<Seen>> {
        let number = self.registry.index.number_of(id)?;
        self.states.get(number as usize)?.seen.as_ref()
    }
}

/// One appliance as a ranking reads it: a cache line or two, because a decision reads some thirty
/// of them and waits for memory more than for anything else.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub hash: u64,
    pub held: Option<Arc<Held>>,
    pub site: u32,
    pub domain: u32,
    pub capacity_mbps: u32,
    pub load_per_mille: u32,
    pub role: Role,
    pub link: Link,
    pub health: Health,
    pub step: Option<u8>,
    pub is_doubted: bool,
    pub is_late: bool,
    pub is_shunned: bool,
    /// Some of what it says it holds is not believed.
    pub is_denied: bool,
}

impl Brief {
    fn of(one: &Boxed, state: &State) -> Self {
        let seen = state.seen.as_deref();
        Self {
            hash: one.hash,
            held: seen.map(|seen| Arc::clone(&seen.held)),
            site: one.site,
            domain: one.domain,
            capacity_mbps: one.capacity_mbps,
            load_per_mille: seen.map_or(0, |seen| seen.load.per_mille),
            role: one.role,
            link: one.link,
            health: state.health,
            step: seen.map(|seen| seen.load.step),
            is_doubted: state.is_doubted,
            is_late: state.is_late,
            is_shunned: state.is_shunned,
            is_denied: !state.denied.is_empty(),
        }
    }
}

/// What one appliance is asked for.
struct Asked {
    drains: Drains,
    maintained: Option<Maintenance>,
}

fn compose_state(
    sight: &Sight,
    cell: &Cell,
    seen: Option<Arc<Seen>>,
    wish: &Asked,
    now: UnixMillis,
) -> State {
    let maintained = wish.maintained.as_ref().map(|window| window.from);
    let asked = wish.drains.any() || maintained.is_some();
    let belief = sight.judge(asked, seen.as_deref());
    let leaving = seen
        .as_ref()
        .is_some_and(|seen| seen.report.more.leaving || (seen.report.draining && !asked));
    let flagged = cell.drains_since.load(std::sync::atomic::Ordering::Relaxed);
    let since = match (leaving, maintained, wish.drains.any()) {
        (true, ..) | (false, None, false) => UnixMillis(0),
        (false, Some(from), _) => from,
        (false, None, true) => UnixMillis(flagged),
    };
    let (is_shunned, denied) = cell.complaints(|complaints| {
        if complaints.is_quiet() {
            return (false, Vec::new());
        }
        (complaints.is_shunned(now), complaints.denied(now))
    });
    State {
        health: belief.health,
        is_doubted: belief.is_doubted,
        is_late: belief.is_late,
        is_shunned,
        drains_since: since,
        denied,
        seen,
    }
}

/// One appliance's fixed properties, by number.
#[derive(Debug)]
pub struct Boxed {
    /// Which.
    pub id: ApplianceId,
    /// Where, by number.
    pub site: u32,
    /// What for.
    pub role: Role,
    /// How members reach it.
    pub link: Link,
    /// Boxes of one number fail together.
    pub domain: u32,
    /// Megabits a second it may send.
    pub capacity_mbps: u32,
    /// Of its id.
    pub hash: u64,
    /// What changes.
    pub cell: Arc<Cell>,
}
