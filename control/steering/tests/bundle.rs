//! Goal: what a bundle says is what decisions say. Method: random fleets, all of whose boxes are
//! well and idle; a reader of a few lines, which knows bundles only, is asked what `decide` is
//! asked, and the whole lists are compared. Then what bounds cut, and whom a bundle names.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;
mod reference;

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_steering::Policy;
use control_steering::bundle::{Draft, Loads, Survey, Terms};
use control_steering::decide::decide;
use control_steering::fleet::Fleet;
use control_types::bundle::{BundleAppliance, SteeringBundle, TitleHolders};
use control_types::fleet::{Health, Role, TicketKeys};
use control_types::limits::{BUNDLE_AREA_PLACES_MAX, RANKED_MAX};
use control_types::spread::{hash_name, rendezvous};
use control_types::{IspId, TitleId};
use ipnet::IpNet;
use lab::Lab;
use reference::build::{TITLES, asked, fleet, objects_of, random_question, random_world};

fn draft(fleet: &Fleet, isp: &str) -> Draft {
    let (isp, keys, policy): (IspId, _, _) =
        (isp.parse().unwrap(), TicketKeys::default(), Policy::default());
    let terms = Terms {
        control_url: None,
        isp: &isp,
        ttl_s: 10,
        keys: &keys,
        policy: &policy,
        loads: &Loads::default(),
    };
    Survey::of(fleet).draft(fleet, &terms)
}

fn bundle(fleet: &Fleet, isp: &str) -> SteeringBundle {
    let draft = draft(fleet, isp);
    assert!(!draft.cut.is_some(), "{:?}", draft.cut);
    draft.bundle
}

/// The area of an address, as the longest prefix says.
fn area(bundle: &SteeringBundle, ip: IpAddr) -> &[Vec<u32>] {
    let holds = |(text, _): &&(String, u32)| text.parse::<IpNet>().unwrap().contains(&ip);
    let longest = bundle
        .prefixes
        .iter()
        .filter(holds)
        .max_by_key(|(text, _)| text.parse::<IpNet>().unwrap().prefix_len());
    &bundle.areas[longest.map_or(bundle.anywhere, |(_, area)| *area) as usize]
}

fn has_bit(text: &str, at: u32) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    bytes.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// 0 all of the title, 1 some of it, 2 nothing.
fn lack(bundle: &SteeringBundle, title: &TitleId, at: u32) -> u8 {
    let is_edge = bundle.appliances[at as usize].role == Role::Edge;
    match bundle.titles.get(title) {
        None => {
            if is_edge {
                2
            } else {
                0
            }
        }
        Some(TitleHolders { full, .. }) if has_bit(full, at) => 0,
        Some(TitleHolders { part, .. }) if has_bit(part, at) => 1,
        Some(_) => 2,
    }
}

/// The list for a title from an address, by the bundle alone.
fn ranked<'a>(bundle: &'a SteeringBundle, ip: IpAddr, title: &TitleId) -> Vec<&'a BundleAppliance> {
    let mut list = Vec::new();
    for (group, members) in area(bundle, ip).iter().enumerate() {
        for at in members {
            let one = &bundle.appliances[*at as usize];
            let lack = lack(bundle, title, *at);
            if lack == 2 && one.role == Role::Edge {
                continue;
            }
            let (title, id) = (hash_name(title.as_str()), hash_name(one.id.as_str()));
            let score = -rendezvous(title, id, one.share);
            let is_origin = one.role == Role::Origin;
            list.push(((lack == 2, is_origin, lack, one.role, group), score, one, lack));
        }
    }
    list.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // No failure domain takes both first places.
    if list.len() > 1 && list[0].2.domain == list[1].2.domain {
        let domain = list[0].2.domain;
        let other = |one: &(_, f64, &BundleAppliance, u8)| one.2.domain != domain && one.3 == 0;
        if let Some(found) = list.iter().position(other) {
            list[1..=found].rotate_right(1);
        }
    }
    let origin = list.iter().position(|one| one.2.role == Role::Origin);
    if let Some(at) = origin.filter(|at| *at >= RANKED_MAX) {
        list[RANKED_MAX - 1..=at].rotate_right(1);
    }
    list.into_iter().take(RANKED_MAX).map(|one| one.2).collect()
}

