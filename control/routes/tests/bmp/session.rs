//! Whole sessions: bytes in, what decisions see out.

use control_routes::{
    BmpMessage, BmpStream, IspNetworks, RibSettings, RouterPlace, RouterSession, Routes,
    SessionNote, View,
};
use control_types::UnixMillis;

use crate::wire::{
    bmp, initiation, monitoring, nlri, nlri_with_id, open, peer, peer_down, peer_up, reach_v6,
    update, usual,
};

const POST: u8 = 0x40;

pub struct Router {
    pub routes: Routes,
    pub session: RouterSession,
    stream: BmpStream,
    pub now: UnixMillis,
}

pub fn place() -> RouterPlace {
    RouterPlace {
        name: "192.0.2.254".to_owned(),
        site: "lisbon".parse().unwrap(),
        isp: "tejo".parse().unwrap(),
        appliance: None,
        appliances: Vec::new(),
        view: None,
    }
}

impl Router {
    pub fn new(place: RouterPlace) -> Self {
        let routes = Routes::new(RibSettings { stale_ms: 1_000 });
        let networks = ["11.0.0.0/8", "2a00:1::/32"].map(|text| text.parse().unwrap()).to_vec();
        let isp = "tejo".parse().unwrap();
        routes.put_isp(&IspNetworks { isp, asns: vec![65_001], networks }).unwrap();
        let (session, stream) = (RouterSession::new(place), BmpStream::new());
        Self { routes, session, stream, now: UnixMillis(0) }
    }

    /// Sends bytes in pieces of seven; answers what they did.
    pub fn say(&mut self, bytes: &[u8]) -> Vec<SessionNote> {
        let mut notes = Vec::new();
        for piece in bytes.chunks(7) {
            self.stream.push(piece);
            while let Some(message) = self.stream.next_message().unwrap() {
                let now = self.now;
                let note = self.routes.with(|rib| self.session.apply(rib, &message, now));
                notes.push(note.unwrap());
            }
        }
        notes
    }

    /// The router connects again; its earlier session has not been noticed as gone.
    pub fn connect_again(&mut self) -> RouterSession {
        self.stream = BmpStream::new();
        let place = self.session.place().clone();
        std::mem::replace(&mut self.session, RouterSession::new(place))
    }

    pub fn sees(&self, address: &str) -> Vec<String> {
        self.routes.publish();
        let table = self.routes.table();
        let covers = table.lookup(address.parse().unwrap());
        let shown = covers.iter().map(|cover| {
            let choice = cover.choices[0];
            let stale = if choice.stale { "~" } else { "" };
            let of = choice.appliance.and_then(|key| table.names().appliance(key));
            let of = of.map_or("site", |id| id.as_str());
            format!("{} {of}/{}{stale}", cover.prefix, choice.as_path_len)
        });
        shown.collect()
    }
}

fn announce(flags: u8, last: u8, prefix: &str) -> Vec<u8> {
    monitoring(&peer(0, flags, last), &update(&[], &usual(&[65_001, 65_002]), &nlri(prefix)))
}

#[test]
fn a_session_from_hello_to_goodbye() {
    let mut router = Router::new(place());
    let notes = router.say(
        &[
            initiation("edge\u{1b}[31m of lisbon"),
            peer_up(&peer(0, 0, 1), &open(0), &open(0)),
            announce(POST, 1, "11.1.0.0/16"),
            monitoring(
                &peer(0, POST, 1),
                &update(&[], &[usual(&[65_001]), reach_v6(&nlri("2a00:1:2::/48"))].concat(), &[]),
            ),
            bmp(1, &[peer(0, 0, 1), vec![0; 4]].concat()),
            bmp(77, b"of the future"),
        ]
        .concat(),
    );
    assert_eq!(notes[0], SessionNote::Named("edge.[31m of lisbon".to_owned()));
    assert_eq!(router.sees("11.1.2.3"), ["11.1.0.0/16 site/2"]);
    assert_eq!(router.sees("2a00:1:2::1"), ["2a00:1:2::/48 site/1"]);

    router.say(&monitoring(&peer(0, POST, 1), &update(&nlri("11.1.0.0/16"), &[], &[])));
    assert!(router.sees("11.1.2.3").is_empty());
    let notes = router.say(&bmp(5, &[0, 1, 0, 2, 0, 0]));
    assert_eq!(notes, [SessionNote::Ended(Some(0))]);
}

