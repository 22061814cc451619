//! From a bad config to a drained end: what the operator sees and what members never notice.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::kit::{Setup, eventually, payload, program};
use crate::wire::{Connection, request};

#[test]
fn a_drain_finishes_what_began_and_ends_with_zero() {
    let setup = Setup::new();
    let bytes = payload(40 << 20, 21);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let mut appliance = setup.start();
    let mut idle = appliance.connect();
    assert_eq!(idle.get(&path, "Range: bytes=0-0\r\n").status, 206);
    // More than the sockets' buffers hold, so that most is unsent when the drain begins.
    let mut busy = TcpStream::connect(appliance.media).unwrap();
    busy.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    busy.write_all(request("GET", &path, "").as_bytes()).unwrap();
    let mut got = vec![0; 1000];
    busy.read_exact(&mut got).unwrap();
    appliance.terminate();
    assert!(idle.is_ended(), "an idle connection is let go");
    eventually("nobody new is taken", || TcpStream::connect(appliance.media).is_err());
    busy.read_to_end(&mut got).unwrap();
    assert!(got.ends_with(&bytes[bytes.len() - 1000..]), "the answer under way came whole");
    let head = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(got.len() - head, bytes.len());
    assert!(appliance.ended().success());
}

#[test]
fn a_drain_over_http_does_not_wait_for_a_reader_that_reads_nothing() {
    let setup = Setup::new().drain_ms(500);
    let object = setup.publish(0, "night", &payload(40 << 20, 22));
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let mut appliance = setup.start();
    let mut stuck = TcpStream::connect(appliance.media).unwrap();
    stuck.write_all(request("GET", &path, "").as_bytes()).unwrap();
    stuck.read_exact(&mut [0; 100]).unwrap();
    let mut admin = Connection::plain(appliance.admin);
    assert_eq!(admin.ask("POST", "/drain", "Content-Length: 0\r\n").status, 202);
    assert!(appliance.ended().success(), "it ended within drain_ms all the same");
}

#[test]
fn several_workers_share_the_port_and_each_serves() {
    let setup = Setup::new().section("workers", "count = 2\nconnections = 64\n");
    let setup = setup.section("memory", "hot_set_bytes = 33554432\n");
    let bytes = payload(600_000, 24);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let mut appliance = setup.start();
    // The kernel spreads connections by a hash of the client's port: 64 of them on one worker only
    // would be one chance in 2^63.
    let connections: Vec<Connection> = (0..64)
        .map(|_| {
            let mut connection = appliance.connect();
            assert!(connection.get(&path, "").body == bytes);
            connection
        })
        .collect();
    appliance.counts("connections", "", 64.0);
    appliance.counts("hot_misses_total", "", 6.0);
    drop(connections);
    appliance.terminate();
    assert!(appliance.ended().success());
}

#[test]
fn one_connection_too_many_waits_and_is_served_when_another_leaves() {
    let setup = Setup::new().section("workers", "count = 1\nconnections = 8\n");
    let object = setup.publish(0, "night", &payload(1000, 25));
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let mut connections: Vec<Connection> = (0..7).map(|_| appliance.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.get(&path, "").status, 200);
    }
    let mut waiting = appliance.connect();
    waiting.send(request("GET", &path, "").as_bytes());
    drop(connections);
    assert_eq!(waiting.reply("GET").status, 200);
}

#[test]
fn the_admin_port_says_how_it_is() {
    let appliance = Setup::new().start();
    let mut member = appliance.connect();
    assert_eq!(member.get("/v/x", "").status, 404);
    let mut admin = Connection::plain(appliance.admin);
    let health = admin.get("/healthz", "");
    assert_eq!(health.status, 200);
    let lines = admin.get("/debug/connections", "");
    let lines: serde_json::Value = serde_json::from_slice(&lines.body).unwrap();
    assert_eq!(lines["connections"][0]["state"], "reading", "{lines}");
    assert_eq!(lines["connections"][0]["requests"], 1);
    let datapath = admin.get("/debug/datapath", "");
    assert!(datapath.text().contains("ring"), "{}", datapath.text());
    assert_eq!(admin.get("/elsewhere", "").status, 404);
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let setup = Setup::new().section("log", "access = \"ACCESS\"\n");
    let file = setup.path("access.json");
    let text = format!("access = {file:?}\n");
    let setup = setup.section("log", &text);
    let object = setup.publish(0, "night", &payload(5000, 23));
    let ticket = setup.play("night");
    let mut appliance = setup.start();
    let mut connection = appliance.connect();
    let path = format!("/t/{ticket}/v/night/{object}?CMCD=bl%3D2000");
    connection.get(&path, "Range: bytes=10-19\r\nCMCD-Session: sid=\"a\"\r\n");
    connection.get(&path, "");
    connection.get("/v/none", "");
    appliance.terminate();
    assert!(appliance.ended().success());
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    let first = &lines[0];
    assert_eq!(first["outcome"], "part");
    assert_eq!(first["path"], format!("/v/night/{object}"));
    assert_eq!(
        (&first["start"], &first["end"], &first["bytes"]),
        (&10.into(), &20.into(), &10.into())
    );
    assert_eq!((&first["title"], &first["play"]), (&"night".into(), &"play-1".into()));
    assert_eq!(
        (&first["cmcd"], &first["cmcd_session"]),
        (&"bl%3D2000".into(), &"sid=\"a\"".into())
    );
    assert_eq!((&first["hot"], &lines[1]["hot"]), (&false.into(), &true.into()));
    assert_eq!(lines[2]["outcome"], "no_route");
    assert!(!text.contains(&ticket), "tickets are not logged");
}

fn refusal(arguments: &[&std::ffi::OsStr]) -> String {
    let output = program().args(arguments).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn mistakes_are_named_all_at_once_and_a_busy_port_with_its_cure() {
    let setup = Setup::new()
        .section("workers", "count = 0\ncolour = 1\n")
        .section("control", "url = \"ftp://x\"\nkey_file = \"absent.key\"\n");
    let config = setup.write_config();
    let said = refusal(&["check-config".as_ref(), config.as_ref()]);
    for word in ["workers.count", "workers.colour", "ftp://x", "absent.key"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let said = refusal(&["serve".as_ref(), "--config".as_ref(), "/no/such/oca.toml".as_ref()]);
    assert!(said.contains("/no/such/oca.toml"), "{said}");

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let setup = Setup::new();
    let config = setup.write_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replacen("media = \"127.0.0.1:0\"", &format!("media = {address:?}"), 1);
    std::fs::write(&config, text).unwrap();
    let said = refusal(&["serve".as_ref(), "--config".as_ref(), config.as_ref()]);
    assert!(said.contains(&address) && said.contains("listen.media"), "{said}");
}

#[test]
fn a_good_config_is_said_to_be_good() {
    let setup = Setup::new();
    let output = program().arg("check-config").arg(setup.write_config()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("is good") && said.contains("memory"),
        "{said}"
    );
    assert!(!said.contains("hot_set_bytes"), "{said}");
}

#[test]
fn more_memory_than_the_machine_has_is_said_before_boot() {
    let setup = Setup::new();
    let config = setup.write_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let start = text.find("hot_set_bytes").unwrap();
    let end = start + text[start..].find('\n').unwrap();
    let asked = format!("{}hot_set_bytes = {}{}", &text[..start], 1_u64 << 44, &text[end..]);
    std::fs::write(&config, asked).unwrap();
    let output = program().arg("check-config").arg(&config).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mind = said.lines().find(|line| line.starts_with("mind: this machine has")).unwrap();
    assert!(mind.contains("memory.hot_set_bytes"), "{said}");
}
