//! A planner that remembers: what it placed at a site is placed again only when something that
//! matters there changed. The same plan as one that forgets, sooner; keeps no plan itself.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use ahash::AHasher;
use control_types::fill::{FillState, NightPlan};
use control_types::fleet::Role;
use control_types::ids::{ApplianceId, ObjectId, PlanId, SiteId};
use control_types::time::UnixMillis;

use crate::knobs::Knobs;
use crate::place::SEATS_MAX;
use crate::plan::{Errand, Fleet};
use crate::shorten::shorten;

/// Placements of the last plan, by the first box of each copy set.
#[derive(Default)]
pub struct Planner {
    kept: HashMap<ApplianceId, Kept>,
    placed: Vec<SiteId>,
}

struct Kept {
    /// Of all that the placement was made from.
    digest: u64,
    errands: Vec<(usize, Errand)>,
}

impl Planner {
    /// As [`crate::plan`]; `knobs` may change from call to call.
    #[must_use]
    pub fn plan(
        &mut self,
        state: &FillState,
        knobs: &Knobs,
        previous: Option<&NightPlan>,
        now: UnixMillis,
        id: PlanId,
        serial: u64,
    ) -> NightPlan {
        let fleet = Fleet::new(state, knobs, previous);
        let whole = digest_all(&fleet, knobs);
        let mut errands = BTreeMap::new();
        let mut before = std::mem::take(&mut self.kept);
        self.placed.clear();
        for (group, sites) in fleet.groups() {
            for members in group.chunks(SEATS_MAX) {
                let first = &state.appliances[members[0]];
                let demand = fleet.wishes.at(&sites);
                let digest = digest_group(whole, &fleet, members, &demand);
                let known = before.remove(&first.appliance).filter(|kept| kept.digest == digest);
                let kept = known.unwrap_or_else(|| {
                    self.placed.push(first.site.clone());
                    let mut fresh = BTreeMap::new();
                    fleet.place_group(members, &demand, &mut fresh);
                    Kept { digest, errands: fresh.into_iter().collect() }
                });
                errands.extend(kept.errands.iter().cloned());
                self.kept.insert(first.appliance.clone(), kept);
            }
        }
        for at in fleet.active.iter().filter(|at| fleet.role(**at) == Role::Origin) {
            errands.insert(*at, fleet.complete(*at));
        }
        shorten(&mut errands, knobs.pulls_max);
        let follows = Some(previous.map_or(0, |plan| plan.serial));
        NightPlan { id, serial, made_at: now, follows, appliances: fleet.written(&errands) }
    }

    /// Sites placed anew by the last plan, a site with edges and tiers once for each.
    #[must_use]
    pub fn placed(&self) -> &[SiteId] {
        &self.placed
    }
}

/// Of what every site depends on: the knobs, and the objects that can be had.
fn digest_all(fleet: &Fleet<'_>, knobs: &Knobs) -> u64 {
    let mut hasher = AHasher::default();
    format!("{knobs:?}").hash(&mut hasher);
    for one in &fleet.state.objects {
        (one.object, one.bytes, &one.title, one.height).hash(&mut hasher);
    }
    fleet.candidates.hash(&mut hasher);
    hasher.finish()
}

/// Of what one copy set depends on: its boxes, what its members want, and pulls it began.
fn digest_group(whole: u64, fleet: &Fleet<'_>, members: &[usize], demand: &[f64]) -> u64 {
    let mut hasher = AHasher::default();
    whole.hash(&mut hasher);
    for at in members {
        let one = &fleet.state.appliances[*at];
        // Errands speak of boxes by their place in the state.
        (at, &one.appliance, one.role).hash(&mut hasher);
        for volume in &one.volumes {
            (volume.class, volume.capacity_bytes, volume.used_bytes, volume.healthy)
                .hash(&mut hasher);
        }
        for held in &one.holds {
            (held.object, held.bytes, held.class).hash(&mut hasher);
        }
        let plans = fleet.previous.iter().flat_map(|plan| &plan.appliances);
        let mine = plans.filter(|entry| entry.appliance == one.appliance);
        let mut begun: Vec<ObjectId> =
            mine.flat_map(|entry| entry.pulls.iter().map(|pull| pull.object)).collect();
        begun.sort_unstable();
        begun.hash(&mut hasher);
    }
    for candidate in &fleet.candidates {
        demand[*candidate as usize].to_bits().hash(&mut hasher);
    }
    hasher.finish()
}
