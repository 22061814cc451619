//! What an ISP is promised: the cap in every second, the end of the window, the bytes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use control_types::fill::FillStateWord;
use control_types::limits::CHUNK_BYTES;

use crate::bench::{Bench, now, pull, until, wide_open, window};
use crate::source::{Mood, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

#[tokio::test(flavor = "multi_thread")]
async fn no_second_exceeds_the_cap() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 4\n");
    let object = sealed(30, 10 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let bps_max = 6_000_000;
    let windows = vec![window("slow", 60_000, Some(bps_max))];
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), windows);
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    let busiest = origin.busiest_second();
    assert!(busiest <= bps_max / 8, "{busiest} bytes in one second under {bps_max} bit/s");
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: handshakes are under the cap in the second in which they come, not in the one in which
/// they were allowed. Method: a source that takes longer than a second before it shakes hands,
/// asked by many lanes at once; one that hangs up after each answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_exceeds_the_cap_where_handshakes_come_late_or_often() {
    for mood in [Mood::Dawdles, Mood::HangsUp] {
        let mut bench = Bench::new().await;
        bench.configure(&bench.volume(), "connections = 12\n");
        let objects: Vec<_> = (0..12).map(|seed| sealed(230 + seed, 30_000)).collect();
        let all: Vec<_> = objects.iter().collect();
        let origin = bench.source(mood, &all).await;
        let bps_max = 800_000;
        let windows = vec![window("slow", 3_600_000, Some(bps_max))];
        let pulls = objects.iter().map(|object| pull(object, &[("origin", &origin)])).collect();
        bench.order(pulls, Vec::new(), windows);
        let agent = bench.start();
        bench.reported(FillStateWord::Done).await;
        let busiest = origin.busiest_second_with_handshakes();
        assert!(busiest <= bps_max / 8, "{mood:?}: {busiest} bytes in one second");
        assert_eq!(agent.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_of_more_than_a_second_is_taken_under_the_cap_too() {
    let mut bench = Bench::new().await;
    // Its seal is 8 KiB, and a second carries 7,500 bytes.
    let object = sealed(34, 130 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let bps_max = 60_000;
    let windows = vec![window("tiny", 3_600_000, Some(bps_max))];
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), windows);
    let agent = bench.start();
    until("the first bytes after the seal", || (origin.sent() > 0).then_some(())).await;
    let (busiest, requests) = (origin.busiest_second(), origin.requests());
    assert!(busiest <= bps_max / 8, "{busiest} bytes in one second under {bps_max} bit/s");
    assert!(requests >= 3, "the seal came in {} answers", requests - 1);
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fill_stops_within_a_second_of_the_windows_end_and_goes_on_in_the_next() {
    let mut bench = Bench::new().await;
    let object = sealed(31, 40 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls.clone(), Vec::new(), vec![window("brief", 3_600_000, Some(4_000_000))]);
    let agent = bench.start();
    until("some bytes", || (origin.sent() > 0).then_some(())).await;
    // The agent knows the end a while before it comes.
    let lateness = Lateness::watch();
    let closes = Instant::now() + Duration::from_millis(2_000);
    bench.amend(|orders| orders.windows[0].closes_at = now().plus_millis(2_000));
    let report = bench.reported(FillStateWord::Waiting).await;
    assert!(report.objects_done == 0 && report.bytes_done > 0, "{report:?}");
    let (before, last) = (origin.sent(), origin.last_sent_at().unwrap());
    let allowed = Duration::from_secs(1) + lateness.most();
    assert!(last < closes + allowed, "{:?} late", last.duration_since(closes));
    // Two seconds in which nothing may come: this is the thing under test, not a wait for luck.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(origin.sent(), before);
    bench.order(pulls, Vec::new(), wide_open());
    bench.reported(FillStateWord::Done).await;
    let again = origin.sent() - object.payload.len() as u64;
    assert!(again <= CHUNK_BYTES, "{again} bytes fetched twice");
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: a source that has stalled does not keep a request open beyond the window's end, as what it
/// then sent would come outside. Method: one that stops in the middle of a chunk, and an agent that
/// would wait for it for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_source_is_hung_up_on_within_a_second_of_the_windows_end() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 1\nstall_ms = 60000\n");
    let object = sealed(35, 4 * CHUNK);
    let origin = bench.source(Mood::Stalls, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls, Vec::new(), vec![window("brief", 3_600_000, None)]);
    let agent = bench.start();
    until("some bytes", || (origin.sent() > 0).then_some(())).await;
    let lateness = Lateness::watch();
    let closes = Instant::now() + Duration::from_millis(2_000);
    bench.amend(|orders| orders.windows[0].closes_at = now().plus_millis(2_000));
    let closed = until("the end of the request", || *origin.shelf.closed.lock().unwrap()).await;
    let allowed = Duration::from_secs(1) + lateness.most();
    assert!(closed > closes - Duration::from_secs(1), "not by the window's end");
    assert!(closed < closes + allowed, "{:?} late", closed.duration_since(closes));
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: a window that is taken away while its bytes flow stops them within a second of the poll
/// that tells it, in the middle of a chunk. Method: every lane has a chunk under way that takes
/// seconds; control is asked ten times a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_removed_stops_what_flows_in_the_middle_of_a_chunk() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 3\nstall_ms = 60000\n");
    let object = sealed(36, 6 * CHUNK);
    let origin = bench.source(Mood::Drips, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    until("three chunks under way", || (origin.requests() == 4).then_some(())).await;
    let before = origin.sent();
    until("some more", || (origin.sent() > before + 8_192).then_some(())).await;
    let lateness = Lateness::watch();
    bench.amend(|orders| orders.windows.clear());
    let removed = Instant::now();
    bench.reported(FillStateWord::Waiting).await;
    // Two seconds in which nothing may come: this is the thing under test, not a wait for luck.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (last, closed) = (origin.last_sent_at().unwrap(), *origin.shelf.closed.lock().unwrap());
    let allowed = Duration::from_millis(100 + 1_000) + lateness.most();
    assert!(last < removed + allowed, "{:?} late", last.duration_since(removed));
    assert!(closed.is_some_and(|closed| closed < removed + allowed), "still held: {closed:?}");
    assert!(origin.sent() < 3 * CHUNK_BYTES, "they were in the middle of a chunk");
    assert_eq!((origin.requests(), bench.published(&object.seal.object())), (4, None));
    assert_eq!(agent.stop().await, Some(0));
}

/// How much later than asked for this machine wakes anybody: what is promised within a second can
/// be had no sooner on one that is busy with something else.
struct Lateness(Arc<AtomicU64>);

impl Lateness {
    fn watch() -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let seen = Arc::downgrade(&most);
        std::thread::spawn(move || {
            let step = Duration::from_millis(20);
            while let Some(most) = seen.upgrade() {
                let began = Instant::now();
                std::thread::sleep(step);
                let late = (began.elapsed() - step).as_millis() as u64;
                most.fetch_max(late, Ordering::SeqCst);
            }
        });
        Self(most)
    }

    /// Several wakes in a row may be late: the agent's, the source's and ours.
    fn most(&self) -> Duration {
        Duration::from_millis(5 * self.0.load(Ordering::SeqCst))
    }
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
