//! Goal: each rule of the ranking decides what its line says, in its turn, and says so. Method:
//! small fleets in, ranked lists with reasons out; then random fleets against the promises that
//! hold for all of them.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use control_types::fleet::{Link, Role};
use control_types::limits::RANKED_MAX;
use lab::{CAPACITY_BPS, Lab, asked, held, list, object, verdict, volume};

use Role::{Edge, Origin, Tier};

#[track_caller]
fn check(lab: Lab, ip: &str, wanted: &[&str]) {
    assert_eq!(list(&lab.fleet(), ip), wanted, "{ip}");
}

#[test]
fn the_longer_prefix_wins_over_a_better_link() {
    let lab = Lab::default()
        .site("wide", "isp", &["10.0.0.0/8"])
        .site("near", "isp", &["10.1.0.0/16"])
        .on("wide", Edge, "w")
        .with("near", Edge, "n", |row, _| row.record.link = Link::Transit);
    check(lab, "10.1.2.3", &["n:prefix", "w:prefix"]);
}

#[test]
fn ipv6_members_are_steered_by_ipv6_prefixes() {
    let lab = Lab::default()
        .site("wide", "isp", &["2001:db8::/32", "10.0.0.0/8"])
        .site("near", "isp", &["2001:db8:7::/48"])
        .on("wide", Edge, "w")
        .on("near", Edge, "n");
    check(lab, "2001:db8:7::1", &["n:prefix", "w:prefix"]);
}

#[test]
fn an_edge_is_offered_only_where_it_was_announced() {
    let lab = Lab::default()
        .site("a", "isp", &["10.1.0.0/16"])
        .site("b", "isp", &["10.2.0.0/16"])
        .site("o", "operator", &[])
        .on("a", Edge, "a1")
        .on("b", Edge, "b1")
        .on("o", Origin, "origin");
    let fleet = lab.fleet();
    assert_eq!(list(&fleet, "10.1.0.1"), ["a1:fallback", "origin:fallback"]);
    assert_eq!(list(&fleet, "192.0.2.1"), ["origin:only"]);
    let (reason, because) = verdict(&fleet, "10.1.0.1", "b1");
    assert_eq!(reason, "not_announced");
    assert!(because.contains("no prefix"), "{because}");
}

#[test]
fn link_then_headroom_then_distance_decide() {
    let link = Lab::default()
        .site("a", "isp", &["10.0.0.0/8"])
        .site("b", "isp", &["10.0.0.0/8"])
        .with("a", Edge, "x", |row, _| row.record.link = Link::PublicPeering)
        .with("b", Edge, "y", |_, report| report.sending_bps = CAPACITY_BPS * 9 / 10);
    check(link, "10.0.0.1", &["y:link", "x:link"]);
    let headroom = Lab::default()
        .site("a", "isp", &["10.0.0.0/8"])
        .site("b", "isp", &["10.0.0.0/8"])
        .with("a", Edge, "x", |_, report| report.sending_bps = CAPACITY_BPS * 8 / 10)
        .on("b", Edge, "y");
    check(headroom, "10.0.0.1", &["y:headroom", "x:headroom"]);
    // The member is taken to be at the first site of the longest prefix.
    let distance = Lab::default()
        .site_at("berlin", &["10.0.0.0/8"], (52.5, 13.4))
        .site_at("tokyo", &["10.0.0.0/8"], (35.7, 139.7))
        .on("tokyo", Edge, "t")
        .on("berlin", Edge, "b");
    check(distance, "10.0.0.1", &["b:distance", "t:distance"]);
}

#[test]
fn a_full_box_stands_behind_one_with_room() {
    let lab = Lab::default()
        .site("a", "isp", &["10.1.0.0/16"])
        .site("b", "isp", &["10.0.0.0/8"])
        .with("a", Edge, "full", |_, report| report.sending_bps = CAPACITY_BPS * 97 / 100)
        .on("b", Edge, "room");
    check(lab, "10.1.0.1", &["room:full", "full:full"]);
}

#[test]
fn content_decides_before_closeness() {
    let lab = Lab::default()
        .site("a", "isp", &["10.1.0.0/16"])
        .site("b", "isp", &["10.0.0.0/8"])
        .site("o", "operator", &[])
        .with("a", Edge, "part", |_, report| report.content = Some(held(&[object(1), object(2)])))
        .with("a", Edge, "none", |_, report| report.content = Some(held(&[object(9)])))
        .on("b", Edge, "whole")
        .on("o", Origin, "origin");
    let fleet = lab.fleet();
    let wanted = ["whole:partial", "part:partial", "origin:fallback"];
    assert_eq!(list(&fleet, "10.1.0.1"), wanted);
    assert_eq!(verdict(&fleet, "10.1.0.1", "none").0, "absent");
    assert!(verdict(&fleet, "10.1.0.1", "part").1.contains("2/4 objects"));
}

