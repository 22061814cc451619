//! How a title stands at a site is told right in each state: planned, waiting for a window, the
//! border or a peer, live, live in part, no room, not expected to pay. Method: one small fleet, one
//! change at a time.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use control_types::UnixMillis;
use control_types::fill::{
    FillAppliance, FillState, NightPlan, PlaceableObject, RateProfile, RateStep, Window,
    WindowScope,
};
use control_types::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use control_types::ids::{ObjectId, PlanId};
use fill_plan::{Knobs, SiteLiveness, Standing, footprint, liveness, plan};

const MIB: u64 = 1 << 20;
const NOW: UnixMillis = UnixMillis(1_764_000_000_000);

fn object(tag: u8, title: &str, height: Option<u32>, demand: f64) -> PlaceableObject {
    PlaceableObject {
        object: ObjectId([tag; 32]),
        bytes: MIB,
        title: title.parse().unwrap(),
        height,
        demand_bytes: Vec::new(),
        demand_bytes_elsewhere: demand,
    }
}

fn appliance(name: &str, role: Role, capacity_bytes: u64, holds: &[u8]) -> FillAppliance {
    let class = DiskClass::Ssd;
    let held = |tag: &u8| HeldObject { object: ObjectId([*tag; 32]), bytes: MIB, class };
    FillAppliance {
        appliance: name.parse().unwrap(),
        site: name.split('-').next().unwrap().parse().unwrap(),
        isp: if role == Role::Origin { "own" } else { "isp" }.parse().unwrap(),
        role,
        healthy: true,
        media_url: format!("https://{name}"),
        volumes: vec![VolumeReport {
            path: "/ssd".to_owned(),
            class,
            capacity_bytes,
            used_bytes: holds.len() as u64 * footprint(MIB),
            healthy: true,
        }],
        holds: holds.iter().map(held).collect(),
    }
}

/// A film of sound (1), 1080p (2) and a 2160p (3) that hardly anybody watches; a hotter one (4).
fn state(appliances: Vec<FillAppliance>) -> FillState {
    let mut all = vec![appliance("home-1", Role::Origin, 1 << 40, &[1, 2, 3, 4])];
    all.extend(appliances);
    FillState {
        now: NOW,
        objects: vec![
            object(1, "film", None, 9e6),
            object(2, "film", Some(1080), 9e6),
            object(3, "film", Some(2160), 1e3),
            object(4, "hotter", None, 90e6),
        ],
        appliances: all,
        windows: Vec::new(),
        history: Vec::new(),
    }
}

fn window(id: &str, opens_in_h: u64, scope: WindowScope) -> Window {
    let opens_at = NOW.plus_millis(opens_in_h * 3_600_000);
    let closes_at = opens_at.plus_millis(3_600_000);
    let id = id.parse().unwrap();
    Window { id, scope, opens_at, closes_at, rate_bps_max: None, bytes_max: None, closed: false }
}

fn planned(state: &FillState) -> NightPlan {
    let id: PlanId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    plan(state, &Knobs::default(), None, NOW, id, 1)
}

fn told(state: &FillState, plan: Option<&NightPlan>) -> Vec<SiteLiveness> {
    liveness(state, plan, &Knobs::default(), &"film".parse().unwrap()).unwrap()
}

/// The film stands like this at the only site, and the sentence has these words.
fn check(state: &FillState, plan: Option<&NightPlan>, standing: Standing, words: &[&str]) {
    let sites = told(state, plan);
    assert_eq!(sites.len(), 1);
    assert_eq!(sites[0].standing, standing, "{}", sites[0].because);
    let is_live = matches!(standing, Standing::Live | Standing::PartlyLive);
    assert_eq!(sites[0].live, is_live);
    for word in words {
        assert!(sites[0].because.contains(word), "{word:?} is not in {:?}", sites[0].because);
    }
}

#[test]
fn pulls_wait_for_a_window_that_reaches_them_and_then_come() {
    let mut fleet = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[])]);
    let plan = planned(&fleet);
    check(&fleet, Some(&plan), Standing::WaitsForWindow, &["2 of", "no window is to come"]);
    let elsewhere = WindowScope::Isp("other".parse().unwrap());
    fleet.windows = vec![window("theirs", 0, elsewhere), window("late", 30, WindowScope::Everyone)];
    fleet.windows.push(window("tonight", 2, WindowScope::Site("a".parse().unwrap())));
    check(&fleet, Some(&plan), Standing::WaitsForWindow, &["tonight", "2025-11-24 18:00Z"]);
    fleet.windows.push(window("now", 0, WindowScope::Isp("isp".parse().unwrap())));
    check(&fleet, Some(&plan), Standing::Planned, &["2 of", "by a-1 from home-1"]);
    fleet.windows.last_mut().unwrap().closed = true;
    check(&fleet, Some(&plan), Standing::WaitsForWindow, &["tonight"]);
}

