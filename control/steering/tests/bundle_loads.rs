//! Goal: where boxes near capacity, appliances without control send members where control would.
//! Method: here control answers questions over loaded fleets, and bundles and answers are kept in
//! `bundle_loads.json`; `oca` reads that file, is told the loads by its neighbours, and has to give
//! the same lists. `NIGHTFILL_WRITE=1 cargo test` writes the file anew.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_steering::bundle::{Loads, Survey, Terms};
use control_steering::decide::decide;
use control_steering::fleet::Fleet;
use control_steering::{Policy, Question};
use control_types::bundle::{SteeringBundle, TitleHolders};
use control_types::fleet::{Role, TicketKeys};
use control_types::{ApplianceId, TitleId};
use lab::{CAPACITY_BPS, Lab, wanted};
use serde_json::{Value, json};

const EDGES: [(&str, &str); 6] = [
    ("here", "n1"),
    ("here", "n2"),
    ("here", "n3"),
    ("here", "n4"),
    ("next", "f1"),
    ("next", "f2"),
];

/// Thousandths of capacity, in the order of `EDGES`.
const FLEETS: [[u64; 6]; 7] = [
    [0, 0, 0, 0, 0, 0],
    [500, 100, 100, 100, 0, 0],
    [300, 320, 280, 610, 100, 100],
    [900, 760, 600, 400, 0, 0],
    [900, 920, 910, 905, 300, 200],
    [990, 980, 1_200, 2_000, 990, 100],
    [1_100, 990, 970, 960, 999, 980],
];

fn fleet(loads: &[u64; 6]) -> Fleet {
    let network = ["10.0.0.0/8"];
    let mut lab = Lab::default()
        .site_at("here", &network, (0.0, 0.0))
        .site_at("next", &network, (4.0, 4.0))
        .site("core", "core", &[]);
    for ((site, id), load) in EDGES.iter().zip(loads) {
        lab = lab.with(site, Role::Edge, id, |_, report| {
            report.sending_bps = CAPACITY_BPS / 1_000 * load;
        });
    }
    lab.on("core", Role::Tier, "t1").on("core", Role::Origin, "o1").fleet()
}

fn bundle(fleet: &Fleet, titles: &[TitleId], policy: &Policy) -> SteeringBundle {
    let (isp, keys) = ("isp".parse().unwrap(), TicketKeys::default());
    let terms = Terms {
        control_url: None,
        isp: &isp,
        ttl_s: 10,
        keys: &keys,
        policy,
        loads: &Loads::default(),
    };
    let mut bundle = Survey::of(fleet).draft(fleet, &terms).bundle;
    // All of them hold all of it; the lab's library has no titles to say so.
    let full = URL_SAFE_NO_PAD.encode([0xff]);
    let held = TitleHolders { full, ..TitleHolders::default() };
    bundle.titles = titles.iter().map(|title| (title.clone(), held.clone())).collect();
    assert_eq!(bundle.appliances.len(), 8);
    // As after an hour without control: nobody's load is known from here.
    bundle.appliances.iter_mut().for_each(|one| one.load_per_mille = 0);
    bundle.serial = 1;
    bundle
}

fn asked(fleet: &Fleet, policy: &Policy, title: &TitleId, number: u64) -> Value {
    let play = uuid::Uuid::from_u64_pair(
        control_types::spread::mix(number),
        control_types::spread::mix(number + 1_000),
    );
    let (high, low) = play.as_u64_pair();
    let current: Option<ApplianceId> = match number % 3 {
        0 => None,
        at => Some(EDGES[(number / 3 + at) as usize % EDGES.len()].1.parse().unwrap()),
    };
    let objects = wanted();
    let question = Question::new("10.0.0.1".parse().unwrap(), title, &objects)
        .of_session(high ^ low, current.as_ref());
    let decision = decide(fleet, &question, policy);
    let list: Vec<String> = decision.ranked().iter().map(|one| one.appliance.to_string()).collect();
    json!({ "title": title, "play": play, "current": current, "list": list })
}

fn fresh() -> Value {
    let titles: Vec<TitleId> = (0..8).map(|at| format!("title-{at}").parse().unwrap()).collect();
    let policies = [Policy::default(), Policy { spill_power: 3, full_percent: 97, ..usual() }];
    let cases = FLEETS.iter().zip(policies.iter().cycle()).map(|(loads, policy)| {
        let fleet = fleet(loads);
        let told: BTreeMap<&str, u64> =
            EDGES.iter().map(|(_, id)| *id).zip(loads.iter().copied()).collect();
        let questions: Vec<Value> = (0..96)
            .map(|at| asked(&fleet, policy, &titles[at as usize % titles.len()], at))
            .collect();
        json!({
            "loads": told, "bundle": bundle(&fleet, &titles, policy), "questions": questions,
        })
    });
    Value::from(cases.collect::<Vec<_>>())
}

fn usual() -> Policy {
    Policy::default()
}

#[test]
fn control_answers_under_load_as_is_written_for_appliances() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundle_loads.json");
    let fresh = fresh();
    let firsts = |case: &Value| {
        let list = case["questions"].as_array().unwrap().iter();
        list.map(|one| one["list"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The cases say something: under load somebody else stands first than without.
    let idle = firsts(&fresh[0]);
    for at in 1..FLEETS.len() {
        let moved = firsts(&fresh[at]).iter().zip(&idle).filter(|(a, b)| a != b).count();
        assert!(moved > 2, "case {at}: {moved}");
    }
    if std::env::var_os("NIGHTFILL_WRITE").is_some() {
        let lines: Vec<String> =
            fresh.as_array().unwrap().iter().map(|case| case.to_string()).collect();
        std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(written == fresh, "NIGHTFILL_WRITE=1 writes {path} anew; then run oca's tests");
}
