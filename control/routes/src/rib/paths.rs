//! Paths of prefixes: announced, withdrawn, judged, and folded into the best per site.
//! Knows of sessions only whether one is up.

use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::Rib;
use super::peers::{Feed, PeerKey, PeerState};
use crate::choice::{Origin, RouteChoice};
use crate::limits::{PATHS_PER_PREFIX_MAX, ROUTES_MAX, ROUTES_PER_PEER_MAX};
use crate::registry::Refused;

/// One announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixPath {
    /// What is announced; bits after its length are ignored.
    pub prefix: IpNet,
    /// ADD-PATH identifier (RFC 7911), 0 without.
    pub path_id: u32,
    /// ASNs on the way.
    pub as_path_len: u16,
    /// The path's first ASN; 0 for an empty path.
    pub first_as: u32,
    /// How it came into BGP.
    pub origin: Origin,
    /// 0 when absent.
    pub med: u32,
}

impl PrefixPath {
    /// A network's own word: no path, no MED.
    #[must_use]
    pub fn own(prefix: IpNet) -> Self {
        let (as_path_len, first_as, med) = (0, 0, 0);
        Self { prefix, path_id: 0, as_path_len, first_as, origin: Origin::Igp, med }
    }
}

/// A route that is held and not honoured, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRoute {
    /// What was announced.
    pub prefix: IpNet,
    /// By whom, for whom.
    pub feed: Feed,
    /// The reason.
    pub reason: Refused,
    /// The path's first ASN; 0 for an empty path.
    pub first_as: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    peer: PeerKey,
    path_id: u32,
    pub epoch: u32,
    med: u32,
    first_as: u32,
    as_path_len: u16,
    origin: Origin,
    refused: Option<Refused>,
}

/// Almost every prefix has one path to us.
pub(super) type Paths = SmallVec<[Path; 1]>;

impl Rib {
    /// Takes in an announcement; it replaces the peer's earlier one of the same prefix and path id.
    pub fn announce(&mut self, key: PeerKey, said: &PrefixPath) {
        let Some(peer) = self.peers.get(&key) else { return };
        let prefix = said.prefix.trunc();
        self.counts.announced_total += 1;
        let refused =
            self.registry.judge(&prefix, peer.isp, peer.feed.peer_as, said.first_as).err();
        let path = Path {
            peer: key,
            path_id: said.path_id,
            epoch: peer.epoch,
            med: said.med,
            first_as: said.first_as,
            as_path_len: said.as_path_len,
            origin: said.origin,
            refused,
        };
        let held_of_peer = peer.prefixes.len();
        if let Some(reason) = refused {
            self.count_refused(reason);
        }
        let is_same = |held: &Path| held.peer == key && held.path_id == said.path_id;
        if let Some(paths) = self.entries.get_mut(&prefix)
            && let Some(held) = paths.iter_mut().find(|held| is_same(held))
        {
            let old = std::mem::replace(held, path);
            self.count_held(old.refused, -1);
            self.announced(prefix, refused);
            return;
        }
        let full = held_of_peer >= ROUTES_PER_PEER_MAX
            || (self.counts.routes + self.counts.refused) as usize >= ROUTES_MAX
            || self.entries.get(&prefix).is_some_and(|held| held.len() >= PATHS_PER_PREFIX_MAX);
        if full {
            self.count_refused(Refused::Full);
            return;
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.prefixes.insert(prefix);
        }
        self.entries.entry(prefix).or_default().push(path);
        self.announced(prefix, refused);
    }

    fn announced(&mut self, prefix: IpNet, refused: Option<Refused>) {
        self.count_held(refused, 1);
        if refused.is_some() {
            self.refused_at.insert(prefix);
        }
        self.changed.insert(prefix);
    }

    /// Takes in a withdrawal; one of what is not held changes nothing.
    pub fn withdraw(&mut self, key: PeerKey, prefix: &IpNet, path_id: u32) {
        self.counts.withdrawn_total += 1;
        self.retain(key, &prefix.trunc(), |path| path.path_id != path_id);
    }

