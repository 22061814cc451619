//! Answers that take the time they should: a ticket's cap, a player's full buffer. Bounds are wide:
//! a machine may be slow, and may not be fast.

use std::time::{Duration, Instant};

use control_token::Claims;

use crate::kit::{Appliance, Setup, hour_after, payload, wall};

const TITLE: &str = "night";

fn capped(setup: &Setup, bps: u64) -> String {
    let now = wall();
    let title = TITLE.parse().unwrap();
    let mut claims = Claims::play("play-capped".into(), &title, now, hour_after(now));
    claims.rate_bps_max = Some(bps);
    setup.signer.sign(&claims).unwrap()
}

fn told(appliance: &Appliance) -> f64 {
    appliance.metric("nightfill_oca_paces_set_total", "")
}

/// Goal: 2.4 MB at 8 Mb/s take more than a second, whoever is quick. Method: the kernel lets ten
/// packets go at once (640 KB on the loopback): 1.8 s are left, of which two thirds are asked for.
#[test]
fn a_capped_answer_takes_its_time() {
    let setup = Setup::new();
    let bytes = payload(2_400_000, 91);
    let object = setup.publish(0, TITLE, &bytes);
    let path = format!("/t/{}/v/{TITLE}/{object}", capped(&setup, 8_000_000));
    let appliance = setup.start();
    let mut connection = appliance.connect();
    let began = Instant::now();
    assert!(connection.get(&path, "").body == bytes);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_100), "{took:?}: nobody held it back");
    assert!(told(&appliance) >= 1.0, "the kernel was told");
    let before = told(&appliance);
    assert_eq!(connection.get(&path, "Range: bytes=0-99999\r\n").status, 206);
    assert!((told(&appliance) - before).abs() < 0.5, "an unchanged pace is not told again");
}

/// Goal: a member with a full buffer is paced, the same one in need is not, on one connection.
#[test]
fn a_full_buffer_is_paced_and_an_empty_one_is_not() {
    let setup = Setup::new();
    let bytes = payload(1_500_000, 92);
    let object = setup.publish(0, TITLE, &bytes);
    let path = format!("/t/{}/v/{TITLE}/{object}", setup.play(TITLE));
    let appliance = setup.start();
    let mut connection = appliance.connect();
    assert!(connection.get(&path, "CMCD-Request: bl=100\r\n").body == bytes);
    assert!(told(&appliance) < 0.5, "an empty buffer sets no pace");
    // 1.5 times 2 Mb/s: 4 s for all of it, less what goes at once.
    let full = "CMCD-Object: br=2000,tb=2000,ot=v\r\nCMCD-Request: bl=60000\r\n";
    let began = Instant::now();
    assert!(connection.get(&path, full).body == bytes);
    assert!(began.elapsed() > Duration::from_millis(1_200), "{:?}", began.elapsed());
    assert!((told(&appliance) - 1.0).abs() < 0.5);
    let query = "?CMCD=bl%3D200%2Cbr%3D2000%2Cot%3Dv";
    assert!(connection.get(&(path + query), "").body == bytes);
    assert!((told(&appliance) - 2.0).abs() < 0.5, "and it is taken away again");
}

/// Goal: connections of one ticket share its cap. Method: two at once; the pace that is shown for
/// each comes down to half of it.
#[test]
fn two_connections_of_a_ticket_share_its_cap() {
    use std::io::{Read, Write};
    let setup = Setup::new();
    let bytes = payload(8 << 20, 93);
    let object = setup.publish(0, TITLE, &bytes);
    let path = format!("/t/{}/v/{TITLE}/{object}", capped(&setup, 4_000_000));
    let appliance = setup.start();
    let open = || {
        let mut stream = std::net::TcpStream::connect(appliance.media).unwrap();
        stream.set_read_timeout(Some(crate::kit::PATIENCE)).unwrap();
        stream.write_all(crate::wire::request("GET", &path, "").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream
    };
    let paces = || -> Vec<u64> {
        let mut admin = crate::wire::Connection::plain(appliance.admin);
        let page = admin.get("/debug/connections", "Connection: close\r\n");
        let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        let lines = page["connections"].as_array().unwrap();
        let sending = lines.iter().filter(|line| line["state"] == "sending");
        let paces = sending.map(|line| {
            assert_eq!(line["play"], "play-cap", "the subject is shortened");
            line["pace_bps"].as_u64().unwrap_or(0)
        });
        paces.collect()
    };
    let mut first = open();
    let alone = paces();
    assert!(alone.len() == 1 && (3_600_000..=4_300_000).contains(&alone[0]), "{alone:?}");
    let mut second = open();
    let mut sink = vec![0; 64 * 1024];
    crate::kit::eventually("both are held to half of it", || {
        // The first hears of the second when some of its bytes have gone.
        for stream in [&mut first, &mut second] {
            let _ = stream.read(&mut sink).unwrap();
        }
        let both = paces();
        both.len() == 2 && both.iter().all(|pace| (1_800_000..=2_150_000).contains(pace))
    });
}
