//! Whether the plan in force still says what a fresh one would: a fleet that is working through its
//! plan must not be handed a new one with every object that arrives. Decides nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use control_types::fill::{FillAppliance, FillState, NightPlan, Source, SourceKind};
use control_types::fleet::DiskClass;
use control_types::ids::{ApplianceId, ObjectId};

/// What a plan still asks of the fleet: where each lacking object goes, and from whom.
type Open<'a> = BTreeMap<(&'a ApplianceId, ObjectId), (DiskClass, &'a [Source])>;

/// True when `current` leads `state` where `fresh` does: the same objects are still to be pulled
/// onto the same kinds of disk, and each has a source that works now and is as near as `fresh`
/// knows, and none that is further than `fresh` lets it go.
#[must_use]
pub fn is_settled(current: &NightPlan, fresh: &NightPlan, state: &FillState) -> bool {
    let fleet: HashMap<&ApplianceId, (&FillAppliance, HashSet<ObjectId>)> = state
        .appliances
        .iter()
        .map(|one| {
            let held = one.holds.iter().map(|held| held.object).collect();
            (&one.appliance, (one, held))
        })
        .collect();
    let holds = |appliance: &ApplianceId, object: &ObjectId| {
        fleet.get(appliance).is_some_and(|(_, held)| held.contains(object))
    };
    let now = open(current, &holds);
    let then = open(fresh, &holds);
    // A copy works when its box is up at that address and has it or is still to get it.
    let works = |source: &Source, object: ObjectId| {
        fleet.get(&source.appliance).is_some_and(|(one, held)| {
            one.healthy
                && one.media_url == source.media_url
                && (held.contains(&object) || then.contains_key(&(&source.appliance, object)))
        })
    };
    now.len() == then.len()
        && then.iter().all(|(key, (class, sources))| {
            let nearest: Option<SourceKind> = sources.first().map(|source| source.kind);
            let furthest = |sources: &[Source]| sources.last().map(|source| source.kind);
            now.get(key).is_some_and(|(known_class, known)| {
                if furthest(known) > furthest(sources) {
                    return false;
                }
                let mut known = known.iter().filter(|source| works(source, key.1));
                class == known_class && known.any(|source| Some(source.kind) <= nearest)
            })
        })
}

fn open<'a>(plan: &'a NightPlan, holds: &impl Fn(&ApplianceId, &ObjectId) -> bool) -> Open<'a> {
    let pulls = plan
        .appliances
        .iter()
        .flat_map(|entry| entry.pulls.iter().map(move |pull| (&entry.appliance, pull)));
    pulls
        .filter(|(appliance, pull)| !holds(appliance, &pull.object))
        .map(|(appliance, pull)| ((appliance, pull.object), (pull.class, pull.sources.as_slice())))
        .collect()
}