#[test]
fn a_tier_or_origin_that_reports_nothing_is_a_last_resort() {
    let nothing = |_: &mut _, report: &mut control_types::fleet::ApplianceReport| {
        report.content = None;
    };
    let lab = Lab::default()
        .site("t", "isp", &[])
        .site("o", "operator", &[])
        .with("t", Tier, "tier", nothing)
        .on("o", Origin, "origin");
    check(lab, "10.0.0.1", &["origin:absent", "tier:absent"]);
    let alone = Lab::default().site("o", "operator", &[]).with("o", Origin, "origin", nothing);
    check(alone, "10.0.0.1", &["origin:only"]);
}

#[test]
fn edges_come_before_tiers_and_the_origin_is_last() {
    let lab = Lab::default()
        .site("a", "isp", &["10.0.0.0/8"])
        .site("t", "isp", &["10.0.0.0/8"])
        .site("o", "operator", &["10.0.0.0/8"])
        .on("o", Origin, "origin")
        .on("t", Tier, "tier")
        .with("a", Edge, "edge", |row, _| row.record.link = Link::Transit);
    check(lab, "10.0.0.1", &["edge:role", "tier:role", "origin:fallback"]);
}

#[test]
fn one_failure_domain_does_not_take_both_first_places() {
    let racks = |domain: Option<&str>, b_holds: bool| {
        let rack = domain.map(str::to_owned);
        let again = rack.clone();
        Lab::default()
            .site("a", "isp", &["10.1.0.0/16"])
            .site("b", "isp", &["10.0.0.0/8"])
            .site("o", "operator", &[])
            .with("a", Edge, "a1", |row, _| row.record.detail.failure_domain = rack)
            .with("a", Edge, "a2", |row, _| {
                row.record.link = Link::PrivatePeering;
                row.record.detail.failure_domain = again;
            })
            .with("b", Edge, "b1", move |_, report| {
                let part = held(&[object(1)]);
                report.content = if b_holds { report.content.take() } else { Some(part) };
            })
            .on("o", Origin, "origin")
    };
    let apart = ["a1:link", "b1:domain", "a2:domain", "origin:fallback"];
    check(racks(Some("rack7"), true), "10.1.0.1", &apart);
    // Without a domain each box fails alone.
    let plain = ["a1:link", "a2:link", "b1:prefix", "origin:fallback"];
    check(racks(None, true), "10.1.0.1", &plain);
    // A box that holds only part of it is no second home for a play; the origin is.
    let spare = ["a1:link", "origin:domain", "a2:domain", "b1:partial"];
    check(racks(Some("rack7"), false), "10.1.0.1", &spare);
    let one_feed = Lab::default()
        .site_as_one("a", "isp", &["10.1.0.0/16"])
        .site("b", "isp", &["10.0.0.0/8"])
        .on("a", Edge, "a1")
        .with("a", Edge, "a2", |row, _| row.record.link = Link::PrivatePeering)
        .on("b", Edge, "b1");
    check(one_feed, "10.1.0.1", &["a1:link", "b1:domain", "a2:domain"]);
}

#[test]
fn what_is_not_well_is_left_out_and_says_why() {
    let fleet = Lab::default()
        .site("a", "isp", &["10.0.0.0/8"])
        .on("a", Edge, "well")
        .heard("a", Edge, "silent", 3_001)
        .heard("a", Edge, "late", 3_000)
        .unheard("a", Edge, "unheard")
        .with("a", Edge, "sick", |_, report| report.volumes = vec![volume(false), volume(false)])
        .with("a", Edge, "limping", |_, report| report.volumes = vec![volume(false), volume(true)])
        .with("a", Edge, "asked", |row, _| row.drains.operator = true)
        .with("a", Edge, "draining", |_, report| report.draining = true)
        .fleet();
    let mut ids: Vec<String> = list(&fleet, "10.0.0.1");
    ids.iter_mut().for_each(|word| word.truncate(word.find(':').unwrap()));
    ids.sort();
    assert_eq!(ids, ["late", "limping", "well"]);
    for (id, reason) in [
        ("silent", "silent"),
        ("unheard", "unheard"),
        ("sick", "sick"),
        ("asked", "draining"),
        ("draining", "draining"),
    ] {
        assert_eq!(verdict(&fleet, "10.0.0.1", id).0, reason);
    }
}

