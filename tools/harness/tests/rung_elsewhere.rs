//! Story: the nearest appliance lacks the rung that a member watches.
//! It is offered all the same, sends the player on to who has the rung, and nothing is lost.

use std::time::{Duration, Instant};

use control_types::ObjectId;
use nightfill_harness::process::eventually;
use nightfill_harness::{Player, Trouble, World, WorldPlan, sources};

/// Enough for a report, a bundle and its fetch in a debug build on a busy machine.
const LEARNED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_that_lacks_is_played_from_elsewhere() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan::default()).await?;
    let clip = sources::clip(&world.folder, 8)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let title = "harbour".parse()?;
    let state = world.control.client.fill_state().await?;
    let heights = state.objects.iter().filter_map(|object| object.height);
    let lowest = heights.min().ok_or_else(|| Trouble("no rung".to_owned()))?;
    let rung: Vec<ObjectId> = state
        .objects
        .iter()
        .filter(|object| object.height == Some(lowest))
        .map(|object| object.object)
        .collect();
    assert_eq!(rung.len(), 2, "a track and its playlist");

    let edge = world.edge("edge-a1")?;
    edge.kill_agent();
    let volumes: Vec<String> =
        edge.volumes().iter().map(|volume| volume.display().to_string()).collect();
    let mut evict = vec!["store", "evict"];
    evict.extend(volumes.iter().map(String::as_str));
    let names: Vec<String> = rung.iter().map(ObjectId::to_string).collect();
    names.iter().for_each(|name| evict.extend(["--object", name]));
    eventually("the agent's lock is free", LEARNED_WITHIN, async || {
        world.ocactl(&evict).map(|_| ())
    })
    .await?;

    // It has the title's core, so it stays first; and it knows by its bundle who has the rest.
    eventually("the rung is sent on", LEARNED_WITHIN, async || {
        for object in &rung {
            assert!(!world.edges[0].published()?.contains(object), "it is gone from the disk");
            let (body, library) = (
                world.body_by_way_of(&world.edges[0], &title, object).await?,
                world.library(object)?,
            );
            assert_eq!(body, library);
        }
        let sent_on = answered(&world, "elsewhere").await?;
        if sent_on < 2 { Err(Trouble(format!("sent on {sent_on}"))) } else { Ok(()) }
    })
    .await?;
    eventually("control knows what lacks, and calls it live", LEARNED_WITHIN, async || {
        let told = world.ocactl(&["title", "status", "harbour"])?;
        let line = told.lines().find(|line| line.contains("site-a")).unwrap_or_default();
        let is_live = line.contains("live") && line.contains(&format!("{lowest}p"));
        if is_live { Ok(()) } else { Err(Trouble(told)) }
    })
    .await?;
    eventually("the box that lacks a rung is offered first", LEARNED_WITHIN, async || {
        let offered = world.offered(&title).await?;
        match offered.first().map(String::as_str) {
            Some("edge-a1") => Ok(()),
            _ => Err(Trouble(format!("offered: {offered:?}"))),
        }
    })
    .await?;

    let before = answered(&world, "elsewhere").await?;
    let refused = answered(&world, "unknown_object").await?;
    let member = world.member("ada@example.org").await?;
    let answer = member.press("harbour").await?;
    assert_eq!(answer.ranked[0].appliance.as_str(), "edge-a1");
    let player = Player::open(&member.client, answer, &world.ca.pem, Instant::now()).await?;
    assert!(rung.contains(&player.media()), "the lowest rung is what this player watches");
    let library = world.library(&player.media())?;
    let mut player = player.comparing_with(library);
    let viewing = player.watch(Duration::from_secs(6), |_, _| Ok(())).await?;
    let has_missed = viewing.troubles.iter().any(|trouble| trouble.contains("404"));
    assert!(!has_missed, "{viewing:?}");
    assert!(viewing.bytes_compared > 0, "{viewing:?}");
    let after = answered(&world, "elsewhere").await?;
    assert!(after > before, "the playlist at least was sent on: {before}, then {after}");
    assert_eq!(answered(&world, "unknown_object").await?, refused, "nobody met a 404");
    Ok(())
}

/// Answers of the nearest box that ended with `word`.
async fn answered(world: &World, word: &str) -> Result<u64, Trouble> {
    let metrics = world.edges[0].metrics().await?;
    let label = format!("outcome=\"{word}\"");
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("nightfill_oca_answers_total{") && line.contains(&label));
    let count = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    Ok(lines.filter_map(count).sum::<f64>() as u64)
}
