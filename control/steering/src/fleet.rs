//! The fleet as one immutable value: what is registered, and what each appliance last said. Holds
//! no lock and decides nothing; a change is a new value.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use control_store::ledger::{ApplianceRow, IspKeyRow, KeyHash};
use control_types::fleet::{ApplianceRecord, ApplianceReport, HeldObject, Site};
use control_types::{ApplianceId, IspId, ObjectId, SiteId, UnixMillis};

use crate::ear::Ear;
use crate::health::Conduct;
use crate::prefixes::Prefixes;

/// Everything a decision looks at.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// From the ledger.
    pub registry: Arc<Registry>,
    /// From reports; an appliance that never reported is absent.
    pub seen: Arc<AHashMap<ApplianceId, Arc<Seen>>>,
    /// When anybody was heard last.
    pub ear: Ear,
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
    /// Announced to sites.
    pub prefixes: Prefixes,
}

/// One registered appliance.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// As the operator wrote it.
    pub record: ApplianceRecord,
    /// Asked to drain by operator or ISP.
    pub drain: bool,
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
            registry.appliances.insert(id, Registered { record: row.record, drain: row.drain });
        }
        registry
    }
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
    /// What it holds.
    pub held: Arc<Held>,
}

/// A content set.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Of the whole set, as the appliance computed it; empty when the set is not the whole truth.
    pub digest: String,
    /// For membership.
    pub objects: AHashSet<ObjectId>,
    /// For the planner, in the appliance's order.
    pub listing: Vec<HeldObject>,
    /// Bytes of all objects together.
    pub bytes: u64,
}

impl Held {
    /// The set in a report's `content`.
    #[must_use]
    pub fn of(digest: String, mut listing: Vec<HeldObject>) -> Self {
        let mut objects = AHashSet::with_capacity(listing.len());
        // Copies on two volumes of one box are one object to steering.
        listing.retain(|held| objects.insert(held.object));
        let bytes = listing.iter().map(|held| held.bytes).fold(0, u64::saturating_add);
        Self { digest, objects, listing, bytes }
    }

    /// The set without `lost`; its digest is then unknown, which asks for the whole set again.
    #[must_use]
    pub fn without(&self, lost: &[ObjectId]) -> Self {
        // A set: one box names thousands, and all others wait for this to end.
        let lost: AHashSet<&ObjectId> = lost.iter().collect();
        let left = self.listing.iter().filter(|held| !lost.contains(&held.object));
        Self::of(String::new(), left.copied().collect())
    }
}
