//! Routes as bodies: the status, a lookup, what is refused, an ISP examined.
//! Changes nothing.

use std::net::IpAddr;

use control_routes::{Origin, PeerSeen, PeerState, Refused, SiteBox, SiteBoxes, Source};
use control_types::IspId;
use control_types::fleet::{ApplianceRecord, Role};
use control_types::routes::{
    RouteCover, RouteFeed, RouteOffer, RouteRefused, RoutesReport, RoutesStatus,
};

use super::RouteDesk;

impl RouteDesk {
    /// The table and who feeds it. Blocks while the table is being changed.
    #[must_use]
    pub fn status(&self) -> RoutesStatus {
        let (counts, peers) = self.routes().with(|rib| (rib.counts(), rib.peers()));
        let table = self.routes().table();
        let total = |reason: Refused| counts.refused_total[reason as usize];
        RoutesStatus {
            prefixes: table.len() as u64,
            routes: counts.routes,
            refused: counts.refused,
            refused_total: Refused::ALL
                .into_iter()
                .filter(|reason| total(*reason) > 0)
                .map(|reason| (reason.word().to_owned(), total(reason)))
                .collect(),
            version: table.version(),
            feeds: peers.into_iter().map(feed).collect(),
        }
    }

    /// The prefixes that hold an address, longest first. Waits for nobody.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Vec<RouteCover> {
        let table = self.routes().table();
        let names = table.names();
        let covers = table.lookup(address);
        let offer = |choice: &control_routes::RouteChoice| {
            Some(RouteOffer {
                site: names.site(choice.site)?.clone(),
                appliance: choice.appliance.and_then(|key| names.appliance(key).cloned()),
                isp: names.isp(choice.isp)?.clone(),
                as_path_len: choice.as_path_len,
                origin: origin(choice.origin).to_owned(),
                med: choice.med,
                source: source(choice.source).to_owned(),
                stale: choice.stale,
            })
        };
        covers
            .iter()
            .map(|cover| RouteCover {
                prefix: cover.prefix.to_string(),
                choices: cover.choices.iter().filter_map(offer).collect(),
            })
            .collect()
    }

    /// Routes held and not honoured, at most `most`. Blocks while the table is being changed.
    #[must_use]
    pub fn refused(&self, most: usize) -> Vec<RouteRefused> {
        let refused = self.routes().with(|rib| rib.refused(most));
        refused
            .into_iter()
            .map(|route| RouteRefused {
                prefix: route.prefix.to_string(),
                reason: route.reason.word().to_owned(),
                first_as: route.first_as,
                isp: route.feed.isp,
                site: route.feed.site,
                name: route.feed.name,
                peer: route.feed.peer,
            })
            .collect()
    }

    /// An ISP's routes examined against the fleet. Blocks while the table is being changed.
    #[must_use]
    pub fn examine(&self, isp: &IspId, fleet: &[ApplianceRecord]) -> RoutesReport {
        let mut sites: Vec<SiteBoxes> = Vec::new();
        for record in fleet.iter().filter(|record| record.role == Role::Edge) {
            let of = SiteBox {
                appliance: record.id.clone(),
                link: record.link,
                capacity_bps: record.capacity_bps,
            };
            match sites.iter_mut().find(|site| site.site == record.site) {
                Some(site) => site.boxes.push(of),
                None => sites.push(SiteBoxes { site: record.site.clone(), boxes: vec![of] }),
            }
        }
        self.routes().publish();
        let table = self.routes().table();
        self.routes().with(|rib| control_routes::examine(rib, &table, isp, &sites))
    }
}

fn feed(seen: PeerSeen) -> RouteFeed {
    let stale_until = match seen.state {
        PeerState::Up => None,
        PeerState::Held { until } => Some(until),
    };
    RouteFeed {
        name: seen.feed.name,
        peer: seen.feed.peer,
        peer_as: seen.feed.peer_as,
        site: seen.feed.site,
        appliance: seen.feed.appliance,
        isp: seen.feed.isp,
        source: source(seen.feed.source).to_owned(),
        stale_until,
        since: seen.since,
        prefixes: seen.prefixes as u64,
        lost_total: seen.lost_total,
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Bmp => "bmp",
        Source::Mrt => "mrt",
        Source::Static => "static",
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    }
}
