//! Peers of routers: their sessions, and what happens to their routes when one ends.
//! Judges no route; `paths.rs` does.

use ahash::AHashSet;
use control_types::{ApplianceId, IspId, SiteId, UnixMillis};
use ipnet::IpNet;

use super::Rib;
use super::paths::PrefixPath;
use crate::choice::{ApplianceKey, IspKey, SiteKey, Source, key_appliance, key_isp, key_site};
use crate::error::RoutesError;
use crate::limits::PEERS_MAX;

/// One peer of one router, as a number never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub(crate) u32);

/// Where routes come from, and for whom they are. `name` and `peer` together are its identity: the
/// same pair after a lost session is the same feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The router's address, or what was loaded.
    pub name: String,
    /// Which of its peers and views; empty for a file.
    pub peer: String,
    /// ASN of the peer; 0 when there is none.
    pub peer_as: u32,
    /// The site its routes are announced to.
    pub site: SiteId,
    /// The only box they are announced to; absent: all of the site.
    pub appliance: Option<ApplianceId>,
    /// Whose routes.
    pub isp: IspId,
    /// By what way.
    pub source: Source,
}

impl Feed {
    /// The feed of a site's own record.
    #[must_use]
    pub fn site_record(site: &SiteId, isp: &IspId) -> Self {
        Self {
            name: format!("site {site}"),
            peer: String::new(),
            peer_as: 0,
            site: site.clone(),
            appliance: None,
            isp: isp.clone(),
            source: Source::Static,
        }
    }
}

/// Where a peer's session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Routes arrive. To `Held` when the session is lost.
    Up,
    /// The session is lost; routes stay until then. To `Up`, or forgotten.
    Held {
        /// When they are dropped.
        until: UnixMillis,
    },
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub feed: Feed,
    pub site: SiteKey,
    pub appliance: Option<ApplianceKey>,
    pub isp: IspKey,
    pub state: PeerState,
    /// When the state began.
    pub since: UnixMillis,
    /// Rises with each session.
    pub epoch: u32,
    /// Prefixes this peer has a path of.
    pub prefixes: AHashSet<IpNet>,
    pub lost_total: u32,
    /// When paths of earlier sessions that were not repeated are dropped, End-of-RIB or not: a
    /// session that flaps must not hold them for ever.
    pub sweep_at: Option<UnixMillis>,
}

/// One peer, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    /// Who and for whom.
    pub feed: Feed,
    /// Where its session stands.
    pub state: PeerState,
    /// Since when.
    pub since: UnixMillis,
    /// Prefixes held of it, refused ones among them.
    pub prefixes: usize,
    /// How often its session was lost.
    pub lost_total: u32,
}

/// One family or both.
fn in_family(prefix: &IpNet, is_v6: Option<bool>) -> bool {
    is_v6.is_none_or(|is_v6| matches!(prefix, IpNet::V6(_)) == is_v6)
}

impl Rib {
    /// A session begins. Routes of an earlier session of the same feed stay stale until they are
    /// repeated, or [`Self::refreshed`] or the hold drops them.
    ///
    /// # Errors
    /// `Full` when [`PEERS_MAX`] are known.
    pub fn up(&mut self, feed: &Feed, now: UnixMillis) -> Result<PeerKey, RoutesError> {
        let identity = (feed.name.clone(), feed.peer.clone());
        let site = key_site(&mut self.names, &feed.site)?;
        let isp = key_isp(&mut self.names, &feed.isp)?;
        // A session that began when the site was another ISP's brings its present one's routes.
        let isp = self.site_isps.get(&site).copied().unwrap_or(isp);
        let feed = &match self.names.isp(isp) {
            Some(named) if *named != feed.isp => Feed { isp: named.clone(), ..feed.clone() },
            _ => feed.clone(),
        };
        let appliance = match &feed.appliance {
            Some(appliance) => Some(key_appliance(&mut self.names, appliance)?),
            None => None,
        };
        if let Some(key) = self.peer_keys.get(&identity).copied() {
            let same_place = self.peers.get(&key).is_some_and(|peer| {
                peer.site == site && peer.appliance == appliance && peer.isp == isp
            });
            if same_place && let Some(peer) = self.peers.get_mut(&key) {
                let until = UnixMillis(now.0.saturating_add(self.settings.stale_ms));
                let held = match peer.state {
                    PeerState::Held { until } => until,
                    PeerState::Up => until,
                };
                peer.sweep_at = Some(peer.sweep_at.map_or(held, |earlier| earlier.min(held)));
                peer.feed = feed.clone();
                peer.epoch = peer.epoch.saturating_add(1);
                (peer.state, peer.since) = (PeerState::Up, now);
                return Ok(key);
            }
            // Moved to another site: what it said before was said for there.
            self.forget(key);
        }
        if self.peers.len() >= PEERS_MAX {
            return Err(RoutesError::Full { what: "BGP peers", max: PEERS_MAX });
        }
        let key = PeerKey(self.peer_next);
        self.peer_next = self.peer_next.wrapping_add(1);
        let peer = Peer {
            feed: feed.clone(),
            site,
            appliance,
            isp,
            state: PeerState::Up,
            since: now,
            epoch: 1,
            prefixes: AHashSet::new(),
            lost_total: 0,
            sweep_at: None,
        };
        self.peers.insert(key, peer);
        self.peer_keys.insert(identity, key);
        Ok(key)
    }

    /// The session is lost: its routes are held as stale, then dropped by [`Self::expire`].
    pub fn lost(&mut self, key: PeerKey, now: UnixMillis) {
        let until = UnixMillis(now.0.saturating_add(self.settings.stale_ms));
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if matches!(peer.state, PeerState::Held { .. }) {
            return;
        }
        (peer.state, peer.since) = (PeerState::Held { until }, now);
        peer.lost_total = peer.lost_total.saturating_add(1);
        self.counts.lost_total += 1;
        self.changed.extend(peer.prefixes.iter().copied());
    }

