//! Announce, withdraw, lose, come back, refuse: what decisions then see.
//! Opens no socket; sessions are calls.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_routes::{Feed, IspNetworks, Origin, PrefixPath, Refused, RibSettings, Routes, Source};
use control_types::UnixMillis;

const HOLD_MS: u64 = 1_000;

fn routes() -> Routes {
    let routes = Routes::new(RibSettings { stale_ms: HOLD_MS });
    register(&routes, "tejo", &[65_001], &["11.0.0.0/8", "2a00:1::/32", "100.64.0.0/10"]);
    register(&routes, "douro", &[], &["12.0.0.0/8"]);
    routes
}

fn register(routes: &Routes, isp: &str, asns: &[u32], networks: &[&str]) {
    let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
    let networks = IspNetworks { isp: isp.parse().unwrap(), asns: asns.to_vec(), networks };
    routes.put_isp(&networks).unwrap();
}

fn feed(router: &str, site: &str) -> Feed {
    Feed {
        name: router.to_owned(),
        peer: "192.0.2.1".to_owned(),
        peer_as: 65_001,
        site: site.parse().unwrap(),
        appliance: None,
        isp: "tejo".parse().unwrap(),
        source: Source::Bmp,
    }
}

fn path(prefix: &str, as_path_len: u16) -> PrefixPath {
    PrefixPath {
        as_path_len,
        first_as: if as_path_len == 0 { 0 } else { 65_001 },
        ..PrefixPath::own(prefix.parse().unwrap())
    }
}

/// `prefix site/length[~]`, longest first; `~` is stale.
fn seen(routes: &Routes, address: &str) -> Vec<String> {
    routes.publish();
    let table = routes.table();
    let covers = table.lookup(address.parse().unwrap());
    covers
        .iter()
        .map(|cover| {
            let mut text = cover.prefix.to_string();
            for choice in cover.choices {
                let site = table.names().site(choice.site).unwrap();
                let stale = if choice.stale { "~" } else { "" };
                text.push_str(&format!(" {site}/{}{stale}", choice.as_path_len));
            }
            text
        })
        .collect()
}

fn refused(routes: &Routes) -> Vec<(String, Refused)> {
    let all = routes.with(|rib| rib.refused(100));
    all.into_iter().map(|route| (route.prefix.to_string(), route.reason)).collect()
}

#[test]
fn the_best_of_each_site_is_seen_and_a_withdrawal_uncovers_the_next() {
    let routes = routes();
    let (near, far) = routes.with(|rib| {
        let near = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        let far = rib.up(&feed("r2", "porto"), UnixMillis(0)).unwrap();
        rib.announce(near, &path("11.1.0.0/16", 3));
        rib.announce(near, &PrefixPath { path_id: 7, ..path("11.1.0.0/16", 1) });
        rib.announce(far, &path("11.1.0.0/16", 2));
        rib.announce(far, &path("11.0.0.0/9", 2));
        rib.announce(near, &path("2a00:1:2::/48", 1));
        (near, far)
    });
    let both = ["11.1.0.0/16 lisbon/1 porto/2", "11.0.0.0/9 porto/2"];
    assert_eq!(seen(&routes, "11.1.2.3"), both);
    assert_eq!(seen(&routes, "::ffff:11.1.2.3"), both);
    assert_eq!(seen(&routes, "2a00:1:2::9"), ["2a00:1:2::/48 lisbon/1"]);
    assert!(seen(&routes, "12.0.0.1").is_empty());

    routes.with(|rib| rib.withdraw(near, &"11.1.0.0/16".parse().unwrap(), 7));
    assert_eq!(seen(&routes, "11.1.2.3")[0], "11.1.0.0/16 lisbon/3 porto/2");
    routes.with(|rib| rib.withdraw(near, &"11.1.0.0/16".parse().unwrap(), 0));
    routes.with(|rib| rib.withdraw(far, &"11.1.0.0/16".parse().unwrap(), 0));
    assert_eq!(seen(&routes, "11.1.2.3"), ["11.0.0.0/9 porto/2"]);
    // Nobody holds it: nothing to withdraw, nothing to publish.
    routes.with(|rib| rib.withdraw(far, &"11.1.0.0/16".parse().unwrap(), 0));
    assert!(!routes.publish());
    assert_eq!(routes.with(|rib| rib.counts()).routes, 2);
}

