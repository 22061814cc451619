//! Who announced what: every peer's routes, judged by the registry, held stale for a while when its
//! session is lost, and folded into the best per prefix and site.
//! Reads no clock and no socket; time is an argument.
//!
//! A peer: up → (lost → held → up again | dropped) → forgotten. A route carries the epoch of the
//! session that announced it; it is stale when its peer is not up, or is up again and has not
//! repeated it yet. End-of-RIB drops what a new session did not repeat.

mod paths;
mod peers;

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use control_types::{IspId, SiteId, UnixMillis};
use ipnet::IpNet;

use crate::choice::{IspKey, Names, RouteChoice, SiteKey, key_isp, key_site};
use crate::error::RoutesError;
use crate::limits::STALE_MS_DEFAULT;
use crate::registry::{Holder, IspNetworks, Refused, Registry};
use crate::table::RouteTable;

pub use paths::{PrefixPath, RefusedRoute};
pub use peers::{Feed, PeerKey, PeerSeen, PeerState};

use paths::Paths;
use peers::Peer;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RibSettings {
    /// How long routes of a lost session stay, milliseconds; 0 drops them at once.
    pub stale_ms: u64,
}

impl Default for RibSettings {
    fn default() -> Self {
        Self { stale_ms: STALE_MS_DEFAULT }
    }
}

/// What the table counts; totals since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RibCounts {
    /// Routes held and honoured.
    pub routes: u64,
    /// Routes held and refused.
    pub refused: u64,
    /// Peers up.
    pub peers_up: u64,
    /// Peers whose session is lost and whose routes are held.
    pub peers_held: u64,
    /// Announcements taken in.
    pub announced_total: u64,
    /// Withdrawals taken in.
    pub withdrawn_total: u64,
    /// Announcements refused, in the order of [`Refused::ALL`].
    pub refused_total: [u64; Refused::ALL.len()],
    /// Sessions lost.
    pub lost_total: u64,
    /// Peers whose held routes were dropped.
    pub expired_total: u64,
}

/// All routes, by prefix and peer.
#[derive(Debug)]
pub struct Rib {
    settings: RibSettings,
    names: Arc<Names>,
    registry: Registry,
    /// The registry changed since routes were judged.
    judge_again: bool,
    /// Whose each site is, as its record says: it outweighs what a feed believed when it began.
    site_isps: AHashMap<SiteKey, IspKey>,
    peers: AHashMap<PeerKey, Peer>,
    peer_keys: AHashMap<(String, String), PeerKey>,
    peer_next: u32,
    entries: AHashMap<IpNet, Paths>,
    /// Prefixes with a refused path.
    refused_at: AHashSet<IpNet>,
    /// Prefixes whose choices may differ from the published ones.
    changed: AHashSet<IpNet>,
    choice_sets: AHashSet<Arc<[RouteChoice]>>,
    choice_sets_swept: usize,
    counts: RibCounts,
}

impl Rib {
    /// Nothing announced, nothing registered.
    #[must_use]
    pub fn new(settings: RibSettings) -> Self {
        Self {
            settings,
            names: Arc::default(),
            registry: Registry::default(),
            judge_again: false,
            site_isps: AHashMap::new(),
            peers: AHashMap::new(),
            peer_keys: AHashMap::new(),
            peer_next: 0,
            entries: AHashMap::new(),
            refused_at: AHashSet::new(),
            changed: AHashSet::new(),
            choice_sets: AHashSet::new(),
            choice_sets_swept: 1 << 16,
            counts: RibCounts::default(),
        }
    }

