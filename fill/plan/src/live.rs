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

use crate::why::is_up;

/// Boxes of a site that must hold a title's core.
pub const LIVE_COPIES: usize = 1;

/// A title at one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteLiveness {
    /// Where.
    pub site: SiteId,
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
    /// What it waits for, in words; empty when it is live.
    pub because: String,
    /// Picture heights that no box of the site holds while it is live there, pixels.
    pub left_out: Vec<u32>,
}

/// Where `title` is live among sites with edges, and what it waits for elsewhere; none when no
/// published title is called that.
#[must_use]
pub fn liveness(
    state: &FillState,
    plan: Option<&NightPlan>,
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
    Some(sites.into_iter().map(|(site, boxes)| at_site(site, &boxes, plan, &objects)).collect())
}

fn at_site(
    site: &SiteId,
    boxes: &[&FillAppliance],
    plan: Option<&NightPlan>,
    objects: &Objects,
) -> SiteLiveness {
    let has = |one: &FillAppliance| {
        one.holds.iter().filter(|held| objects.contains_key(&held.object)).count()
    };
    let up = || boxes.iter().filter(|one| is_up(one));
    let whole = up().filter(|one| has(one) == objects.len());
    let whole_on: Vec<ApplianceId> = whole.map(|one| one.appliance.clone()).collect();
    let best = up().map(|one| has(one)).max().unwrap_or(0);
    let waits_for: usize = up().map(|one| pulls(one, plan, objects)).sum();
    let core = up().filter(|one| has_core(one, objects));
    let core_on: Vec<ApplianceId> = core.map(|one| one.appliance.clone()).collect();
    let live = core_on.len() >= LIVE_COPIES;
    let lacks = |height: &u32| !up().any(|one| has_height(one, objects, Some(*height)));
    let left_out = heights(objects).into_iter().filter(|height| live && lacks(height)).collect();
    let because = if live {
        String::new()
    } else if up().next().is_none() {
        "no box of the site is up".to_owned()
    } else if waits_for > 0 {
        format!("{waits_for} of the plan's pulls; the window decides when")
    } else {
        "not in the plan: `ocactl plan why-not` says why".to_owned()
    };
    let objects = objects.len();
    let site = site.clone();
    SiteLiveness { site, live, core_on, whole_on, objects, best, waits_for, because, left_out }
}

/// Objects of a title and the picture height that each goes with; absent for all.
type Objects = HashMap<ObjectId, Option<u32>>;

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

/// Pulls of `objects` that `plan` still asks of a box.
fn pulls(one: &FillAppliance, plan: Option<&NightPlan>, objects: &Objects) -> usize {
    let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
    let parts = plan.into_iter().flat_map(|plan| &plan.appliances);
    parts
        .filter(|part| part.appliance == one.appliance)
        .flat_map(|part| &part.pulls)
        .filter(|pull| objects.contains_key(&pull.object) && !held.contains(&pull.object))
        .count()
}
