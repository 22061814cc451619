//! Routes: who gets an object from where, and in which order to try. Decides no placement.
//!
//! One box of an ISP, its *fill master* for a title, brings a byte across the ISP's border; one box
//! of every other site brings it from there; the rest of each site waits for its neighbour. So a
//! pull's sources are, nearest first:
//!
//! ```text
//! master of the ISP    tiers elsewhere > origin
//! master of a site     holders or master in the ISP (pending) > tiers elsewhere > origin
//! any other box        holders or master in the site (pending) > holders in the ISP > … > origin
//! ```
//!
//! Masters are drawn title by title, so two sites of one ISP do not both begin at the origin with
//! the same title: each fetches its half and waits for the other's. The origin stays last in every
//! list, so that a master that dies costs its ISP some border bytes and no member a title.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use control_types::fill::{FillAppliance, NightPlan, PlaceableObject, Source, SourceKind};
use control_types::fleet::Role;
use control_types::ids::{ApplianceId, ObjectId};

use crate::hash::weight;

/// Most sources of one kind in one pull; the others would only make the plan long.
const SAME_KIND_MAX: usize = 3;

/// Who holds and who wants each object.
pub(crate) struct Routes<'a> {
    appliances: &'a [FillAppliance],
    holders: HashMap<ObjectId, Vec<usize>>,
    wanters: HashMap<ObjectId, Vec<usize>>,
    /// Boxes the previous plan made bring an object into their ISP.
    masters_before: BTreeSet<(ObjectId, &'a ApplianceId)>,
}

/// The routes of one pull.
pub(crate) struct Route {
    /// In the order to try; the last is held by its box now.
    pub(crate) sources: Vec<Source>,
    /// What the box is for this object, in words for the pull's `why`.
    pub(crate) part: &'static str,
}

impl<'a> Routes<'a> {
    /// `active` are the boxes that may give and take, as indices; `wants` what each lacks.
    pub(crate) fn new(
        appliances: &'a [FillAppliance],
        active: &[usize],
        wants: &BTreeMap<usize, Vec<ObjectId>>,
        previous: Option<&'a NightPlan>,
    ) -> Self {
        let mut holders: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for at in active {
            for held in &appliances[*at].holds {
                // Held on flash and on a rotating disk, it is still one box to ask.
                let boxes = holders.entry(held.object).or_default();
                if boxes.last() != Some(at) {
                    boxes.push(*at);
                }
            }
        }
        let mut wanters: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for (at, objects) in wants {
            for object in objects {
                wanters.entry(*object).or_default().push(*at);
            }
        }
        let masters_before = previous
            .iter()
            .flat_map(|plan| &plan.appliances)
            .flat_map(|entry| {
                let own = entry
                    .pulls
                    .iter()
                    .filter(|pull| pull.sources.first().is_some_and(|source| !source.pending));
                own.map(|pull| (pull.object, &entry.appliance))
            })
            .collect();
        Self { appliances, holders, wanters, masters_before }
    }

    /// Where `taker` gets `object`.
    pub(crate) fn route(&self, taker: usize, object: &PlaceableObject) -> Route {
        let me = &self.appliances[taker];
        let none = Vec::new();
        let holders = self.holders.get(&object.object).unwrap_or(&none);
        let wanters = self.wanters.get(&object.object).unwrap_or(&none);
        let key = object.title.as_str();
        let in_site = |at: &&usize| self.appliances[**at].site == me.site;
        let in_isp = |at: &&usize| self.appliances[**at].isp == me.isp;

        let site_holds = holders.iter().any(|at| in_site(&at));
        let isp_holds = holders.iter().any(|at| in_isp(&at));
        let isp_master = self.master(object, wanters.iter().filter(in_isp).copied(), key);
        // The ISP's master is its site's master too, else a site would fetch the same byte twice.
        let site_master = isp_master
            .filter(|at| self.appliances[*at].site == me.site && !isp_holds)
            .or_else(|| self.master(object, wanters.iter().filter(in_site).copied(), key));

        let mut sources = Vec::new();
        for at in holders.iter().filter(|at| **at != taker) {
            sources.push(self.source(me, *at, false));
        }
        let part = if site_holds {
            "copied inside the site"
        } else if site_master != Some(taker) {
            sources.extend(site_master.map(|at| self.source(me, at, true)));
            "waits for its neighbour"
        } else if isp_holds {
            "fetched for its site from another site of the ISP"
        } else if isp_master == Some(taker) {
            "fetched across the ISP's border, once for the whole ISP"
        } else {
            sources.extend(isp_master.map(|at| self.source(me, at, true)));
            "fetched for its site from the ISP's fill master"
        };
        Route { sources: self.ordered(me, key, sources), part }
    }

    /// The one of `among` that goes first: a tier before an edge (it is there to be asked), the one
    /// already at it, then the highest draw.
    fn master(
        &self,
        object: &PlaceableObject,
        among: impl Iterator<Item = usize>,
        key: &str,
    ) -> Option<usize> {
        among.max_by_key(|at| {
            let one = &self.appliances[*at];
            let before = self.masters_before.contains(&(object.object, &one.appliance));
            (one.role, before, weight(key, one.appliance.as_str()), std::cmp::Reverse(*at))
        })
    }

    fn source(&self, me: &FillAppliance, at: usize, pending: bool) -> (Source, usize) {
        let other = &self.appliances[at];
        let kind = if other.site == me.site {
            SourceKind::Peer
        } else if other.role == Role::Origin {
            SourceKind::Origin
        } else {
            SourceKind::Tier
        };
        let source = Source {
            kind,
            appliance: other.appliance.clone(),
            media_url: other.media_url.clone(),
            pending,
        };
        (source, at)
    }

    /// Nearest first; an edge of a foreign ISP only when nobody else has it, because its uplink is
    /// that ISP's money.
    fn ordered(
        &self,
        me: &FillAppliance,
        key: &str,
        mut sources: Vec<(Source, usize)>,
    ) -> Vec<Source> {
        let foreign_edge = |at: usize| {
            let other = &self.appliances[at];
            other.isp != me.isp && other.role == Role::Edge
        };
        if sources.iter().any(|(source, at)| !source.pending && !foreign_edge(*at)) {
            sources.retain(|(_, at)| !foreign_edge(*at));
        }
        sources.sort_by_key(|(source, at)| {
            let crosses = self.appliances[*at].isp != me.isp;
            let draw = weight(key, source.appliance.as_str()) ^ weight(key, me.appliance.as_str());
            (source.kind, crosses, source.pending, draw, *at)
        });
        let mut of_kind: BTreeMap<SourceKind, usize> = BTreeMap::new();
        sources.retain(|(source, _)| {
            let count = of_kind.entry(source.kind).or_default();
            *count += 1;
            *count <= SAME_KIND_MAX
        });
        sources.into_iter().map(|(source, _)| source).collect()
    }
}
