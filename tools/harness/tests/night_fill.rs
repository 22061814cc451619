//! Story: the agent is killed in the middle of an object and started again.
//! It downloads at most one chunk twice, and a torn object is never served.

use std::path::Path;
use std::time::Duration;

use control_types::limits::CHUNK_BYTES;
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_goes_on_where_it_was() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan { boxes: vec![1], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 20)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    let state = world.control.client.fill_state().await?;
    let planned: u64 = state.objects.iter().map(|object| object.bytes).sum();

    // Slow enough that the kill falls into the middle of an object.
    world.ocactl(&["window", "open", "slow", "--everyone", "--for", "1h", "--rate", "8Mbit"])?;
    world.start_night_shift()?;
    let volumes = world.edges[0].volumes();
    eventually("an object is in the middle of its pull", Duration::from_secs(30), async || {
        let under_way: u64 =
            volumes.iter().map(|volume| bytes_below(&volume.join("incoming"))).sum();
        if under_way > 2 * CHUNK_BYTES { Ok(()) } else { Err(Trouble("nothing yet".to_owned())) }
    })
    .await?;
    world.edges[0].kill_agent();

    let title = "harbour".parse()?;
    let held_after_kill = world.edges[0].published()?;
    for object in state.objects.iter().filter(|object| !held_after_kill.contains(&object.object)) {
        let status = world.get(&world.edges[0], &title, &object.object).await?;
        assert_eq!(status, 404, "{} was not published, so it is not there", object.object);
    }

    world.ocactl(&["window", "close", "slow"])?;
    world.ocactl(&["window", "open", "fast", "--everyone", "--for", "1h"])?;
    world.edges[0].start_agent()?;
    world.ocactl(&["fill", "wait", "--timeout", "120s"])?;
    world.holds("edge-a1", &title).await?;

    for object in &state.objects {
        let theirs = world.edges[0].payload(&object.object)?;
        assert_eq!(theirs, world.library(&object.object)?, "{} differs", object.object);
    }
    let sent = world.origin.counter("nightfill_oca_fill_bytes_total").await?;
    // Up to `connections` chunks may have been in flight at the kill; of each stream at most one
    // chunk is fetched again, and seals are a few KiB each.
    let seals = 16 * 1024 * state.objects.len() as u64;
    let bound = planned + 4 * CHUNK_BYTES + seals;
    assert!(sent >= planned && sent <= bound, "origin sent {sent} for {planned}, bound {bound}");
    Ok(())
}

fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.blocks() * 512).sum()
}
