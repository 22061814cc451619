//! One border's rate, divided among the boxes that fill over it so that the sum of what they may
//! take never exceeds it, whoever hears of a new plan and whoever does not. Asks nobody; the plan
//! in force is its memory.
//!
//! A box goes by the newest orders it got. Control lends a part of the rate for at most
//! `RATE_LEASE_MS` at each poll, and leaves the floor for after that. So at each moment a box takes
//! at most the highest of
//!
//! - what the plan to be made says,
//! - what the plan in force says, until its last lease is over (`quiet_at`),
//! - the floor of the plan in force, for as long as it has steps,
//! - what it held of plans before that: `BorderShare::held`, which every plan brings up to date;
//!   nothing once it reported that it goes by the plan in force.
//!
//! The last three are `held` of the new plan, and nothing else takes them back. What they leave of
//! the whole is divided: who gets less gets it at once, who gets more gets it as it becomes free. A
//! box that the plan leaves out keeps an entry for as long as it may hold something. A border whose
//! rate falls is exceeded for one lease at most, and by no more than boxes that hear nothing hold;
//! below the sum of its floors only by those. Clocks of agents may be off by `CLOCKS_MS`.

use std::collections::{BTreeMap, BTreeSet};

use control_types::fill::{
    AppliancePlan, BorderShare, FillState, NightPlan, RateProfile, RateStep,
};
use control_types::ids::{ApplianceId, IspId};
use control_types::limits::{PLAN_READ_MS, RATE_LEASE_MS, RATE_STEPS_MAX, SHARED_PLAN_MS};
use control_types::time::UnixMillis;

/// How far the clock of an agent may be off control's, milliseconds: it follows control's while it
/// hears of it, and drifts by some seconds in a night that it does not.
const CLOCKS_MS: u64 = 15_000;
/// Part of the border's rate that all its boxes' floors are together, one in this many.
const FLOOR_PART: u64 = 2;
/// What floors may come to while boxes are new at a border and the others' floors are from before,
/// of four parts.
const FLOORS_MAX_OF_4: u64 = 3;
/// Floors change this often, milliseconds: a plan has one for each box, and for a day and a half.
const FLOOR_STEP_MS: u64 = 3_600_000;
/// Most steps of a floor but for its end: two days.
const FLOOR_STEPS_MAX: usize = 48;

/// A border to divide.
pub(crate) struct Border<'a> {
    /// Whose.
    pub(crate) isp: &'a IspId,
    /// What all its boxes may take together.
    pub(crate) whole: &'a RateProfile,
    /// Control's time, or later; `NightPlan::made_at` of the plan.
    pub(crate) now: UnixMillis,
    /// Boxes that reported that they go by the plan in force, and so by none before it.
    pub(crate) told: &'a BTreeSet<ApplianceId>,
}

/// One box at the border: whether it pulls, and its values, one for each moment.
struct Claim {
    is_busy: bool,
    /// What orders of earlier plans may allow; the highest counts.
    earlier: Vec<RateProfile>,
    held: Vec<u64>,
    /// The highest of `held` within `CLOCKS_MS`.
    near: Vec<u64>,
    rates: Vec<u64>,
    floors: Vec<u64>,
}

