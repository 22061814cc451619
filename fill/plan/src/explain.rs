//! Answers for people: why a box does not get an object, and where a title is live. Looks at the
//! same state as the planner and decides nothing.
//!
//! A title is *live* at a site when `LIVE_COPIES` of its boxes that are up hold all of its objects:
//! from then on a play there needs nothing from outside.

use std::collections::{BTreeMap, HashSet};

use control_types::fill::{FillAppliance, FillState, NightPlan, PlaceableObject};
use control_types::fleet::{DiskClass, Role};
use control_types::ids::{ApplianceId, ObjectId, SiteId, TitleId};
use serde::Serialize;

use crate::knobs::Knobs;
use crate::parcel::demand;
use crate::room::{budget, footprint};

/// Boxes of a site that must hold a title whole.
pub const LIVE_COPIES: usize = 1;

/// Why a box does not get an object; one word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// It has it.
    Held,
    /// It gets it: it is in the plan.
    Planned,
    /// No published title has this object.
    UnknownObject,
    /// No box is called that.
    UnknownAppliance,
    /// The box does not report, or is ill: it neither gives nor gets.
    Unhealthy,
    /// No box that is up holds it: there is nowhere to get it from.
    NoSource,
    /// It is larger than any of the box's disks.
    TooBig,
    /// What it would serve before it is pushed out again does not pay for the fetch.
    BelowBreakEven,
    /// As many boxes of the site as its demand asks for have it or get it.
    Elsewhere,
    /// What the box holds or gets is worth more per byte.
    Outbid,
    /// It would be in the next plan: this one is older than the state, or was cut to its bound.
    NotYet,
}

/// One answer with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The rule that decided.
    pub word: WhyNot,
    /// The same in a sentence, with what was compared.
    pub because: String,
}

/// Why `appliance` does not get `object` under `plan`, as `knobs` have it.
#[must_use]
pub fn why_not(
    state: &FillState,
    plan: Option<&NightPlan>,
    knobs: &Knobs,
    object: &ObjectId,
    appliance: &ApplianceId,
) -> Reason {
    let reason = |word, because: String| Reason { word, because };
    let Some(one) = state.appliances.iter().find(|one| one.appliance == *appliance) else {
        return reason(
            WhyNot::UnknownAppliance,
            format!("no appliance is called {appliance}: `ocactl appliance ls` lists them"),
        );
    };
    let Some(wanted) = state.objects.iter().find(|other| other.object == *object) else {
        return reason(
            WhyNot::UnknownObject,
            "no published title has this object: `ocactl title show` lists a title's".to_owned(),
        );
    };
    if let Some(held) = one.holds.iter().find(|held| held.object == *object) {
        let disk = match held.class {
            DiskClass::Ssd => "flash",
            DiskClass::Hdd => "a rotating disk",
        };
        return reason(WhyNot::Held, format!("{appliance} holds it on {disk}"));
    }
    let gets = |id: &ApplianceId| {
        let parts = plan.into_iter().flat_map(|plan| &plan.appliances);
        parts
            .filter(|part| part.appliance == *id)
            .any(|part| part.pulls.iter().any(|pull| pull.object == *object))
    };
    if gets(appliance) {
        return reason(WhyNot::Planned, format!("{appliance} pulls it under the plan in force"));
    }
    if !is_up(one) {
        return reason(WhyNot::Unhealthy, format!("{appliance} is down or was never heard of"));
    }
    let up = || state.appliances.iter().filter(|one| is_up(one));
    if !up().any(|other| other.holds.iter().any(|held| held.object == *object)) {
        return reason(WhyNot::NoSource, "no box that is up holds it".to_owned());
    }
    let room = budget(one, knobs.headroom);
    let bytes = footprint(wanted.bytes);
    let largest = room.largest.ssd.max(room.largest.hdd);
    if bytes > largest {
        let because = format!("it takes {bytes} bytes and the largest disk has {largest}");
        return reason(WhyNot::TooBig, because);
    }
    let value = |title: &TitleId| worth(&state.objects, title, &one.site);
    let density = value(&wanted.title);
    let expected = density * knobs.keep_days;
    if expected < knobs.break_even {
        let because = format!(
            "{} is expected to serve {expected:.3} times its size in {} days and would have to \
             serve {} to pay for its fetch",
            wanted.title, knobs.keep_days, knobs.break_even,
        );
        return reason(WhyNot::BelowBreakEven, because);
    }
    let neighbours: Vec<&str> = up()
        .filter(|other| other.site == one.site && other.role == one.role)
        .filter(|other| {
            other.holds.iter().any(|held| held.object == *object) || gets(&other.appliance)
        })
        .map(|other| other.appliance.as_str())
        .collect();
    if !neighbours.is_empty() {
        let because = format!("{} of its site has it or gets it", neighbours.join(", "));
        return reason(WhyNot::Elsewhere, because);
    }
    let titles: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
    let least = state
        .objects
        .iter()
        .filter(|other| titles.contains(&other.object))
        .map(|other| value(&other.title))
        .fold(f64::INFINITY, f64::min);
    let held: u64 = one.holds.iter().map(|held| footprint(held.bytes)).sum();
    if held + bytes > room.room.total() && density < least * knobs.sticky {
        let because = format!(
            "{} is worth {density:.3} bytes a day per byte stored; the least of what \
             {appliance} holds is worth {least:.3}, and must be beaten {} times",
            wanted.title, knobs.sticky,
        );
        return reason(WhyNot::Outbid, because);
    }
    let because = format!(
        "nothing speaks against it ({density:.3} bytes a day per byte stored): a plan that is \
         newer, or longer than {} pulls, would have it",
        knobs.pulls_max,
    );
    reason(WhyNot::NotYet, because)
}