#[test]
fn a_bundle_says_what_decisions_say() {
    let policy = Policy::default();
    let (mut lists, mut places) = (0, 0);
    for seed in 0..300u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = random_world(&mut random);
        for one in &mut world.boxes {
            (one.health, one.load_per_mille) = (Health::Healthy, 0);
            (one.is_late, one.is_shunned, one.drained_for_ms) = (false, false, None);
        }
        let fleet = fleet(&world);
        let bundle = bundle(&fleet, "isp");
        for _ in 0..40 {
            let mut plain = random_question(&mut random, &world);
            let title = random.u32(0..TITLES - 1);
            (plain.title, plain.objects) = (format!("title-{title}"), objects_of(title));
            plain.current = None;
            let wanted = asked(&world, &plain, |question| {
                let ranked = decide(&fleet, question, &policy).ranked();
                ranked.into_iter().map(|place| place.appliance.to_string()).collect::<Vec<_>>()
            });
            let given = ranked(&bundle, plain.ip, &plain.title.parse().unwrap());
            let given: Vec<&str> = given.iter().map(|one| one.id.as_str()).collect();
            assert_eq!(given, wanted, "seed {seed}: {plain:?}\n{bundle:#?}");
            lists += usize::from(!given.is_empty());
            places += given.len();
        }
    }
    assert!(lists > 8_000 && places > 2 * lists, "{lists} lists of {places} places prove little");
}

#[test]
fn it_names_the_isps_own_and_what_its_members_fall_back_to() {
    let fleet = Lab::default()
        .site("ours", "isp-a", &["10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/24"])
        .site("ours-too", "isp-a", &["10.0.2.0/24"])
        .site("theirs", "isp-b", &["10.9.0.0/16"])
        .site("hub", "isp-c", &[])
        .on("ours", Role::Edge, "a1")
        .on("ours", Role::Edge, "a2")
        .unheard("ours", Role::Edge, "a3")
        .with("ours", Role::Edge, "a4", |_, report| report.media_url = "https://a4:x".to_owned())
        .on("ours-too", Role::Edge, "a5")
        .on("theirs", Role::Edge, "b1")
        .on("hub", Role::Tier, "tier")
        .on("hub", Role::Origin, "origin")
        .fleet();
    let bundle = bundle(&fleet, "isp-a");
    let names: Vec<&str> = bundle.appliances.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(names, ["a1", "a2", "a5", "origin", "tier"]);
    // 10.0.1.0/24 is where 10.0.0.0/16 is, so nothing is said of it.
    let prefixes: Vec<&str> = bundle.prefixes.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(prefixes, ["10.0.0.0/16", "10.0.2.0/24"]);
    let names_at = |ip: &str| -> Vec<Vec<&str>> {
        let name = |at: &u32| bundle.appliances[*at as usize].id.as_str();
        let groups = area(&bundle, ip.parse().unwrap()).iter();
        groups.map(|group| group.iter().map(name).collect()).collect()
    };
    assert_eq!(names_at("10.0.1.1"), [vec!["a1", "a2"], vec!["tier"], vec!["origin"]]);
    assert_eq!(names_at("10.0.2.1"), [vec!["a1", "a2", "a5"], vec!["tier"], vec!["origin"]]);
    assert_eq!(names_at("10.9.0.1"), [vec!["tier"], vec!["origin"]], "another ISP's member");
    assert_eq!(names_at("192.0.2.1"), [vec!["tier"], vec!["origin"]]);
}

#[test]
fn a_long_area_is_cut_from_its_end_and_keeps_tiers_and_origins() {
    let mut lab = Lab::default().site("s", "isp", &["10.0.0.0/8"]);
    for number in 0..BUNDLE_AREA_PLACES_MAX + 20 {
        lab = lab.on("s", Role::Edge, &format!("e{number:03}"));
    }
    let fleet = lab.on("s", Role::Tier, "tier").on("s", Role::Origin, "origin").fleet();
    let Draft { bundle, cut } = draft(&fleet, "isp");
    assert_eq!((cut.places, cut.prefixes, cut.appliances, cut.titles), (22, 0, 0, 0));
    let area = area(&bundle, "10.1.1.1".parse().unwrap());
    assert_eq!(area.iter().map(Vec::len).collect::<Vec<_>>(), [254, 1, 1]);
    assert_eq!(bundle.appliances.len(), 278, "all are named: each answers members itself");
}