#[test]
fn a_peer_down_holds_and_a_flap_freshens() {
    let mut router = Router::new(place());
    router.say(&peer_up(&peer(0, 0, 1), &open(0), &open(0)));
    router.say(&[announce(0, 1, "11.1.0.0/16"), announce(0, 1, "11.2.0.0/16")].concat());
    router.say(&peer_down(&peer(0, 0, 1), 1));
    assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 site/2~"]);
    router.say(&peer_up(&peer(0, 0, 1), &open(0), &open(0)));
    router.say(&announce(0, 1, "11.1.0.0/16"));
    assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 site/2"]);
    assert_eq!(router.sees("11.2.0.1"), ["11.2.0.0/16 site/2~"], "not repeated yet");
    router.say(&monitoring(&peer(0, 0, 1), &update(&[], &[], &[])));
    assert!(router.sees("11.2.0.1").is_empty(), "End-of-RIB: it will not be repeated");
    // Told not to monitor the peer any more: nothing was lost, nothing is held.
    router.say(&peer_down(&peer(0, 0, 1), 5));
    assert!(router.sees("11.1.0.1").is_empty());
}

#[test]
fn the_end_of_a_replaced_session_changes_nothing() {
    let mut router = Router::new(place());
    router.say(&announce(0, 1, "11.1.0.0/16"));
    router.say(&announce(0, 2, "11.2.0.0/16"));
    let mut old = router.connect_again();
    router.say(&announce(0, 1, "11.1.0.0/16"));
    // Late words of the old session are not heard.
    let update = update(&nlri("11.1.0.0/16"), &[], &[]);
    let mut stream = BmpStream::new();
    stream.push(&monitoring(&peer(0, 0, 1), &update));
    let late = stream.next_message().unwrap().unwrap();
    router.routes.with(|rib| old.apply(rib, &late, UnixMillis(6))).unwrap();
    router.routes.with(|rib| old.end(rib, UnixMillis(5)));
    assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 site/2"]);
    assert_eq!(router.sees("11.2.0.1"), ["11.2.0.0/16 site/2~"], "not in the new session");
}

#[test]
fn views_can_be_chosen_and_boxes_named() {
    let mut router = Router::new(RouterPlace { view: Some(View::InPost), ..place() });
    router.say(&[announce(0, 1, "11.1.0.0/16"), announce(POST, 1, "11.2.0.0/16")].concat());
    assert!(router.sees("11.1.0.1").is_empty());
    assert_eq!(router.sees("11.2.0.1").len(), 1);

    let boxes = vec![("192.0.2.5".parse().unwrap(), "edge-a1".parse().unwrap())];
    let mut router = Router::new(RouterPlace { appliances: boxes, ..place() });
    const OUT: u8 = 0x10;
    router.say(&[announce(OUT, 5, "11.1.0.0/16"), announce(OUT, 6, "11.2.0.0/16")].concat());
    assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 edge-a1/2"]);
    assert_eq!(router.sees("11.2.0.1"), ["11.2.0.0/16 site/2"]);
}

