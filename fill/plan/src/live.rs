//! Where a title is live, and what it waits for elsewhere. Looks at the same state as the planner
//! and decides nothing.
//!
//! A title is *live* at a site when `LIVE_COPIES` of its boxes that are up hold all of its objects:
//! from then on a play there needs nothing from outside.

use std::collections::{BTreeMap, HashSet};

use control_types::fill::{FillAppliance, FillState, NightPlan};
use control_types::fleet::Role;
use control_types::ids::{ApplianceId, ObjectId, SiteId, TitleId};
use serde::Serialize;

use crate::why::is_up;

/// Boxes of a site that must hold a title whole.
pub const LIVE_COPIES: usize = 1;

/// A title at one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteLiveness {
    /// Where.
    pub site: SiteId,
    /// Enough boxes hold all of it.
    pub live: bool,
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
    let objects: HashSet<ObjectId> = of_title.map(|one| one.object).collect();
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
    objects: &HashSet<ObjectId>,
) -> SiteLiveness {
    let has = |one: &FillAppliance| {
        one.holds.iter().filter(|held| objects.contains(&held.object)).count()
    };
    let up = || boxes.iter().filter(|one| is_up(one));
    let whole = up().filter(|one| has(one) == objects.len());
    let whole_on: Vec<ApplianceId> = whole.map(|one| one.appliance.clone()).collect();
    let best = up().map(|one| has(one)).max().unwrap_or(0);
    let waits_for: usize = up().map(|one| pulls(one, plan, objects)).sum();
    let live = whole_on.len() >= LIVE_COPIES;
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
    SiteLiveness { site: site.clone(), live, whole_on, objects, best, waits_for, because }
}

/// Pulls of `objects` that `plan` still asks of a box.
fn pulls(one: &FillAppliance, plan: Option<&NightPlan>, objects: &HashSet<ObjectId>) -> usize {
    let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
    let parts = plan.into_iter().flat_map(|plan| &plan.appliances);
    parts
        .filter(|part| part.appliance == one.appliance)
        .flat_map(|part| &part.pulls)
        .filter(|pull| objects.contains(&pull.object) && !held.contains(&pull.object))
        .count()
}
