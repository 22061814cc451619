//! What is wrong with an ISP's announcements, for its engineer: leaks, lost sessions,
//! more-specifics that pull the wrong way, uneven sites, prefixes with a single box.
//! Changes nothing; the same routes always give the same report.
//!
//! | kind | finds |
//! |---|---|
//! | `leak` | routes refused: not registered, foreign, default, too wide, bogon, foreign ASN |
//! | `stale` | peers whose session is lost: their routes are held, and will go |
//! | `wrong_way` | a more-specific that takes members from a better site of its covering prefix |
//! | `uneven` | announced to some boxes of a site and not to others: the others idle, silently |
//! | `single` | one box only: when it drains or dies, these members leave the ISP's network |

use std::collections::BTreeMap;

use ahash::AHashMap;
use control_types::fleet::Link;
use control_types::routes::{RouteFinding, RoutesReport};
use control_types::{ApplianceId, IspId, SiteId};
use ipnet::IpNet;

use crate::choice::{Names, RouteChoice, Source};
use crate::limits::{FINDING_PREFIXES_MAX, FINDINGS_MAX};
use crate::registry::Refused;
use crate::rib::{Feed, PeerState, Rib};
use crate::table::{Cover, RouteTable};

/// A site and the boxes that serve its members.
#[derive(Clone, Debug)]
pub struct SiteBoxes {
    /// Which.
    pub site: SiteId,
    /// Its edges.
    pub boxes: Vec<SiteBox>,
}

/// One box.
#[derive(Clone, Debug)]
pub struct SiteBox {
    /// Which.
    pub appliance: ApplianceId,
    /// How members reach it.
    pub link: Link,
    /// What it may send, bits per second.
    pub capacity_bps: u64,
}

/// How good a place is for members: link first, then the way to it, then room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    link: Link,
    as_path_len: u16,
    less_capacity: std::cmp::Reverse<u64>,
}

/// Examines the routes of one ISP. `rib` and `table` must be of the same `Routes`, published.
#[must_use]
pub fn examine(rib: &Rib, table: &RouteTable, isp: &IspId, sites: &[SiteBoxes]) -> RoutesReport {
    let mut case = Case {
        names: table.names(),
        boxes: sites.iter().map(|site| (&site.site, &*site.boxes)).collect(),
        found: BTreeMap::new(),
        prefixes: 0,
    };
    case.sessions(rib, isp);
    rib.each_path(|feed, _, said, refused| {
        if feed.isp == *isp
            && let Some(reason) = refused
        {
            case.leak(feed, &said.prefix, said.first_as, reason);
        }
    });
    if let Some(key) = case.names.isp_key(isp) {
        table.all(|cover| {
            if cover.choices.iter().any(|choice| choice.isp == key) {
                case.prefixes += 1;
                case.boxes_of(&cover);
                if let Some(outer) = table.outer(&cover.prefix) {
                    case.wrong_way(&cover, &outer);
                }
            }
            true
        });
    }
    case.report(isp)
}

/// Findings alike are one, with a count.
#[derive(Default)]
struct Finding {
    count: u64,
    prefixes: Vec<IpNet>,
}

/// Sorts by kind first: the worst kind has the smallest number.
type FindingKey = (u8, &'static str, String, String);

struct Case<'a> {
    names: &'a Names,
    boxes: AHashMap<&'a SiteId, &'a [SiteBox]>,
    found: BTreeMap<FindingKey, Finding>,
    prefixes: u64,
}

