//! What one client may take: connections, time for a head, time without a request, slowness.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::kit::{PATIENCE, Setup, payload};
use crate::wire::{Connection, request};

#[test]
fn one_client_may_have_so_many_connections_and_not_one_more() {
    let appliance = Setup::new().section("limits", "client_connections = 3\n").start();
    let mut held: Vec<Connection> = (0..3).map(|_| appliance.connect()).collect();
    for connection in &mut held {
        assert_eq!(connection.get("/v/none", "").status, 404);
    }
    let mut refused = TcpStream::connect(appliance.media).unwrap();
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    // Closed without an answer; a reset if the client was quick to write.
    assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)));
    appliance.counts("closed_total", "client_full", 1.0);
    held.pop();
    appliance.counts("connections", "", 2.0);
    assert_eq!(appliance.get("/v/none").status, 404);
}

#[test]
fn who_says_nothing_or_half_a_head_is_let_go() {
    let limits = "idle_ms = 1000\nhead_ms = 300\n";
    let appliance = Setup::new().section("limits", limits).start();
    let mut idle = appliance.connect();
    assert_eq!(idle.get("/v/none", "").status, 404);
    let mut half = appliance.connect();
    half.send(b"GET /v/none HTTP/1.1\r\nHo");
    appliance.counts("closed_total", "head_deadline", 1.0);
    assert!(half.is_ended());
    assert!(idle.is_ended());
    appliance.counts("closed_total", "idle_deadline", 1.0);
}

/// Goal: a reader that takes a trickle is closed, one that takes its time within the bound is not.
/// Method: both take the same big object at once, over small socket buffers.
#[test]
fn a_trickling_reader_is_closed_and_a_steady_one_is_served() {
    let limits = "slow_reader_bps = 400000\nslow_reader_ms = 2000\n";
    let setup = Setup::new().section("limits", limits);
    let bytes = payload(30 << 20, 61);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let open = || {
        let mut stream = TcpStream::connect(appliance.media).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request("GET", &path, "Connection: close\r\n").as_bytes()).unwrap();
        stream
    };
    let (mut trickle, mut steady) = (open(), open());
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        steady.read_to_end(&mut got).unwrap();
        got
    });
    let mut took = 0;
    let mut piece = [0; 500];
    // 80 kb/s: it would take an hour.
    while let Ok(got @ 1..) = trickle.read(&mut piece) {
        took += got;
        std::thread::sleep(Duration::from_millis(50));
        if appliance.metric("nightfill_oca_closed_total", "slow_reader") > 0.0 {
            break;
        }
        assert!(took < 4 << 20, "nobody minds a trickle");
    }
    appliance.counts("closed_total", "slow_reader", 1.0);
    appliance.counts("answers_total", "stalled", 1.0);
    assert!(reader.join().unwrap().ends_with(&bytes[bytes.len() - 1000..]), "the other is whole");
}

/// Goal: nobody escapes that rule by saying that it wants next to nothing. Method: a trickling
/// reader whose player claims to be content with 1 kb/s.
#[test]
fn a_claim_does_not_excuse_a_trickling_reader() {
    let limits = "slow_reader_bps = 400000\nslow_reader_ms = 2000\n";
    let setup = Setup::new().section("limits", limits);
    let object = setup.publish(0, "night", &payload(30 << 20, 62));
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let mut stream = TcpStream::connect(appliance.media).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let claim = "CMCD-Status: rtp=1\r\n";
    stream.write_all(request("GET", &path, claim).as_bytes()).unwrap();
    let mut piece = [0; 500];
    let began = std::time::Instant::now();
    while let Ok(1..) = stream.read(&mut piece) {
        std::thread::sleep(Duration::from_millis(50));
        if appliance.metric("nightfill_oca_closed_total", "slow_reader") > 0.0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE * 2, "nobody minds a trickle");
    }
    appliance.counts("closed_total", "slow_reader", 1.0);
    assert!(appliance.metric("nightfill_oca_paces_set_total", "") >= 1.0, "it was paced");
}

#[test]
fn limits_are_said_at_boot_and_on_request() {
    let appliance = Setup::new().section("limits", "idle_ms = 4321\n").start();
    let text = Connection::plain(appliance.admin).get("/debug/limits", "");
    let page: serde_json::Value = serde_json::from_slice(&text.body).unwrap();
    let rows = page["limits"].as_array().unwrap();
    let idle = rows.iter().find(|row| row["name"] == "idle_ms").unwrap();
    assert_eq!(idle["value"], 4321, "{page}");
    assert!(rows.iter().all(|row| row["beyond"].is_string()));
    let log = appliance.log();
    assert!(log.contains("idle_ms") && log.contains("4321"), "{log}");
}
