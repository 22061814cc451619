//! Bundles made by hand, and what is answered from them.

mod elsewhere;
mod keys;
mod load;
mod players;
mod renewal;

use std::collections::BTreeMap;
use std::sync::Arc;

use control_token::BundleSigner;
use control_types::bundle::{BundleAppliance, SignedBundle, SteeringBundle, TitleHolders};
use control_types::fleet::{Health, Role, TicketKeys};
use control_types::limits::BUNDLE_BYTES_MAX;
use control_types::play::SteeringManifest;
use control_types::spread::LoadRule;
use control_types::{ApplianceId, UnixMillis};

use super::*;
use crate::limits::{PROBE_GOODS, PROBE_MISSES, WITNESS_EVERY};

/// `a1` and `a2` at one site, `b1` and `b2` at the next, a tier, an origin. `a1` and `a2` are the
/// first group of the area of 10.0.0.0/8, `b1` and `b2` its second. All hold `night`; `a1` alone
/// holds `dawn`, `b1` part of it.
pub fn bundle() -> SteeringBundle {
    let names = ["edge-a1", "edge-a2", "edge-b1", "edge-b2", "tier-1", "origin-1"];
    let appliances = names.iter().enumerate().map(|(at, name)| BundleAppliance {
        id: name.parse().unwrap(),
        site: name[..name.len() - 1].parse().unwrap(),
        role: [Role::Edge, Role::Edge, Role::Edge, Role::Edge, Role::Tier, Role::Origin][at],
        media_url: format!("https://{name}.example"),
        domain: at as u32,
        health: Health::Healthy,
        draining: false,
        drains_since: None,
        shunned: false,
        load_per_mille: 0,
        share: 1.0,
        capacity_mbps: None,
    });
    let far = vec![vec![4], vec![5]];
    let near = vec![vec![0, 1], vec![2, 3], vec![4], vec![5]];
    let mut titles = BTreeMap::new();
    let held =
        |full: &str, part: &str| TitleHolders { full: full.into(), whole: None, part: part.into() };
    // The bits of all six; of the first and the last two, and of the third.
    titles.insert("night".parse().unwrap(), held("Pw", ""));
    titles.insert("dawn".parse().unwrap(), held("MQ", "BA"));
    SteeringBundle {
        v: 1,
        serial: 7,
        isp: "isp-one".parse().unwrap(),
        made_at: UnixMillis(1),
        ttl_s: 10,
        control_url: None,
        drain_spread_ms: 0,
        appliances: appliances.collect(),
        areas: vec![near, far],
        classes: Vec::new(),
        load_rule: LoadRule::default(),
        prefixes: vec![("10.0.0.0/8".into(), 0), ("2001:db8::/32".into(), 0)],
        anywhere: 1,
        titles,
        ticket_keys: TicketKeys::default(),
    }
}

pub fn own() -> ApplianceId {
    "edge-a1".parse().unwrap()
}

pub fn outlook_of(bundle: SteeringBundle) -> Outlook {
    let table = Arc::new(Table::new(bundle, &own()).unwrap());
    Outlook {
        table,
        sightings: Vec::new(),
        hints: Vec::new(),
        own: Own::default(),
        loads_count: true,
        control_is_there: false,
        steps: Vec::new(),
    }
}