#[test]
fn when_everything_looks_dead_the_last_good_are_offered() {
    let lab = |origin_ago| {
        Lab::default()
            .site("a", "isp", &["10.0.0.0/8"])
            .site("o", "operator", &[])
            .heard("a", Edge, "a1", 60_000)
            .with("a", Edge, "a2", |row, _| row.drains.operator = true)
            .heard("o", Origin, "origin", origin_ago)
    };
    let dead = lab(60_000).fleet();
    let wanted = ["a1:last_good+fallback", "origin:last_good+fallback"];
    assert_eq!(list(&dead, "10.0.0.1"), wanted, "a box asked to drain is never brought back");
    assert!(verdict(&dead, "10.0.0.1", "a1").1.contains("nothing is known good"));
    assert_eq!(list(&lab(0).fleet(), "10.0.0.1"), ["origin:only"]);
}

#[test]
fn while_control_is_deaf_the_list_is_that_of_its_last_moment() {
    let fleet = Lab::default()
        .site("a", "isp", &["10.0.0.0/8"])
        .site("o", "operator", &[])
        .heard("a", Edge, "long-dead", 3_600_000 + 60_000)
        .heard("a", Edge, "well", 3_600_000)
        .heard("o", Origin, "origin", 3_601_000)
        .deaf_for(3_600_000)
        .fleet();
    assert_eq!(list(&fleet, "10.0.0.1"), ["well:last_good+fallback", "origin:last_good+fallback"]);
    assert!(verdict(&fleet, "10.0.0.1", "well").1.contains("nothing is known good"));
    assert_eq!(verdict(&fleet, "10.0.0.1", "long-dead").0, "silent");
}

/// Goal: a network partition between control and most appliances does not send everybody to the
/// few it still hears, while single deaths are believed at once.
#[test]
fn at_most_half_of_the_fleet_is_left_out_for_silence() {
    let fleet = |silent: u64| {
        let mut lab = Lab::default().site("a", "isp", &["10.0.0.0/8"]).site("o", "operator", &[]);
        for number in 0..11 {
            let ago = if number < silent { 10_000 + number } else { 0 };
            lab = lab.heard("a", Edge, &format!("e{number:02}"), ago);
        }
        lab.on("o", Origin, "origin").fleet()
    };
    let silent_of = |silent: u64| {
        let fleet = fleet(silent);
        asked(&fleet, "10.0.0.1", |decision, question| {
            let all = decision.explanation(question).candidates;
            all.iter().filter(|one| one.reason == "silent").count()
        })
    };
    // Twelve were heard, so six may go.
    assert_eq!(silent_of(1), 1);
    assert_eq!(silent_of(6), 6);
    assert_eq!(silent_of(7), 6);
    assert_eq!(silent_of(11), 6);
    let fleet = fleet(11);
    let ranked = list(&fleet, "10.0.0.1");
    assert_eq!(ranked.len(), 6, "{ranked:?}");
    assert_eq!(ranked[5], "origin:fallback", "the origin is heard, and still only the spare");
    for place in &ranked[..5] {
        assert!(place.contains(":last_good+"), "{place}");
    }
    assert_eq!(verdict(&fleet, "10.0.0.1", "e10").0, "silent", "silent longest of all");
    assert!(verdict(&fleet, "10.0.0.1", "e00").1.contains("too many others"));
}

#[test]
fn silence_of_hours_is_believed_however_many_are_silent() {
    let mut lab = Lab::default().site("a", "isp", &["10.0.0.0/8"]).on("a", Edge, "well");
    for number in 0..11 {
        lab = lab.heard("a", Edge, &format!("e{number}"), 2 * 3_600_000);
    }
    check(lab, "10.0.0.1", &["well:only"]);
}

#[test]
fn a_long_list_keeps_the_origin_in_its_last_place() {
    let mut lab = Lab::default().site("a", "isp", &["10.0.0.0/8"]).site("o", "operator", &[]);
    for number in 0..12 {
        lab = lab.on("a", Edge, &format!("e{number}"));
    }
    let fleet = lab.on("o", Origin, "origin").fleet();
    let ranked = list(&fleet, "10.0.0.1");
    assert_eq!(ranked.len(), RANKED_MAX);
    assert_eq!(ranked[RANKED_MAX - 1], "origin:fallback");
    let cut = asked(&fleet, "10.0.0.1", |decision, question| {
        let explained = decision.explanation(question).candidates;
        assert_eq!(explained.len(), 13, "every appliance has a verdict");
        explained.iter().filter(|one| one.reason == "list_full").count()
    });
    assert_eq!(cut, 5);
}

