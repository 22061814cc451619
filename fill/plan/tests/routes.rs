//! Who gets a byte from where: once across an ISP's border, for as many sites as it has; who takes
//! over from a master that dies; and what the policy of escalation leaves of it. Method: whole
//! plans of made-up fleets, and nights of them minute by minute.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use control_types::UnixMillis;
use control_types::fill::{FillAppliance, FillState, NightPlan, PlaceableObject, Pull, SourceKind};
use control_types::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use control_types::ids::{ApplianceId, ObjectId, PlanId};
use fill_plan::{AskOrigin, Knobs, is_settled, plan};

const MIB: u64 = 1 << 20;

fn object(tag: u16) -> PlaceableObject {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&tag.to_be_bytes());
    PlaceableObject {
        object: ObjectId(id),
        bytes: MIB,
        title: format!("t{tag}").parse().unwrap(),
        height: None,
        demand_bytes: Vec::new(),
        demand_bytes_elsewhere: 1e9 - f64::from(tag),
    }
}

fn appliance(name: &str, isp: &str, role: Role) -> FillAppliance {
    FillAppliance {
        appliance: name.parse().unwrap(),
        site: name.split('-').next().unwrap().parse().unwrap(),
        isp: isp.parse().unwrap(),
        role,
        healthy: true,
        media_url: format!("https://{name}"),
        volumes: vec![VolumeReport {
            path: "/ssd".to_owned(),
            class: DiskClass::Ssd,
            capacity_bytes: 1 << 40,
            used_bytes: 0,
            healthy: true,
        }],
        holds: Vec::new(),
    }
}

/// `sites` of `boxes` each in one ISP, an origin that holds `objects` objects.
fn fleet(sites: usize, boxes: usize, objects: u16) -> FillState {
    let objects: Vec<PlaceableObject> = (0..objects).map(object).collect();
    let mut origin = appliance("home-1", "own", Role::Origin);
    let held = |one: &PlaceableObject| HeldObject {
        object: one.object,
        bytes: one.bytes,
        class: DiskClass::Ssd,
    };
    origin.holds = objects.iter().map(held).collect();
    let mut appliances = vec![origin];
    for site in 0..sites {
        let names = (0..boxes).map(|at| format!("s{site}-{at}"));
        appliances.extend(names.map(|name| appliance(&name, "isp", Role::Edge)));
    }
    FillState { now: UnixMillis(1), objects, appliances, windows: Vec::new(), history: Vec::new() }
}

fn made(state: &FillState, knobs: &Knobs, previous: Option<&NightPlan>) -> NightPlan {
    let id: PlanId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    plan(state, knobs, previous, UnixMillis(1), id, 1)
}

fn pulls(plan: &NightPlan) -> impl Iterator<Item = (&ApplianceId, &Pull)> {
    plan.appliances.iter().flat_map(|part| part.pulls.iter().map(|pull| (&part.appliance, pull)))
}

/// A night of agents that take one object a minute each, in plan order, and ask as `ladder.rs` of
/// the agent does: who is still to get it is waited for while it gives anything.
struct Agents {
    holds: BTreeMap<ApplianceId, BTreeSet<ObjectId>>,
    dead: BTreeSet<ApplianceId>,
    isps: BTreeMap<ApplianceId, String>,
    /// By asking box, object and source: since when it gives nothing, minutes.
    silent: BTreeMap<(ApplianceId, ObjectId, ApplianceId), u64>,
    /// When a box last gave another anything.
    gave_at: BTreeMap<(ApplianceId, ApplianceId), u64>,
    /// Who took what across the border of an ISP, when.
    crossed: Vec<(u64, ApplianceId, ObjectId)>,
}

/// How long a box waits for another that is away, and for one that is there and gives it nothing,
/// minutes: the agents' usual.
const WAIT: u64 = 10;
const WAIT_UP: u64 = 60;

impl Agents {
    fn new(state: &FillState) -> Self {
        let holds = |one: &FillAppliance| one.holds.iter().map(|held| held.object).collect();
        let boxes = || state.appliances.iter();
        Self {
            holds: boxes().map(|one| (one.appliance.clone(), holds(one))).collect(),
            isps: boxes().map(|one| (one.appliance.clone(), one.isp.to_string())).collect(),
            dead: BTreeSet::new(),
            silent: BTreeMap::new(),
            gave_at: BTreeMap::new(),
            crossed: Vec::new(),
        }
    }