impl Border<'_> {
    /// Gives the boxes of `plan` that pull over this border their rates, and remembers what others
    /// hold of it. `current` is the plan in force.
    pub(crate) fn divide(
        &self,
        plan: &mut NightPlan,
        current: Option<&NightPlan>,
        state: &FillState,
    ) {
        let own = state.appliances.iter().filter(|one| one.isp == *self.isp);
        let own: BTreeSet<&ApplianceId> = own.map(|one| &one.appliance).collect();
        let mut claims = self.claims(plan, current, &own);
        let moments = self.moments(&claims, before(state.now));
        for at in &moments {
            self.divide_moment(&mut claims, *at, own.len());
        }
        let mut places: BTreeMap<ApplianceId, usize> = BTreeMap::new();
        for (place, part) in plan.appliances.iter().enumerate() {
            places.insert(part.appliance.clone(), place);
        }
        for (appliance, claim) in claims {
            let floor = self.hourly(&profile(&moments, &claim.floors, PastLast::Nothing));
            let held = profile(&moments, &claim.held, PastLast::Highest);
            let is_free = held.steps.iter().all(|step| step.rate_bps_max == 0);
            let border = Some(BorderShare { isp: self.isp.clone(), floor, held });
            match places.get(&appliance) {
                Some(place) if own.contains(&appliance) => {
                    let part = &mut plan.appliances[*place];
                    let rates = || narrowed(&profile(&moments, &claim.rates, PastLast::Nothing));
                    (part.rate, part.border) = (claim.is_busy.then(rates), border);
                }
                // A box that moved to another ISP since, or that holds nothing any more.
                Some(_) => {}
                None if is_free => {}
                None => plan.appliances.push(AppliancePlan {
                    appliance,
                    pulls: Vec::new(),
                    prunes: Vec::new(),
                    moves: Vec::new(),
                    rate: None,
                    border,
                }),
            }
        }
        plan.appliances.sort_by(|a, b| a.appliance.cmp(&b.appliance));
    }

    /// Everybody who pulls over this border by `plan`, or may by an earlier one.
    fn claims(
        &self,
        plan: &NightPlan,
        current: Option<&NightPlan>,
        own: &BTreeSet<&ApplianceId>,
    ) -> BTreeMap<ApplianceId, Claim> {
        let quiet_at = self.quiet_at();
        let mut claims: BTreeMap<ApplianceId, Claim> = BTreeMap::new();
        let claim = |is_busy| Claim {
            is_busy,
            earlier: Vec::new(),
            held: Vec::new(),
            near: Vec::new(),
            rates: Vec::new(),
            floors: Vec::new(),
        };
        for part in plan.appliances.iter().filter(|part| own.contains(&part.appliance)) {
            claims.insert(part.appliance.clone(), claim(!part.pulls.is_empty()));
        }
        for part in current.iter().flat_map(|plan| &plan.appliances) {
            // What a box that stands here now was lent under another ISP's name comes in here.
            let is_own = own.contains(&part.appliance);
            let earlier = match (&part.border, &part.rate) {
                (Some(border), rate) if border.isp == *self.isp || is_own => {
                    let nothing = RateProfile::default();
                    let lent = rate.clone().map(|rate| rate.until(quiet_at, &nothing));
                    let held = || border.held.clone();
                    let held = (!self.told.contains(&part.appliance)).then(held);
                    [held, Some(border.floor.clone()), lent]
                }
                // Of a release that gave rates away for good.
                (None, Some(rate)) if is_own => [Some(rate.clone()), None, None],
                _ => continue,
            };
            let claim = claims.entry(part.appliance.clone()).or_insert_with(|| claim(false));
            claim.earlier = earlier.into_iter().flatten().collect();
        }
        claims
    }

    /// When nobody goes by a lease of the plan in force any more, however late this one replaces
    /// it, and wherever it is read late.
    fn quiet_at(&self) -> UnixMillis {
        self.now.plus_millis(SHARED_PLAN_MS + PLAN_READ_MS + RATE_LEASE_MS + CLOCKS_MS)
    }

    /// When anything changes, from `since` on.
    fn moments(&self, claims: &BTreeMap<ApplianceId, Claim>, since: UnixMillis) -> Vec<UnixMillis> {
        let earlier = claims.values().flat_map(|claim| &claim.earlier);
        let starts = |profile: &&RateProfile| {
            profile.steps.iter().map(|step| step.starts_at).collect::<Vec<_>>()
        };
        let mut moments = BTreeSet::from([self.quiet_at()]);
        for at in earlier.flat_map(|profile| starts(&profile)) {
            moments.extend([before(at), at, at.plus_millis(CLOCKS_MS)]);
        }
        moments.extend(starts(&self.whole));
        moments.retain(|at| *at > since);
        moments.insert(since);
        moments.into_iter().collect()
    }

    fn divide_moment(
        &self,
        claims: &mut BTreeMap<ApplianceId, Claim>,
        at: UnixMillis,
        boxes: usize,
    ) {
        // Whoever has less from a moment on may hear it strike late, and early who has more.
        let later = at.plus_millis(CLOCKS_MS);
        let whole = rate_at(self.whole, at);
        for claim in claims.values_mut() {
            let now = claim.earlier.iter().map(|profile| rate_at(profile, at)).max();
            let near =
                claim.earlier.iter().map(|profile| highest(profile, before(at), later)).max();
            claim.held.push(now.unwrap_or(0));
            claim.near.push(near.unwrap_or(0));
        }
        let held = |claim: &Claim| claim.near.last().copied().unwrap_or(0);
        let all = sum(claims.values().map(held));
        let idle = sum(claims.values().filter(|claim| !claim.is_busy).map(held));
        let busy = claims.values().filter(|claim| claim.is_busy).count().max(1) as u64;
        let fair = whole.saturating_sub(idle) / busy;
        let floor = whole / FLOOR_PART / busy.max(boxes as u64);
        let grows = |target: u64| -> u64 {
            let busy = claims.values().filter(|claim| claim.is_busy);
            sum(busy.map(|claim| target.saturating_sub(held(claim))))
        };
        let rate_of = Growth { target: fair, wanted: grows(fair), free: whole.saturating_sub(all) };
        let floors_max = whole / 4 * FLOORS_MAX_OF_4;
        let floor_of =
            Growth { target: floor, wanted: grows(floor), free: floors_max.saturating_sub(all) };
        for claim in claims.values_mut() {
            let held = held(claim);
            let rate = if claim.is_busy { rate_of.from(held) } else { 0 };
            claim.rates.push(rate);
            // Hearing nothing must never be worth more than hearing.
            claim.floors.push(if claim.is_busy { floor_of.from(held).min(rate) } else { 0 });
        }
    }

    /// The lowest of each hour: a floor is low enough to be coarse, and a plan has one for each
    /// box.
    fn hourly(&self, floor: &RateProfile) -> RateProfile {
        let first = self.whole.steps.first().map_or(self.now, |step| step.starts_at.max(self.now));
        let Some(last) = floor.steps.last() else { return RateProfile::default() };
        let mut steps = Vec::new();
        let mut hour = UnixMillis(first.0 - first.0 % FLOOR_STEP_MS);
        while hour < last.starts_at && steps.len() < FLOOR_STEPS_MAX {
            let next = hour.plus_millis(FLOOR_STEP_MS);
            let rate_bps_max = lowest(floor, before(hour), next.plus_millis(CLOCKS_MS));
            steps.push(RateStep { starts_at: hour, rate_bps_max });
            hour = next;
        }
        steps.push(RateStep { starts_at: hour, rate_bps_max: 0 });
        steps.dedup_by(|later, step| later.rate_bps_max == step.rate_bps_max);
        RateProfile { steps }
    }
}

