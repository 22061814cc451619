//! The agent's counters: what handshakes cost, and by which word they fail.

use std::io::{Read, Write};
use std::net::TcpStream;

use control_types::fill::FillStateWord;

use crate::bench::{Bench, pull, until, wide_open};
use crate::source::{Mood, sealed};

fn asked(at: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_are_counted_with_their_time_and_their_failures_by_word() {
    let mut bench = Bench::new().await;
    let object = sealed(71, 5_000);
    let origin = bench.source(Mood::Good, &[&object]).await;
    // Its certificate is of another bench's authority.
    let stranger = Bench::new().await.source(Mood::Good, &[&object]).await;
    let config = std::fs::read_to_string(bench.config()).unwrap();
    std::fs::write(bench.config(), config + "[metrics]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let from = [("stranger", &stranger), ("origin", &origin)];
    bench.order(vec![pull(&object, &from)], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    let at = agent.metrics.clone().unwrap();
    let text = until("a handshake counted", || {
        let text = asked(&at, "/metrics");
        (value(&text, "nightfill_fill_handshakes_total") > 0.0).then_some(text)
    })
    .await;
    assert!(value(&text, "nightfill_fill_handshake_seconds_total") > 0.0, "{text}");
    let failed = |why: &str| {
        value(&text, &format!("nightfill_fill_handshake_failures_total{{why=\"{why}\"}}"))
    };
    assert!(failed("untrusted") >= 1.0, "{text}");
    assert_eq!(failed("timed-out") + failed("failed"), 0.0, "{text}");
    assert_eq!(value(&text, "nightfill_fill_objects{state=\"done\"}"), 1.0);
    let unkept = ["nightfill_fill_orders_unkept_total", "nightfill_fill_orders_behind"];
    assert_eq!(unkept.map(|name| value(&text, name)), [0.0, 0.0]);
    assert!(asked(&at, "/secrets").starts_with("HTTP/1.1 404"));
    assert_eq!(agent.stop().await, Some(0));
}