    /// As [`Self::lost`], unless another session of the feed has begun since `epoch`.
    pub fn lost_in(&mut self, key: PeerKey, epoch: u32, now: UnixMillis) {
        if self.epoch(key) == epoch {
            self.lost(key, now);
        }
    }

    /// Which session of the feed is under way, or was last.
    #[must_use]
    pub fn epoch(&self, key: PeerKey) -> u32 {
        // Epochs begin at 1, so 0 is nobody's.
        self.peers.get(&key).map_or(0, |peer| peer.epoch)
    }

    /// The peer has said all it had (End-of-RIB) in one family, or in both: what its session did
    /// not repeat is dropped.
    pub fn refreshed(&mut self, key: PeerKey, is_v6: Option<bool>) {
        let Some(peer) = self.peers.get(&key) else { return };
        let epoch = peer.epoch;
        if epoch == 1 {
            return;
        }
        let prefixes: Vec<IpNet> =
            peer.prefixes.iter().filter(|prefix| in_family(prefix, is_v6)).copied().collect();
        for prefix in prefixes {
            self.retain(key, &prefix, |path| path.epoch == epoch);
        }
    }

    /// Drops the routes of every peer whose hold ended, and those of earlier sessions that were not
    /// repeated in time; returns the peers whose hold ended.
    pub fn expire(&mut self, now: UnixMillis) -> Vec<Feed> {
        // No hold is longer than that, unless the clock was set back: then it begins anew, or
        // routes of a lost session would stay for as long as the clock went back.
        let latest = UnixMillis(now.0.saturating_add(self.settings.stale_ms));
        for peer in self.peers.values_mut() {
            if let PeerState::Held { until } = &mut peer.state {
                *until = latest.min(*until);
            }
            peer.sweep_at = peer.sweep_at.map(|at| at.min(latest));
        }
        let swept = self.peers.iter_mut().filter_map(|(key, peer)| {
            peer.sweep_at.filter(|at| *at <= now)?;
            peer.sweep_at = None;
            Some(*key)
        });
        let swept: Vec<PeerKey> = swept.collect();
        swept.into_iter().for_each(|key| self.refreshed(key, None));
        let over: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| matches!(peer.state, PeerState::Held { until } if until <= now))
            .map(|(key, _)| *key)
            .collect();
        let mut feeds = Vec::with_capacity(over.len());
        for key in over {
            feeds.extend(self.peers.get(&key).map(|peer| peer.feed.clone()));
            self.forget(key);
            self.counts.expired_total += 1;
        }
        feeds
    }

    /// Drops a peer and its routes at once.
    pub fn forget(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(&key) else { return };
        let prefixes: Vec<IpNet> = peer.prefixes.iter().copied().collect();
        for prefix in prefixes {
            self.retain(key, &prefix, |_| false);
        }
        if let Some(peer) = self.peers.remove(&key) {
            self.peer_keys.remove(&(peer.feed.name, peer.feed.peer));
        }
    }

    /// Drops every feed of that name.
    pub fn forget_feeds(&mut self, name: &str) {
        let of_name = self.peers.iter().filter(|(_, peer)| peer.feed.name == name);
        let gone: Vec<PeerKey> = of_name.map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| self.forget(key));
    }

    /// Whether so many feeds of that name may stand in place of those it has.
    ///
    /// # Errors
    /// `Full`, as [`Self::up`] would say of the first one too many.
    pub fn check_feeds(&self, name: &str, count: usize) -> Result<(), RoutesError> {
        let others = self.peers.values().filter(|peer| peer.feed.name != name).count();
        if others.saturating_add(count) > PEERS_MAX {
            return Err(RoutesError::Full { what: "BGP peers", max: PEERS_MAX });
        }
        Ok(())
    }

    /// Everything a feed says, at once: what it does not say any more is dropped.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn replace(
        &mut self,
        feed: &Feed,
        paths: &[PrefixPath],
        now: UnixMillis,
    ) -> Result<(), RoutesError> {
        let key = self.up(feed, now)?;
        for path in paths {
            self.announce(key, path);
        }
        self.refreshed(key, None);
        Ok(())
    }

    /// The feed's key while it is known.
    #[must_use]
    pub fn peer(&self, name: &str, peer: &str) -> Option<PeerKey> {
        self.peer_keys.get(&(name.to_owned(), peer.to_owned())).copied()
    }

    /// Every peer, by name.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerSeen> {
        let mut seen: Vec<PeerSeen> = self.peers.values().map(Peer::seen).collect();
        seen.sort_by(|a, b| (&a.feed.name, &a.feed.peer).cmp(&(&b.feed.name, &b.feed.peer)));
        seen
    }

    /// Every route announced to the site is that ISP's from here on.
    pub(super) fn attribute(&mut self, site: SiteKey, isp: IspKey, named: &IspId) {
        for peer in self.peers.values_mut().filter(|peer| peer.site == site && peer.isp != isp) {
            peer.isp = isp;
            peer.feed.isp = named.clone();
            self.changed.extend(peer.prefixes.iter().copied());
            self.judge_again = true;
        }
    }

    pub(super) fn peers_of_site(&self, site: SiteKey) -> Vec<PeerKey> {
        let of_site = self.peers.iter().filter(|(_, peer)| peer.site == site);
        of_site.map(|(key, _)| *key).collect()
    }
}

impl Peer {
    fn seen(&self) -> PeerSeen {
        PeerSeen {
            feed: self.feed.clone(),
            state: self.state,
            since: self.since,
            prefixes: self.prefixes.len(),
            lost_total: self.lost_total,
        }
    }
}
