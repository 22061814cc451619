//! Where a title is live, and what it waits for elsewhere. Looks at the same state as the planner
//! and decides nothing.
//!
//! A title is *live* at a site when `LIVE_COPIES` of its boxes that are up hold its core, see
//! `control_types::presence`: all that goes with every picture height, and every file of one
//! height. From then on plays begin there; heights that the plan left out come from elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use control_types::fill::{FillAppliance, FillState, NightPlan};
use control_types::fleet::Role;
use control_types::ids::{ApplianceId, ObjectId, SiteId, TitleId};
use serde::Serialize;

use crate::knobs::Knobs;
use crate::parcel::{Parcel, of_site};
use crate::waits::{Left, waits_for};
use crate::why::{Reason, WhyNot, is_up, judge};

/// Boxes of a site that must hold a title's core.
pub const LIVE_COPIES: usize = 1;

/// How a title stands at a site; one word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It plays from the site, in every height.
    Live,
    /// It plays from the site; some heights are on no box of it and come from elsewhere.
    PartlyLive,
    /// No box of the site is up.
    Down,
    /// Its pulls are under way.
    Planned,
    /// Its pulls wait for a window.
    WaitsForWindow,
    /// Its pulls wait until the ISP's border has room for fill.
    WaitsForBorder,
    /// Its pulls wait for a box of another site, which gets it first.
    WaitsForPeer,
    /// No box that is up has it.
    NoSource,
    /// The boxes are full of what is worth more, or it is larger than their disks.
    NoRoom,
    /// It would serve too little to pay for its fetch.
    NotExpectedToPay,
    /// Nothing speaks against it: the next plan is to have it.
    NotYet,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::PartlyLive => "partly live",
            Self::Down => "down",
            Self::Planned => "planned",
            Self::WaitsForWindow => "waits for a window",
            Self::WaitsForBorder => "waits for the border",
            Self::WaitsForPeer => "waits for a peer",
            Self::NoSource => "no source",
            Self::NoRoom => "no room",
            Self::NotExpectedToPay => "not expected to pay",
            Self::NotYet => "not yet planned",
        }
    }
}

/// A title at one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteLiveness {
    /// Where.
    pub site: SiteId,
    /// How it stands there.
    pub standing: Standing,
    /// Enough boxes hold its core.
    pub live: bool,
    /// Boxes that hold its core, or all of it.
    pub core_on: Vec<ApplianceId>,
    /// Boxes that hold all of it.
    pub whole_on: Vec<ApplianceId>,
    /// Objects it has.
    pub objects: usize,
    /// Most of them on one box.
    pub best: usize,
    /// Pulls of it that the plan still asks of the site's boxes.
    pub waits_for: usize,
    /// What it waits for, or why it comes in part or not at all, in words; empty when it is live.
    pub because: String,
    /// Picture heights that no box of the site holds while it is live there, pixels.
    pub left_out: Vec<u32>,
}

/// Where `title` is live among sites with edges, and what it waits for elsewhere, as `knobs` have
/// it; none when no published title is called that. The demand in `state` is to be forecast.
#[must_use]
pub fn liveness(
    state: &FillState,
    plan: Option<&NightPlan>,
    knobs: &Knobs,
    title: &TitleId,
) -> Option<Vec<SiteLiveness>> {
    let of_title = state.objects.iter().filter(|one| one.title == *title);
    let objects: Objects = of_title.map(|one| (one.object, one.height)).collect();
    if objects.is_empty() {
        return None;
    }
    let mut sites: BTreeMap<&SiteId, Vec<&FillAppliance>> = BTreeMap::new();
    for one in state.appliances.iter().filter(|one| one.role == Role::Edge) {
        sites.entry(&one.site).or_default().push(one);
    }
    let told = |(site, boxes): (&SiteId, Vec<&FillAppliance>)| {
        let up: Vec<&FillAppliance> = boxes.into_iter().filter(|one| is_up(one)).collect();
        AtSite { state, plan, knobs, objects: &objects, up }.told(site)
    };
    Some(sites.into_iter().map(told).collect())
}

/// A title at one site, with what is known of both.
struct AtSite<'a> {
    state: &'a FillState,
    plan: Option<&'a NightPlan>,
    knobs: &'a Knobs,
    objects: &'a Objects,
    /// Boxes of the site that are up.
    up: Vec<&'a FillAppliance>,
}

