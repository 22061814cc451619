//! Story: an appliance is drained, first by its ISP through the CLI, then by SIGTERM under a
//! player. No new play is sent to it, what it had begun is finished, and the picture never stops.

use std::time::{Duration, Instant};

use nightfill_harness::process::eventually;
use nightfill_harness::{Player, Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_appliance_lets_everybody_finish() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan::default()).await?;
    let clip = sources::clip(&world.folder, 30)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let member = world.member("ada@example.org").await?;
    let answer = member.press("harbour").await?;
    let play = answer.play;
    assert_eq!(answer.ranked[0].appliance.as_str(), "edge-a1");

    world.ocactl(&["appliance", "drain", "edge-a1"])?;
    let bound = Duration::from_secs(10);
    eventually("steering moves players off the drained box", bound, async || {
        let first = world.first_pathway(play).await?;
        if first == "edge-b1" { Ok(()) } else { Err(Trouble(format!("first is {first}"))) }
    })
    .await?;
    world.ocactl(&["appliance", "undrain", "edge-a1"])?;
    eventually("steering offers it again", bound, async || {
        let first = world.first_pathway(play).await?;
        if first == "edge-a1" { Ok(()) } else { Err(Trouble(format!("first is {first}"))) }
    })
    .await?;

    let mut player = Player::open(&member.client, answer, &world.ca.pem, Instant::now()).await?;
    let mut asked = false;
    let viewing = player
        .watch(Duration::from_secs(15), |viewing, appliance| {
            if !asked && viewing.watched > Duration::from_secs(2) {
                world.edge(appliance)?.server()?.ask_to_stop();
                asked = true;
            }
            Ok(())
        })
        .await?;
    assert!(asked, "the drain happened");
    assert_eq!(viewing.stalls, 0, "{viewing:?}");
    assert!(viewing.bytes_from.contains_key("edge-b1"), "{viewing:?}");
    let ended = world.edge("edge-a1")?.server()?.ended_within(Duration::from_secs(15))?;
    assert!(ended.success(), "a drained server ends with 0, not {ended}");
    Ok(())
}
