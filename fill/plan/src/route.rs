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
//! the same title: each fetches its half and waits for the other's. Each master has a *deputy*, the
//! next by draw, whom the others wait for when the master gives nothing any more: so a master that
//! dies while nobody makes another plan costs its ISP what it took once more, and not a copy for
//! every box. Whoever waits waits for those before it in the order: master of the ISP, its deputy,
//! master of a site, its deputy, all others. The origin stays last in every list, so that no member
//! is without a title for all that; `Knobs::origin` and `Knobs::hops_max` say otherwise.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use control_types::fill::{
    AppliancePlan, FillAppliance, NightPlan, PlaceableObject, Source, SourceKind,
};
use control_types::fleet::Role;
use control_types::ids::{ApplianceId, IspId, ObjectId, SiteId};

use crate::hash::{draw, name_key};
use crate::knobs::{AskOrigin, Knobs};

/// Most sources of one kind in one pull; the others would only make the plan long.
const SAME_KIND_MAX: usize = 3;

/// Boxes by object, as indices.
type Boxes = HashMap<ObjectId, Vec<usize>, ahash::RandomState>;

/// Who holds and who wants each object.
pub(crate) struct Routes<'a> {
    appliances: &'a [FillAppliance],
    /// What each box is drawn by.
    names: Vec<u64>,
    holders: Boxes,
    wanters: Boxes,
    /// Boxes the previous plan made bring an object into their ISP.
    masters_before: BTreeSet<(ObjectId, &'a ApplianceId)>,
    knobs: &'a Knobs,
    /// Worked out once for each object and ISP or site: a thousand boxes may ask.
    of_isps: RefCell<HashMap<(ObjectId, &'a IspId), Bringers, ahash::RandomState>>,
    of_sites: RefCell<HashMap<(ObjectId, &'a SiteId), Bringers, ahash::RandomState>>,
}

/// Who brings an object to an ISP or a site, and who does when that one dies.
#[derive(Clone, Copy, Default)]
struct Bringers {
    master: Option<usize>,
    deputy: Option<usize>,
}

/// A source by its box; of those that are still to get the object, the master's rank is 0 and the
/// deputy's 1.
struct Named {
    kind: SourceKind,
    at: usize,
    pending: bool,
    rank: u8,
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
        knobs: &'a Knobs,
    ) -> Self {
        let mut wanters: Boxes = Boxes::default();
        for (at, objects) in wants {
            for object in objects {
                wanters.entry(*object).or_default().push(*at);
            }
        }
        // Of those only: a fleet holds hundreds of times what a plan asks for.
        let mut holders: Boxes = wanters.keys().map(|object| (*object, Vec::new())).collect();
        for at in active {
            for held in &appliances[*at].holds {
                // Held on flash and on a rotating disk, it is still one box to ask.
                if let Some(boxes) = holders.get_mut(&held.object)
                    && boxes.last() != Some(at)
                {
                    boxes.push(*at);
                }
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
        let (of_isps, of_sites) = (RefCell::default(), RefCell::default());
        let names = appliances.iter().map(|one| name_key(one.appliance.as_str())).collect();
        Self { appliances, names, holders, wanters, masters_before, knobs, of_isps, of_sites }
    }

    /// Where `taker` gets `object`.
    pub(crate) fn route(&self, taker: usize, object: &PlaceableObject) -> Route {
        let me = &self.appliances[taker];
        let holders = self.holders.get(&object.object).map_or(&[][..], Vec::as_slice);
        let site_holds = holders.iter().any(|at| self.appliances[*at].site == me.site);
        let isp_holds = holders.iter().any(|at| self.appliances[*at].isp == me.isp);
        let isp = self.bringers_of_isp(&me.isp, object);
        let site = self.bringers_of_site(&me.site, isp.master.filter(|_| !isp_holds), object);

        let mut sources: Vec<Named> = Vec::new();
        for at in holders.iter().filter(|at| **at != taker) {
            sources.push(Named { kind: self.kind(me, *at), at: *at, pending: false, rank: 0 });
        }
        let mut wait_for = |bringers: Bringers| {
            for (rank, at) in [(0, bringers.master), (1, bringers.deputy)] {
                let others = at.filter(|at| *at != taker);
                let named = |at| Named { kind: self.kind(me, at), at, pending: true, rank };
                sources.extend(others.map(named));
            }
        };
        let part = if site_holds {
            "copied inside the site"
        } else if site.master == Some(taker) {
            if isp_holds {
                "fetched for its site from another site of the ISP"
            } else if isp.master == Some(taker) {
                "fetched across the ISP's border, once for the whole ISP"
            } else {
                wait_for(isp);
                "fetched for its site from the ISP's fill master"
            }
        } else {
            wait_for(site);
            if site.deputy == Some(taker) && !isp_holds {
                // In the place of a master that died it asks whom that one would have asked.
                let is_isps = site.master == isp.master;
                let master = if is_isps { isp.deputy } else { isp.master };
                wait_for(Bringers { master, deputy: None });
            }
            "waits for its neighbour"
        };
        Route { sources: self.ordered(taker, object.title.as_str(), sources), part }
    }

    /// Who brings `object` across the border of `isp`; the deputy is of another site, where it is
    /// the master.
    fn bringers_of_isp(&self, isp: &'a IspId, object: &PlaceableObject) -> Bringers {
        let key = (object.object, isp);
        if let Some(known) = self.of_isps.borrow().get(&key) {
            return *known;
        }
        let wanters = self.wanters.get(&object.object).map_or(&[][..], Vec::as_slice);
        let own = || wanters.iter().copied().filter(|at| self.appliances[*at].isp == *isp);
        let master = self.first(object, own());
        let site = master.map(|at| &self.appliances[at].site);
        let elsewhere = own().filter(|at| Some(&self.appliances[*at].site) != site);
        let bringers = Bringers { master, deputy: self.first(object, elsewhere) };
        self.of_isps.borrow_mut().insert(key, bringers);
        bringers
    }

    /// Who brings `object` to `site`. The ISP's master, `of_isp`, is its site's master too, else a
    /// site would fetch the same byte twice.
    fn bringers_of_site(
        &self,
        site: &'a SiteId,
        of_isp: Option<usize>,
        object: &PlaceableObject,
    ) -> Bringers {
        let key = (object.object, site);
        if let Some(known) = self.of_sites.borrow().get(&key) {
            return *known;
        }
        let wanters = self.wanters.get(&object.object).map_or(&[][..], Vec::as_slice);
        let own = || wanters.iter().copied().filter(|at| self.appliances[*at].site == *site);
        let of_isp = of_isp.filter(|at| self.appliances[*at].site == *site);
        let master = of_isp.or_else(|| self.first(object, own()));
        let others = own().filter(|at| Some(*at) != master);
        let bringers = Bringers { master, deputy: self.first(object, others) };
        self.of_sites.borrow_mut().insert(key, bringers);
        bringers
    }

    /// The one of `among` that goes first: a tier before an edge (it is there to be asked), the one
    /// already at it, then the highest draw.
    fn first(&self, object: &PlaceableObject, among: impl Iterator<Item = usize>) -> Option<usize> {
        let key = name_key(object.title.as_str());
        among.max_by_key(|at| {
            let one = &self.appliances[*at];
            let before = self.masters_before.contains(&(object.object, &one.appliance));
            (one.role, before, draw(key, self.names[*at]), std::cmp::Reverse(*at))
        })
    }

    fn kind(&self, me: &FillAppliance, at: usize) -> SourceKind {
        let other = &self.appliances[at];
        if other.site == me.site {
            SourceKind::Peer
        } else if other.role == Role::Origin {
            SourceKind::Origin
        } else {
            SourceKind::Tier
        }
    }

    fn source(&self, named: &Named) -> Source {
        let other = &self.appliances[named.at];
        Source {
            kind: named.kind,
            appliance: other.appliance.clone(),
            media_url: other.media_url.clone(),
            pending: named.pending,
        }
    }

    /// Nearest first; an edge of a foreign ISP only when nobody else has it, because its uplink is
    /// that ISP's money.
    fn ordered(&self, taker: usize, key: &str, mut sources: Vec<Named>) -> Vec<Source> {
        let me = &self.appliances[taker];
        let foreign_edge = |named: &Named| {
            let other = &self.appliances[named.at];
            other.isp != me.isp && other.role == Role::Edge
        };
        if sources.iter().any(|named| !named.pending && !foreign_edge(named)) {
            sources.retain(|named| !foreign_edge(named));
        }
        let crosses = |named: &Named| self.appliances[named.at].isp != me.isp;
        let key = name_key(key);
        let mine = draw(key, self.names[taker]);
        sources.sort_by_cached_key(|named| {
            let Named { kind, at, pending, rank } = named;
            (*kind, crosses(named), *pending, *rank, draw(key, self.names[*at]) ^ mine, *at)
        });
        self.climb(me, &mut sources);
        let mut of_kind: BTreeMap<SourceKind, usize> = BTreeMap::new();
        sources.retain(|named| {
            let count = of_kind.entry(named.kind).or_default();
            *count += 1;
            *count <= SAME_KIND_MAX
        });
        sources.iter().map(|named| self.source(named)).collect()
    }

    /// Leaves of `sources`, nearest first, those that the policy of escalation allows `me`.
    fn climb(&self, me: &FillAppliance, sources: &mut Vec<Named>) {
        // The site, the ISP's other sites, tiers elsewhere, the origin.
        let step = |named: &Named| {
            let crosses = self.appliances[named.at].isp != me.isp;
            (named.kind, named.kind == SourceKind::Tier && crosses)
        };
        let is_inside = sources.iter().any(|named| {
            named.kind != SourceKind::Origin && self.appliances[named.at].isp == me.isp
        });
        let may_ask = match self.knobs.origin {
            AskOrigin::All => true,
            AskOrigin::Masters => !is_inside,
            AskOrigin::Tiers => me.role != Role::Edge,
        };
        sources.retain(|named| may_ask || named.kind != SourceKind::Origin);
        let mut steps: Vec<(SourceKind, bool)> = sources.iter().map(step).collect();
        steps.dedup();
        let last = steps.get(self.knobs.hops_max.saturating_sub(1)).copied();
        sources.retain(|named| last.is_none_or(|last| step(named) <= last));
    }
}

/// Puts what others wait for before all else of each box, what can be had now first, else as it
/// was: whoever waits asks further away after a while, and a master that copies from its neighbours
/// meanwhile would let the same bytes cross the border again.
pub(crate) fn bring_first(entries: &mut [AppliancePlan]) {
    let mut awaited: HashSet<(ApplianceId, ObjectId)> = HashSet::new();
    for pull in entries.iter().flat_map(|entry| &entry.pulls) {
        let pending = pull.sources.iter().filter(|source| source.pending);
        awaited.extend(pending.map(|source| (source.appliance.clone(), pull.object)));
    }
    for AppliancePlan { appliance, pulls, .. } in entries {
        pulls.sort_by_cached_key(|pull| {
            let is_there = pull.sources.first().is_some_and(|source| !source.pending);
            match awaited.contains(&(appliance.clone(), pull.object)) {
                true if is_there => 0,
                // The sooner it asks, the sooner it knows that it has to take over.
                true => 1,
                false => 2,
            }
        });
    }
}
