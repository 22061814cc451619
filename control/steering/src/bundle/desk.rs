//! Keeps the newest signed bundle of every ISP that asks, and makes the next one when something
//! changed: off the path of every request, one ISP after the other. Ranks nothing.
//!
//! Mechanics: reports and fetches note that an ISP asks. [`BundleDesk::due`] glances at what each
//! asking ISP's bundle was made from and names those for whom it changed; [`BundleDesk::make`]
//! drafts one, and gives it a serial only if it differs from the last beyond serial and time.
//! Policy: routes, health, drains, keys and URLs are told after `every_ms`; content and load, which
//! change all the time, after `content_every_ms`. While control hears nobody at all, or has just
//! started and waits for appliances to say what they hold, nothing is made: what appliances have is
//! better.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ahash::{AHashMap, AHashSet, RandomState};
use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest;
use control_token::BundleKeys;
use control_types::bundle::{BundleListed, SteeringBundle};
use control_types::fleet::TicketKeys;
use control_types::{ApplianceId, IspId, UnixMillis};

use super::glance::{Changed, Glance, Watched};
use super::limits::{ASKED_MS, WARM_MS};
use super::made::Made;
use super::serials::Serials;
use super::{Survey, Terms};
use crate::error::SteeringError;
use crate::fleet::{Fleet, Registry};
use crate::library::Library;
use crate::service::Steering;

/// What an operator may choose.
#[derive(Clone, Copy, Debug)]
pub struct BundleSettings {
    /// Shortest time between two bundles of one ISP, milliseconds.
    pub every_ms: u64,
    /// The same when nothing but content or load changed, milliseconds; at least `every_ms`.
    pub content_every_ms: u64,
    /// Seconds between a player's questions.
    pub ttl_s: u32,
}

impl Default for BundleSettings {
    fn default() -> Self {
        Self { every_ms: 5_000, content_every_ms: 60_000, ttl_s: 10 }
    }
}

/// What became of one look at one ISP.
#[derive(Debug)]
pub enum Step {
    /// It says the same as the last.
    Unchanged,
    /// It is the newest now.
    Made(Arc<Made>),
    /// It would name nobody.
    Nobody,
}

/// The newest bundles, by ISP.
pub type Bundles = BTreeMap<IspId, Arc<Made>>;

/// The desk.
pub struct BundleDesk {
    keys: ArcSwap<BundleKeys>,
    settings: BundleSettings,
    control_url: ArcSwapOption<String>,
    made: ArcSwap<Bundles>,
    asked: Mutex<AHashMap<IspId, UnixMillis>>,
    /// Whoever makes bundles holds it; nobody who answers a request does.
    maker: Mutex<Maker>,
    totals: Mutex<Totals>,
}

struct Maker {
    serials: Serials,
    hashed_by: RandomState,
    survey: Option<Surveyed>,
    isps: AHashMap<IspId, Making>,
    /// When the desk was first asked to make something.
    begun_at: Option<UnixMillis>,
}

/// A survey and what it was made of.
struct Surveyed {
    survey: Arc<Survey>,
    registry: Arc<Registry>,
    routes: u64,
    library: Arc<Library>,
    at: UnixMillis,
}

/// What is remembered of one ISP's last bundle.
#[derive(Default)]
struct Making {
    watched: Option<Watched>,
    glance: Option<Glance>,
    /// Loads as last told.
    loads: AHashMap<ApplianceId, u32>,
    looked_at: Option<UnixMillis>,
    digest: Option<Digest>,
    /// By which the last was signed.
    keys: Option<Arc<BundleKeys>>,
}

type Digest = [u8; 32];

/// Counted since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bundles signed.
    pub made: u64,
    /// Drafts that said the same as the last.
    pub unchanged: u64,
    /// Time of both, microseconds.
    pub build_us: u64,
}

impl BundleDesk {
    /// A desk without bundles; serials go on from the file at `serials`, which is made when the
    /// first is given out.
    ///
    /// # Errors
    /// `Serials` when the file is there and holds no number.
    pub fn open(
        keys: impl Into<BundleKeys>,
        serials: PathBuf,
        settings: BundleSettings,
    ) -> Result<Self, SteeringError> {
        Ok(Self {
            keys: ArcSwap::from_pointee(keys.into()),
            settings,
            control_url: ArcSwapOption::empty(),
            made: ArcSwap::default(),
            asked: Mutex::default(),
            maker: Mutex::new(Maker {
                serials: Serials::open(serials)?,
                hashed_by: RandomState::new(),
                survey: None,
                isps: AHashMap::new(),
                begun_at: None,
            }),
            totals: Mutex::default(),
        })
    }