fn asked(outlook: &Outlook, address: &str, title: &str, query: &str) -> Option<SteeringManifest> {
    let title = title.parse().unwrap();
    let address = address.parse().unwrap();
    let reply = Reply {
        address,
        title: &title,
        subject: "play",
        ticket: Some("TICKET"),
        issued_at: None,
        is_ending: false,
        now: UnixMillis(0),
    };
    let text = answer(outlook, &reply, &Ask::of(Some(query)))?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn order(outlook: &Outlook, title: &str, current: &str) -> Vec<String> {
    let query = format!("_HLS_pathway={current}");
    asked(outlook, "10.0.0.1", title, &query).unwrap().pathway_priority
}

#[test]
fn the_area_decides_and_equals_are_spread_by_title() {
    let outlook = outlook_of(bundle());
    let night = order(&outlook, "night", "");
    assert_eq!(night.len(), 6);
    assert!(night[..2].iter().all(|id| id.starts_with("edge-a")), "{night:?}");
    assert_eq!(night[4..], ["tier-1", "origin-1"]);
    let mut first = std::collections::BTreeMap::new();
    let mut bundle = bundle();
    for number in 0..200 {
        let held = TitleHolders { full: "Pw".into(), whole: None, part: String::new() };
        bundle.titles.insert(format!("title-{number}").parse().unwrap(), held);
    }
    let outlook = outlook_of(bundle);
    for number in 0..200 {
        let order = order(&outlook, &format!("title-{number}"), "");
        *first.entry(order[0].clone()).or_insert(0) += 1;
    }
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first.values().all(|count| *count > 60), "{first:?}");
    let strange = asked(&outlook, "192.0.2.1", "night", "").unwrap();
    assert_eq!(strange.pathway_priority, ["tier-1", "origin-1"], "no network holds it");
    let v6 = asked(&outlook, "2001:db8::9", "night", "").unwrap();
    assert!(v6.pathway_priority[0].starts_with("edge-a"));
}

#[test]
fn who_holds_the_title_goes_before_who_is_near() {
    let outlook = outlook_of(bundle());
    assert_eq!(order(&outlook, "dawn", ""), ["edge-a1", "tier-1", "edge-b1", "origin-1"]);
    assert_eq!(order(&outlook, "never-heard-of", ""), ["tier-1", "origin-1"]);
    // This box drains: the tier has all of it, the other edge has not.
    let outlook = Outlook { own: Own { draining: true, ..Own::default() }, ..outlook };
    assert_eq!(order(&outlook, "dawn", "edge-a1"), ["tier-1", "edge-b1", "origin-1"]);
}

#[test]
fn a_session_stays_while_its_place_is_as_good_as_the_best() {
    let mut outlook = outlook_of(bundle());
    for current in ["edge-a1", "edge-a2"] {
        assert_eq!(order(&outlook, "night", current)[0], current);
    }
    let best = order(&outlook, "night", "")[0].clone();
    for current in ["edge-b1", "tier-1", "origin-1", "nobody"] {
        assert_eq!(order(&outlook, "night", current)[0], best, "{current}");
    }
    // Full: some leave, and at twice its load all do.
    let mut bundle = bundle();
    bundle.appliances[1].load_per_mille = 5_000;
    outlook.table = Arc::new(Table::new(bundle, &own()).unwrap());
    assert_eq!(order(&outlook, "night", "edge-a2")[0], "edge-a1");
    outlook.loads_count = false;
    assert_eq!(order(&outlook, "night", "edge-a2")[0], "edge-a2", "loads of long ago");
}