#[test]
fn equals_share_titles_evenly_and_keep_them_when_one_leaves() {
    use control_steering::decide::decide;
    use control_steering::{Policy, Question};
    let boxes = |count: usize| {
        let mut lab = Lab::default().site("a", "isp", &["10.0.0.0/8"]);
        for number in 0..count {
            lab = lab.on("a", Edge, &format!("e{number}"));
        }
        lab.fleet()
    };
    let first = |fleet: &control_steering::fleet::Fleet, title: usize| {
        let (title, objects) = (format!("title-{title}").parse().unwrap(), lab::wanted());
        let ip = "10.0.0.1".parse().unwrap();
        let question = Question::new(ip, &title, &objects);
        decide(fleet, &question, &Policy::default()).ranked()[0].appliance.to_string()
    };
    let (four, three) = (boxes(4), boxes(3));
    let mut counts = [0usize; 4];
    for title in 0..1_000 {
        let own = first(&four, title);
        counts[own[1..].parse::<usize>().unwrap()] += 1;
        if own != "e3" {
            assert_eq!(first(&three, title), own, "a title moved although its box stayed");
        }
    }
    assert!(counts.iter().all(|count| (180..=320).contains(count)), "{counts:?}");
}

/// Random fleets of up to 14 boxes on 4 sites, in every state; seed printed on failure.
#[test]
fn promises_that_hold_for_every_fleet() {
    for seed in 0..3_000u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fleet = random_fleet(&mut random);
        let ip = ["10.1.2.3", "10.2.0.1", "2001:db8::1", "192.0.2.1"][random.usize(0..4)];
        asked(&fleet, ip, |decision, question| {
            let ranked = decision.ranked();
            let explained = decision.explanation(question);
            assert!(ranked.len() <= RANKED_MAX, "seed {seed}");
            assert_eq!(explained.candidates.len(), fleet.registry.appliances.len(), "seed {seed}");
            for (at, place) in ranked.iter().enumerate() {
                let told = &explained.candidates[at];
                assert_eq!(told.appliance, place.appliance, "seed {seed}");
                assert_eq!(told.rank, Some(at as u32 + 1), "seed {seed}");
                assert_eq!(told.reason, place.reason, "seed {seed}");
                assert!(!place.media_url.is_empty(), "seed {seed}");
                let registered = &fleet.registry.appliances[&place.appliance];
                assert!(!registered.drains.any(), "seed {seed}: {} is draining", place.appliance);
                let announced = fleet
                    .registry
                    .prefixes
                    .covers(question.ip)
                    .iter()
                    .any(|cover| cover.sites.contains(&place.site));
                let is_edge = registered.record.role == Edge;
                assert!(announced || !is_edge, "seed {seed}: {} elsewhere", place.appliance);
            }
            assert!(explained.candidates[ranked.len()..].iter().all(|one| one.rank.is_none()));
        });
    }
}

fn random_fleet(random: &mut fastrand::Rng) -> control_steering::fleet::Fleet {
    let prefixes: [&[&str]; 4] =
        [&["10.1.0.0/16"], &["10.0.0.0/8"], &["10.1.2.0/24", "2001:db8::/32"], &[]];
    let mut lab = Lab::default();
    for (number, prefixes) in prefixes.iter().enumerate() {
        lab = lab.site(&format!("s{number}"), "isp", prefixes);
    }
    for number in 0..random.usize(0..15) {
        let site = format!("s{}", random.usize(0..4));
        let role = [Edge, Edge, Edge, Tier, Origin][random.usize(0..5)];
        let id = format!("x{number}");
        if random.usize(0..8) == 0 {
            lab = lab.heard(&site, role, &id, random.u64(0..10_000));
            continue;
        }
        let objects: Vec<_> = (1..=4).filter(|_| random.usize(0..4) > 0).map(object).collect();
        let drain = random.usize(0..10) == 0;
        let percent = [0, 50, 75, 90, 95, 99][random.usize(0..6)];
        let link = [Link::Embedded, Link::PrivatePeering, Link::Transit][random.usize(0..3)];
        let sick = random.usize(0..10) == 0;
        lab = lab.with(&site, role, &id, |row, report| {
            row.drains.isp = drain;
            row.record.link = link;
            report.sending_bps = CAPACITY_BPS * percent / 100;
            report.content = Some(held(&objects));
            report.volumes = vec![volume(!sick)];
        });
    }
    lab.fleet()
}