impl AtSite<'_> {
    fn told(&self, site: &SiteId) -> SiteLiveness {
        let has = |one: &FillAppliance| {
            one.holds.iter().filter(|held| self.objects.contains_key(&held.object)).count()
        };
        let names = |which: &dyn Fn(&FillAppliance) -> bool| -> Vec<ApplianceId> {
            let some = self.up.iter().filter(|one| which(one));
            some.map(|one| one.appliance.clone()).collect()
        };
        let core_on = names(&|one| has_core(one, self.objects));
        let live = core_on.len() >= LIVE_COPIES;
        let lacks = |height: &u32| !self.has_height(*height);
        let all = heights(self.objects).into_iter();
        let left_out: Vec<u32> = all.filter(|height| live && lacks(height)).collect();
        let left: Vec<Left<'_>> =
            self.up.iter().filter_map(|one| Left::of(one, self.plan, self.objects)).collect();
        let (standing, because) = if self.up.is_empty() {
            (Standing::Down, "no box of the site is up".to_owned())
        } else if live {
            self.of_live(site, &left_out, &left)
        } else if left.is_empty() {
            self.unplanned(site)
        } else {
            waits_for(self.state, &left)
        };
        SiteLiveness {
            site: site.clone(),
            standing,
            live,
            core_on,
            whole_on: names(&|one| has(one) == self.objects.len()),
            objects: self.objects.len(),
            best: self.up.iter().map(|one| has(one)).max().unwrap_or(0),
            waits_for: left.iter().map(|left| left.pulls.len()).sum(),
            because,
            left_out,
        }
    }

    fn has_height(&self, height: u32) -> bool {
        self.up.iter().any(|one| has_height(one, self.objects, Some(height)))
    }

    /// Live: with every height, or without some, and why.
    fn of_live(&self, site: &SiteId, left_out: &[u32], left: &[Left<'_>]) -> (Standing, String) {
        if left_out.is_empty() {
            return (Standing::Live, String::new());
        }
        let parcels = self.parcels(site);
        let told = left_out.iter().map(|height| {
            let is_of = |object: &ObjectId| self.objects.get(object) == Some(&Some(*height));
            let is_planned =
                left.iter().any(|left| left.pulls.iter().any(|pull| is_of(&pull.object)));
            if is_planned {
                return format!("{height}p is in the plan");
            }
            let reason = self.reason(&parcels, &is_of);
            reason.map_or_else(String::new, |reason| format!("{height}p: {}", reason.because))
        });
        (Standing::PartlyLive, told.collect::<Vec<_>>().join("; "))
    }

    /// Not live and in no plan: the most hopeful of what the rules say of each box.
    fn unplanned(&self, site: &SiteId) -> (Standing, String) {
        let Some(reason) = self.reason(&self.parcels(site), &|_| true) else {
            let why = "each box has a part of it and none its core: `ocactl plan why-not` says why";
            return (Standing::NotYet, why.to_owned());
        };
        let standing = match reason.word {
            WhyNot::NoSource => Standing::NoSource,
            WhyNot::TooBig | WhyNot::Outbid => Standing::NoRoom,
            WhyNot::BelowBreakEven => Standing::NotExpectedToPay,
            _ => Standing::NotYet,
        };
        let because = reason.because;
        (standing, format!("{because} (`ocactl plan why-not` tells of each object and box)"))
    }

    /// Why the boxes do not get the first of the objects that `which` names and they lack; of what
    /// the rules say of the boxes, the one that comes last in the planner's order.
    fn reason(&self, parcels: &[Parcel<'_>], which: &dyn Fn(&ObjectId) -> bool) -> Option<Reason> {
        let reasons = self.up.iter().filter_map(|one| {
            let lacks = |object: &ObjectId| one.holds.iter().all(|held| held.object != *object);
            let lacking = self.objects.iter().filter(|(object, _)| which(object) && lacks(object));
            // What goes with every height is in the core.
            let first = lacking.min_by_key(|(object, height)| (**height, **object))?.0;
            judge(self.state, self.plan, self.knobs, parcels, first, one)
        });
        reasons.max_by_key(|reason| reason.word)
    }

    fn parcels(&self, site: &SiteId) -> Vec<Parcel<'_>> {
        of_site(&self.state.objects, site, u64::MAX)
    }
}

/// Objects of a title and the picture height that each goes with; absent for all.
pub(crate) type Objects = HashMap<ObjectId, Option<u32>>;

fn heights(objects: &Objects) -> BTreeSet<u32> {
    objects.values().flatten().copied().collect()
}

fn has_core(one: &FillAppliance, objects: &Objects) -> bool {
    let heights = heights(objects);
    let has_any = || heights.iter().any(|height| has_height(one, objects, Some(*height)));
    has_height(one, objects, None) && (heights.is_empty() || has_any())
}

/// Whether a box holds all objects of one height, or all that go with every height.
fn has_height(one: &FillAppliance, objects: &Objects, height: Option<u32>) -> bool {
    let held = one.holds.iter().filter(|held| objects.get(&held.object) == Some(&height));
    let held: HashSet<ObjectId> = held.map(|held| held.object).collect();
    held.len() == objects.values().filter(|own| **own == height).count()
}
