//! Clocks that were set while the agent was down and control away. What the agent kept of the time
//! is made to say what it would say had the machine's clock been set, as no test may set that.

use std::path::PathBuf;

use control_types::fill::{FillReport, FillStateWord};
use serde_json::{Value, json};

use crate::bench::{Agent, Bench, now, pull, until, wide_open};
use crate::source::{Mood, Sealed, Source, sealed};

const DAY_MS: u64 = 86_400_000;

struct Rig {
    bench: Bench,
    object: Sealed,
    origin: Source,
    anchor: PathBuf,
}

/// An agent that had orders with a window that is open, got nothing, and was killed; from here on
/// control is away and the source gives.
async fn rig(seed: u64) -> Rig {
    let mut bench = Bench::new().await;
    let object = sealed(seed, 30_000);
    let origin = bench.source(Mood::Busy, &[&object]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let agent = bench.start();
    let anchor = bench.folder.path().join("state/clock.json");
    until("control's time on disk", || anchor.exists().then_some(())).await;
    bench.reported(FillStateWord::Stuck).await;
    agent.kill();
    bench.take_control_away();
    *origin.shelf.mood.lock().unwrap() = Mood::Good;
    Rig { bench, object, origin, anchor }
}

impl Rig {
    /// Starts the agent after `change` to what it kept.
    fn start_after(&self, change: impl FnOnce(&mut Value)) -> Agent {
        let mut kept = serde_json::from_slice(&std::fs::read(&self.anchor).unwrap()).unwrap();
        change(&mut kept);
        std::fs::write(&self.anchor, serde_json::to_vec(&kept).unwrap()).unwrap();
        self.bench.start()
    }

    async fn told(&self, of: &str) -> FillReport {
        let is_told = |report: &FillReport| report.troubles.iter().any(|told| told.contains(of));
        self.bench.report_where(&format!("a word of {of:?}"), is_told).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_in_this_boot_opens_and_closes_no_window() {
    let rig = rig(120).await;
    // As if the machine's clock had been set by a day since: the window of today is still open.
    let agent = rig.start_after(|kept| {
        kept["wall_ms"] = json!(kept["wall_ms"].as_u64().unwrap() - DAY_MS);
    });
    rig.bench.reported(FillStateWord::Done).await;
    rig.told("the machine's clock was set by 86").await;
    let payload = rig.bench.published(&rig.object.seal.object());
    assert_eq!(payload.unwrap(), rig.object.payload);
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_ahead_after_a_boot_opens_no_window_before_control_answers() {
    let mut rig = rig(121).await;
    // Control's last word was a day ago, says the machine; the window it would open is open.
    let asked = rig.origin.requests();
    let agent = rig.start_after(|kept| {
        let then = json!(now().0 - DAY_MS);
        *kept = json!({"boot_id": "another", "boot_ms": 1, "wall_ms": then.clone(),
            "control_ms": then.clone(), "signed_ms": then});
    });
    let report = rig.told("no window is open until control answers").await;
    assert!(report.state == FillStateWord::Waiting && report.objects_done == 0, "{report:?}");
    assert_eq!(rig.origin.requests(), asked);
    // Control answers, and the clock is as good as any.
    let pulls = vec![pull(&rig.object, &[("origin", &rig.origin)])];
    rig.bench.order(pulls, Vec::new(), wide_open());
    let report = rig.bench.reported(FillStateWord::Done).await;
    assert!(report.troubles.is_empty(), "{report:?}");
    assert_eq!(agent.stop().await, Some(0));
}
