//! Steering without control, by the real program: bundles taken and refused, questions answered
//! over every protocol, neighbours seen, a restart, and tickets that ended meanwhile.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use control_token::{BundleSigner, Claims};
use control_types::UnixMillis;
use control_types::bundle::{BundleAppliance, SteeringBundle, TitleHolders};
use control_types::fleet::{Health, Role, TicketKeys};
use control_types::play::SteeringManifest;
use control_types::spread::LoadRule;
use rustls::version::TLS13;

use crate::control::{FakeControl, setup};
use crate::encrypted::certificate;
use crate::kit::{Appliance, Setup, eventually, hour_after, payload, wall};
use crate::wire::{Connection, Reply};

const ASK: &str = "steering?pathways=edge-a1,edge-a2&_HLS_pathway=edge-a1";

/// `edge-a1` is the box under test, `edge-a2` stands beside it, `origin-1` elsewhere.
pub fn bundle(serial: u64, neighbour: &str) -> SteeringBundle {
    let one = |id: &str, site: &str, role, url: &str, domain| BundleAppliance {
        id: id.parse().unwrap(),
        site: site.parse().unwrap(),
        role,
        media_url: url.to_owned(),
        domain,
        health: Health::Healthy,
        draining: false,
        drains_since: None,
        shunned: false,
        load_per_mille: 0,
        share: 1.0,
        capacity_mbps: None,
    };
    let held = TitleHolders { full: "Bw".into(), whole: None, part: String::new() };
    SteeringBundle {
        v: 1,
        serial,
        isp: "isp-one".parse().unwrap(),
        made_at: wall(),
        ttl_s: 7,
        control_url: None,
        drain_spread_ms: 0,
        appliances: vec![
            one("edge-a1", "site-a", Role::Edge, "http://127.0.0.1:1", 0),
            one("edge-a2", "site-a", Role::Edge, neighbour, 1),
            one("origin-1", "core", Role::Origin, "http://127.0.0.1:2", 2),
        ],
        areas: vec![vec![vec![0, 1], vec![2]]],
        classes: Vec::new(),
        load_rule: LoadRule::default(),
        prefixes: vec![("127.0.0.0/8".into(), 0)],
        anywhere: 0,
        titles: BTreeMap::from([("night".parse().unwrap(), held)]),
        ticket_keys: TicketKeys::default(),
    }
}

pub struct Rig {
    control: FakeControl,
    signer: BundleSigner,
    pub neighbour: Neighbour,
    pub appliance: Appliance,
    pub ticket: String,
}

/// Answers whoever connects, or hangs up on him.
pub struct Neighbour {
    pub url: String,
    is_dead: Arc<AtomicBool>,
    /// What it says of its load; empty: nothing.
    load: Arc<Mutex<String>>,
}

impl Neighbour {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_dead = Arc::new(AtomicBool::new(false));
        let load = Arc::new(Mutex::new(String::new()));
        let (told, says) = (Arc::clone(&is_dead), Arc::clone(&load));
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for mut stream in listener.incoming().flatten() {
                if told.load(Ordering::Relaxed) {
                    continue;
                }
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let load = says.lock().unwrap().clone();
                let load =
                    if load.is_empty() { load } else { format!("nightfill-load: {load}\r\n") };
                let answer = format!("HTTP/1.1 204 No Content\r\n{load}Connection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, is_dead, load }
    }
}

pub fn rig_of(change: impl FnOnce(Setup) -> Setup) -> Rig {
    let control = FakeControl::start();
    let setup = change(setup(control.at));
    let key = setup.signer.verification_key();
    control.answer.lock().unwrap().ticket_keys.keys.push(key);
    let ticket = setup.play("night");
    setup.publish(0, "night", &payload(3000, 41));
    let neighbour = Neighbour::start();
    let signer = BundleSigner::generate().unwrap();
    Rig { control, signer, neighbour, appliance: setup.start(), ticket }
}

impl Rig {
    fn give(&self, bundle: &SteeringBundle) {
        let signed = self.signer.seal(serde_json::to_string(bundle).unwrap());
        *self.control.bundle.lock().unwrap() = Some(signed);
        self.control.answer.lock().unwrap().steering_serial = Some(bundle.serial);
    }

    pub fn give_usual(&self, serial: u64) {
        self.give(&bundle(serial, &self.neighbour.url));
        self.appliance.counts("bundle_serial", "", serial as f64);
    }

    pub fn path(&self) -> String {
        format!("/t/{}/v/night/{ASK}", self.ticket)
    }

