//! Members come first: what `oca` counts on this box stops fill, and its calm lets it go on.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control_types::limits::CHUNK_BYTES;

use crate::bench::{Bench, pull, until, window};
use crate::source::{Mood, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

/// Answers like `oca`'s `/metrics`: while `busy` is set, readers find no buffer between any two
/// looks. Ends with the test's process.
fn oca(busy: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut starved = 0;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let is_asked = lines.map_while(Result::ok).any(|line| line.is_empty());
            starved += u64::from(is_asked && busy.load(Ordering::SeqCst));
            let text = format!("nightfill_oca_starved_total {starved}\n");
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            let _ = write!(stream, "{head} {}\r\n\r\n{text}", text.len());
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn fill_stops_while_members_starve_and_goes_on_once_they_do_not() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 2\n");
    let busy = Arc::new(AtomicBool::new(false));
    let url = oca(Arc::clone(&busy));
    let config = std::fs::read_to_string(bench.config()).unwrap();
    std::fs::write(bench.config(), format!("{config}[foreground]\nmetrics = {url:?}\n")).unwrap();
    let object = sealed(250, 120 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let windows = vec![window("slow", 3_600_000, Some(16_000_000))];
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), windows);
    let agent = bench.start();
    until("some bytes", || (origin.sent() > 0).then_some(())).await;
    busy.store(true, Ordering::SeqCst);
    // What was begun is ended first; then nothing comes, though little of the object is there.
    let mut sent = 0;
    while std::mem::replace(&mut sent, origin.sent()) != origin.sent() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(sent < object.payload.len() as u64, "all of it came while members were starving");
    busy.store(false, Ordering::SeqCst);
    until("more bytes", || (origin.sent() > sent).then_some(())).await;
    assert_eq!(agent.stop().await, Some(0));
}