#[test]
fn origin_and_med_decide_between_paths_of_one_site() {
    let routes = routes();
    routes.with(|rib| {
        let peer = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        let base = path("11.1.0.0/16", 2);
        for (path_id, origin, med) in
            [(1, Origin::Incomplete, 0), (2, Origin::Igp, 50), (3, Origin::Igp, 20)]
        {
            rib.announce(peer, &PrefixPath { path_id, origin, med, ..base });
        }
    });
    routes.publish();
    let table = routes.table();
    let choices = table.exactly(&"11.1.0.0/16".parse().unwrap());
    assert_eq!((choices.len(), choices[0].origin, choices[0].med), (1, Origin::Igp, 20));
}

#[test]
fn a_clock_that_was_set_back_holds_no_lost_session_for_longer() {
    const DAY_MS: u64 = 86_400_000;
    let routes = routes();
    routes.with(|rib| {
        let (lost, back) = (feed("r1", "lisbon"), feed("r2", "lisbon"));
        let key = rib.up(&lost, UnixMillis(DAY_MS)).unwrap();
        rib.announce(key, &path("11.1.0.0/16", 1));
        rib.lost(key, UnixMillis(DAY_MS));
        // This one came back without what it had said, and never ends its repetition.
        let key = rib.up(&back, UnixMillis(DAY_MS)).unwrap();
        rib.announce(key, &path("11.2.0.0/16", 1));
        rib.lost(key, UnixMillis(DAY_MS));
        rib.up(&back, UnixMillis(DAY_MS)).unwrap();
        assert!(rib.expire(UnixMillis(5)).is_empty(), "the hold begins anew");
    });
    assert_eq!(seen(&routes, "11.1.0.1"), ["11.1.0.0/16 lisbon/1~"]);
    let over = routes.with(|rib| rib.expire(UnixMillis(5 + HOLD_MS)));
    assert_eq!(over.len(), 1);
    assert!(seen(&routes, "11.1.0.1").is_empty() && seen(&routes, "11.2.0.1").is_empty());
}

#[test]
fn feeds_are_counted_before_those_they_replace_are_gone() {
    let routes = routes();
    routes.with(|rib| {
        rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        let most = control_routes::limits::PEERS_MAX;
        assert!(rib.check_feeds("r1", most).is_ok(), "its own does not count twice");
        assert!(rib.check_feeds("import porto", most - 1).is_ok());
        assert!(rib.check_feeds("import porto", most).is_err());
        assert!(rib.check_feeds("import porto", usize::MAX).is_err());
    });
}

#[test]
fn routes_of_a_lost_session_are_held_and_then_dropped() {
    let routes = routes();
    let key = routes.with(|rib| {
        let key = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        rib.announce(key, &path("11.1.0.0/16", 1));
        rib.lost(key, UnixMillis(500));
        key
    });
    assert_eq!(seen(&routes, "11.1.0.1"), ["11.1.0.0/16 lisbon/1~"]);
    assert!(routes.with(|rib| rib.expire(UnixMillis(500 + HOLD_MS - 1))).is_empty());
    // Lost again while lost does not begin a new hold.
    routes.with(|rib| rib.lost(key, UnixMillis(900)));
    assert_eq!(routes.with(|rib| rib.expire(UnixMillis(500 + HOLD_MS))).len(), 1);
    assert!(seen(&routes, "11.1.0.1").is_empty());
    let counts = routes.with(|rib| rib.counts());
    assert_eq!((counts.lost_total, counts.expired_total, counts.routes), (1, 1, 0));
}