    /// Drops the peer's paths of a prefix that `keep` refuses.
    pub(super) fn retain(&mut self, key: PeerKey, prefix: &IpNet, keep: impl Fn(&Path) -> bool) {
        let Some(paths) = self.entries.get_mut(prefix) else { return };
        let mut dropped: SmallVec<[Option<Refused>; 2]> = SmallVec::new();
        paths.retain(|path| {
            let stays = path.peer != key || keep(path);
            if !stays {
                dropped.push(path.refused);
            }
            stays
        });
        if dropped.is_empty() {
            return;
        }
        let is_over = !paths.iter().any(|path| path.peer == key);
        let any_refused = paths.iter().any(|path| path.refused.is_some());
        if paths.is_empty() {
            self.entries.remove(prefix);
        }
        if is_over && let Some(peer) = self.peers.get_mut(&key) {
            peer.prefixes.remove(prefix);
        }
        if !any_refused {
            self.refused_at.remove(prefix);
        }
        dropped.into_iter().for_each(|refused| self.count_held(refused, -1));
        self.changed.insert(*prefix);
    }

    /// Judges every route again, after the registry changed.
    pub(super) fn judge_all(&mut self) {
        let (mut routes, mut refused) = (0, 0);
        self.refused_at.clear();
        for (prefix, paths) in &mut self.entries {
            for path in paths.iter_mut() {
                let Some(peer) = self.peers.get(&path.peer) else { continue };
                let verdict =
                    self.registry.judge(prefix, peer.isp, peer.feed.peer_as, path.first_as).err();
                if verdict != path.refused {
                    path.refused = verdict;
                    self.changed.insert(*prefix);
                }
                if verdict.is_some() {
                    refused += 1;
                    self.refused_at.insert(*prefix);
                } else {
                    routes += 1;
                }
            }
        }
        (self.counts.routes, self.counts.refused) = (routes, refused);
    }

    /// The best of each site (and of each box named by itself), by site; `None` when there is none.
    pub(super) fn choices(&mut self, prefix: &IpNet) -> Option<Arc<[RouteChoice]>> {
        let paths = self.entries.get(prefix)?;
        let mut found: SmallVec<[RouteChoice; 8]> = SmallVec::new();
        for path in paths.iter().filter(|path| path.refused.is_none()) {
            let Some(peer) = self.peers.get(&path.peer) else { continue };
            found.push(RouteChoice {
                site: peer.site,
                appliance: peer.appliance,
                isp: peer.isp,
                as_path_len: path.as_path_len,
                origin: path.origin,
                med: path.med,
                source: peer.feed.source,
                stale: peer.state != PeerState::Up || path.epoch != peer.epoch,
            });
        }
        found.sort_unstable_by_key(|choice| {
            let place = (choice.site, choice.appliance);
            let quality = (choice.as_path_len, choice.origin, choice.med);
            (place, choice.stale, choice.source, quality)
        });
        found.dedup_by_key(|choice| (choice.site, choice.appliance));
        if found.is_empty() {
            return None;
        }
        if let Some(set) = self.choice_sets.get(&found[..]) {
            return Some(Arc::clone(set));
        }
        let set: Arc<[RouteChoice]> = Arc::from(&found[..]);
        self.choice_sets.insert(Arc::clone(&set));
        Some(set)
    }

    /// Routes held and not honoured, at most `most`, by prefix.
    #[must_use]
    pub fn refused(&self, most: usize) -> Vec<RefusedRoute> {
        let mut prefixes: Vec<IpNet> = self.refused_at.iter().copied().collect();
        prefixes.sort_unstable();
        let mut found = Vec::new();
        for prefix in prefixes {
            for path in self.entries.get(&prefix).into_iter().flatten() {
                let (Some(reason), Some(peer)) = (path.refused, self.peers.get(&path.peer)) else {
                    continue;
                };
                if found.len() == most {
                    return found;
                }
                let feed = peer.feed.clone();
                found.push(RefusedRoute { prefix, feed, reason, first_as: path.first_as });
            }
        }
        found
    }

    /// Every path held: of whom, the announcement, and why it is refused if it is.
    pub fn each_path<'a>(
        &'a self,
        mut each: impl FnMut(&'a Feed, PeerState, PrefixPath, Option<Refused>),
    ) {
        for (prefix, paths) in &self.entries {
            for path in paths {
                let Some(peer) = self.peers.get(&path.peer) else { continue };
                let said = PrefixPath {
                    prefix: *prefix,
                    path_id: path.path_id,
                    as_path_len: path.as_path_len,
                    first_as: path.first_as,
                    origin: path.origin,
                    med: path.med,
                };
                each(&peer.feed, peer.state, said, path.refused);
            }
        }
    }

    fn count_refused(&mut self, reason: Refused) {
        self.counts.refused_total[reason as usize] += 1;
    }

    fn count_held(&mut self, refused: Option<Refused>, by: i64) {
        let count = match refused {
            Some(_) => &mut self.counts.refused,
            None => &mut self.counts.routes,
        };
        *count = count.saturating_add_signed(by);
    }
}
