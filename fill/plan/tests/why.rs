//! Every rule that keeps an object from a box says so, in the planner's order, and liveness counts
//! what is held whole. Method: one small fleet, one change at a time.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use control_types::UnixMillis;
use control_types::fill::{FillAppliance, FillState, NightPlan, PlaceableObject};
use control_types::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use control_types::ids::{ObjectId, PlanId};
use fill_plan::{Knobs, WhyNot, footprint, liveness, plan, why_not};

const MIB: u64 = 1 << 20;

fn object(tag: u8, title: &str, demand: f64) -> PlaceableObject {
    PlaceableObject {
        object: ObjectId([tag; 32]),
        bytes: MIB,
        title: title.parse().unwrap(),
        height: None,
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
        isp: "isp".parse().unwrap(),
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

/// Two edges of one site; objects 1 and 2 are of a hot title, 3 of a cold one, 4 of nobody's.
fn state() -> FillState {
    FillState {
        now: UnixMillis(1),
        objects: vec![object(1, "hot", 9e6), object(2, "hot", 9e6), object(3, "cold", 1e3)],
        appliances: vec![
            appliance("home-1", Role::Origin, 1 << 40, &[1, 2, 3]),
            appliance("a-1", Role::Edge, 100 * MIB, &[]),
            appliance("a-2", Role::Edge, 100 * MIB, &[]),
        ],
        windows: Vec::new(),
        history: Vec::new(),
    }
}

fn check(state: &FillState, plan: Option<&NightPlan>, tag: u8, appliance: &str, word: WhyNot) {
    let object = ObjectId([tag; 32]);
    let reason = why_not(state, plan, &Knobs::default(), &object, &appliance.parse().unwrap());
    assert_eq!(reason.word, word, "{}", reason.because);
    assert!(!reason.because.is_empty());
}

#[test]
fn every_rule_speaks_for_itself() {
    let first = state();
    check(&first, None, 1, "a-9", WhyNot::UnknownAppliance);
    check(&first, None, 4, "a-1", WhyNot::UnknownObject);
    check(&first, None, 1, "home-1", WhyNot::Held);
    check(&first, None, 1, "a-1", WhyNot::NotYet);
    check(&first, None, 3, "a-1", WhyNot::BelowBreakEven);
    let id: PlanId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    let made = plan(&first, &Knobs::default(), None, UnixMillis(1), id, 1);
    check(&first, Some(&made), 1, "a-1", WhyNot::Planned);

    let mut ill = state();
    ill.appliances[1].healthy = false;
    check(&ill, None, 1, "a-1", WhyNot::Unhealthy);
    let mut alone = state();
    alone.appliances[0].healthy = false;
    check(&alone, None, 1, "a-1", WhyNot::NoSource);
    let mut small = state();
    small.appliances[1].volumes[0].capacity_bytes = MIB;
    check(&small, None, 1, "a-1", WhyNot::TooBig);
    let mut shared = state();
    shared.appliances[2] = appliance("a-2", Role::Edge, 100 * MIB, &[1]);
    check(&shared, None, 1, "a-1", WhyNot::Elsewhere);
    // Room for one object, which is worth more than the one asked about, yet that pays.
    let mut full = state();
    full.objects.push(object(5, "hotter", 90e6));
    full.appliances[1] = appliance("a-1", Role::Edge, 2 * MIB, &[5]);
    check(&full, None, 1, "a-1", WhyNot::Outbid);
}

#[test]
fn a_rung_waits_for_its_core() {
    let mut first = state();
    (first.objects[0].height, first.objects[1].height) = (Some(1080), Some(2160));
    first.objects[1].demand_bytes_elsewhere = 1e6;
    check(&first, None, 2, "a-1", WhyNot::CoreMissing);
    first.appliances[1] = appliance("a-1", Role::Edge, 100 * MIB, &[1]);
    check(&first, None, 2, "a-1", WhyNot::NotYet);
    first.objects[1].demand_bytes_elsewhere = 1e3;
    check(&first, None, 2, "a-1", WhyNot::BelowBreakEven);
}

#[test]
fn a_title_is_live_where_one_box_that_is_up_holds_all_of_it() {
    let mut state = state();
    let told = |state: &FillState| {
        let (knobs, hot) = (Knobs::default(), "hot".parse().unwrap());
        let sites = liveness(state, None, &knobs, &hot).unwrap();
        assert_eq!(sites.len(), 1);
        (sites[0].live, sites[0].best, sites[0].because.clone())
    };
    assert!(!told(&state).0);
    state.appliances[1] = appliance("a-1", Role::Edge, 100 * MIB, &[1]);
    state.appliances[2] = appliance("a-2", Role::Edge, 100 * MIB, &[2]);
    let (live, best, because) = told(&state);
    assert_eq!((live, best), (false, 1), "a half on each box is a 404 on each");
    assert!(because.contains("why-not"), "{because}");
    state.appliances[2] = appliance("a-2", Role::Edge, 100 * MIB, &[1, 2]);
    assert_eq!(told(&state), (true, 2, String::new()));
    // Of the same objects as two heights either is a core, and what lacks is left out.
    let mut ladder = state.clone();
    (ladder.objects[0].height, ladder.objects[1].height) = (Some(360), Some(1080));
    ladder.appliances[2] = appliance("a-2", Role::Edge, 100 * MIB, &[]);
    let knobs = Knobs::default();
    let sites = liveness(&ladder, None, &knobs, &"hot".parse().unwrap()).unwrap();
    assert_eq!((sites[0].live, sites[0].whole_on.len()), (true, 0));
    assert_eq!((sites[0].core_on.len(), &sites[0].left_out), (1, &vec![1080]));
    state.appliances[1].healthy = false;
    state.appliances[2].healthy = false;
    assert!(told(&state).2.contains("no box of the site is up"));
    assert!(liveness(&state, None, &knobs, &"none".parse().unwrap()).is_none());
}
