//! What a box lacks is asked for elsewhere: the redirect on the wire, what it carries, and its end.
//! Who is named when there is a bundle is tested beside the bundle.

use std::sync::Arc;

use rustls::version::TLS13;

use crate::encrypted::certificate;
use crate::kit::{Setup, object_file, payload};
use crate::multiplexed;
use crate::wire::Reply;

const NEXT: &str = "https://b.example:8443";

struct Rig {
    appliance: crate::kit::Appliance,
    ticket: String,
    fill: String,
    /// Of an object of another title that is here.
    other: String,
}

fn rig(peers: &str) -> Rig {
    let setup = Setup::new().section("peers", peers);
    let other = setup.publish(0, "day", &payload(3_000, 7)).to_string();
    let (ticket, fill) = (setup.play("night"), setup.fill());
    Rig { appliance: setup.start(), ticket, fill, other }
}

fn absent() -> String {
    format!("/v/night/{}.mp4", "0".repeat(64))
}

fn location(reply: &Reply) -> &str {
    assert_eq!((reply.status, reply.text()), (307, ""), "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    reply.header("location").unwrap()
}

#[test]
fn what_is_not_here_is_sent_on_with_its_ticket_and_its_query() {
    let rig = rig(&format!("next = [\"{NEXT}\", \"https://c.example\"]\n"));
    let (ticket, path) = (&rig.ticket, absent());
    let wanted = |base: &str, rest: &str| format!("{base}/t/{ticket}{path}?{rest}");
    let ours = format!("/t/{ticket}{path}");
    let reply = rig.appliance.get(&ours);
    assert_eq!(location(&reply), wanted(NEXT, "hop=1"));
    // The connection goes on, for every method and range.
    let mut connection = rig.appliance.connect();
    for (method, headers) in [
        ("GET", "Range: bytes=0-99\r\n"),
        ("GET", "Range: bytes=0-9,20-29\r\n"),
        ("GET", "If-None-Match: \"x\"\r\n"),
        ("HEAD", ""),
    ] {
        let reply = connection.ask(method, &ours, headers);
        assert_eq!(location(&reply), wanted(NEXT, "hop=1"), "{method} {headers}");
    }
    let reply = connection.get(&format!("{ours}?CMCD=bl%3D9&hop=1"), "");
    assert_eq!(location(&reply), wanted("https://c.example", "hop=2&CMCD=bl%3D9"));
    // However the ticket came, it goes in the path: headers and cookies stay behind.
    let header = format!("CTA-Common-Access-Token: {ticket}\r\n");
    assert_eq!(location(&connection.get(&path, &header)), wanted(NEXT, "hop=1"));
    let asked = format!("{path}?CAT={ticket}&x=y");
    assert_eq!(location(&connection.get(&asked, "")), wanted(NEXT, "hop=1&x=y"));
    // A query that is too long is left behind.
    let long = format!("{ours}?CMCD={}", "a".repeat(2_000));
    assert_eq!(location(&connection.get(&long, "")), wanted(NEXT, "hop=1"));
    rig.appliance.counts("answers_total", "outcome=\"elsewhere\"", 9.0);
}

/// Goal: what is here and cannot be read is as good as what is not here, from the first request
/// that meets the disk's error on. Method: reading a directory fails as a bad disk does, one file
/// is taken away, and a bit of another is turned.
#[test]
fn what_a_failed_disk_holds_is_sent_on_until_it_was_sent_on_often_enough() {
    let next = format!("next = [\"{NEXT}\", \"https://c.example\"]\n");
    let setup = Setup::new().section("peers", &next);
    let [unread, gone, bad] =
        [21, 22, 23].map(|seed| setup.publish(0, "night", &payload(5_000, seed)));
    let [at_unread, at_gone, at_bad] =
        [unread, gone, bad].map(|object| object_file(&setup.volumes[0], &object));
    std::fs::remove_file(&at_unread).unwrap();
    std::fs::create_dir(&at_unread).unwrap();
    std::fs::remove_file(&at_gone).unwrap();
    let mut bytes = std::fs::read(&at_bad).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&at_bad, bytes).unwrap();
    let ticket = setup.play("night");
    let appliance = setup.start();
    let mut connection = appliance.connect();
    for object in [unread, gone, bad] {
        let path = format!("/t/{ticket}/v/night/{object}");
        for headers in ["", "Range: bytes=0-99\r\n"] {
            let reply = connection.get(&format!("{path}?x=y"), headers);
            assert_eq!(location(&reply), format!("{NEXT}{path}?hop=1&x=y"), "{object}");
        }
        let reply = connection.get(&format!("{path}?hop=1"), "");
        assert_eq!(location(&reply), format!("https://c.example{path}?hop=2"));
    }
    let reply = connection.get(&format!("/t/{ticket}/v/night/{unread}?hop=2"), "");
    assert_eq!((reply.status, reply.text()), (503, "disk_failed"));
    assert!(reply.header("retry-after").is_some() && reply.header("location").is_none());
    assert_eq!(reply.header("x-nightfill-next"), Some(&*format!("{NEXT}, https://c.example")));
    appliance.counts("answers_total", "outcome=\"elsewhere\"", 9.0);
}

#[test]
fn a_stream_for_what_a_failed_disk_holds_is_sent_on_too() {
    let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nalpn = [\"h2\", \"http/1.1\"]\n";
    let next = format!("next = [\"{NEXT}\"]\n");
    let setup = Setup::new().section("tls", tls).section("peers", &next);
    let mut client = (*certificate(setup.dir.path(), &TLS13)).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let object = setup.publish(0, "night", &payload(5_000, 24));
    let file = object_file(&setup.volumes[0], &object);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let url = format!("https://localhost/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let (media, client) = (appliance.media, Arc::new(client));
    assert_eq!(multiplexed::get(media, &client, &url), (307, Vec::new()));
    let (status, word) = multiplexed::get(media, &client, &format!("{url}?hop=1"));
    assert_eq!((status, word.as_slice()), (503, &b"disk_failed\n"[..]));
    appliance.counts("answers_total", "outcome=\"elsewhere\"", 1.0);
}

#[test]
fn what_helps_nobody_is_refused_as_before() {
    let rig = rig(&format!("next = [\"{NEXT}\"]\n"));
    let (ticket, fill, path) = (&rig.ticket, &rig.fill, absent());
    let mut connection = rig.appliance.connect();
    for (asked, status, word) in [
        (format!("/t/{ticket}{path}?hop=1"), 404, "unknown_object"),
        (format!("/t/{ticket}{path}?hop=2"), 404, "unknown_object"),
        (format!("/t/{ticket}{path}?hop=x"), 404, "unknown_object"),
        (format!("/t/{ticket}/v/night/{}.mp4", rig.other), 404, "other_title"),
        (format!("/t/{fill}/o/{}", "0".repeat(64)), 404, "unknown_object"),
        (path.clone(), 403, "ticket_absent"),
        (format!("/t/{fill}{path}"), 403, "ticket_elsewhere"),
    ] {
        let reply = connection.get(&asked, "");
        assert_eq!((reply.status, reply.text()), (status, word), "{asked}");
        assert_eq!(reply.header("location"), None);
    }
    let alone = self::rig("next = []\n");
    let reply = alone.appliance.get(&format!("/t/{}{path}", alone.ticket));
    assert_eq!((reply.status, reply.text()), (404, "unknown_object"));
}
