//! Sources that fail in every way, peers that are late, an agent that is killed.

use control_types::fill::FillStateWord;
use control_types::limits::CHUNK_BYTES;

use crate::bench::{Bench, pull, until, wide_open, window};
use crate::source::{Mood, Source, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_fetches_at_most_one_chunk_again() {
    let mut bench = Bench::new().await;
    let object = sealed(1, 8 * CHUNK + 1000);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    // Slow enough to be caught in the middle: about two seconds.
    bench.order(pulls.clone(), Vec::new(), vec![window("slow", 60_000, Some(8_000_000))]);
    let agent = bench.start();
    until("the middle of the object", || (origin.sent() > 3 * CHUNK_BYTES).then_some(())).await;
    agent.kill();
    assert_eq!(bench.published(&object.seal.object()), None, "nothing torn is ever published");

    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Done).await;
    assert_eq!((report.objects_planned, report.objects_done), (1, 1));
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
    let (sent, size) = (origin.sent(), object.payload.len() as u64);
    assert!(sent >= size && sent <= size + CHUNK_BYTES, "sent {sent} for an object of {size}");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_source_is_left_for_the_next() {
    let mut bench = Bench::new().await;
    let object = sealed(2, 2 * CHUNK + 77);
    let mut sources = Vec::new();
    let moods = [
        Mood::LiesInSeal,
        Mood::Lies,
        Mood::Truncates,
        Mood::Stalls,
        Mood::IgnoresRanges,
        Mood::Busy,
        Mood::OtherRange,
        Mood::WrongLength,
        Mood::Redirects,
        Mood::Packs,
        Mood::ManyHeaders,
    ];
    for (at, mood) in moods.into_iter().enumerate() {
        sources.push((format!("bad-{at}"), bench.source(mood, &[&object]).await));
    }
    sources.push(("empty".to_owned(), bench.source(Mood::Good, &[]).await));
    sources.push(("good".to_owned(), bench.source(Mood::Good, &[&object]).await));
    let named: Vec<_> = sources.iter().map(|(name, source)| (name.as_str(), source)).collect();
    bench.order(vec![pull(&object, &named)], Vec::new(), wide_open());
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Done).await;
    assert!(report.failures.is_empty(), "{report:?}");
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
    for (name, source) in &sources {
        let (mood, sent) = (*source.shelf.mood.lock().unwrap(), source.sent());
        assert!(source.requests() > 0, "{name} was not asked in its turn");
        // One that ignores ranges sends on until it notices that nobody listens.
        let is_bounded = ![Mood::Good, Mood::IgnoresRanges].contains(&mood);
        assert!(!is_bounded || sent <= CHUNK_BYTES, "{mood:?} cost {sent} bytes");
    }
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: the only source being started anew costs a pause and not the objects, though every lane
/// meets it. Method: it hangs up on all for half a second; an object that was given up would be
/// reported, and come back after half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_source_being_away_for_a_moment_fails_no_object() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 4\n");
    let objects: Vec<_> = (0..4).map(|seed| sealed(240 + seed, 2 * CHUNK)).collect();
    let all: Vec<_> = objects.iter().collect();
    let origin = bench.source(Mood::Restarts, &all).await;
    let pulls = objects.iter().map(|object| pull(object, &[("origin", &origin)])).collect();
    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    let mut reports = Vec::new();
    until("all of it", || {
        reports.extend(bench.reports());
        reports.last().is_some_and(|last| last.state == FillStateWord::Done).then_some(())
    })
    .await;
    let failed = reports.iter().find(|report| !report.failures.is_empty());
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: a fill ticket that runs out in the middle of an object costs no object, and at most a
/// chunk. Method: the source believes another ticket from some moment on, which control hands out
/// from then on; the run of chunks at hand was begun with the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_runs_out_in_the_middle_of_an_object_fails_nothing() {
    let mut bench = Bench::new().await;
    let object = sealed(245, 12 * CHUNK + 5);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls, Vec::new(), vec![window("slow", 3_600_000, Some(8_000_000))]);
    let agent = bench.start();
    until("the middle of the object", || (origin.sent() > 2 * CHUNK_BYTES).then_some(())).await;
    *origin.shelf.ticket.lock().unwrap() = "the-next".to_owned();
    bench.amend(|orders| orders.fill_ticket = "the-next".to_owned());
    let mut reports = Vec::new();
    until("all of it", || {
        reports.extend(bench.reports());
        reports.last().is_some_and(|last| last.state == FillStateWord::Done).then_some(())
    })
    .await;
    let failed = reports.iter().find(|report| !report.failures.is_empty());
    assert!(failed.is_none(), "{failed:?}");
    let again = origin.sent() - object.payload.len() as u64;
    assert!(again <= CHUNK_BYTES, "{again} bytes fetched twice");
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: a box that shows another's certificate, of an authority that is believed, is given nothing
/// to answer. Method: a key for another name among the roots.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_another_boxs_certificate_is_not_asked() {
    let mut bench = Bench::new().await;
    let object = sealed(246, CHUNK);
    let (other, root) = crate::bench::identity("edge-b2.example");
    let ca = bench.folder.path().join("ca.pem");
    std::fs::write(&ca, std::fs::read_to_string(&ca).unwrap() + &root).unwrap();
    let stranger = Source::start(other, Mood::Good, &[&object]).await;
    let origin = bench.source(Mood::Good, &[&object]).await;
    let from = [("stranger", &stranger), ("origin", &origin)];
    bench.order(vec![pull(&object, &from)], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
    assert_eq!(stranger.requests(), 0);
    assert!(stranger.was_called(), "it was not tried");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_gives_is_reported_with_every_reason() {
    let mut bench = Bench::new().await;
    let (object, other) = (sealed(3, 1000), sealed(4, 1000));
    let liar = bench.source(Mood::Lies, &[&object]).await;
    let empty = bench.source(Mood::Good, &[&other]).await;
    let stuck = pull(&object, &[("liar", &liar), ("empty", &empty)]);
    bench.order(vec![stuck, pull(&other, &[("empty", &empty)])], Vec::new(), wide_open());
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Stuck).await;
    assert_eq!(
        (report.objects_done, report.failures.len()),
        (1, 1),
        "one bad object stops no other"
    );
    let why = &report.failures[0].why;
    assert!(why.contains("liar sent bytes") && why.contains("empty does not have it"), "{why}");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_peer_is_waited_for_and_saves_the_origin() {
    let mut bench = Bench::new().await;
    let object = sealed(5, CHUNK);
    let peer = bench.source(Mood::Good, &[]).await;
    let origin = bench.source(Mood::Good, &[&object]).await;
    bench.order(
        vec![pull(&object, &[("peer-1", &peer), ("origin", &origin)])],
        vec![],
        wide_open(),
    );
    let agent = bench.start();
    until("the peer to be asked twice", || (peer.requests() >= 2).then_some(())).await;
    peer.put(&object);
    let report = bench.reported(FillStateWord::Done).await;
    assert_eq!(origin.requests(), 0, "the border was not crossed");
    assert!(report.bytes_from.peer >= CHUNK_BYTES && report.bytes_from.origin == 0, "{report:?}");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_gets_it_is_left_after_peer_wait() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 1\npeer_wait_ms = 300\n");
    let object = sealed(6, CHUNK);
    let peer = bench.source(Mood::Good, &[]).await;
    let origin = bench.source(Mood::Good, &[&object]).await;
    bench.order(
        vec![pull(&object, &[("peer-1", &peer), ("origin", &origin)])],
        vec![],
        wide_open(),
    );
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Done).await;
    assert!(peer.requests() >= 2 && report.bytes_from.origin >= CHUNK_BYTES, "{report:?}");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_away_the_last_orders_stand() {
    let mut bench = Bench::new().await;
    let object = sealed(7, 3 * CHUNK);
    let origin = bench.source(Mood::Good, &[]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Stuck).await;
    assert_eq!(agent.stop().await, Some(0));

    bench.take_control_away();
    origin.put(&object);
    let agent = bench.start();
    let id = object.seal.object();
    until("the object without control", || bench.published(&id)).await;
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lanes_get_everything_and_sigterm_ends_them() {
    let mut bench = Bench::new().await;
    bench.configure(&bench.volume(), "connections = 8\n");
    let objects: Vec<_> = (10..22).map(|seed| sealed(seed, (seed as usize) * 40_000)).collect();
    let origin = bench.source(Mood::Good, &objects.iter().collect::<Vec<_>>()).await;
    let pulls = objects.iter().map(|object| pull(object, &[("origin", &origin)])).collect();
    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Done).await;
    assert_eq!(report.objects_done, 12);
    assert_eq!(report.bytes_done, report.bytes_planned);
    for object in &objects {
        assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
    }
    assert_eq!(agent.stop().await, Some(0));
}