fn is_up(one: &FillAppliance) -> bool {
    one.healthy && !one.media_url.is_empty()
}

/// Bytes a day expected at `site` for each byte of a title stored.
fn worth(objects: &[PlaceableObject], title: &TitleId, site: &SiteId) -> f64 {
    let own = || objects.iter().filter(|one| one.title == *title);
    let asked: f64 = own().map(|one| demand(one, &[site])).sum();
    let bytes: u64 = own().map(|one| footprint(one.bytes)).sum();
    asked / bytes.max(1) as f64
}

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
    let objects: HashSet<ObjectId> =
        state.objects.iter().filter(|one| one.title == *title).map(|one| one.object).collect();
    if objects.is_empty() {
        return None;
    }
    let mut sites: BTreeMap<&SiteId, Vec<&FillAppliance>> = BTreeMap::new();
    for one in state.appliances.iter().filter(|one| one.role == Role::Edge) {
        sites.entry(&one.site).or_default().push(one);
    }
    let pulls = |one: &FillAppliance| {
        let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
        let parts = plan.into_iter().flat_map(|plan| &plan.appliances);
        parts
            .filter(|part| part.appliance == one.appliance)
            .flat_map(|part| &part.pulls)
            .filter(|pull| objects.contains(&pull.object) && !held.contains(&pull.object))
            .count()
    };
    let site = |(site, boxes): (&SiteId, Vec<&FillAppliance>)| {
        let has = |one: &FillAppliance| {
            one.holds.iter().filter(|held| objects.contains(&held.object)).count()
        };
        let up = || boxes.iter().filter(|one| is_up(one));
        let whole = up().filter(|one| has(one) == objects.len());
        let whole_on: Vec<ApplianceId> = whole.map(|one| one.appliance.clone()).collect();
        let best = up().map(|one| has(one)).max().unwrap_or(0);
        let waits_for: usize = up().map(|one| pulls(one)).sum();
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
    };
    Some(sites.into_iter().map(site).collect())
}