    fn order(&self) -> Vec<String> {
        manifest(&self.appliance.get(&self.path())).pathway_priority
    }
}

fn manifest(reply: &Reply) -> SteeringManifest {
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn a_question_is_answered_from_the_bundle_and_from_nothing_else() {
    let rig = rig_of(|setup| setup);
    eventually("the keys are in use", || rig.appliance.get(&rig.path()).status == 503);
    let reply = rig.appliance.get(&rig.path());
    assert_eq!((reply.text(), reply.header("retry-after")), ("no_bundle", Some("5")));
    rig.give_usual(3);
    eventually("the desk is laid", || rig.appliance.get(&rig.path()).status == 200);
    let mut connection = rig.appliance.connect();
    let reply = connection.get(&rig.path(), "Origin: https://tv.example\r\n");
    let told = manifest(&reply);
    assert_eq!((told.version, told.ttl), (1, 7));
    assert_eq!(told.pathway_priority[0], "edge-a1", "where it streams from");
    assert_eq!(told.pathway_priority.len(), 2, "the origin has another port: no clone in HLS");
    let again =
        format!("{}/t/{}/v/night/steering?pathways=edge-a1,edge-a2", rig.neighbour.url, rig.ticket);
    assert_eq!(told.reload_uri, again);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let head = connection.ask("HEAD", &rig.path(), "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), reply.header("content-length"));
    let dash = format!("/t/{}/v/night/steering?pathways=edge-a1&_DASH_pathway=%22edge-a2%22", {
        &rig.ticket
    });
    let dash = manifest(&connection.get(&dash, ""));
    assert_eq!(dash.pathway_priority, ["edge-a2", "edge-a1", "origin-1"]);
    let hosts = dash.pathway_clones.iter().map(|clone| clone.uri_replacement.host.clone());
    let neighbour = rig.neighbour.url.trim_start_matches("http://").to_owned();
    assert_eq!(hosts.flatten().collect::<Vec<_>>(), [neighbour, "127.0.0.1:2".to_owned()]);
    let elsewhere = connection.get(&format!("/t/{}/v/dawn/steering", rig.ticket), "");
    assert_eq!((elsewhere.status, elsewhere.text()), (403, "ticket_elsewhere"));
    assert_eq!(connection.get("/v/night/steering", "").text(), "ticket_absent");
    rig.appliance.counts("answers_total", "outcome=\"steered\"", 4.0);
    let log = rig.appliance.log();
    assert!(!log.contains(&rig.ticket), "a ticket is a credential and is not logged");
}

#[test]
fn it_is_answered_under_tls_and_in_http2_as_well() {
    let mut client = None;
    let rig = rig_of(|setup| {
        client = Some(certificate(setup.dir.path(), &TLS13));
        setup.section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n")
    });
    let mut client = client.unwrap();
    rig.give_usual(1);
    let ask = || Connection::tls(rig.appliance.media, &client).get(&rig.path(), "");
    eventually("keys and desk are there", || ask().status == 200);
    let one = manifest(&ask());
    let two = Connection::tls(rig.appliance.media, &client).ask("HEAD", &rig.path(), "");
    assert_eq!((two.status, two.body.len()), (200, 0));
    Arc::make_mut(&mut client).alpn_protocols = vec![b"h2".to_vec()];
    let url = format!("https://localhost{}", rig.path());
    let (status, body) = crate::multiplexed::get(rig.appliance.media, &client, &url);
    assert_eq!(status, 200);
    let three: SteeringManifest = serde_json::from_slice(&body).unwrap();
    assert_eq!(one, three);
}

#[test]
fn only_newer_bundles_of_the_first_signer_are_taken_and_the_last_survives_a_restart() {
    let mut rig = rig_of(|setup| setup);
    rig.give_usual(5);
    let refused = |rig: &Rig, why: &str| {
        let labels = format!("why=\"{why}\"");
        rig.appliance.counts("bundles_refused_total", &labels, 1.0);
        assert_eq!(rig.appliance.metric("nightfill_oca_bundle_serial", "") as u64, 5);
    };
    // One a run: after a refusal it does not ask again for a while.
    rig.give(&bundle(4, &rig.neighbour.url));
    refused(&rig, "not_newer");
    for (word, serial) in [("other_key", 6), ("other_isp", 7), ("other_version", 8)] {
        rig.appliance.terminate();
        assert!(rig.appliance.ended().success());
        let mut next = bundle(serial, &rig.neighbour.url);
        match word {
            "other_isp" => next.isp = "isp-two".parse().unwrap(),
            "other_version" => next.v = 2,
            _ => {}
        }
        rig.give(&next);
        if word == "other_key" {
            let thief = BundleSigner::generate().unwrap();
            let signed = thief.seal(serde_json::to_string(&next).unwrap());
            *rig.control.bundle.lock().unwrap() = Some(signed);
        }
        rig.appliance.restart();
        refused(&rig, word);
    }
    rig.control.is_away.store(true, Ordering::Relaxed);
    rig.appliance.terminate();
    assert!(rig.appliance.ended().success());
    rig.appliance.restart();
    assert_eq!(rig.order()[0], "edge-a1", "from the file, at once");
    let page = Connection::plain(rig.appliance.admin).get("/debug/steering", "");
    let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(page["bundle"]["serial"], 5);
    assert_eq!(page["believed"]["key"], rig.signer.public_key());
    assert_eq!(page["bundle"]["names_us_at"], "http://127.0.0.1:1");
}

#[test]
fn a_neighbour_that_dies_is_left_out_and_taken_back() {
    let rig = rig_of(|setup| setup);
    rig.give_usual(1);
    let state = |wanted: &str| {
        let labels = format!("state=\"{wanted}\"");
        rig.appliance.counts("neighbours", &labels, 1.0);
    };
    state("alive");
    assert_eq!(rig.order().len(), 2);
    rig.neighbour.is_dead.store(true, Ordering::Relaxed);
    state("out");
    eventually("the dead one is left out", || rig.order() == ["edge-a1"]);
    // Away control and nobody to be seen: it is this box that is cut off.
    rig.control.is_away.store(true, Ordering::Relaxed);
    rig.appliance.counts("control_away", "", 1.0);
    rig.appliance.counts("neighbours", "state=\"out\"", 2.0);
    eventually("the bundle is believed again", || rig.order().len() == 2);
    rig.neighbour.is_dead.store(false, Ordering::Relaxed);
    state("alive");
    eventually("it is there again", || rig.order().len() == 2);
}

/// Goal: with control gone a box near capacity is passed over because of what it says itself, and
/// we say of ourselves what others need for that.
#[test]
fn a_neighbour_that_says_it_is_full_is_passed_over_without_control() {
    let rig = rig_of(|setup| setup);
    rig.give_usual(1);
    eventually("the desk is laid", || rig.appliance.get(&rig.path()).status == 200);
    rig.control.is_away.store(true, Ordering::Relaxed);
    rig.appliance.counts("control_away", "", 1.0);
    // Of a session that streams from nowhere yet, so that nothing holds it.
    let fresh = format!("/t/{}/v/night/steering?pathways=edge-a1,edge-a2", rig.ticket);
    let first = || manifest(&rig.appliance.get(&fresh)).pathway_priority[0].clone();
    let says = |load: &str| *rig.neighbour.load.lock().unwrap() = load.to_owned();
    says("960");
    eventually("the full one is second", || first() == "edge-a1");
    says("leave");
    eventually("who leaves is not offered", || {
        let order = manifest(&rig.appliance.get(&fresh)).pathway_priority;
        order == ["edge-a1"]
    });
    says("0");
    eventually("it is back", || manifest(&rig.appliance.get(&fresh)).pathway_priority.len() == 2);

    let mut connection = rig.appliance.connect();
    let look = connection.ask("OPTIONS", "/v/", "");
    assert_eq!(look.status, 204);
    let load: u32 = look.header("nightfill-load").unwrap().parse().unwrap();
    assert!(load < 950, "{load}");
    let browser = connection.ask("OPTIONS", "/v/night/x.mp4", "");
    assert_eq!(
        (browser.status, browser.header("nightfill-load")),
        (204, None),
        "no member's affair"
    );
}

#[test]
fn a_ticket_that_ends_while_control_is_away_goes_on_and_one_that_ended_before_does_not() {
    let mut rig = rig_of(|setup| setup);
    rig.give_usual(1);
    let now = wall();
    let title = "night".parse().unwrap();
    let ends = |at: UnixMillis| {
        let claims = Claims::play("p".into(), &title, UnixMillis(now.0 - 48 * 3_600_000), at);
        let ticket = rig.appliance.setup.signer.sign(&claims).unwrap();
        format!("/t/{ticket}/v/night/steering")
    };
    let (long_ago, usual) = (ends(UnixMillis(now.0 - 60_000)), ends(hour_after(now)));
    eventually("keys and desk are there", || rig.appliance.get(&usual).status == 200);
    rig.control.is_away.store(true, Ordering::Relaxed);
    rig.appliance.counts("control_away", "", 1.0);
    assert_eq!(rig.appliance.get(&long_ago).text(), "ticket_stale");
    // As if control had been heard half a day ago last, and the ticket had ended since then.
    let after = ends(UnixMillis(now.0 - 7 * 3_600_000));
    assert_eq!(rig.appliance.get(&after).text(), "ticket_stale");
    rig.appliance.terminate();
    assert!(rig.appliance.ended().success());
    let note = rig.appliance.setup.path("state/control-contact.json");
    let heard = |hours: u64| format!("{{\"heard_at\":{}}}", now.0 - hours * 3_600_000);
    std::fs::write(&note, heard(12)).unwrap();
    rig.appliance.restart();
    assert_eq!(rig.appliance.get(&after).status, 200);
    rig.appliance.counts("tickets_excused_total", "", 1.0);
    rig.appliance.terminate();
    assert!(rig.appliance.ended().success());
    std::fs::write(&note, heard(25)).unwrap();
    rig.appliance.restart();
    assert_eq!(rig.appliance.get(&after).text(), "ticket_stale", "a day is over");
    assert_eq!(rig.appliance.get(&usual).status, 200);
}
