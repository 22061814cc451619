//! Whom a request is sent to for what this box lacks: never back, never to somebody who lacks it.

use control_types::bundle::{SteeringBundle, TitleHolders};
use control_types::fleet::{Health, Role};

use super::super::table::Table;
use super::*;

fn sent_to(bundle: &SteeringBundle, own: &str, title: &str, hops: u32) -> Option<String> {
    let table = Arc::new(Table::new(bundle.clone(), &own.parse().unwrap()).unwrap());
    let outlook = Outlook { table, ..outlook_of(bundle.clone()) };
    let title = title.parse().unwrap();
    let found = holder(&outlook, "10.0.0.1".parse().unwrap(), &title, hops);
    found.map(|one| one.id.to_string())
}

/// All edges have the core of `night`; all of it have `edge-a2`, the tier and the origin.
fn thin() -> SteeringBundle {
    let mut bundle = bundle();
    let held = TitleHolders { full: "Pw".into(), whole: Some("Mg".into()), part: String::new() };
    bundle.titles.insert("night".parse().unwrap(), held);
    bundle
}

#[test]
fn a_neighbour_that_has_all_of_it_is_asked_first_and_once() {
    let bundle = thin();
    assert_eq!(sent_to(&bundle, "edge-a1", "night", 0).as_deref(), Some("edge-a2"));
    assert_eq!(sent_to(&bundle, "edge-a1", "night", 1).as_deref(), Some("tier-1"));
    assert_eq!(sent_to(&bundle, "edge-a2", "night", 0).as_deref(), Some("tier-1"));
    assert_eq!(sent_to(&bundle, "tier-1", "night", 1).as_deref(), Some("origin-1"));
    assert_eq!(sent_to(&bundle, "origin-1", "night", 0), None);
    // A title that no edge has anything of.
    assert_eq!(sent_to(&bundle, "edge-a1", "dusk", 0).as_deref(), Some("tier-1"));
}

#[test]
fn who_is_ill_or_lacks_it_is_not_named() {
    let mut bundle = thin();
    bundle.appliances[1].health = Health::Sick;
    assert_eq!(sent_to(&bundle, "edge-a1", "night", 0).as_deref(), Some("tier-1"));
    bundle.appliances[4].draining = true;
    assert_eq!(sent_to(&bundle, "edge-a1", "night", 0).as_deref(), Some("origin-1"));
    let nobody =
        TitleHolders { full: "Pw".into(), whole: Some(String::new()), ..Default::default() };
    bundle.titles.insert("night".parse().unwrap(), nobody);
    assert_eq!(sent_to(&bundle, "edge-a1", "night", 0), None);
    // A bundle of before says who has all of it by `full`.
    assert_eq!(sent_to(&super::bundle(), "edge-a1", "dawn", 0).as_deref(), Some("tier-1"));
}

#[test]
fn no_request_goes_round() {
    // Whoever is asked lacks it although the bundle says otherwise, and sends on what it can.
    let bundle = super::bundle();
    let mut at = "edge-a1".to_owned();
    let mut seen = vec![at.clone()];
    for hops in 0..crate::limits::HOPS_MAX {
        let Some(next) = sent_to(&bundle, &at, "night", hops) else { break };
        assert!(!seen.contains(&next), "{seen:?} then {next}");
        seen.push(next.clone());
        at = next;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    let roles = bundle.appliances.iter().find(|one| one.id.as_str() == at).map(|one| one.role);
    assert!(roles.is_some_and(|role| role > Role::Edge));
}