    fn minute(&mut self, plan: &NightPlan, now: u64) {
        // All ask at once, and what comes in this minute can be had in the next.
        let before = self.holds.clone();
        for part in &plan.appliances {
            let own = &part.appliance;
            if self.dead.contains(own) {
                continue;
            }
            let lacking = part.pulls.iter().filter(|pull| !self.holds[own].contains(&pull.object));
            let lacking: Vec<&Pull> = lacking.collect();
            for pull in lacking {
                if let Some(from) = self.source_of(own, pull, &before, now) {
                    if self.isps[own] != self.isps[&from] {
                        self.crossed.push((now, own.clone(), pull.object));
                    }
                    self.gave_at.insert((own.clone(), from), now);
                    self.holds.get_mut(own).unwrap().insert(pull.object);
                    break;
                }
            }
        }
    }

    fn source_of(
        &mut self,
        own: &ApplianceId,
        pull: &Pull,
        before: &BTreeMap<ApplianceId, BTreeSet<ObjectId>>,
        now: u64,
    ) -> Option<ApplianceId> {
        for source in &pull.sources {
            let from = &source.appliance;
            if !self.dead.contains(from) && before[from].contains(&pull.object) {
                return Some(from.clone());
            }
            if source.pending {
                let key = (own.clone(), pull.object, from.clone());
                let since = *self.silent.entry(key).or_insert(now);
                let gave_at = self.gave_at.get(&(own.clone(), from.clone()));
                let news = gave_at.map_or(since, |at| since.max(*at));
                let is_up = !self.dead.contains(from);
                if now - news < if is_up { WAIT_UP } else { WAIT } {
                    return None;
                }
            }
        }
        None
    }

    fn have_all(&self, state: &FillState, boxes: &BTreeSet<ApplianceId>) -> bool {
        let all = state.objects.len();
        boxes.iter().all(|id| self.dead.contains(id) || self.holds[id].len() == all)
    }
}

#[test]
fn of_thirty_sites_each_byte_crosses_the_border_once() {
    let state = fleet(30, 4, 300);
    let plan = made(&state, &Knobs::default(), None);
    let wanted: HashSet<ObjectId> = pulls(&plan).map(|(_, pull)| pull.object).collect();
    assert_eq!(wanted.len(), 300);
    let nearest = |pull: &Pull| (pull.sources[0].kind, pull.sources[0].pending);
    let mut into_isp: BTreeMap<ObjectId, usize> = BTreeMap::new();
    let mut into_site: BTreeMap<(ObjectId, &str), usize> = BTreeMap::new();
    let mut work: BTreeMap<&ApplianceId, usize> = BTreeMap::new();
    for (own, pull) in pulls(&plan) {
        let (kind, pending) = nearest(pull);
        assert!(pull.sources.len() <= 8, "{:?}", pull.sources);
        match kind {
            SourceKind::Origin => {
                *into_isp.entry(pull.object).or_default() += 1;
                *work.entry(own).or_default() += 1;
            }
            SourceKind::Tier | SourceKind::Peer => assert!(pending, "nobody else has it yet"),
        }
        if kind != SourceKind::Peer {
            let site = own.as_str().split('-').next().unwrap();
            *into_site.entry((pull.object, site)).or_default() += 1;
        }
    }
    assert!(into_isp.len() == 300 && into_isp.values().all(|count| *count == 1));
    assert!(into_site.values().all(|count| *count == 1), "one box of a site fetches it");
    // The work at the border is shared: nobody does ten times its part.
    let most = work.values().max().unwrap();
    assert!(work.len() > 60 && *most <= 25, "{} boxes, {most} at the most", work.len());

    let mut agents = Agents::new(&state);
    let edges: BTreeSet<ApplianceId> = pulls(&plan).map(|(own, _)| own.clone()).collect();
    let wants: BTreeMap<&ApplianceId, usize> =
        plan.appliances.iter().map(|part| (&part.appliance, part.pulls.len())).collect();
    let mut night = 0;
    while edges.iter().any(|id| agents.holds[id].len() < wants[id]) {
        assert!(night < 1_000, "the night never ends");
        agents.minute(&plan, night);
        night += 1;
    }
    assert_eq!(agents.crossed.len(), 300);
}