#[test]
fn path_ids_follow_what_the_peers_agreed() {
    let routes = |flags: u8| {
        let announced = [nlri_with_id(1, "11.1.0.0/16"), nlri_with_id(2, "11.3.0.0/16")].concat();
        monitoring(&peer(0, flags, 1), &update(&[], &usual(&[65_001]), &announced))
    };
    let mut router = Router::new(place());
    // The peer sends, the router receives.
    router.say(&peer_up(&peer(0, 0, 1), &open(1), &open(2)));
    router.say(&routes(0));
    assert_eq!((router.sees("11.1.0.1").len(), router.sees("11.3.0.1").len()), (1, 1));
    // A Loc-RIB that carries ids without a word about it.
    let mut router = Router::new(place());
    let loc_rib = peer(3, 0, 0);
    let announced = [nlri_with_id(1, "11.1.0.0/16"), nlri_with_id(2, "11.3.0.0/16")].concat();
    router.say(&monitoring(&loc_rib, &update(&[], &usual(&[65_001]), &announced)));
    assert_eq!((router.sees("11.1.0.1").len(), router.sees("11.3.0.1").len()), (1, 1));
    assert_eq!(router.routes.with(|rib| rib.counts()).refused, 0, "no default routes made up");
}

#[test]
fn a_site_that_changes_hands_takes_its_open_sessions_along() {
    let mut router = Router::new(place());
    let (lisbon, tejo, douro) =
        ("lisbon".parse().unwrap(), "tejo".parse().unwrap(), "douro".parse().unwrap());
    let own = ["11.9.0.0/16".parse().unwrap()];
    router.routes.put_site(&lisbon, &tejo, &own, UnixMillis(0)).unwrap();
    let networks = vec!["12.0.0.0/8".parse().unwrap()];
    let of_douro = IspNetworks { isp: "douro".parse().unwrap(), asns: vec![65_001], networks };
    router.routes.put_isp(&of_douro).unwrap();
    router.say(&peer_up(&peer(0, 0, 1), &open(0), &open(0)));
    router.say(&[announce(0, 1, "11.1.0.0/16"), announce(0, 1, "12.1.0.0/16")].concat());
    assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 site/2"]);
    assert!(router.sees("12.1.0.1").is_empty(), "another ISP's");

    // A record that cannot be honoured as a whole moves the site all the same.
    let claimed = router.routes.put_site(&lisbon, &douro, &own, UnixMillis(1));
    assert!(claimed.is_err(), "its prefixes are inside what tejo registered");
    assert!(router.sees("11.1.0.1").is_empty(), "tejo's members are not sent to douro's site");
    assert!(router.sees("11.9.0.1").is_empty());
    assert_eq!(router.sees("12.1.0.1"), ["12.1.0.0/16 site/2"]);
    let isp_of = |router: &Router, address: &str| {
        let table = router.routes.table();
        let key = table.lookup(address.parse().unwrap()).longest().unwrap().choices[0].isp;
        table.names().isp(key).unwrap().to_string()
    };
    assert_eq!(isp_of(&router, "12.1.0.1"), "douro");

    // What the same session says from now on, by old peers and new ones, is the new owner's.
    router.say(&[announce(0, 1, "11.2.0.0/16"), announce(0, 2, "12.2.0.0/16")].concat());
    assert!(router.sees("11.2.0.1").is_empty());
    assert_eq!(router.sees("12.2.0.1"), ["12.2.0.0/16 site/2"]);
    let feeds = router.routes.with(|rib| rib.peers());
    assert!(feeds.iter().all(|seen| seen.feed.isp == douro), "{feeds:?}");

    // And back, as if it had never been away.
    router.routes.put_site(&lisbon, &tejo, &own, UnixMillis(2)).unwrap();
    assert_eq!(router.sees("11.2.0.1"), ["11.2.0.0/16 site/2"]);
    assert_eq!(router.sees("11.9.0.1"), ["11.9.0.0/16 site/0"]);
    assert!(router.sees("12.2.0.1").is_empty());
    let counts = router.routes.with(|rib| rib.counts());
    assert_eq!((counts.routes, counts.refused), (3, 2));
}

#[test]
fn a_message_that_is_whole_is_not_waited_for() {
    let mut stream = BmpStream::new();
    let message = initiation("r");
    stream.push(&message[..message.len() - 1]);
    assert_eq!(stream.next_message().unwrap(), None);
    stream.push(&message[message.len() - 1..]);
    assert!(matches!(stream.next_message().unwrap(), Some(BmpMessage::Initiation { .. })));
    assert_eq!(stream.next_message().unwrap(), None);
}
