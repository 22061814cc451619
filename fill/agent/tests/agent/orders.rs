//! Orders that must not be obeyed, and what goes on meanwhile: forged, older, for another box; a
//! rate profile; a machine that was told a key.

use control_types::UnixMillis;
use control_types::fill::{FillStateWord, RateProfile, RateStep};
use control_types::limits::CHUNK_BYTES;

use crate::bench::{Bench, now, pull, until, wide_open};
use crate::source::{Mood, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_older_orders_are_refused_counted_and_told_while_the_last_good_ones_go_on() {
    let mut bench = Bench::new().await;
    let [first, second] = [60, 61].map(|seed| sealed(seed, CHUNK));
    let origin = bench.source(Mood::Good, &[&first, &second]).await;
    bench.order(vec![pull(&first, &[("origin", &origin)])], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    let serial = bench.serial();

    // Somebody else answers as control, with a newer plan.
    bench.usurp();
    bench.order(vec![pull(&second, &[("origin", &origin)])], Vec::new(), wide_open());
    let report = bench.report_where("orders refused", |report| report.orders_refused > 0).await;
    assert_eq!((report.objects_planned, report.objects_done), (1, 1), "the last good ones go on");
    assert!(report.troubles.iter().any(|trouble| trouble.contains("pinned key")), "{report:?}");
    assert_eq!(bench.published(&second.seal.object()), None);
    assert_eq!(agent.stop().await, Some(0));

    // A restart does not forget which key is believed.
    let agent = bench.start();
    bench.report_where("refused again", |report| report.orders_refused > 0).await;
    bench.abdicate();
    // The true control with a serial of the past: a replay.
    bench.amend(|orders| orders.serial = serial - 1);
    let is_older = |report: &control_types::fill::FillReport| {
        report.troubles.iter().any(|trouble| trouble.contains("older"))
    };
    bench.report_where("a replay told", is_older).await;
    bench.amend(|orders| orders.appliance = "edge-a2".parse().unwrap());
    let is_anothers = |report: &control_types::fill::FillReport| {
        report.troubles.iter().any(|trouble| trouble.contains("another appliance"))
    };
    bench.report_where("another's orders told", is_anothers).await;
    assert_eq!(bench.published(&second.seal.object()), None);
    bench.order(vec![pull(&second, &[("origin", &origin)])], Vec::new(), wide_open());
    bench
        .report_where("all well", |report| report.troubles.is_empty() && report.objects_done == 1)
        .await;
    until("the second object", || bench.published(&second.seal.object())).await;
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_profile_holds_inside_the_window_and_its_zero_stops_fill() {
    let mut bench = Bench::new().await;
    let object = sealed(62, 20 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let step = |after_ms, rate_bps_max| RateStep {
        starts_at: UnixMillis(now().0 + after_ms),
        rate_bps_max,
    };
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let profile = |steps: Vec<RateStep>| Some(RateProfile { steps });
    let far_ms = 3_600_000;
    let slow = profile(vec![step(0, 4_000_000), step(far_ms, 0)]);
    bench.amend(|orders| orders.work.as_mut().unwrap().rate = slow);
    let agent = bench.start();
    until("bytes under the first step", || (origin.sent() > 0).then_some(())).await;
    let rest_ms = 1_500;
    let rest = profile(vec![step(0, 4_000_000), step(rest_ms, 0), step(far_ms, 80_000_000)]);
    bench.amend(|orders| orders.work.as_mut().unwrap().rate = rest);
    bench.reported(FillStateWord::Waiting).await;
    let (sent, busiest) = (origin.sent(), origin.busiest_second());
    assert!(sent > 0, "nothing came under the first step");
    assert!(busiest <= 500_000, "{busiest} bytes in a second of a 4 Mbit/s step");
    let fast = profile(vec![step(0, 80_000_000)]);
    bench.amend(|orders| orders.work.as_mut().unwrap().rate = fast);
    bench.reported(FillStateWord::Done).await;
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
    assert_eq!(agent.stop().await, Some(0));
}
