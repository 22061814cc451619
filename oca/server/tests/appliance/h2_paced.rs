//! Paces on one connection of HTTP/2: each stream's own, their sum for the kernel, nothing while
//! one stream may go as fast as it can. Bounds are wide: a machine may be slow, and may not be
//! fast.

use std::time::{Duration, Instant};

use control_token::Claims;

use crate::h2_wire::{DATA, RawClient};
use crate::kit::{Appliance, Setup, eventually, hour_after, payload, wall};
use crate::wire::Connection;

const TITLE: &str = "night";
const WIDE: u32 = 0x7fff_0000;

fn capped(setup: &Setup, subject: &str, bps: u64) -> String {
    let now = wall();
    let title = TITLE.parse().unwrap();
    let mut claims = Claims::play(subject.to_owned(), &title, now, hour_after(now));
    claims.rate_bps_max = Some(bps);
    setup.signer.sign(&claims).unwrap()
}

struct Rig {
    appliance: Appliance,
    client: std::sync::Arc<rustls::ClientConfig>,
    /// One for each cap, and one without.
    paths: Vec<String>,
    bytes: Vec<u8>,
}

fn rig(bytes: usize, caps: &[u64]) -> Rig {
    let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nalpn = [\"h2\", \"http/1.1\"]\n";
    let setup = Setup::new().section("tls", tls);
    let certificate = crate::encrypted::certificate(setup.dir.path(), &rustls::version::TLS13);
    let mut client = (*certificate).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let bytes = payload(bytes, 95);
    let object = setup.publish(0, TITLE, &bytes);
    let tickets = caps.iter().enumerate().map(|(at, cap)| capped(&setup, &format!("p{at}"), *cap));
    let tickets = tickets.chain([setup.play(TITLE)]);
    let paths = tickets.map(|ticket| format!("/t/{ticket}/v/{TITLE}/{object}")).collect();
    Rig { appliance: setup.start(), client: std::sync::Arc::new(client), paths, bytes }
}

impl Rig {
    fn open(&self) -> RawClient {
        let mut client = RawClient::tls(self.appliance.media, &self.client);
        client.hello(&[(4, WIDE)]);
        client.open_window(0, WIDE);
        client
    }

    /// The connection's pace as the kernel was told, and those of its streams, by number.
    fn paces(&self) -> (Option<u64>, Vec<(u64, Option<u64>)>) {
        let mut admin = Connection::plain(self.appliance.admin);
        let page = admin.get("/debug/connections", "Connection: close\r\n");
        let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        let line = &page["connections"][0];
        let lines = line["stream_lines"].as_array().cloned().unwrap_or_default();
        let each = lines
            .iter()
            .map(|line| (line["stream"].as_u64().unwrap_or(0), line["pace_bps"].as_u64()));
        (line["pace_bps"].as_u64(), each.collect())
    }
}

/// What the kernel is told is in steps, and 5 % more than the media.
fn is_about(told: Option<u64>, media: u64) -> bool {
    told.is_some_and(|told| (media * 86 / 100..=media * 106 / 100).contains(&told))
}

/// Goal: 2.4 MB at 8 Mb/s take more than a second. Method: half a second's worth goes at once, and
/// so do ten packets of the kernel's: 1.2 s are left of it at least, and two thirds are asked for.
#[test]
fn a_capped_stream_takes_its_time() {
    let rig = rig(2_400_000, &[8_000_000]);
    let mut client = rig.open();
    let began = Instant::now();
    client.get(1, &rig.paths[0], &[]);
    let mut body = Vec::new();
    let mut ended = false;
    while !ended {
        let frame = client.until(|frame| frame.kind == DATA);
        ended = frame.ends_stream();
        body.extend_from_slice(&frame.payload);
    }
    assert!(body == rig.bytes);
    assert!(began.elapsed() > Duration::from_millis(800), "{:?}", began.elapsed());
    assert!(rig.appliance.metric("nightfill_oca_paces_set_total", "") >= 1.0);
}

/// Goal: the kernel is told the sum of the streams' caps, each stream keeps to its own, and a
/// stream without a cap takes the kernel's pace away for as long as it goes.
#[test]
fn the_kernel_paces_the_sum_and_each_stream_its_own() {
    let rig = rig(40_000_000, &[2_000_000, 6_000_000]);
    let mut client = rig.open();
    let began = Instant::now();
    client.get(1, &rig.paths[0], &[]);
    client.get(3, &rig.paths[1], &[]);
    let mut bytes = [0usize; 2];
    let mut told = (None, Vec::new());
    // Both go on for many seconds: there is time to look at them.
    while bytes.iter().sum::<usize>() < 1_500_000 {
        let frame = client.until(|frame| frame.kind == DATA);
        let at = usize::from(frame.stream == 3);
        bytes[at] += frame.payload.len();
        told = rig.paces();
        for (at, cap) in [(0, 2_000_000.0), (1, 6_000_000.0)] {
            let seconds = began.elapsed().as_secs_f64();
            let most = cap / 8.0 * (seconds + 0.5) + 2.0 * 16_384.0;
            assert!((bytes[at] as f64) <= most, "stream {at}: {} in {seconds} s", bytes[at]);
        }
    }
    assert!(is_about(told.0, 8_000_000), "{told:?}");
    let own = |stream: u64| told.1.iter().find(|line| line.0 == stream).and_then(|line| line.1);
    assert!(is_about(own(1), 2_000_000) && is_about(own(3), 6_000_000), "{told:?}");
    client.get(5, &rig.paths[2], &[("range", "bytes=0-30000000")]);
    eventually("a stream without a cap takes the pace away", || rig.paces().0.is_none());
    let own = rig.paces().1;
    assert!(own.iter().any(|line| line.1.is_some()), "the others keep theirs: {own:?}");
    client.send(&crate::h2_wire::frame(crate::h2_wire::RST_STREAM, 0, 5, &[0, 0, 0, 8]));
    eventually("and gives it back", || {
        // What is on its way has to be taken first; the other two never end.
        (0..50).for_each(|_| drop(client.until(|frame| frame.kind == DATA)));
        is_about(rig.paces().0, 8_000_000)
    });
}

/// Goal: a player's full buffer paces its stream as it does in HTTP/1.1.
#[test]
fn a_full_buffer_paces_its_stream() {
    let rig = rig(8_000_000, &[]);
    let mut client = rig.open();
    let cmcd = [("cmcd-object", "br=2000,tb=2000,ot=v"), ("cmcd-request", "bl=60000")];
    client.get(1, &rig.paths[0], &cmcd);
    client.until(|frame| frame.kind == DATA);
    // 1.5 times of 2 Mb/s.
    let told = rig.paces();
    assert!(is_about(told.0, 3_000_000), "{told:?}");
}
