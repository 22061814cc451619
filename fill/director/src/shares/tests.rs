//! Goal: boxes at one border never take more than it has, whoever is cut off and for how long.
//! Method: a director, two processes of control of which one reads the plan late, and boxes that
//! poll, fall silent and come back, second by second; seeded, and the seed is in every message.

use control_types::PlanId;
use control_types::border::lease_end;
use control_types::fill::{FillAppliance, Pull};
use control_types::fleet::{DiskClass, Role};
use control_types::ids::ObjectId;

use super::*;

const GBPS: u64 = 1_000_000_000;
/// 2026-01-01, in seconds.
const BEGIN_S: u64 = 1_767_225_600;
/// Within this a box that hears goes by a new plan, and a silent one by its floor, seconds.
const SETTLED_S: u64 = (SHARED_PLAN_MS + PLAN_READ_MS + RATE_LEASE_MS + CLOCKS_MS) / 1_000 + 90;

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Default)]
struct Edge {
    cut_off: bool,
    wants: bool,
    polls_at: u64,
    /// How far its clock is behind, seconds.
    behind: u64,
    rate: Option<RateProfile>,
    /// Of the plan it goes by.
    serial: u64,
}

struct World {
    chance: Chance,
    seed: u64,
    state: FillState,
    edges: Vec<Edge>,
    /// In force, with when; the last one may still be on its way.
    plans: Vec<(u64, NightPlan)>,
    wholes: Vec<(u64, RateProfile)>,
    /// Every report gets through.
    reports: bool,
}

fn isp() -> IspId {
    "isp".parse().unwrap()
}

fn name(at: usize) -> ApplianceId {
    format!("edge-{at}").parse().unwrap()
}

fn edge(at: usize) -> FillAppliance {
    FillAppliance {
        appliance: name(at),
        site: "site".parse().unwrap(),
        isp: isp(),
        role: Role::Edge,
        healthy: true,
        media_url: String::new(),
        volumes: Vec::new(),
        holds: Vec::new(),
    }
}

fn work(at: usize) -> AppliancePlan {
    let pull = Pull {
        object: ObjectId([1; 32]),
        bytes: 1,
        title: "t".parse().unwrap(),
        class: DiskClass::Ssd,
        sources: Vec::new(),
        why: String::new(),
    };
    AppliancePlan {
        appliance: name(at),
        pulls: vec![pull],
        prunes: Vec::new(),
        moves: Vec::new(),
        rate: None,
        border: None,
    }
}

fn second(at: u64) -> UnixMillis {
    UnixMillis((BEGIN_S + at) * 1_000)
}

fn flat(from: u64, bps: u64) -> RateProfile {
    let steps = [(from, bps), (from + 36 * 3_600, 0)];
    let step = |(at, rate_bps_max)| RateStep { starts_at: second(at), rate_bps_max };
    RateProfile { steps: steps.map(step).into() }
}

impl World {
    fn new(seed: u64, boxes: usize, behind_max: u64) -> Self {
        let mut chance = Chance(seed);
        let state = FillState {
            now: second(0),
            objects: Vec::new(),
            appliances: (0..boxes).map(edge).collect(),
            windows: Vec::new(),
            history: Vec::new(),
        };
        let edges = (0..boxes).map(|_| Edge {
            wants: true,
            polls_at: chance.below(60),
            behind: chance.below(behind_max + 1),
            ..Edge::default()
        });
        let edges = edges.collect();
        Self { chance, seed, state, edges, plans: Vec::new(), wholes: Vec::new(), reports: false }
    }