/// Goal: a route that was withdrawn while the session was away goes within the hold, though the
/// session flaps ever after and no End-of-RIB ever comes.
#[test]
fn a_session_that_flaps_does_not_hold_old_routes_for_ever() {
    let routes = routes();
    let key = routes.with(|rib| {
        let key = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        rib.announce(key, &path("11.1.0.0/16", 1));
        rib.announce(key, &path("11.2.0.0/16", 1));
        key
    });
    for flap in 1..=10 {
        let at = flap * HOLD_MS / 4;
        routes.with(|rib| {
            rib.lost(key, UnixMillis(at));
            rib.up(&feed("r1", "lisbon"), UnixMillis(at + 1)).unwrap();
            rib.announce(key, &path("11.2.0.0/16", 1));
            assert!(rib.expire(UnixMillis(at + 2)).is_empty(), "the peer is up");
        });
        let held = usize::from(at < HOLD_MS / 4 + HOLD_MS);
        assert_eq!(seen(&routes, "11.1.0.1").len(), held, "flap {flap}");
        assert_eq!(seen(&routes, "11.2.0.1"), ["11.2.0.0/16 lisbon/1"], "flap {flap}");
    }
}

#[test]
fn a_session_that_comes_back_freshens_what_it_repeats_and_loses_the_rest() {
    let routes = routes();
    let key = routes.with(|rib| {
        let key = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        rib.announce(key, &path("11.1.0.0/16", 1));
        rib.announce(key, &path("11.2.0.0/16", 1));
        rib.announce(key, &path("2a00:1:2::/48", 1));
        rib.lost(key, UnixMillis(10));
        let again = rib.up(&feed("r1", "lisbon"), UnixMillis(20)).unwrap();
        assert_eq!(again, key);
        rib.announce(key, &path("11.1.0.0/16", 2));
        key
    });
    assert_eq!(seen(&routes, "11.1.0.1"), ["11.1.0.0/16 lisbon/2"]);
    assert_eq!(seen(&routes, "11.2.0.1"), ["11.2.0.0/16 lisbon/1~"]);
    routes.with(|rib| rib.refreshed(key, Some(false)));
    assert!(seen(&routes, "11.2.0.1").is_empty());
    assert_eq!(seen(&routes, "2a00:1:2::1"), ["2a00:1:2::/48 lisbon/1~"], "other family waits");
    routes.with(|rib| rib.refreshed(key, Some(true)));
    assert!(seen(&routes, "2a00:1:2::1").is_empty());
}

#[test]
fn a_fresh_path_beats_a_stale_better_one_of_its_site() {
    let routes = routes();
    routes.with(|rib| {
        let first = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        let second = rib.up(&feed("r2", "lisbon"), UnixMillis(0)).unwrap();
        rib.announce(first, &path("11.1.0.0/16", 1));
        rib.announce(second, &path("11.1.0.0/16", 5));
        rib.lost(first, UnixMillis(1));
    });
    assert_eq!(seen(&routes, "11.1.0.1"), ["11.1.0.0/16 lisbon/5"]);
}

#[test]
fn what_may_not_be_announced_is_refused_with_a_reason_and_counted() {
    let routes = routes();
    let key = routes.with(|rib| {
        let key = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        for prefix in [
            "0.0.0.0/0",
            "::/0",
            "0.0.0.0/1",
            "8000::/1",
            "10.0.0.0/8",
            "192.168.7.0/24",
            "fe80::/10",
            "12.5.0.0/16",
            "13.0.0.0/8",
            "100.64.3.0/24",
        ] {
            rib.announce(key, &path(prefix, 1));
        }
        key
    });
    let wanted = [
        ("0.0.0.0/0", Refused::DefaultRoute),
        ("0.0.0.0/1", Refused::TooWide),
        ("10.0.0.0/8", Refused::Bogon),
        ("12.5.0.0/16", Refused::Foreign),
        ("13.0.0.0/8", Refused::Unregistered),
        ("192.168.7.0/24", Refused::Bogon),
        ("::/0", Refused::DefaultRoute),
        ("8000::/1", Refused::TooWide),
        ("fe80::/10", Refused::TooWide),
    ];
    assert_eq!(refused(&routes), wanted.map(|(prefix, reason)| (prefix.to_owned(), reason)));
    assert_eq!(seen(&routes, "100.64.3.1"), ["100.64.3.0/24 lisbon/1"], "registered by its name");
    assert!(seen(&routes, "12.5.0.1").is_empty() && seen(&routes, "8.8.8.8").is_empty());
    let counts = routes.with(|rib| rib.counts());
    assert_eq!((counts.routes, counts.refused), (1, 9));
    assert_eq!(counts.refused_total.iter().sum::<u64>(), 9);
    routes.with(|rib| rib.withdraw(key, &"12.5.0.0/16".parse().unwrap(), 0));
    assert_eq!(refused(&routes).len(), 8);
}