#[test]
fn a_master_that_dies_without_a_new_plan_is_followed_by_one_box_and_not_by_all() {
    for (sites, boxes, dies_at) in [(1, 4, 3), (6, 3, 3), (6, 3, 0), (30, 2, 5)] {
        let knobs = Knobs { copy_spread: 100.0, ..Knobs::default() };
        let state = fleet(sites, boxes, 24);
        let plan = made(&state, &knobs, None);
        let edges: BTreeSet<ApplianceId> = pulls(&plan).map(|(own, _)| own.clone()).collect();
        assert_eq!(pulls(&plan).count(), 24 * sites * boxes, "everybody wants everything");
        let mut agents = Agents::new(&state);
        let busiest = |agents: &Agents| {
            let of = |id: &ApplianceId| agents.crossed.iter().filter(|one| one.1 == *id).count();
            edges.iter().max_by_key(|id| (of(id), (*id).clone())).unwrap().clone()
        };
        let (mut now, mut dead) = (0, None);
        while !agents.have_all(&state, &edges) {
            if now == dies_at {
                let own = |id: &&ApplianceId| {
                    pulls(&plan).any(|(own, pull)| own == *id && !pull.sources[0].pending)
                };
                let first = edges.iter().find(own).unwrap().clone();
                let one = if now == 0 { first } else { busiest(&agents) };
                agents.dead.insert(one.clone());
                dead = Some(one);
            }
            assert!(now < 600, "{sites} sites of {boxes}: the night never ends");
            agents.minute(&plan, now);
            now += 1;
        }
        let dead = dead.unwrap();
        let lost = agents.crossed.iter().filter(|(_, own, _)| *own == dead).count();
        let all = agents.crossed.len();
        // What died with it comes once more; what it had passed on does not.
        assert!(all <= 24 + lost, "{sites} sites of {boxes}: {all} crossed, {lost} were lost");
        let late = agents.crossed.iter().map(|(at, _, _)| *at).max().unwrap();
        println!("{sites} sites of {boxes}: {all} crossed of 24, {lost} lost, last after {late}");
        assert!(late <= dies_at + WAIT + 24, "taken over after {late} minutes");
    }
}

#[test]
fn a_master_that_dies_is_replaced_by_the_next_plan_and_nothing_else_is_fetched_twice() {
    let knobs = Knobs { copy_spread: 100.0, ..Knobs::default() };
    let mut state = fleet(5, 3, 24);
    let first = made(&state, &knobs, None);
    let mut agents = Agents::new(&state);
    (0..3).for_each(|now| agents.minute(&first, now));
    let dead = agents.crossed[0].1.clone();
    let lost = agents.crossed.iter().filter(|(_, own, _)| *own == dead).count();
    agents.dead.insert(dead.clone());
    // Control misses it within a minute; what is on its way elsewhere stays with who began.
    for one in &mut state.appliances {
        let held = agents.holds[&one.appliance].iter();
        let held = held.map(|id| HeldObject { object: *id, bytes: MIB, class: DiskClass::Ssd });
        one.holds = held.collect();
        one.healthy = one.appliance != dead;
    }
    let second = made(&state, &knobs, Some(&first));
    let at_work = |plan: &NightPlan| -> BTreeSet<(ApplianceId, ObjectId)> {
        let border = pulls(plan).filter(|(_, pull)| pull.sources[0].kind == SourceKind::Origin);
        border.map(|(own, pull)| (own.clone(), pull.object)).collect()
    };
    let (before, after) = (at_work(&first), at_work(&second));
    for (own, object) in &before {
        if *own != dead && !agents.holds[own].contains(object) {
            assert!(after.contains(&(own.clone(), *object)), "{own} is no master any more");
        }
    }
    let edges: BTreeSet<ApplianceId> = pulls(&second).map(|(own, _)| own.clone()).collect();
    let mut now = 4;
    while !agents.have_all(&state, &edges) {
        assert!(now < 60, "longer than without the death");
        agents.minute(&second, now);
        now += 1;
    }
    assert!(agents.crossed.len() <= 24 + lost, "{} crossed, {lost} lost", agents.crossed.len());
}