#[test]
fn a_border_without_room_is_waited_for() {
    let mut fleet = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[])]);
    fleet.windows = vec![window("now", 0, WindowScope::Everyone)];
    let mut plan = planned(&fleet);
    let step = |hours: u64, rate_bps_max| RateStep {
        starts_at: NOW.plus_millis(hours * 3_600_000),
        rate_bps_max,
    };
    plan.appliances[0].rate = Some(RateProfile { steps: vec![step(0, 0), step(3, 9), step(5, 0)] });
    check(&fleet, Some(&plan), Standing::WaitsForBorder, &["2 of", "2025-11-24 19:00Z"]);
    plan.appliances[0].rate = Some(RateProfile { steps: vec![step(1, 0)] });
    check(&fleet, Some(&plan), Standing::WaitsForBorder, &["is it still measured?"]);
    plan.appliances[0].rate = Some(RateProfile { steps: vec![step(0, 9)] });
    check(&fleet, Some(&plan), Standing::Planned, &[]);
}

#[test]
fn a_site_waits_for_the_one_that_brings_it_into_the_isp() {
    let boxes = ["a-1", "b-1"].map(|name| appliance(name, Role::Edge, 100 * MIB, &[]));
    let mut fleet = state(boxes.into());
    fleet.windows = vec![window("now", 0, WindowScope::Everyone)];
    let plan = planned(&fleet);
    let both = told(&fleet, Some(&plan));
    let (first, second) = match both[0].standing {
        Standing::Planned => (&both[0], &both[1]),
        _ => (&both[1], &both[0]),
    };
    assert_eq!((first.standing, second.standing), (Standing::Planned, Standing::WaitsForPeer));
    let brings = format!("until {}-1 has it", first.site);
    assert!(second.because.contains(&brings), "{}", second.because);
    // The box that brings it is gone, and no new plan was made yet.
    let gone = fleet.appliances.iter_mut().find(|one| one.site == first.site).unwrap();
    gone.healthy = false;
    let told = told(&fleet, Some(&plan));
    assert_eq!(told.iter().filter(|site| site.standing == Standing::Down).count(), 1);
}

#[test]
fn live_says_which_heights_are_elsewhere_and_why() {
    let all = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[1, 2, 3])]);
    check(&all, None, Standing::Live, &[]);
    let part = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[1, 2])]);
    check(&part, None, Standing::PartlyLive, &["2160p: ", "to pay for its fetch"]);
    assert_eq!(told(&part, None)[0].left_out, [2160]);
    // Somebody else of the site has it: nothing is elsewhere.
    let other = appliance("a-2", Role::Edge, 100 * MIB, &[3]);
    let both = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[1, 2]), other]);
    check(&both, None, Standing::Live, &[]);
    let mut wanted = part.clone();
    wanted.objects[2].demand_bytes_elsewhere = 8e6;
    let plan = planned(&wanted);
    check(&wanted, Some(&plan), Standing::PartlyLive, &["2160p is in the plan"]);
}

#[test]
fn what_is_not_planned_says_which_rule_decided() {
    // Full of what is worth more.
    let full = state(vec![appliance("a-1", Role::Edge, 2 * MIB, &[4])]);
    check(&full, None, Standing::NoRoom, &["hotter"].map(|_| "the least of what is held"));
    // Empty, and the plan fills it with what is worth more.
    let empty = state(vec![appliance("a-1", Role::Edge, 2 * MIB, &[])]);
    let plan = planned(&empty);
    assert_eq!(plan.appliances[0].pulls.len(), 1, "{plan:?}");
    check(&empty, Some(&plan), Standing::NoRoom, &["takes 2.1 MB more of a-1", "or planned there"]);
    let tiny = state(vec![appliance("a-1", Role::Edge, MIB / 2, &[])]);
    check(&tiny, None, Standing::NoRoom, &["the largest disk"]);
    let mut cold = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[])]);
    cold.objects.iter_mut().for_each(|one| one.demand_bytes_elsewhere = 1e3);
    let plan = planned(&cold);
    assert!(plan.appliances.is_empty(), "{plan:?}");
    check(&cold, Some(&plan), Standing::NotExpectedToPay, &["to pay for its fetch", "why-not"]);
    let mut nowhere = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[])]);
    nowhere.appliances[0].healthy = false;
    check(&nowhere, None, Standing::NoSource, &["no box that is up holds it"]);
    let fresh = state(vec![appliance("a-1", Role::Edge, 100 * MIB, &[])]);
    check(&fresh, None, Standing::NotYet, &["nothing speaks against it"]);
    let mut down = fresh;
    down.appliances[1].healthy = false;
    check(&down, None, Standing::Down, &["no box of the site is up"]);
}
