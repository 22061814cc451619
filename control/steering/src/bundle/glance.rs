//! What a bundle depends on, cheap to look at and to compare: whether one has to be made anew is
//! asked for every ISP many times a minute. Makes nothing.

use std::sync::Arc;

use ahash::AHashMap;
use control_types::fleet::{Health, TicketKeys};
use control_types::{ApplianceId, IspId};

use super::limits::LOAD_STEP_PER_MILLE;
use crate::fleet::{Fleet, Registry};
use crate::held::Held;
use crate::library::Library;

/// Appliances that may stand in an ISP's bundle: its own, and the tiers and origins near them.
pub(super) struct Watched {
    registry: Arc<Registry>,
    numbers: Vec<u32>,
}

impl Watched {
    pub fn of(fleet: &Fleet, isp: &IspId) -> Self {
        let index = &fleet.registry.index;
        let mut numbers: Vec<u32> = index.spares_near(None).iter().map(|near| near.1).collect();
        for (site, numbered) in (0u32..).zip(&index.sites) {
            let own = numbered.id.as_ref().and_then(|id| fleet.registry.sites.get(id));
            if own.is_some_and(|own| own.isp == *isp) {
                numbers.extend(&numbered.members);
                numbers.extend(index.spares_near(Some(site)).iter().map(|near| near.1));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Self { registry: Arc::clone(&fleet.registry), numbers }
    }

    pub fn is_of(&self, fleet: &Fleet) -> bool {
        Arc::ptr_eq(&self.registry, &fleet.registry)
    }
}

/// What differs between two glances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// Nothing that a bundle would show.
    Nothing,
    /// Content or load.
    Little,
    /// Routes, health, drains, keys, URLs, or who there is.
    Much,
}

/// One look.
pub(super) struct Glance {
    registry: Arc<Registry>,
    library: Arc<Library>,
    network: u64,
    keys: TicketKeys,
    boxes: Vec<BoxGlance>,
}

struct BoxGlance {
    number: u32,
    health: Health,
    is_draining: bool,
    is_shunned: bool,
    media_url: Option<String>,
    /// Kept, so that no other set can come to lie at its address.
    held: Option<Arc<Held>>,
    denied: Vec<u64>,
    load_per_mille: u32,
}

impl Glance {
    /// `loads` are those told last: a load that moved less than a step is told again.
    pub fn of(
        fleet: &Fleet,
        watched: &Watched,
        network: u64,
        keys: &TicketKeys,
        loads: &AHashMap<ApplianceId, u32>,
    ) -> Self {
        let boxes = watched.numbers.iter().map(|number| {
            let (brief, state) = (&fleet.brief[*number as usize], &fleet.states[*number as usize]);
            let report = state.seen.as_ref().map(|seen| &seen.report);
            let told = loads.get(&fleet.registry.index.boxes[*number as usize].id).copied();
            let is_near = |told: &u32| told.abs_diff(brief.load_per_mille) < LOAD_STEP_PER_MILLE;
            BoxGlance {
                number: *number,
                health: state.health,
                is_draining: state.drains_since.0 != 0
                    || report.is_some_and(|report| report.draining),
                is_shunned: state.is_shunned,
                media_url: report.map(|report| report.media_url.clone()),
                held: brief.held.clone(),
                denied: state.denied.clone(),
                load_per_mille: told.filter(is_near).unwrap_or(brief.load_per_mille),
            }
        });
        Self {
            registry: Arc::clone(&fleet.registry),
            library: Arc::clone(&fleet.library),
            network,
            keys: keys.clone(),
            boxes: boxes.collect(),
        }
    }

    /// What changed from this one to `next`.
    pub fn against(&self, next: &Self) -> Changed {
        let much = !Arc::ptr_eq(&self.registry, &next.registry)
            || self.network != next.network
            || self.keys != next.keys
            || self.boxes.len() != next.boxes.len()
            || self.boxes.iter().zip(&next.boxes).any(|(was, is)| was.differs_much(is));
        if much {
            return Changed::Much;
        }
        let little = !Arc::ptr_eq(&self.library, &next.library)
            || self.boxes.iter().zip(&next.boxes).any(|(was, is)| was.differs_a_little(is));
        if little { Changed::Little } else { Changed::Nothing }
    }

    /// Whether every appliance has been heard and has said what it holds.
    pub fn is_complete(&self) -> bool {
        let has_said = |held: &Arc<Held>| !held.digest.is_empty();
        self.boxes.iter().all(|one| one.held.as_ref().is_some_and(has_said))
    }

    /// Loads to be told, by the fleet's numbers.
    pub fn loads(&self) -> AHashMap<u32, u32> {
        let load = |one: &BoxGlance| (one.number, one.load_per_mille);
        self.boxes.iter().map(load).collect()
    }
}

impl BoxGlance {
    fn differs_much(&self, other: &Self) -> bool {
        (self.number, self.health, self.is_draining, self.is_shunned)
            != (other.number, other.health, other.is_draining, other.is_shunned)
            || self.media_url != other.media_url
            // Players were sent for something that is not there, and are until this is told.
            || self.denied != other.denied
    }

    fn differs_a_little(&self, other: &Self) -> bool {
        let same_set = match (&self.held, &other.held) {
            (Some(was), Some(is)) => Arc::ptr_eq(was, is),
            (None, None) => true,
            _ => false,
        };
        !same_set || self.load_per_mille != other.load_per_mille
    }
}