/// How boxes come from what they hold to a target, when only `free` may be added for all of them.
struct Growth {
    target: u64,
    /// What all boxes together lack.
    wanted: u64,
    free: u64,
}

impl Growth {
    fn from(&self, held: u64) -> u64 {
        let Some(lacks) = self.target.checked_sub(held) else { return self.target };
        let free = u128::from(self.free.min(self.wanted));
        let part = u128::from(lacks) * free / u128::from(self.wanted.max(1));
        held + u64::try_from(part).unwrap_or(lacks).min(lacks)
    }
}

/// What a profile of too many steps says where it is cut off.
#[derive(Clone, Copy, PartialEq)]
enum PastLast {
    Nothing,
    /// The highest of what follows.
    Highest,
}

/// What is allowed at `at`, as agents read it.
fn rate_at(profile: &RateProfile, at: UnixMillis) -> u64 {
    let first = || profile.steps.first().map(|step| step.rate_bps_max);
    profile.rate_bps_max(at).or_else(first).unwrap_or(0)
}

/// The lowest rate within `CLOCKS_MS` of each moment: by a clock that is off by as much, a box
/// takes no more than `profile` says.
fn narrowed(profile: &RateProfile) -> RateProfile {
    let starts = profile.steps.iter().map(|step| step.starts_at);
    let first = profile.steps.first().map(|step| step.starts_at);
    let moments: BTreeSet<UnixMillis> = starts
        .flat_map(|at| [before(at), at, at.plus_millis(CLOCKS_MS)])
        .filter(|at| Some(*at) >= first)
        .collect();
    let step = |at: UnixMillis| RateStep {
        starts_at: at,
        rate_bps_max: lowest(profile, before(at), at.plus_millis(CLOCKS_MS)),
    };
    let mut steps: Vec<RateStep> = moments.into_iter().map(step).collect();
    steps.dedup_by(|later, step| later.rate_bps_max == step.rate_bps_max);
    RateProfile { steps }
}

/// The lowest rate from `from` to `to`.
fn lowest(profile: &RateProfile, from: UnixMillis, to: UnixMillis) -> u64 {
    inside(profile, from, to).fold(rate_at(profile, from), u64::min)
}

/// The highest rate from `from` to `to`.
fn highest(profile: &RateProfile, from: UnixMillis, to: UnixMillis) -> u64 {
    inside(profile, from, to).fold(rate_at(profile, from), u64::max)
}

/// Rates that begin after `from` and at `to` at the latest: a value for a moment holds until the
/// next one, in which `to` is passed.
fn inside(
    profile: &RateProfile,
    from: UnixMillis,
    to: UnixMillis,
) -> impl Iterator<Item = u64> + '_ {
    let first = profile.steps.partition_point(|step| step.starts_at <= from);
    let begin = profile.steps[first..].iter().take_while(move |step| step.starts_at <= to);
    begin.map(|step| step.rate_bps_max)
}

fn before(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.saturating_sub(CLOCKS_MS))
}

fn sum(rates: impl Iterator<Item = u64>) -> u64 {
    rates.fold(0, u64::saturating_add)
}

fn profile(moments: &[UnixMillis], values: &[u64], past_last: PastLast) -> RateProfile {
    let step = |(at, bps): (&UnixMillis, &u64)| RateStep { starts_at: *at, rate_bps_max: *bps };
    let mut steps: Vec<RateStep> = moments.iter().zip(values).map(step).collect();
    steps.dedup_by(|later, step| later.rate_bps_max == step.rate_bps_max);
    if steps.len() > RATE_STEPS_MAX {
        let rest = steps.split_off(RATE_STEPS_MAX - 1);
        let highest = rest.iter().map(|step| step.rate_bps_max).max().unwrap_or(0);
        let rate_bps_max = if past_last == PastLast::Highest { highest } else { 0 };
        steps.push(RateStep { starts_at: rest[0].starts_at, rate_bps_max });
    }
    RateProfile { steps }
}

#[cfg(test)]
mod tests;
