//! What a client of HTTP/2 may take: hostile ones that flood, slow ones that open no window or
//! crumbs of it, idle ones. Each end has its word in a metric, and nobody else notices any of them.

use std::net::SocketAddr;
use std::time::Duration;

use oca_http::h2::{CONTINUATIONS_MAX, PINGS_MAX, RESETS_MAX, SETTINGS_MAX};

use crate::h2_wire::{
    CANCEL, CONTINUATION, DATA, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, GOAWAY, HEADERS, NO_ERROR,
    PING, RST_STREAM, RawClient, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::multiplexed::{Rig, rig_with};

/// Widest window of a connection beside the 65,535 bytes it begins with.
const WIDE: u32 = 0x7fff_0000;

impl Rig {
    fn raw(&self, settings: &[(u16, u32)]) -> RawClient {
        let mut client = RawClient::tls(self.appliance.media, &self.client);
        client.hello(settings);
        client
    }

    /// Somebody else asks for something, and gets it.
    fn serves_others(&self) {
        let url = format!("https://localhost{}", self.path);
        let (status, body) = crate::multiplexed::get(self.to(), &self.client, &url);
        assert!(status == 200 && body == self.bytes, "another client is served");
    }

    fn to(&self) -> SocketAddr {
        self.appliance.media
    }

    fn counts_go_away(&self, why: &str) {
        self.appliance.counts("h2_goaways_total", &format!("\"{why}\""), 1.0);
    }
}

/// Sends all of `flood` and reads until the server says why it ends.
fn check(rig: &Rig, what: &str, flood: &[u8], code: u32) {
    let mut client = rig.raw(&[]);
    // It may hang up before it has read everything.
    client.try_send(flood);
    let last = client.until(|frame| frame.kind == GOAWAY);
    assert_eq!(last.code(), code, "{what}");
    assert!(client.next().is_none(), "{what}: nothing comes after it");
    rig.counts_go_away(what);
}

/// Goal: each flood meets its bound. Method: one beyond the bound, from a client that is otherwise
/// well-behaved, on a connection of its own.
#[test]
fn floods_meet_their_bounds_and_nobody_else_notices() {
    let rig = rig_with("");
    let ask = |stream: u32| frame(HEADERS, 5, stream, &block("/v/none", &[]));
    let resets = (0..=RESETS_MAX).flat_map(|round| {
        let id = round * 2 + 1;
        // A request that cannot be answered yet, then never.
        let begin = frame(HEADERS, 4, id, &block("/v/none", &[]));
        [begin, frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes())].concat()
    });
    check(&rig, "rapid_reset", &resets.collect::<Vec<u8>>(), ENHANCE_YOUR_CALM);
    let without_end = (0..=CONTINUATIONS_MAX).flat_map(|_| frame(CONTINUATION, 0, 1, b""));
    let begin = frame(HEADERS, 1, 1, &block("/v/none", &[]));
    let flood: Vec<u8> = begin.into_iter().chain(without_end).collect();
    check(&rig, "header_block", &flood, ENHANCE_YOUR_CALM);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(SETTINGS_MAX as usize + 1);
    check(&rig, "settings", &settings, ENHANCE_YOUR_CALM);
    let pings = frame(PING, 0, 0, b"12345678").repeat(PINGS_MAX as usize + 1);
    check(&rig, "pings", &pings, ENHANCE_YOUR_CALM);
    let wide = frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    check(&rig, "flow_control_error", &[ask(1), wide].concat(), FLOW_CONTROL_ERROR);
    rig.serves_others();
    rig.appliance.counts("h2_streams", "", 0.0);
    rig.appliance.counts("connections", "", 0.0);
    let resets = rig.appliance.metric("nightfill_oca_h2_resets_total", "\"by_peer\"");
    assert!(resets >= f64::from(RESETS_MAX), "{resets}");
}