    /// Pace of the desk.
    #[must_use]
    pub fn settings(&self) -> &BundleSettings {
        &self.settings
    }

    /// Players reach control at `scheme://host[:port]`: what bundles made from here on say.
    pub fn reach_control_at(&self, url: String) {
        self.control_url.store(Some(Arc::new(url)));
    }

    /// Signs by these keys from here on. Where they say something new, every bundle is made again,
    /// though nothing else changed: appliances have to hear of a key before it signs.
    pub fn sign_by(&self, keys: BundleKeys) {
        if !self.keys.load().is_same(&keys) {
            self.keys.store(Arc::new(keys));
        }
    }

    /// Notes that an appliance of this ISP asks; answers the newest bundle there is.
    pub fn ask(&self, isp: &IspId, now: UnixMillis) -> Option<Arc<Made>> {
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            match asked.get_mut(isp) {
                Some(at) => *at = now,
                None => {
                    asked.insert(isp.clone(), now);
                }
            }
        }
        self.made.load().get(isp).cloned()
    }

    /// The newest bundles, by ISP.
    #[must_use]
    pub fn newest(&self) -> Arc<Bundles> {
        self.made.load_full()
    }

    /// What was made since start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, began: Instant, made: u64, unchanged: u64) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.made += made;
        totals.unchanged += unchanged;
        totals.build_us += micros(began);
    }

    /// ISPs whose bundles have to be made anew. Blocks for as long as a walk over all routes takes
    /// when these changed.
    pub fn due(&self, steering: &Steering, keys: &TicketKeys, now: UnixMillis) -> Vec<IspId> {
        let fleet = steering.fleet_at(now);
        let mut maker = self.maker();
        let asking = self.asking(&fleet, now);
        let is_warm = maker.is_warm(now);
        // Nobody was heard: what would be told is what was known before, and hardly that.
        if fleet.is_deaf || asking.is_empty() {
            return Vec::new();
        }
        let survey = maker.survey(&fleet, self.settings.every_ms, now);
        let signing = self.keys.load_full();
        let mut due = Vec::new();
        for isp in asking {
            let making = maker.isps.entry(isp.clone()).or_default();
            let network = survey.networks.of_isp(&isp).digest;
            let glance = making.look(&fleet, &isp, network, keys);
            if !is_warm && !glance.is_complete() {
                continue;
            }
            let changed = match &making.glance {
                Some(last) if making.is_signed_by(&signing) => last.against(&glance),
                _ => Changed::Much,
            };
            let wait_ms = match changed {
                Changed::Nothing => continue,
                Changed::Little => self.settings.content_every_ms.max(self.settings.every_ms),
                Changed::Much => self.settings.every_ms,
            };
            // A clock that jumped, either way, has waited long enough.
            if making.looked_at.is_none_or(|at| at.0.abs_diff(now.0) >= wait_ms) {
                due.push(isp);
            }
        }
        due
    }

    /// Drafts the bundle of one ISP and, if it differs from the last, signs it. Blocks for as long
    /// as that takes.
    ///
    /// # Errors
    /// `Serials` when no serial can be kept: the last bundle stays the newest.
    pub fn make(
        &self,
        steering: &Steering,
        isp: &IspId,
        keys: &TicketKeys,
        now: UnixMillis,
    ) -> Result<Step, SteeringError> {
        let began = Instant::now();
        let fleet = steering.fleet_at(now);
        let mut maker = self.maker();
        let survey = maker.survey(&fleet, self.settings.every_ms, now);
        let making = maker.isps.entry(isp.clone()).or_default();
        let network = survey.networks.of_isp(isp).digest;
        let glance = making.look(&fleet, isp, network, keys);
        let loads = glance.loads();
        let control_url = self.control_url.load_full();
        let terms = Terms {
            isp,
            ttl_s: self.settings.ttl_s,
            keys,
            policy: &steering.settings.policy,
            control_url: control_url.as_deref().map(String::as_str),
            loads: &loads,
        };
        let draft = survey.draft(&fleet, &terms);
        let is_empty = draft.bundle.areas.iter().all(Vec::is_empty);
        let digest = digest_of(&draft.bundle);
        let signing = self.keys.load_full();
        let is_same = making.digest == Some(digest) && making.is_signed_by(&signing);
        making.looked_at = Some(now);
        if is_empty || is_same {
            making.keys = Some(signing);
            making.keep(&fleet, glance);
            self.count(began, 0, u64::from(is_same));
            return Ok(if is_empty { Step::Nobody } else { Step::Unchanged });
        }
        let serial = maker.serials.next(now)?;
        let bundle = SteeringBundle { serial, made_at: now, ..draft.bundle };
        let text = json(&bundle);
        let mut listed = listed(&bundle, text.len());
        let signed = signing.seal(text);
        listed.cut = draft.cut;
        listed.build_us = micros(began);
        let last = self.made.load().get(isp).cloned();
        let made = Arc::new(Made::after(last.as_deref(), &signed, listed));
        if let Some(making) = maker.isps.get_mut(isp) {
            making.digest = Some(digest);
            making.keys = Some(signing);
            making.keep(&fleet, glance);
        }
        self.count(began, 1, 0);
        let mut bundles = Bundles::clone(&self.made.load());
        bundles.insert(isp.clone(), Arc::clone(&made));
        self.made.store(Arc::new(bundles));
        Ok(Step::Made(made))
    }

    /// ISPs that asked lately; forgets those that have no site any more. The caller is the maker.
    fn asking(&self, fleet: &Fleet, now: UnixMillis) -> Vec<IspId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.0.abs_diff(now.0) <= ASKED_MS);
        let mut isps: Vec<IspId> = asked.keys().cloned().collect();
        drop(asked);
        let with_sites: AHashSet<&IspId> =
            fleet.registry.sites.values().map(|site| &site.isp).collect();
        let has_site = |isp: &IspId| with_sites.contains(isp);
        isps.retain(has_site);
        isps.sort_unstable();
        let newest = self.made.load();
        if !newest.keys().all(has_site) {
            let mut bundles = Bundles::clone(&newest);
            bundles.retain(|isp, _| has_site(isp));
            self.made.store(Arc::new(bundles));
        }
        isps
    }

    fn maker(&self) -> MutexGuard<'_, Maker> {
        // What a panic left behind is at worst a glance that is made again.
        self.maker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maker {
    /// Whether appliances had their time to say what they hold.
    fn is_warm(&mut self, now: UnixMillis) -> bool {
        let begun_at = *self.begun_at.get_or_insert(now);
        begun_at.0.abs_diff(now.0) >= WARM_MS
    }

    /// The survey of this fleet; under a stream of route changes, one of a little before.
    fn survey(&mut self, fleet: &Fleet, every_ms: u64, now: UnixMillis) -> Arc<Survey> {
        if let Some(last) = &self.survey {
            let same_ground = Arc::ptr_eq(&last.registry, &fleet.registry)
                && Arc::ptr_eq(&last.library, &fleet.library);
            let is_young = last.at.0.abs_diff(now.0) < every_ms;
            if same_ground && (is_young || last.routes == fleet.routes.version()) {
                return Arc::clone(&last.survey);
            }
        }
        let survey = Arc::new(Survey::hashed(fleet, &self.hashed_by));
        self.survey = Some(Surveyed {
            survey: Arc::clone(&survey),
            registry: Arc::clone(&fleet.registry),
            routes: fleet.routes.version(),
            library: Arc::clone(&fleet.library),
            at: now,
        });
        survey
    }
}

