//! One router's BMP session as changes of the routes: which of its peers feed which site.
//! Opens nothing; bytes come from the listener, and what happened goes back to it as notes.

use ahash::AHashMap;
use control_types::{ApplianceId, IspId, SiteId, UnixMillis};
use std::net::IpAddr;

use super::{BmpMessage, BmpPeer, PeerClass, PeerIdentity, View};
use crate::choice::Source;
use crate::error::RoutesError;
use crate::rib::{Feed, PeerKey, Rib};

/// Which routes a router's session brings, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterPlace {
    /// Its address, as text.
    pub name: String,
    /// Where its routes are announced to.
    pub site: SiteId,
    /// The site's ISP.
    pub isp: IspId,
    /// The only box they are announced to; absent: all of the site.
    pub appliance: Option<ApplianceId>,
    /// Peers that are boxes of the site, for a router that sends what it announces to each.
    pub appliances: Vec<(IpAddr, ApplianceId)>,
    /// The only view taken; absent: all that come.
    pub view: Option<View>,
}

/// What a message did, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionNote {
    /// Nothing worth a line.
    Quiet,
    /// The router named itself.
    Named(String),
    /// A peer came up.
    PeerUp(IpAddr),
    /// A peer went down; its routes are held, or dropped when it is no longer monitored.
    PeerDown {
        /// Which.
        peer: IpAddr,
        /// BMP's reason code.
        reason: u8,
    },
    /// Announcements that were taken as withdrawals, and why.
    Mended(&'static str),
    /// The router said goodbye; close.
    Ended(Option<u16>),
}

/// A session under way.
#[derive(Debug)]
pub struct RouterSession {
    place: RouterPlace,
    /// With the epoch the rib gave: a later session of the same router makes this one's void.
    keys: AHashMap<(PeerIdentity, View), (PeerKey, u32)>,
}

impl RouterSession {
    /// A session of the router at that place.
    #[must_use]
    pub fn new(place: RouterPlace) -> Self {
        Self { place, keys: AHashMap::new() }
    }

    /// Which routes it brings, and for whom.
    #[must_use]
    pub fn place(&self) -> &RouterPlace {
        &self.place
    }

    /// Takes in one message.
    ///
    /// # Errors
    /// When a bound of the routes is reached; the session cannot go on.
    pub fn apply(
        &mut self,
        rib: &mut Rib,
        message: &BmpMessage,
        now: UnixMillis,
    ) -> Result<SessionNote, RoutesError> {
        match message {
            BmpMessage::Initiation { name } => Ok(SessionNote::Named(name.clone())),
            BmpMessage::Termination { reason } => Ok(SessionNote::Ended(*reason)),
            BmpMessage::PeerUp(peer) => {
                self.apply_peer_up(rib, peer, now)?;
                Ok(SessionNote::PeerUp(peer.address))
            }
            BmpMessage::PeerDown { peer, reason } => {
                self.apply_peer_down(rib, peer, *reason, now);
                Ok(SessionNote::PeerDown { peer: peer.address, reason: *reason })
            }
            BmpMessage::Routes { peer, view, update } => {
                if self.place.view.is_some_and(|wanted| wanted != *view) {
                    return Ok(SessionNote::Quiet);
                }
                let Some(key) = self.key(rib, peer, *view, now)? else {
                    return Ok(SessionNote::Quiet);
                };
                for (prefix, path_id) in &update.withdrawn {
                    rib.withdraw(key, prefix, *path_id);
                }
                update.announced.iter().for_each(|path| rib.announce(key, path));
                if let Some(is_v6) = update.end_of_rib {
                    rib.refreshed(key, Some(is_v6));
                }
                Ok(update.treated_as_withdraw.map_or(SessionNote::Quiet, SessionNote::Mended))
            }
            BmpMessage::Passed => Ok(SessionNote::Quiet),
        }
    }

    /// The session is over: what it brought is held as stale.
    pub fn end(&mut self, rib: &mut Rib, now: UnixMillis) {
        for (_, (key, epoch)) in self.keys.drain() {
            rib.lost_in(key, epoch, now);
        }
    }

    /// A peer that comes up again begins a new epoch in each view it had; views it had in an
    /// earlier session of the router are found when their routes come.
    fn apply_peer_up(
        &mut self,
        rib: &mut Rib,
        peer: &BmpPeer,
        now: UnixMillis,
    ) -> Result<(), RoutesError> {
        let identity = peer.identity();
        let views: Vec<View> = self.views_of(identity);
        for view in views {
            let feed = self.feed(peer, view);
            let key = rib.up(&feed, now)?;
            self.keys.insert((identity, view), (key, rib.epoch(key)));
        }
        Ok(())
    }

    fn apply_peer_down(&mut self, rib: &mut Rib, peer: &BmpPeer, reason: u8, now: UnixMillis) {
        /// The router was told not to monitor this peer any more: no session was lost.
        const NO_LONGER_MONITORED: u8 = 5;
        let identity = peer.identity();
        for view in self.views_of(identity) {
            let Some((key, epoch)) = self.keys.remove(&(identity, view)) else { continue };
            if reason == NO_LONGER_MONITORED && rib.epoch(key) == epoch {
                rib.forget(key);
            } else {
                rib.lost_in(key, epoch, now);
            }
        }
    }

    fn views_of(&self, identity: PeerIdentity) -> Vec<View> {
        self.keys.keys().filter(|(of, _)| *of == identity).map(|(_, view)| *view).collect()
    }

    /// The peer's key in this view; `None` when a newer session of the router has taken over.
    fn key(
        &mut self,
        rib: &mut Rib,
        peer: &BmpPeer,
        view: View,
        now: UnixMillis,
    ) -> Result<Option<PeerKey>, RoutesError> {
        let at = (peer.identity(), view);
        if let Some((key, epoch)) = self.keys.get(&at).copied() {
            return Ok((rib.epoch(key) == epoch).then_some(key));
        }
        let key = rib.up(&self.feed(peer, view), now)?;
        self.keys.insert(at, (key, rib.epoch(key)));
        Ok(Some(key))
    }

    fn feed(&self, peer: &BmpPeer, view: View) -> Feed {
        let mut named = match peer.class {
            PeerClass::LocRib => "router".to_owned(),
            _ => peer.address.to_string(),
        };
        if peer.distinguisher != 0 {
            named = format!("{named} table {:x}", peer.distinguisher);
        }
        let boxes = &self.place.appliances;
        let named_box = boxes.iter().find(|(address, _)| *address == peer.address);
        Feed {
            name: self.place.name.clone(),
            peer: format!("{named} {}", view.word()),
            peer_as: peer.asn,
            site: self.place.site.clone(),
            appliance: named_box.map(|(_, id)| id.clone()).or_else(|| self.place.appliance.clone()),
            isp: self.place.isp.clone(),
            source: Source::Bmp,
        }
    }
}