#[test]
fn an_as_that_is_not_the_isps_is_refused() {
    let routes = routes();
    routes.with(|rib| {
        let mut leaky = feed("r9", "lisbon");
        leaky.peer_as = 65_666;
        let key = rib.up(&leaky, UnixMillis(0)).unwrap();
        rib.announce(key, &PrefixPath { first_as: 65_666, ..path("11.1.0.0/16", 2) });
        rib.announce(key, &path("11.2.0.0/16", 2));
    });
    assert_eq!(refused(&routes), [("11.1.0.0/16".to_owned(), Refused::ForeignAs)]);
    assert_eq!(seen(&routes, "11.2.0.1"), ["11.2.0.0/16 lisbon/2"]);
}

#[test]
fn a_new_registration_judges_again_what_is_held() {
    let routes = routes();
    routes.with(|rib| {
        let key = rib.up(&feed("r1", "lisbon"), UnixMillis(0)).unwrap();
        rib.announce(key, &path("13.0.0.0/16", 1));
        rib.announce(key, &path("11.1.0.0/16", 1));
    });
    assert!(seen(&routes, "13.0.0.1").is_empty());
    register(&routes, "tejo", &[], &["13.0.0.0/8"]);
    assert_eq!(seen(&routes, "13.0.0.1"), ["13.0.0.0/16 lisbon/1"]);
    assert!(seen(&routes, "11.1.0.1").is_empty(), "no longer registered");
    assert_eq!(refused(&routes), [("11.1.0.0/16".to_owned(), Refused::Unregistered)]);
}

#[test]
fn two_isps_cannot_own_one_network() {
    let routes = routes();
    for (prefix, held) in
        [("11.4.0.0/16", "11.0.0.0/8"), ("2a00::/24", "2a00:1::/32"), ("12.0.0.0/8", "12.0.0.0/8")]
    {
        let isp = if prefix == "12.0.0.0/8" { "tejo" } else { "douro" };
        let networks = IspNetworks {
            isp: isp.parse().unwrap(),
            asns: vec![],
            networks: vec![prefix.parse().unwrap()],
        };
        let error = routes.put_isp(&networks).unwrap_err().to_string();
        assert!(error.contains(prefix) && error.contains(held), "{error}");
    }
    // The refused change left the registrations as they were.
    let site = "braga".parse().unwrap();
    let own: Vec<_> = vec!["12.7.0.0/16".parse().unwrap()];
    routes.put_site(&site, &"douro".parse().unwrap(), &own, UnixMillis(0)).unwrap();
    assert_eq!(seen(&routes, "12.7.0.1"), ["12.7.0.0/16 braga/0"]);
    let wide = vec!["11.0.0.0/9".parse().unwrap()];
    assert!(routes.put_site(&site, &"douro".parse().unwrap(), &wide, UnixMillis(0)).is_err());
    assert_eq!(seen(&routes, "12.7.0.1"), ["12.7.0.0/16 braga/0"]);
    // Another ISP's site is no longer douro's, whatever is wrong with its own prefixes.
    assert!(routes.put_site(&site, &"tejo".parse().unwrap(), &own, UnixMillis(0)).is_err());
    assert!(seen(&routes, "12.7.0.1").is_empty());
    routes.put_site(&site, &"douro".parse().unwrap(), &own, UnixMillis(0)).unwrap();
    assert_eq!(seen(&routes, "12.7.0.1"), ["12.7.0.0/16 braga/0"]);
    routes.remove_site(&site);
    assert!(seen(&routes, "12.7.0.1").is_empty());
}