impl Making {
    fn is_signed_by(&self, keys: &Arc<BundleKeys>) -> bool {
        self.keys.as_ref().is_some_and(|last| Arc::ptr_eq(last, keys))
    }

    /// What this ISP's bundle would be made from now.
    fn look(&mut self, fleet: &Fleet, isp: &IspId, network: u64, keys: &TicketKeys) -> Glance {
        let watched = match self.watched.take() {
            Some(watched) if watched.is_of(fleet) => watched,
            _ => Watched::of(fleet, isp),
        };
        let glance = Glance::of(fleet, &watched, network, keys, &self.loads);
        self.watched = Some(watched);
        glance
    }

    fn keep(&mut self, fleet: &Fleet, glance: Glance) {
        let boxes = &fleet.registry.index.boxes;
        let loads = glance.loads().into_iter();
        self.loads =
            loads.map(|(number, load)| (boxes[number as usize].id.clone(), load)).collect();
        self.glance = Some(glance);
    }
}

/// Of everything but serial and time, which are 0 in a draft.
fn digest_of(draft: &SteeringBundle) -> Digest {
    let hash = digest::digest(&digest::SHA256, json(draft).as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(hash.as_ref());
    out
}

fn json(bundle: &SteeringBundle) -> String {
    serde_json::to_string(bundle).expect("a bundle is strings and finite numbers")
}

fn listed(bundle: &SteeringBundle, bytes: usize) -> BundleListed {
    BundleListed {
        isp: bundle.isp.clone(),
        serial: bundle.serial,
        made_at: bundle.made_at,
        appliances: bundle.appliances.len() as u64,
        areas: bundle.areas.len() as u64,
        prefixes: bundle.prefixes.len() as u64,
        titles: bundle.titles.len() as u64,
        bytes: bytes as u64,
        build_us: 0,
        cut: control_types::bundle::BundleCut::default(),
    }
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}