impl Case<'_> {
    fn add(&mut self, severity: u8, kind: &'static str, what: String, cure: String, prefix: IpNet) {
        let finding = self.found.entry((severity, kind, what, cure)).or_default();
        finding.count += 1;
        // The smallest, so that the same routes give the same report in whatever order they come.
        let at = finding.prefixes.partition_point(|held| *held < prefix);
        if at < FINDING_PREFIXES_MAX {
            finding.prefixes.insert(at, prefix);
            finding.prefixes.truncate(FINDING_PREFIXES_MAX);
        }
    }

    fn leak(&mut self, feed: &Feed, prefix: &IpNet, first_as: u32, reason: Refused) {
        let (why, cure) = match reason {
            Refused::DefaultRoute => ("a default route", "filter it towards the appliances"),
            Refused::TooWide => {
                ("wider than any ISP's network", "filter it towards the appliances")
            }
            Refused::Bogon => {
                ("a special-purpose range", "filter it, or have the operator register it by name")
            }
            Refused::Unregistered => (
                "not registered to this ISP",
                "filter it, or have the operator register the network",
            ),
            Refused::Foreign => ("inside another ISP's network", "stop announcing it"),
            Refused::ForeignAs => (
                "from an AS that is not this ISP's",
                "announce it from an AS of this ISP, or have the operator register the AS",
            ),
            Refused::Full => ("more than the table holds", "aggregate"),
        };
        let mut from = format!("site {}, {}", feed.site, feed.name);
        if !feed.peer.is_empty() {
            from = format!("{from}, peer {}", feed.peer);
        }
        let by =
            if reason == Refused::ForeignAs { format!(" (AS{first_as})") } else { String::new() };
        let what = format!("announced at {from}: {why}{by}; refused");
        self.add(0, "leak", what, cure.to_owned(), *prefix);
    }

    fn sessions(&mut self, rib: &Rib, isp: &IspId) {
        for peer in rib.peers() {
            let PeerState::Held { .. } = peer.state else { continue };
            if peer.feed.isp != *isp {
                continue;
            }
            let (feed, held) = (&peer.feed, peer.prefixes);
            let what = format!(
                "site {}: the session of {}, peer {}, is lost; {held} prefixes are held and \
                 will be dropped",
                feed.site, feed.name, feed.peer
            );
            let cure = "bring the session back, or announce elsewhere".to_owned();
            let key = (1, "stale", what, cure);
            self.found.entry(key).or_default().count += held as u64;
        }
    }

    /// What a site's boxes are told: all the same, and at least two boxes somewhere.
    fn boxes_of(&mut self, cover: &Cover<'_>) {
        let mut all = 0usize;
        let mut only: Option<String> = None;
        let mut at = 0;
        while let Some(first) = cover.choices.get(at) {
            let count =
                cover.choices[at..].iter().take_while(|next| next.site == first.site).count();
            let told = &cover.choices[at..at + count];
            at += count;
            let Some(site) = self.names.site(first.site) else { continue };
            let boxes = self.boxes.get(site).copied().unwrap_or_default();
            let is_whole = told.iter().any(|choice| choice.appliance.is_none());
            let has = |of: &SiteBox| is_whole || told.iter().any(|choice| self.is_box(choice, of));
            let (with, without): (Vec<&SiteBox>, Vec<&SiteBox>) =
                boxes.iter().partition(|of| has(of));
            all += with.len();
            if let [one] = &with[..] {
                only = Some(format!("{} of site {site}", one.appliance));
            }
            if !without.is_empty() && !with.is_empty() {
                let list = |of: &[&SiteBox]| {
                    of.iter().map(|of| of.appliance.as_str()).collect::<Vec<_>>().join(", ")
                };
                let what = format!(
                    "site {site}: announced to {} and not to {}, which idle for it",
                    list(&with),
                    list(&without)
                );
                let cure = format!("announce it to {} too", list(&without));
                self.add(3, "uneven", what, cure, cover.prefix);
            }
        }
        match (all, only) {
            (0, _) => {
                let what = "announced to no box: its site has none".to_owned();
                let cure = "announce it to a site with boxes".to_owned();
                self.add(4, "single", what, cure, cover.prefix);
            }
            (1, Some(only)) => {
                let what = format!("announced to {only} only: nobody takes over when it drains");
                let cure = "announce it to a second box".to_owned();
                self.add(4, "single", what, cure, cover.prefix);
            }
            _ => {}
        }
    }

    /// Longest prefix decides before anything else, so a more-specific of a worse site wins.
    fn wrong_way(&mut self, cover: &Cover<'_>, outer: &Cover<'_>) {
        let (Some((worth, site)), Some((outer_worth, outer_site))) =
            (self.best(cover.choices), self.best(outer.choices))
        else {
            return;
        };
        let is_at_outer_site = cover
            .choices
            .iter()
            .any(|choice| self.names.site(choice.site).is_some_and(|site| *site == outer_site));
        if is_at_outer_site || worth <= outer_worth {
            return;
        }
        let why = if worth.link != outer_worth.link {
            format!("{} instead of {}", link(worth.link), link(outer_worth.link))
        } else if worth.as_path_len != outer_worth.as_path_len {
            format!("{} AS hops instead of {}", worth.as_path_len, outer_worth.as_path_len)
        } else {
            let (less, more) = (worth.less_capacity.0, outer_worth.less_capacity.0);
            format!("{} Gb/s instead of {}", less / 1_000_000_000, more / 1_000_000_000)
        };
        let what = format!(
            "more specific than {}: pulls members from site {outer_site} to site {site} ({why})",
            outer.prefix
        );
        let cure = format!("announce it at site {outer_site} too, or not at all");
        self.add(2, "wrong_way", what, cure, cover.prefix);
    }

    /// The best place of a prefix; `None` when no box serves it.
    fn best(&self, choices: &[RouteChoice]) -> Option<(Worth, SiteId)> {
        let places = choices.iter().filter_map(|choice| {
            let site = self.names.site(choice.site)?;
            let boxes = self.boxes.get(site)?;
            let told = || {
                let own =
                    move |of: &&SiteBox| choice.appliance.is_none() || self.is_box(choice, of);
                boxes.iter().filter(own)
            };
            let link = told().map(|of| of.link).min()?;
            let capacity = told().map(|of| of.capacity_bps).fold(0, u64::saturating_add);
            // A file says nothing about the way, so it is not compared.
            let as_path_len = if choice.source == Source::Static { 0 } else { choice.as_path_len };
            let less_capacity = std::cmp::Reverse(capacity);
            Some((Worth { link, as_path_len, less_capacity }, site.clone()))
        });
        places.min()
    }

    fn is_box(&self, choice: &RouteChoice, of: &SiteBox) -> bool {
        choice
            .appliance
            .and_then(|key| self.names.appliance(key))
            .is_some_and(|appliance| *appliance == of.appliance)
    }

    fn report(self, isp: &IspId) -> RoutesReport {
        let findings = self.found.into_iter().take(FINDINGS_MAX).map(|(key, finding)| {
            let (_, kind, what, cure) = key;
            RouteFinding {
                kind: kind.to_owned(),
                what,
                cure,
                count: finding.count,
                prefixes: finding.prefixes.iter().map(ToString::to_string).collect(),
            }
        });
        RoutesReport { isp: isp.clone(), prefixes: self.prefixes, findings: findings.collect() }
    }
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Embedded => "embedded",
        Link::PrivatePeering => "private peering",
        Link::PublicPeering => "public peering",
        Link::Transit => "transit",
    }
}
