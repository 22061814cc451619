//! Goal: each standard player is told what it understands, and one that passes over clones still
//! finds a pathway of its own manifest that serves. Method: the questions as hls.js 1.7, dash.js
//! 5.2 and Shaka Player 5.2 write them.

use control_types::play::SteeringManifest;

use super::{asked, bundle, outlook_of};
use crate::sovereign::{Outlook, Sighting};

/// `edge-a1` and `edge-b1` listen where the manifest's pathway `edge-a2` does, `edge-b2` elsewhere.
fn outlook() -> Outlook {
    let mut bundle = bundle();
    bundle.appliances[3].media_url = "https://edge-b2.example:8443".into();
    outlook_of(bundle)
}

fn told(outlook: &Outlook, query: &str) -> SteeringManifest {
    asked(outlook, "10.0.0.1", "night", &format!("pathways=edge-a2&{query}")).unwrap()
}

fn clones(told: &SteeringManifest) -> Vec<(&str, &str)> {
    let host = |one: &control_types::play::UriReplacement| one.host.clone().unwrap();
    assert!(told.pathway_clones.iter().all(|clone| !host(&clone.uri_replacement).is_empty()));
    let clones = told.pathway_clones.iter();
    clones
        .map(|one| (one.id.as_str(), one.uri_replacement.host.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn each_player_gets_clones_that_it_makes_right() {
    let outlook = outlook();
    let names = [
        ("edge-a1", "edge-a1.example"),
        ("edge-b1", "edge-b1.example"),
        ("tier-1", "tier-1.example"),
        ("origin-1", "origin-1.example"),
    ];
    let whole = [
        ("edge-a1", "edge-a1.example"),
        ("edge-b2", "edge-b2.example:8443"),
        ("edge-b1", "edge-b1.example"),
        ("tier-1", "tier-1.example"),
        ("origin-1", "origin-1.example"),
    ];
    // A host is a name, and the port stays: one that listens elsewhere cannot be offered.
    for (player, query) in [
        ("hls.js", "_HLS_pathway=edge-a2&_HLS_throughput=5000000"),
        ("Shaka Player, HLS", "_HLS_pathway=edge-a2&_HLS_throughput=5000000"),
        ("Shaka Player, its first question", ""),
        ("Shaka Player, DASH", "_DASH_pathway=edge-a2&_DASH_throughput=5000000"),
    ] {
        let told = told(&outlook, query);
        assert_eq!(clones(&told), names, "{player}");
        assert!(!told.pathway_priority.contains(&"edge-b2".to_owned()), "{player}");
    }
    // A host is host and port.
    let told = told(&outlook, "_DASH_pathway=%22edge-a2%22&_DASH_throughput=%225000000%22");
    let mut given = clones(&told);
    given.sort_unstable();
    let mut wanted = whole;
    wanted.sort_unstable();
    assert_eq!(given, wanted, "dash.js");
}

#[test]
fn who_makes_no_clones_finds_a_pathway_of_its_own_that_serves() {
    let mut outlook = outlook();
    let usual = told(&outlook, "_HLS_pathway=edge-a2");
    assert_eq!(usual.pathway_priority.iter().filter(|id| *id == "edge-a2").count(), 1);
    // It drains: clones first, and itself at the end while it serves.
    let mut draining = bundle();
    draining.appliances[1].draining = true;
    let drained = outlook_of(draining);
    let list = told(&drained, "_HLS_pathway=edge-a2").pathway_priority;
    assert_eq!((list[0].as_str(), list.last().unwrap().as_str()), ("edge-a1", "edge-a2"));
    // It is dead: nobody is told to go there.
    outlook.sightings = vec![Sighting::Unknown, Sighting::Out];
    let list = told(&outlook, "_HLS_pathway=edge-a2").pathway_priority;
    assert!(!list.contains(&"edge-a2".to_owned()), "{list:?}");
    // Who has others of its own is not told of one that drains.
    let two = asked(&drained, "10.0.0.1", "night", "pathways=edge-a2,edge-b1").unwrap();
    assert!(!two.pathway_priority.contains(&"edge-a2".to_owned()));
}