    /// The director looks: it plans for those that it believes to be there.
    fn look(&mut self, at: u64, whole: RateProfile, chosen: &[usize]) {
        if self.plans.last().is_some_and(|(from, _)| *from > at) {
            return;
        }
        self.state.now = second(at);
        let lag = self.chance.below(20);
        let current = self.plans.last().map(|(_, plan)| plan);
        let mut plan = NightPlan {
            id: PlanId(uuid::Uuid::nil()),
            serial: current.map_or(0, |plan| plan.serial) + 1,
            made_at: second(at + lag),
            follows: None,
            appliances: chosen.iter().map(|at| work(*at)).collect(),
        };
        // Reports get through, or not.
        let mut told = BTreeSet::new();
        for (index, edge) in self.edges.iter().enumerate() {
            let goes_by_it = current.is_some_and(|plan| plan.serial == edge.serial);
            if goes_by_it && (self.chance.one_in(2) || self.reports) {
                told.insert(name(index));
            }
        }
        let border = Border { isp: &isp(), whole: &whole, now: plan.made_at, told: &told };
        border.divide(&mut plan, current, &self.state);
        // As late as control takes one.
        let from = at + lag + self.chance.below(SHARED_PLAN_MS / 1_000 + 1);
        self.wholes.push((from, whole));
        self.plans.push((from, plan));
    }

    fn poll(&mut self, at: u64) {
        for index in 0..self.edges.len() {
            let edge = &mut self.edges[index];
            if edge.cut_off || edge.polls_at > at {
                continue;
            }
            edge.polls_at = at + 1 + self.chance.below(60);
            // The process asked may have read the plan a while ago.
            let late = self.chance.below(2) * self.chance.below(PLAN_READ_MS / 1_000 + 1);
            let known = self.plans.iter().rev().find(|(from, _)| from + late <= at);
            let Some((_, plan)) = known.filter(|(_, plan)| plan.serial >= edge.serial) else {
                continue;
            };
            edge.serial = plan.serial;
            let part = plan.appliances.iter().find(|part| part.appliance == name(index));
            edge.rate = part.and_then(|part| {
                let rate = part.rate.clone()?;
                let lent =
                    |border: &BorderShare| rate.clone().until(lease_end(second(at)), &border.floor);
                Some(part.border.as_ref().map_or_else(|| rate.clone(), lent))
            });
        }
    }

    fn takes(&self, index: usize, at: u64) -> u64 {
        let edge = &self.edges[index];
        let rate = edge.rate.as_ref();
        rate.map_or(0, |rate| rate_at(rate, second(at.saturating_sub(edge.behind))))
    }

    fn all_take(&self, at: u64) -> u64 {
        (0..self.edges.len()).map(|index| self.takes(index, at)).sum()
    }

    /// The most that the border had by any plan that a box may still go by.
    fn has(&self, at: u64) -> u64 {
        let since = at.saturating_sub(SETTLED_S);
        let passed = self.wholes.partition_point(|(from, _)| *from < since).saturating_sub(1);
        let known = self.wholes[passed..].iter().filter(|(from, _)| *from <= at);
        known.map(|(_, whole)| rate_at(whole, second(at))).max().unwrap_or(0)
    }
}

/// Four hours of a fleet in which everything changes. `whole_at` makes the border's rate.
fn live(seed: u64, behind_max: u64, whole_at: impl Fn(&mut Chance, u64) -> RateProfile) {
    let boxes = 2 + (seed % 5) as usize;
    let mut world = World::new(seed, boxes, behind_max);
    for at in 0..4 * 3_600 {
        for index in 0..boxes {
            if world.chance.one_in(900) {
                world.edges[index].cut_off ^= true;
            }
            if world.chance.one_in(3_000) {
                world.edges[index].wants ^= true;
            }
        }
        if at == 0 || world.chance.one_in(200) {
            // Silence is seen late, or never: a box may be heard and its agent not be.
            let chosen: Vec<usize> = (0..boxes)
                .filter(|index| world.edges[*index].wants)
                .filter(|index| !world.edges[*index].cut_off || world.chance.one_in(3))
                .collect();
            let whole = whole_at(&mut world.chance, at);
            world.look(at, whole, &chosen);
        }
        world.poll(at);
        let (taken, has) = (world.all_take(at), world.has(at));
        assert!(taken <= has, "{taken} of {has} b/s are taken after {at} s, seed {}", world.seed);
    }
}

#[test]
fn boxes_that_come_and_go_never_take_more_than_the_border_has() {
    for seed in 0..30 {
        live(seed, CLOCKS_MS / 1_000 - 1, |_, _| flat(0, GBPS));
    }
}