/// Goal: a title that an edge has since a moment ago is played from there, though the next bundle
/// comes in a minute: control said so when it wrote the manifest.
#[test]
fn whom_control_named_after_the_bundle_has_the_title() {
    let outlook = outlook_of(bundle());
    let (title, address) = ("unheard-of".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let list = |at: u64, query: &str| {
        let issued_at = Some(UnixMillis(at));
        let reply = Reply {
            address,
            title: &title,
            subject: "play",
            ticket: None,
            issued_at,
            is_ending: false,
            now: UnixMillis(0),
        };
        let text = answer(&outlook, &reply, &Ask::of(Some(query))).unwrap();
        let told: SteeringManifest = serde_json::from_slice(&text).unwrap();
        told.pathway_priority
    };
    let named = "pathways=edge-a2,tier-1,origin-1&_HLS_pathway=edge-a2";
    assert_eq!(list(1, named), ["tier-1", "origin-1",], "the bundle is as new");
    assert_eq!(list(2, named), ["edge-a2", "tier-1", "origin-1"]);
    assert_eq!(list(2, "pathways=tier-1,origin-1"), ["tier-1", "origin-1"], "nobody named it");
}

#[test]
fn whom_players_complain_of_stands_last_while_control_says_so() {
    let mut shunning = bundle();
    shunning.appliances[1].shunned = true;
    let outlook = outlook_of(shunning);
    let list = order(&outlook, "night", "edge-a2");
    assert_eq!((list.len(), list[5].as_str()), (6, "edge-a2"), "it is there, as a last resort");
    let outlook = Outlook { loads_count: false, ..outlook };
    assert_eq!(order(&outlook, "night", "edge-a2")[0], "edge-a2", "complaints of long ago");
}

#[test]
fn the_dead_the_sick_and_the_draining_are_offered_to_nobody_while_there_are_others() {
    for (health, draining) in [
        (Health::Silent, false),
        (Health::Unheard, false),
        (Health::Sick, false),
        (Health::Draining, false),
        (Health::Healthy, true),
    ] {
        let mut bundle = bundle();
        (bundle.appliances[1].health, bundle.appliances[1].draining) = (health, draining);
        let mut outlook = outlook_of(bundle);
        let list = order(&outlook, "night", "edge-a2");
        assert!(!list.contains(&"edge-a2".to_owned()), "{health:?} {draining}: {list:?}");
        outlook.sightings = vec![Sighting::Alive; 6];
        let is_back = order(&outlook, "night", "edge-a2")[0] == "edge-a2";
        let is_only_silent = matches!(health, Health::Silent | Health::Unheard);
        assert_eq!(is_back, is_only_silent, "we see it, whatever control saw: {health:?}");
    }
    let mut outlook = outlook_of(bundle());
    outlook.sightings = vec![Sighting::Alive, Sighting::Out];
    assert!(!order(&outlook, "night", "edge-a2").contains(&"edge-a2".to_owned()));
    // All are out but this box; and this box is as it says itself.
    outlook.sightings = vec![Sighting::Out; 6];
    assert_eq!(order(&outlook, "night", "edge-a2"), ["edge-a1"]);
    outlook.own.sick = true;
    let list = order(&outlook, "night", "edge-a2");
    assert_eq!((list.len(), list[0].as_str()), (6, "edge-a1"), "the last good list: {list:?}");
}

#[test]
fn the_first_two_never_fail_together_while_another_has_the_title() {
    let mut bundle = bundle();
    bundle.appliances[0].domain = 9;
    bundle.appliances[1].domain = 9;
    let list = order(&outlook_of(bundle.clone()), "night", "");
    assert!(list[0].starts_with("edge-a") && list[1].starts_with("edge-b"), "{list:?}");
    bundle.appliances.iter_mut().for_each(|one| one.domain = 9);
    let list = order(&outlook_of(bundle), "night", "");
    assert!(list[1].starts_with("edge-a"), "nobody else is there: {list:?}");
}

#[test]
fn the_list_is_short_and_its_last_is_an_origin() {
    let mut bundle = bundle();
    let one = bundle.appliances[2].clone();
    for number in 0..20 {
        let (id, domain) = (format!("edge-c{number}").parse().unwrap(), 100 + number);
        bundle.appliances.push(BundleAppliance { id, domain, ..one.clone() });
        bundle.areas[0][1].push(6 + number);
    }
    let held = TitleHolders { full: "____Aw".into(), whole: None, part: String::new() };
    bundle.titles.insert("night".parse().unwrap(), held);
    let list = order(&outlook_of(bundle), "night", "");
    assert_eq!((list.len(), list[7].as_str()), (8, "origin-1"), "{list:?}");
}

#[test]
fn clones_are_offered_where_the_player_can_make_them() {
    let mut bundle = bundle();
    bundle.appliances[2].media_url = "https://edge-b1.example:8443".into();
    bundle.appliances[3].media_url = "http://edge-b2.example".into();
    let outlook = outlook_of(bundle);
    let hls = asked(&outlook, "10.0.0.1", "night", "pathways=edge-a1&_HLS_pathway=edge-a1");
    let hls = hls.unwrap();
    assert_eq!(hls.pathway_priority, ["edge-a1", "edge-a2", "tier-1", "origin-1"]);
    let hosts: Vec<_> = hls.pathway_clones.iter().map(|c| c.uri_replacement.host.clone()).collect();
    assert_eq!(hosts[0].as_deref(), Some("edge-a2.example"));
    assert!(hls.pathway_clones.iter().all(|clone| clone.base_id == "edge-a1"));
    assert_eq!(
        hls.reload_uri,
        "https://edge-a2.example/t/TICKET/v/night/steering?pathways=edge-a1"
    );
    let dash = asked(&outlook, "10.0.0.1", "night", "pathways=edge-a1&_DASH_pathway=\"edge-a1\"");
    let dash = dash.unwrap();
    let clone = dash.pathway_clones.iter().find(|clone| clone.id == "edge-b1").unwrap();
    assert_eq!(clone.uri_replacement.host.as_deref(), Some("edge-b1.example:8443"));
    assert!(!dash.pathway_priority.contains(&"edge-b2".to_owned()), "another scheme");
    // Pathways that nobody knows any more are no base.
    assert!(asked(&outlook, "10.0.0.1", "night", "pathways=gone-1").is_none());
    let silent = asked(&outlook, "10.0.0.1", "night", "_HLS_pathway=edge-a2").unwrap();
    assert_eq!((silent.pathway_priority.len(), silent.pathway_clones.len()), (6, 0));
    assert_eq!(silent.reload_uri, "https://edge-a1.example/t/TICKET/v/night/steering");
}

/// Goal: whoever answers next is not who a session streams from, and is there.
#[test]
fn the_next_question_goes_to_an_edge_that_does_not_fail_with_the_first() {
    let mut outlook = outlook_of(bundle());
    let next = |outlook: &Outlook, title: &str| {
        let told = asked(outlook, "10.0.0.1", title, "_HLS_pathway=edge-a1").unwrap();
        let host = told.reload_uri.split('/').nth(2).unwrap().replace(".example", "");
        (told.pathway_priority[0].clone(), host)
    };
    let both = |first: &str, asked: &str| (first.to_owned(), asked.to_owned());
    assert_eq!(next(&outlook, "night"), both("edge-a1", "edge-a2"));
    let elsewhere = asked(&outlook, "10.0.0.1", "night", "_HLS_pathway=edge-a2").unwrap();
    assert!(elsewhere.reload_uri.starts_with("https://edge-a1"), "it is not streamed from");
    outlook.sightings = vec![Sighting::Unknown, Sighting::Doubted];
    let (first, asked_next) = next(&outlook, "night");
    assert!(first == "edge-a1" && asked_next.starts_with("edge-b"), "past one in doubt");
    outlook.sightings.clear();
    assert_eq!(next(&outlook, "dawn"), both("edge-a1", "edge-b1"), "past the tier");
    assert_eq!(next(&outlook, "unheard-of"), both("tier-1", "edge-a1"), "no edge: this box");
    outlook.sightings = vec![Sighting::Unknown, Sighting::Out, Sighting::Out, Sighting::Out];
    assert_eq!(next(&outlook, "night"), both("edge-a1", "edge-a1"), "nobody else is there");
    outlook.own.draining = true;
    assert_eq!(next(&outlook, "night"), both("tier-1", "edge-a1"), "a tier knows of no edge");
    // Nobody holds it, or we alone do: an edge without it knows as much as any.
    outlook.sightings.clear();
    let (first, asked_next) = next(&outlook, "unheard-of");
    assert!(first == "tier-1" && asked_next == "edge-a2", "{asked_next}");
    outlook.own.draining = false;
    let mut alone = bundle();
    alone.titles.get_mut(&"dawn".parse().unwrap()).unwrap().part.clear();
    outlook.table = Arc::new(Table::new(alone, &own()).unwrap());
    assert_eq!(next(&outlook, "dawn"), both("edge-a1", "edge-a2"));
}

#[test]
fn only_what_control_signed_for_us_and_newer_is_believed() {
    let signer = BundleSigner::generate().unwrap();
    let seal = |bundle: &SteeringBundle| signer.seal(serde_json::to_string(bundle).unwrap());
    let first = open(&seal(&bundle()), &Pin::default(), &own(), false).unwrap();
    let pin = first.pin;
    assert_eq!((pin.serial, pin.key.clone()), (7, Some(signer.public_key())));
    assert_eq!(pin.isp.as_ref().unwrap().as_str(), "isp-one");
    let refused = |signed: &SignedBundle, again| {
        open(signed, &pin, &own(), again).map(|believed| believed.pin).unwrap_err()
    };
    assert_eq!(refused(&seal(&bundle()), false), Refused::NotNewer);
    assert!(open(&seal(&bundle()), &pin, &own(), true).is_ok(), "the file of the last one");
    let with = |change: &dyn Fn(&mut SteeringBundle)| {
        let mut changed = bundle();
        changed.serial = 8;
        change(&mut changed);
        seal(&changed)
    };
    assert!(open(&with(&|_| {}), &pin, &own(), false).is_ok());
    type Change<'a> = &'a dyn Fn(&mut SteeringBundle);
    let changes: [(Refused, Change<'_>); 16] = [
        (Refused::NotNewer, &|b| b.serial = 6),
        (Refused::OtherVersion, &|b| b.v = 2),
        (Refused::OtherIsp, &|b| b.isp = "isp-two".parse().unwrap()),
        (Refused::BadPlace, &|b| b.areas[0][0].push(99)),
        (Refused::BadPlace, &|b| b.areas[0][1].push(0)),
        (Refused::BadPlace, &|b| b.anywhere = 2),
        (Refused::BadPlace, &|b| b.classes = vec![vec![0, 0, 1, 2]]),
        (Refused::BadPlace, &|b| b.classes = vec![vec![0, 0, 1], Vec::new()]),
        (Refused::BadPlace, &|b| b.prefixes.push(("10.0.0.0/9".into(), 5))),
        (Refused::BadPrefix, &|b| b.prefixes.push(("10.0.0.0/33".into(), 0))),
        (Refused::BadUrl, &|b| b.appliances[0].media_url = "https://a/\"".into()),
        (Refused::TwoOfOneName, &|b| b.appliances[1].id = b.appliances[0].id.clone()),
        (Refused::BadTtl, &|b| b.ttl_s = 0),
        (Refused::TooMany, &|b| b.areas = vec![vec![]; 20_000]),
        (Refused::BadHolders, &|b| {
            b.titles.values_mut().for_each(|held| held.full = "AAAAAAAA".into());
        }),
        (Refused::BadHolders, &|b| b.titles.values_mut().for_each(|held| held.part = "!".into())),
    ];
    for (wanted, change) in changes {
        assert_eq!(refused(&with(change), false), wanted);
    }
    let thief = BundleSigner::generate().unwrap();
    let stolen = thief.seal(with(&|_| {}).bundle);
    assert_eq!(refused(&stolen, false), Refused::OtherKey);
    let dressed = SignedBundle { key: signer.public_key(), ..stolen };
    assert_eq!(refused(&dressed, false), Refused::NotSigned);
    assert_eq!(refused(&signer.seal("{".into()), false), Refused::NotJson);
    assert_eq!(refused(&signer.seal("{\"v\":9}".into()), false), Refused::OtherVersion);
    let long = signer.seal(" ".repeat(BUNDLE_BYTES_MAX + 1));
    assert_eq!(refused(&long, false), Refused::TooLong);
    let words: std::collections::HashSet<_> = Refused::ALL.iter().map(|one| one.word()).collect();
    assert_eq!(words.len(), Refused::ALL.len());
}

#[test]
fn two_misses_and_it_is_out_three_answers_and_it_is_back() {
    let table = Table::new(bundle(), &own()).unwrap();
    let mut watch = Watch::default();
    watch.follow(&table);
    let near = "https://edge-a2.example";
    assert_eq!(watch.due(false), [near], "this site's only, while control is there");
    let mut rounds = (0..WITNESS_EVERY).map(|_| watch.due(true)).collect::<Vec<_>>();
    rounds.sort_by_key(Vec::len);
    assert_eq!(rounds[0].len(), 3, "all edges but itself");
    let all = rounds.pop().unwrap();
    assert_eq!(all.len(), 5, "witnesses now and then");
    let sight = |watch: &Watch, at: usize| watch.sightings(&table, false).get(at).copied();
    all.iter().for_each(|url| {
        watch.note(url, Look::ANSWER);
    });
    assert_eq!(sight(&watch, 1), Some(Sighting::Alive));
    for _ in 1..PROBE_MISSES {
        watch.note(near, Look::MISS);
        assert_eq!(sight(&watch, 1), Some(Sighting::Doubted), "one miss is none");
    }
    watch.note(near, Look::ANSWER);
    for _ in 1..PROBE_MISSES {
        watch.note(near, Look::MISS);
        assert_eq!(sight(&watch, 1), Some(Sighting::Doubted), "it begins anew");
    }
    assert!(watch.note(near, Look::MISS));
    assert_eq!(sight(&watch, 1), Some(Sighting::Out));
    for _ in 1..PROBE_GOODS {
        assert!(!watch.note(near, Look::ANSWER));
    }
    watch.follow(&table);
    assert_eq!(sight(&watch, 1), Some(Sighting::Out), "a new bundle changes nothing here");
    assert!(watch.note(near, Look::ANSWER));
    assert_eq!(sight(&watch, 1), Some(Sighting::Alive));
    assert_eq!(sight(&watch, 2), Some(Sighting::Unknown), "of that one control has told us");
}

#[test]
fn whoever_sees_nobody_is_cut_off_itself_and_believes_the_bundle() {
    let table = Table::new(bundle(), &own()).unwrap();
    let mut watch = Watch::default();
    watch.follow(&table);
    for url in watch.due(true) {
        for _ in 0..PROBE_MISSES {
            watch.note(&url, Look::MISS);
        }
    }
    assert!(watch.is_cut_off() && watch.sightings(&table, true).is_empty());
    assert_eq!(watch.sightings(&table, false)[1], Sighting::Out, "control is heard: they are out");
    for _ in 0..PROBE_GOODS {
        watch.note("https://origin-1.example", Look::ANSWER);
    }
    assert!(!watch.is_cut_off());
    assert_eq!(watch.sightings(&table, true)[1], Sighting::Out);
    assert_eq!(watch.sightings(&table, true)[5], Sighting::Alive);
}

#[test]
fn a_drain_that_was_asked_for_moves_sessions_one_by_one() {
    const SPREAD_MS: u64 = 30_000;
    let since = UnixMillis(1_800_000_000_000);
    let with = |is_told: bool, own: Own| {
        let mut bundle = bundle();
        bundle.drain_spread_ms = SPREAD_MS;
        for one in bundle.appliances.iter_mut().filter(|_| is_told).take(2) {
            (one.draining, one.drains_since) = (true, Some(since));
        }
        Outlook { own, ..outlook_of(bundle) }
    };
    let stay = |outlook: &Outlook, at: &str, now: UnixMillis| {
        let title = "night".parse().unwrap();
        let stays = |number: &u32| {
            let subject = format!("play-{number}");
            let address = "10.0.0.1".parse().unwrap();
            let (ticket, issued_at, is_ending) = (None, None, false);
            let subject = &subject[..];
            let reply =
                Reply { address, title: &title, subject, ticket, issued_at, is_ending, now };
            let ask = Ask::of(Some(&format!("_HLS_pathway={at}")));
            let text = answer(outlook, &reply, &ask).unwrap();
            let told: SteeringManifest = serde_json::from_slice(&text).unwrap();
            told.pathway_priority[0] == at
        };
        (0..300).filter(stays).count()
    };
    let after = |millis| since.plus_millis(millis);
    let asked = Own { draining: true, asked_at: Some(since), ..Own::default() };
    let here = with(false, asked);
    for (outlook, at) in [(&with(true, asked), "edge-a1"), (&here, "edge-a1")] {
        assert_eq!(stay(outlook, at, since), 300, "nobody has to go at once");
        let half = stay(outlook, at, after(SPREAD_MS / 2));
        assert!((100..200).contains(&half), "{half} of 300 after half of the time");
        assert_eq!(stay(outlook, at, after(SPREAD_MS)), 0);
        assert_eq!(stay(outlook, at, UnixMillis(5)), 0, "a clock was set back");
    }
    let there = with(true, Own::default());
    assert!((100..200).contains(&stay(&there, "edge-a2", after(SPREAD_MS / 2))));
    let out = Outlook { sightings: vec![Sighting::Alive, Sighting::Out], ..there };
    assert_eq!(stay(&out, "edge-a2", since), 0, "it is dead as well");
    let leaving = with(true, Own { draining: true, ..Own::default() });
    assert_eq!(stay(&leaving, "edge-a1", since), 0, "it ends");
    assert_eq!((asked.hint(), leaving.own.hint()), (Hint::Load(0), Hint::Leave));
}
