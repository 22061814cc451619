//! Why a box does not get an object: the rule that decided, with its numbers. Looks at the same
//! state as the planner, rule by rule in the planner's order, and decides nothing.

use std::collections::HashSet;

use control_types::fill::{FillAppliance, FillState, NightPlan, PlaceableObject};
use control_types::fleet::DiskClass;
use control_types::ids::{ApplianceId, ObjectId};
use serde::Serialize;

use crate::knobs::Knobs;
use crate::parcel::{Parcel, of_site};
use crate::room::{budget, footprint};
use crate::words;

/// Why a box does not get an object; one word each, in the planner's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// It is a rung, and the box neither has nor gets the core of its title.
    CoreMissing,
    /// As many boxes of the site as its demand asks for have it or get it.
    Elsewhere,
    /// What the box holds or gets is worth more per byte, and there is no room beside it.
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
    let Some(one) = state.appliances.iter().find(|one| one.appliance == *appliance) else {
        let because =
            format!("no appliance is called {appliance}: `ocactl appliance ls` lists them");
        return Reason { word: WhyNot::UnknownAppliance, because };
    };
    let parcels = of_site(&state.objects, &one.site, u64::MAX);
    judge(state, plan, knobs, &parcels, object, one).unwrap_or_else(|| {
        let because =
            format!("no published title has object {object}: `ocactl title show` lists a title's");
        Reason { word: WhyNot::UnknownObject, because }
    })
}

/// The same for a box of the site that `parcels` were made for; none when no title has the object.
pub(crate) fn judge(
    state: &FillState,
    plan: Option<&NightPlan>,
    knobs: &Knobs,
    parcels: &[Parcel<'_>],
    object: &ObjectId,
    one: &FillAppliance,
) -> Option<Reason> {
    let wanted = state.objects.iter().find(|other| other.object == *object)?;
    let is_wanted = |at: &u32| state.objects[*at as usize].object == *object;
    let own = parcels.iter().position(|parcel| parcel.objects.iter().any(is_wanted))?;
    let case = Case { state, plan, knobs, one, wanted, own, parcels };
    let reason = case
        .held()
        .or_else(|| case.planned())
        .or_else(|| case.unhealthy())
        .or_else(|| case.no_source())
        .or_else(|| case.too_big())
        .or_else(|| case.below_break_even())
        .or_else(|| case.core_missing())
        .or_else(|| case.elsewhere())
        .or_else(|| case.outbid())
        .unwrap_or_else(|| case.not_yet());
    Some(reason)
}

/// What a box has when the plan is carried out.
struct Kept {
    objects: HashSet<ObjectId>,
    /// Disk they take.
    bytes: u64,
    /// Worth of the least of it, bytes a day per byte stored; infinite when there is nothing.
    least: f64,
    /// The same with what being held adds.
    to_beat: f64,
}

/// One box and one object; each method is one rule, `None` when it does not decide.
struct Case<'a> {
    state: &'a FillState,
    plan: Option<&'a NightPlan>,
    knobs: &'a Knobs,
    one: &'a FillAppliance,
    wanted: &'a PlaceableObject,
    /// The parcels of all titles, and which of them the object is in.
    parcels: &'a [Parcel<'a>],
    own: usize,
}