    /// Registers and announces a site's own prefixes; replaces what it had. When the site has
    /// become another ISP's, every route announced to it is that ISP's from here on and judged as
    /// such, sessions under way included.
    ///
    /// # Errors
    /// `Claimed`, `Unregistrable`, `Full`; nothing changed then, but a site that has become another
    /// ISP's has lost its own prefixes.
    pub fn put_site(
        &mut self,
        site: &SiteId,
        isp: &IspId,
        prefixes: &[IpNet],
        now: UnixMillis,
    ) -> Result<(), RoutesError> {
        let site_key = key_site(&mut self.names, site)?;
        let isp_key = key_isp(&mut self.names, isp)?;
        let holder = Holder::Site(site_key);
        if self.site_isps.insert(site_key, isp_key).is_some_and(|earlier| earlier != isp_key) {
            self.judge_again |= self.registry.take(holder);
            let own = Feed::site_record(site, isp);
            if let Some(own) = self.peer(&own.name, &own.peer) {
                self.forget(own);
            }
        }
        self.attribute(site_key, isp_key, isp);
        if !self.registry.put(holder, isp_key, prefixes, &self.names)? {
            return Ok(());
        }
        self.judge_again = true;
        let feed = Feed::site_record(site, isp);
        let paths: Vec<PrefixPath> = prefixes.iter().copied().map(PrefixPath::own).collect();
        self.replace(&feed, &paths, now)
    }

    /// Forgets a site's registrations and every route that was announced to it.
    pub fn remove_site(&mut self, site: &SiteId) {
        let Some(key) = self.names.site_key(site) else { return };
        self.site_isps.remove(&key);
        self.judge_again |= self.registry.take(Holder::Site(key));
        let gone: Vec<PeerKey> = self.peers_of_site(key);
        gone.into_iter().for_each(|peer| self.forget(peer));
    }

    /// Registers an ISP's networks and ASNs; replaces what it had.
    ///
    /// # Errors
    /// `Claimed`, `Unregistrable`, `Full`; nothing changed then.
    pub fn put_isp(&mut self, networks: &IspNetworks) -> Result<(), RoutesError> {
        let isp = key_isp(&mut self.names, &networks.isp)?;
        let holder = Holder::Isp(isp);
        // ASNs last: they can only fail by their count, which is asked first.
        Registry::check_asns(&networks.asns)?;
        self.registry.put(holder, isp, &networks.networks, &self.names)?;
        self.registry.put_asns(isp, &networks.asns);
        self.judge_again = true;
        Ok(())
    }

    /// Whether [`Self::put_isp`] would do.
    ///
    /// # Errors
    /// As it.
    pub fn check_isp(&mut self, networks: &IspNetworks) -> Result<(), RoutesError> {
        let isp = key_isp(&mut self.names, &networks.isp)?;
        Registry::check_asns(&networks.asns)?;
        self.registry.would_put(Holder::Isp(isp), isp, &networks.networks, &self.names)
    }

    /// Forgets an ISP's own registration; its sites' stay.
    pub fn remove_isp(&mut self, isp: &IspId) {
        let Some(key) = self.names.isp_key(isp) else { return };
        self.registry.take(Holder::Isp(key));
        self.registry.put_asns(key, &[]);
        self.judge_again = true;
    }

    /// Who may announce what.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The names behind keys.
    #[must_use]
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// What is held and what was refused.
    #[must_use]
    pub fn counts(&self) -> RibCounts {
        let state = |wanted: fn(&PeerState) -> bool| {
            self.peers.values().filter(|peer| wanted(&peer.state)).count() as u64
        };
        RibCounts {
            peers_up: state(|state| matches!(state, PeerState::Up)),
            peers_held: state(|state| matches!(state, PeerState::Held { .. })),
            ..self.counts
        }
    }

    /// Brings `table` up to date; true when it differs from before.
    pub fn publish(&mut self, table: &mut RouteTable) -> bool {
        if std::mem::take(&mut self.judge_again) {
            self.judge_all();
        }
        if self.changed.is_empty() {
            return false;
        }
        let changed = std::mem::take(&mut self.changed);
        for prefix in &changed {
            let choices = self.choices(prefix);
            table.set(prefix, choices);
        }
        table.finish(&self.names);
        self.sweep_choice_sets();
        true
    }

    /// Choice sets no table holds any more are let go, when they could be half of all.
    fn sweep_choice_sets(&mut self) {
        if self.choice_sets.len() > self.choice_sets_swept {
            self.choice_sets.retain(|set| Arc::strong_count(set) > 1);
            self.choice_sets_swept = (self.choice_sets.len() * 2).max(1 << 16);
        }
    }
}