#[test]
fn the_policy_of_escalation_says_who_asks_the_origin_and_how_far_a_pull_goes() {
    let state = fleet(3, 3, 12);
    let asks = |knobs: &Knobs| -> usize {
        let plan = made(&state, &Knobs { copy_spread: 100.0, ..knobs.clone() }, None);
        let origin = |pull: &Pull| pull.sources.iter().any(|one| one.kind == SourceKind::Origin);
        pulls(&plan).filter(|(_, pull)| origin(pull)).count()
    };
    let usual = Knobs::default();
    assert_eq!(asks(&usual), 12 * 9, "all, last of all");
    assert_eq!(asks(&Knobs { origin: AskOrigin::Masters, ..usual.clone() }), 12);
    assert_eq!(asks(&Knobs { hops_max: 1, ..usual.clone() }), 12, "the nearest is the origin");
    // The master of a site has two: the ISP's master, and then the origin.
    assert_eq!(asks(&Knobs { hops_max: 2, ..usual.clone() }), 12 * 9 - hop_three(&state));
    // A plan that lets boxes go further than the policy now does is made anew.
    let before = made(&state, &usual, None);
    let masters = Knobs { origin: AskOrigin::Masters, ..usual.clone() };
    let after = made(&state, &masters, Some(&before));
    assert!(!is_settled(&before, &after, &state));
    assert!(is_settled(&after, &made(&state, &masters, Some(&after)), &state));
    let tiers = Knobs { origin: AskOrigin::Tiers, ..usual };
    let plan = made(&state, &tiers, None);
    assert!(plan.appliances.is_empty(), "no tier has anything: {plan:?}");
    // A tier brings it in, and the edges have it from there, in the same night.
    let mut with_tier = state.clone();
    with_tier.appliances.push(appliance("hub-1", "isp", Role::Tier));
    let plan = made(&with_tier, &tiers, None);
    let of = |name: &str| plan.appliances.iter().find(|part| part.appliance.as_str() == name);
    assert_eq!(of("hub-1").unwrap().pulls.len(), 12);
    for (own, pull) in pulls(&plan).filter(|(own, _)| own.as_str() != "hub-1") {
        assert!(pull.sources.iter().all(|one| one.kind != SourceKind::Origin), "{own} {pull:?}");
        assert!(!pull.sources.is_empty());
    }
    assert!(pulls(&plan).count() > 12);
}

/// Pulls whose third hop is the origin: of deputies, who ask their site, the ISP and then it.
fn hop_three(state: &FillState) -> usize {
    let plan = made(state, &Knobs { copy_spread: 100.0, ..Knobs::default() }, None);
    let kinds = |pull: &Pull| {
        let mut kinds: Vec<SourceKind> = pull.sources.iter().map(|one| one.kind).collect();
        kinds.dedup();
        kinds.len()
    };
    pulls(&plan).filter(|(_, pull)| kinds(pull) == 3).count()
}

#[test]
fn a_box_that_holds_more_than_a_plan_may_name_gets_a_plan_all_the_same() {
    // Titles that were taken out of the catalog, on boxes that have something to pull.
    let mut state = fleet(1, 2, 1);
    let gone = |at: u32| {
        let mut id = [9; 32];
        id[..4].copy_from_slice(&at.to_be_bytes());
        HeldObject { object: ObjectId(id), bytes: 1, class: DiskClass::Ssd }
    };
    state.appliances[1].holds = (0..300_000).map(gone).collect();
    state.appliances[2].holds = (0..200_000).map(gone).collect();
    let plan = made(&state, &Knobs::default(), None);
    let prunes: Vec<usize> = plan.appliances.iter().map(|part| part.prunes.len()).collect();
    assert_eq!(prunes, [200_000, 200_000]);
    assert_eq!(pulls(&plan).count(), 2);
}