/// Opens `stream`'s window by 500 bytes at a time, 20 times a second: 80 kb/s.
fn trickle(client: &mut RawClient, stream: u32) -> crate::h2_wire::Frame {
    for _ in 0..1_000 {
        client.open_window(stream, 500);
        let last = client.until(|frame| matches!(frame.kind, DATA | RST_STREAM | GOAWAY));
        if last.kind != DATA {
            return last;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody minds a trickle");
}

const SLOW: &str = "slow_reader_bps = 400000\nslow_reader_ms = 1000\n";

/// Goal: a connection whose own window lets a trickle through is told to calm down, and ends.
#[test]
fn a_connection_that_trickles_is_ended_with_a_word() {
    let rig = rig_with(SLOW);
    let mut client = rig.raw(&[(4, WIDE)]);
    client.get(1, &rig.path, &[]);
    // What the window holds at first.
    let mut left = 65_535;
    while left > 0 {
        left -= client.until(|frame| frame.kind == DATA).payload.len();
    }
    let last = trickle(&mut client, 0);
    assert_eq!((last.kind, last.code()), (GOAWAY, ENHANCE_YOUR_CALM));
    assert!(client.next().is_none());
    rig.counts_go_away("slow_reader");
    rig.appliance.counts("closed_total", "slow_reader", 1.0);
    rig.appliance.counts("answers_total", "stalled", 1.0);
}

/// Goal: one stream that trickles is taken away, and those beside it go on.
#[test]
fn a_stream_that_trickles_is_taken_away_and_its_neighbours_go_on() {
    let rig = rig_with(SLOW);
    let mut client = rig.raw(&[(4, 0)]);
    client.open_window(0, WIDE);
    client.get(1, &rig.path, &[]);
    let last = trickle(&mut client, 1);
    assert_eq!((last.kind, last.stream, last.code()), (RST_STREAM, 1, CANCEL));
    // Its window comes with it: this one is never slow, however busy the machine.
    let ask = frame(HEADERS, 5, 3, &block(&rig.path, &[("range", "bytes=1000-1999")]));
    client.send(&[ask, frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0x20, 0])].concat());
    let body = client.until(|frame| frame.kind == DATA && frame.stream == 3);
    assert!(body.payload == rig.bytes[1000..2000] && body.ends_stream());
    rig.appliance.counts("h2_resets_total", "\"slow_reader\"", 1.0);
    rig.appliance.counts("h2_goaways_total", "", 0.0);
    rig.appliance.counts("answers_total", "stalled", 1.0);
}

/// Goal: a connection whose own window stays shut is ended, not only the stream that noticed.
#[test]
fn a_connection_whose_window_stays_shut_is_ended() {
    let rig = rig_with("send_progress_ms = 1000\n");
    let mut client = rig.raw(&[(4, WIDE)]);
    client.get(1, &rig.path, &[]);
    client.get(3, &rig.path, &[]);
    let last = client.until(|frame| matches!(frame.kind, RST_STREAM | GOAWAY));
    assert_eq!((last.kind, last.code()), (GOAWAY, ENHANCE_YOUR_CALM));
    rig.counts_go_away("stalled");
    rig.appliance.counts("closed_total", "stalled", 1.0);
    rig.appliance.counts("h2_window_stalls_total", "\"connection\"", 2.0);
}

#[test]
fn an_idle_connection_hears_that_it_ends() {
    let rig = rig_with("idle_ms = 1000\n");
    let mut client = rig.raw(&[]);
    let last = client.until(|frame| frame.kind == GOAWAY);
    assert_eq!(last.code(), NO_ERROR);
    assert!(client.next().is_none());
    rig.counts_go_away("leaving");
    rig.appliance.counts("closed_total", "idle_deadline", 1.0);
}

/// Goal: what is spoken can be seen: by connection and request, in the log, at the debug page.
#[test]
fn who_speaks_what_can_be_seen() {
    let rig = rig_with("");
    let mut client = rig.raw(&[]);
    client.get(1, &rig.path, &[]);
    client.until(|frame| frame.kind == DATA);
    rig.appliance.counts("h2_streams", "", 1.0);
    let mut admin = crate::wire::Connection::plain(rig.appliance.admin);
    let page = admin.get("/debug/connections", "Connection: close\r\n");
    let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    let line = &page["connections"][0];
    assert_eq!((&line["protocol"], &line["streams"]), (&"h2".into(), &1.into()), "{line}");
    assert_eq!(line["stream_lines"][0]["stream"], 1, "{line}");
    assert_eq!(line["play"], "play-1", "{line}");
    client.send(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()));
    rig.appliance.counts("h2_streams", "", 0.0);
    rig.appliance.counts("protocol_requests_total", "\"h2\"", 1.0);
    rig.appliance.counts("protocol_connections_total", "\"h2\"", 1.0);
    rig.appliance.counts("protocol_connections_total", "\"h1\"", 0.0);
}
