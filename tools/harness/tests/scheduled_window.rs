//! Story: fill happens in the nights of a schedule, and on a date that is excepted it does not.
//! The schedule's start is worked out from the present moment, in a zone with an odd offset, so
//! that "tonight" is always now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control_types::fill::FillStateWord;
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};

/// Nepal: 5 h 45 min ahead of UTC, all year.
const ZONE: &str = "Asia/Kathmandu";
const AHEAD_MIN: u64 = 5 * 60 + 45;

#[tokio::test(flavor = "multi_thread")]
async fn fill_keeps_to_the_nights_of_its_schedule() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan { boxes: vec![1], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 4)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;

    // Tonight began a minute ago; its date is the first night's name.
    let minute = epoch_ms()? / 60_000 + AHEAD_MIN - 1;
    let start = format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let add = ["window", "add", "nightly", "--everyone", "--start", &start, "--length", "3h"];
    let add = [&add[..], &["--days", "daily", "--tz", ZONE]].concat();
    let nights = world.ocactl(&[&add[..], &["--dry-run", "--json"]].concat())?;
    let nights: serde_json::Value = serde_json::from_str(&nights)?;
    let tonight = nights[0]["id"].as_str().unwrap_or_default().to_owned();
    let date = tonight.strip_prefix("nightly-").unwrap_or_default();

    world.ocactl(&[&add[..], &["--except", date]].concat())?;
    world.start_night_shift()?;
    eventually(
        "the agent has a plan and waits for its night",
        Duration::from_secs(40),
        async || {
            let fills = world.control.client.fills().await?;
            match fills.first().map(|fill| &fill.report) {
                Some(report) if report.objects_planned > 0 => {
                    assert_eq!(report.state, FillStateWord::Waiting, "no window is open");
                    assert_eq!(report.bytes_done, 0, "nothing was pulled outside the schedule");
                    Ok(())
                }
                _ => Err(Trouble("no plan yet".to_owned())),
            }
        },
    )
    .await?;
    assert!(world.edges[0].published()?.is_empty());

    let twice = world.ocactl(&add).expect_err("its name is taken");
    assert!(twice.to_string().contains("--replace"), "{twice}");
    world.ocactl(&[&add[..], &["--replace"]].concat())?;
    world.ocactl(&["fill", "wait", "--timeout", "120s"])?;
    world.holds("edge-a1", &"harbour".parse()?).await?;

    // Tonight ends, tomorrow stays; then nothing does.
    let closed = world.ocactl(&["window", "close", "nightly"])?;
    assert!(closed.contains(&tonight), "{closed}");
    let next = world.control.client.schedules().await?.remove(0).next;
    assert!(next.is_some_and(|next| next.id.as_str() > tonight.as_str()));
    assert!(world.ocactl(&["window", "show", "nightly"])?.contains("yes"));
    world.ocactl(&["window", "rm", "nightly"])?;
    assert!(world.control.client.schedules().await?.is_empty());
    Ok(())
}

fn epoch_ms() -> Result<u64, Trouble> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.map_err(|_| Trouble("this machine's clock is before 1970".to_owned()))?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