impl Case<'_> {
    fn held(&self) -> Option<Reason> {
        let held = self.one.holds.iter().find(|held| held.object == self.wanted.object)?;
        let disk = match held.class {
            DiskClass::Ssd => "flash",
            DiskClass::Hdd => "a rotating disk",
        };
        let because = format!("{} holds it on {disk}", self.one.appliance);
        Some(Reason { word: WhyNot::Held, because })
    }

    fn planned(&self) -> Option<Reason> {
        let because = format!("{} pulls it under the plan in force", self.one.appliance);
        let gets = self.gets(&self.one.appliance, &self.wanted.object);
        gets.then_some(Reason { word: WhyNot::Planned, because })
    }

    fn unhealthy(&self) -> Option<Reason> {
        let because = format!("{} is down or was never heard of", self.one.appliance);
        (!is_up(self.one)).then_some(Reason { word: WhyNot::Unhealthy, because })
    }

    fn no_source(&self) -> Option<Reason> {
        let because = "no box that is up holds it".to_owned();
        let held = self.up().any(|other| has(other, &self.wanted.object));
        (!held).then_some(Reason { word: WhyNot::NoSource, because })
    }

    fn too_big(&self) -> Option<Reason> {
        let largest = budget(self.one, self.knobs.headroom).largest;
        let (bytes, largest) = (footprint(self.wanted.bytes), largest.ssd.max(largest.hdd));
        let because = format!("it takes {bytes} bytes and the largest disk has {largest}");
        (bytes > largest).then_some(Reason { word: WhyNot::TooBig, because })
    }

    fn below_break_even(&self) -> Option<Reason> {
        let knobs = self.knobs;
        let expected = self.worth() * knobs.keep_days;
        let because = format!(
            "{} is expected to serve {expected:.3} times its size in {} days and would have to \
             serve {} to pay for its fetch",
            self.name(),
            knobs.keep_days,
            knobs.break_even,
        );
        (expected < knobs.break_even).then_some(Reason { word: WhyNot::BelowBreakEven, because })
    }

    fn core_missing(&self) -> Option<Reason> {
        let own = &self.parcels[self.own];
        let is_core = |parcel: &&Parcel<'_>| parcel.part == 0 && parcel.title == own.title;
        let core = self.parcels.iter().find(is_core).filter(|_| own.part > 0)?;
        let lacks = |at: &&u32| {
            let object = &self.state.objects[**at as usize];
            !has(self.one, &object.object) && !self.gets(&self.one.appliance, &object.object)
        };
        let lacking = core.objects.iter().filter(lacks).count();
        let because = format!(
            "{} has not got {lacking} of the {} files of {}: {} alone could not be played there",
            self.one.appliance,
            core.objects.len(),
            core.name(&self.state.objects),
            self.name(),
        );
        (lacking > 0).then_some(Reason { word: WhyNot::CoreMissing, because })
    }

    fn elsewhere(&self) -> Option<Reason> {
        let of_site = |other: &&FillAppliance| {
            other.site == self.one.site
                && other.role == self.one.role
                && (has(other, &self.wanted.object)
                    || self.gets(&other.appliance, &self.wanted.object))
        };
        let neighbours: Vec<&str> =
            self.up().filter(of_site).map(|other| other.appliance.as_str()).collect();
        let because = format!("{} of its site has it or gets it", neighbours.join(", "));
        (!neighbours.is_empty()).then_some(Reason { word: WhyNot::Elsewhere, because })
    }

    fn outbid(&self) -> Option<Reason> {
        let room = budget(self.one, self.knobs.headroom).room.total();
        let Kept { bytes, objects, least, to_beat } = self.kept();
        let own = self.parcels[self.own].objects.iter().map(|at| &self.state.objects[*at as usize]);
        let lacking = own.filter(|object| !objects.contains(&object.object));
        let needs: u64 = lacking.map(|object| footprint(object.bytes)).sum();
        let density = self.worth();
        let because = format!(
            "{} takes {} more of {}, which has {} left. It is worth {density:.3} bytes a day per \
             byte stored; the least of what is held or planned there is worth {least:.3}, and what \
             is held must be beaten {} times",
            self.name(),
            words::bytes(needs as f64),
            self.one.appliance,
            words::bytes(room.saturating_sub(bytes) as f64),
            self.knobs.sticky,
        );
        let is_full = bytes.saturating_add(needs) > room && !objects.is_empty();
        (is_full && density < to_beat).then_some(Reason { word: WhyNot::Outbid, because })
    }

    fn not_yet(&self) -> Reason {
        let because = format!(
            "nothing speaks against it ({:.3} bytes a day per byte stored): a plan that is newer, \
             or longer than {} pulls, would have it",
            self.worth(),
            self.knobs.pulls_max,
        );
        Reason { word: WhyNot::NotYet, because }
    }

    fn up(&self) -> impl Iterator<Item = &FillAppliance> {
        self.state.appliances.iter().filter(|one| is_up(one))
    }

    /// Whether the plan has `appliance` pull `object`.
    fn gets(&self, appliance: &ApplianceId, object: &ObjectId) -> bool {
        let parts = self.plan.into_iter().flat_map(|plan| &plan.appliances);
        parts
            .filter(|part| part.appliance == *appliance)
            .any(|part| part.pulls.iter().any(|pull| pull.object == *object))
    }

    /// What the box has when the plan is carried out. Of what it holds, that is all but what is to
    /// make room, and what no title has, which makes room first.
    fn kept(&self) -> Kept {
        let parts = self.plan.into_iter().flat_map(|plan| &plan.appliances);
        let part = parts.into_iter().find(|part| part.appliance == self.one.appliance);
        let prunes: HashSet<ObjectId> =
            part.iter().flat_map(|part| &part.prunes).copied().collect();
        let pulls = part.into_iter().flat_map(|part| &part.pulls).map(|pull| pull.object);
        let held = || self.one.holds.iter().map(|held| held.object);
        let stays: HashSet<ObjectId> =
            held().filter(|object| !prunes.contains(object)).chain(pulls).collect();
        let held: HashSet<ObjectId> = held().collect();
        let (least, to_beat) = (f64::INFINITY, f64::INFINITY);
        let mut kept = Kept { bytes: 0, objects: HashSet::new(), least, to_beat };
        for parcel in self.parcels {
            let objects = parcel.objects.iter().map(|at| &self.state.objects[*at as usize]);
            let mut times = None;
            for object in objects.filter(|object| stays.contains(&object.object)) {
                let is_held = times == Some(self.knobs.sticky) || held.contains(&object.object);
                times = Some(if is_held { self.knobs.sticky } else { 1.0 });
                if kept.objects.insert(object.object) {
                    kept.bytes += footprint(object.bytes);
                }
            }
            if let Some(times) = times {
                kept.least = kept.least.min(parcel.density());
                kept.to_beat = kept.to_beat.min(parcel.density() * times);
            }
        }
        kept
    }

    /// Bytes a day expected at the box's site for each byte stored of what is placed with it.
    fn worth(&self) -> f64 {
        self.parcels[self.own].density()
    }

    /// The part of the title that the object is placed with.
    fn name(&self) -> String {
        self.parcels[self.own].name(&self.state.objects)
    }
}

fn has(one: &FillAppliance, object: &ObjectId) -> bool {
    one.holds.iter().any(|held| held.object == *object)
}

pub(crate) fn is_up(one: &FillAppliance) -> bool {
    one.healthy && !one.media_url.is_empty()
}
