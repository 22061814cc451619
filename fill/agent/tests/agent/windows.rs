//! What an ISP is promised: the cap in every second, the end of the window, the bytes of it.

use std::time::{Duration, Instant};

use control_types::fill::FillStateWord;
use control_types::limits::CHUNK_BYTES;

use crate::bench::{Bench, pull, until, wide_open, window};
use crate::source::{Mood, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

#[tokio::test(flavor = "multi_thread")]
async fn no_second_exceeds_the_cap_and_most_of_it_is_used() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 4\n");
    let object = sealed(30, 10 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let bps_max = 6_000_000;
    let windows = vec![window("slow", 60_000, Some(bps_max))];
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), windows);
    let began = Instant::now();
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    let took = began.elapsed();
    let busiest = origin.busiest_second();
    assert!(busiest <= bps_max / 8, "{busiest} bytes in one second under {bps_max} bit/s");
    let fair = Duration::from_secs_f64(object.payload.len() as f64 * 8.0 / bps_max as f64);
    assert!(took < fair * 2 + Duration::from_secs(2), "{took:?} where {fair:?} would do");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fill_stops_within_a_second_of_the_windows_end_and_goes_on_in_the_next() {
    let mut bench = Bench::new().await;
    let object = sealed(31, 8 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    let closes = Instant::now() + Duration::from_millis(1500);
    bench.order(pulls.clone(), Vec::new(), vec![window("brief", 1500, Some(4_000_000))]);
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Waiting).await;
    assert!(report.objects_done == 0 && report.bytes_done > 0, "{report:?}");
    // Two seconds in which nothing may come: this is the thing under test, not a wait for luck.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last = origin.last_sent_at().unwrap();
    assert!(last < closes + Duration::from_secs(1), "{:?} late", last.duration_since(closes));
    let before = origin.sent();
    bench.order(pulls, Vec::new(), wide_open());
    bench.reported(FillStateWord::Done).await;
    let again = before + origin.sent() - before - object.payload.len() as u64;
    assert!(again <= CHUNK_BYTES, "{again} bytes fetched twice");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_windows_bytes_are_never_exceeded_even_across_a_kill() {
    let mut bench = Bench::new().await;
    let object = sealed(32, 8 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let budget = 3 * CHUNK_BYTES;
    let mut tight = window("tight", 60_000, None);
    tight.bytes_max = Some(budget);
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), vec![tight]);
    for _ in 0..2 {
        let agent = bench.start();
        bench.reported(FillStateWord::Waiting).await;
        agent.kill();
    }
    assert!(origin.sent() <= budget, "{} of {budget}", origin.sent());
    assert!(origin.requests() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_close_is_heard_while_filling() {
    let mut bench = Bench::new().await;
    let object = sealed(33, 8 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls.clone(), Vec::new(), vec![window("slow", 60_000, Some(2_000_000))]);
    let agent = bench.start();
    until("some bytes", || (origin.sent() > 0).then_some(())).await;
    bench.order(pulls, Vec::new(), Vec::new());
    bench.reported(FillStateWord::Waiting).await;
    let sent = origin.sent();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(origin.sent(), sent);
    assert_eq!(agent.stop().await, Some(0));
}
