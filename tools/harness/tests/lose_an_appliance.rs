//! Story: the appliance that a member streams from is killed in mid-play.
//! The picture never stops, and nobody is sent to the dead box any more.

use std::time::{Duration, Instant};

use nightfill_harness::process::eventually;
use nightfill_harness::{Player, Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_goes_on_from_the_next_appliance() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan::default()).await?;
    let clip = sources::clip(&world.folder, 30)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let member = world.member("ada@example.org").await?;
    let answer = member.press("harbour").await?;
    let player = Player::open(&member.client, answer, &world.ca.pem, Instant::now()).await?;
    let library = world.library(&player.media())?;
    let mut player = player.comparing_with(library);

    let mut killed = false;
    let viewing = player
        .watch(Duration::from_secs(18), |viewing, appliance| {
            if !killed && viewing.watched > Duration::from_secs(3) {
                world.edge(appliance)?.kill_server();
                killed = true;
            }
            Ok(())
        })
        .await?;
    assert!(killed, "the kill happened");
    assert_eq!((viewing.stalls, viewing.switches), (0, 1), "{viewing:?}");
    assert!(viewing.bytes_from.contains_key("edge-b1"), "{viewing:?}");

    let title = "harbour".parse()?;
    eventually("steering leaves the dead box out", Duration::from_secs(10), async || {
        let offered = world.offered(&title).await?;
        match offered.contains(&"edge-a1".to_owned()) {
            true => Err(Trouble(format!("offered: {offered:?}"))),
            false => Ok(()),
        }
    })
    .await
}