#[test]
fn a_border_that_varies_is_exceeded_by_nobody_for_longer_than_a_lease() {
    for seed in 1000..1030 {
        // Floors were half of it at the most, so half of it is always enough for them.
        live(seed, 0, |chance, at| flat(at, GBPS / 2 + chance.below(GBPS / 2)));
    }
}

#[test]
fn a_silent_box_works_on_at_its_floor_and_the_others_get_the_rest() {
    let mut world = World::new(7, 4, 0);
    world.reports = true;
    world.look(0, flat(0, GBPS), &[0, 1, 2, 3]);
    (0..300).for_each(|at| world.poll(at));
    assert_eq!(world.all_take(299), GBPS);
    world.edges[3].cut_off = true;
    world.look(300, flat(0, GBPS), &[0, 1, 2]);
    for at in 300..300 + SETTLED_S {
        world.poll(at);
        assert!(world.all_take(at) <= GBPS, "after {at} s");
    }
    // An eighth is kept for it all night; a plan of the next hour gives none of it away.
    let at = 300 + SETTLED_S;
    assert_eq!((world.takes(3, at), world.all_take(at)), (GBPS / 8, GBPS - 2));
    for begin in [at, at + SETTLED_S] {
        world.look(begin, flat(0, GBPS), &[0, 1]);
        (begin..begin + SETTLED_S).for_each(|at| world.poll(at));
    }
    let at = at + 2 * SETTLED_S - 1;
    assert_eq!((world.takes(3, at), world.takes(2, at)), (GBPS / 8, 0));
    assert!(world.all_take(at) > GBPS - 10 && world.all_take(at) <= GBPS);
    // Control is away for everybody: each goes on at its own floor until its plan ends.
    world.edges.iter_mut().for_each(|edge| edge.cut_off = true);
    let (later, end) = (at + RATE_LEASE_MS / 1_000, 36 * 3_600);
    for at in [later, later + 12 * 3_600, end - 3_601] {
        assert_eq!(world.takes(0, at), GBPS / 8, "after {at} s");
        assert!(world.all_take(at) <= GBPS);
    }
    assert_eq!(world.all_take(end), 0);
}

/// Goal: an ISP that is called otherwise from now on, or a site that was sold, gives nothing away
/// twice. Method: of two boxes one is cut off, and the ISP of both is another at the next look.
#[test]
fn what_was_lent_under_another_name_is_counted() {
    let mut world = World::new(9, 2, 0);
    world.look(0, flat(0, GBPS), &[0, 1]);
    (0..300).for_each(|at| world.poll(at));
    world.edges[1].cut_off = true;
    let renamed: IspId = "renamed".parse().unwrap();
    world.state.appliances.iter_mut().for_each(|one| one.isp = renamed.clone());
    let (whole, told, now) = (flat(0, GBPS), BTreeSet::new(), second(300));
    world.state.now = now;
    let current = world.plans[0].1.clone();
    let appliances = vec![work(0)];
    let mut plan = NightPlan { serial: 2, made_at: now, appliances, ..current.clone() };
    let border = Border { isp: &renamed, whole: &whole, now, told: &told };
    border.divide(&mut plan, Some(&current), &world.state);
    world.plans.push((300, plan));
    for at in 300..300 + 2 * SETTLED_S {
        world.poll(at);
        assert!(world.all_take(at) <= GBPS, "{} after {at} s", world.all_take(at));
    }
    assert!(world.takes(0, 300 + 2 * SETTLED_S - 1) > 0);
}

/// A plan of a release that knew no leases: its boxes keep what they were given.
#[test]
fn what_was_given_away_for_good_is_not_lent_again() {
    let mut world = World::new(8, 2, 0);
    world.look(0, flat(0, GBPS), &[0, 1]);
    let given = flat(0, GBPS / 2);
    for part in &mut world.plans[0].1.appliances {
        (part.rate, part.border) = (Some(given.clone()), None);
    }
    world.look(600, flat(0, GBPS), &[0]);
    (600..2 * 3_600).for_each(|at| world.poll(at));
    assert_eq!(world.takes(0, 2 * 3_600 - 1), GBPS / 2);
}
