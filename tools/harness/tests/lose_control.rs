//! Story: every process of the control plane is killed while a member plays for 60 seconds.
//! The member notices nothing; after its return the control plane plays new titles again.

use std::time::{Duration, Instant};

use nightfill_harness::process::eventually;
use nightfill_harness::{Player, Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn a_playing_member_does_not_notice() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan::default()).await?;
    let clip = sources::clip(&world.folder, 24)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let member = world.member("ada@example.org").await?;
    let answer = member.press("harbour").await?;
    let mut player = Player::open(&member.client, answer, &world.ca.pem, Instant::now()).await?;

    world.control.kill();
    let viewing = player.watch(Duration::from_secs(60), |_, _| Ok(())).await?;
    assert_eq!((viewing.stalls, viewing.switches), (0, 0), "{viewing:?}");
    assert!(viewing.watched > Duration::from_secs(58), "{viewing:?}");

    world.control.restart()?;
    // Appliances were not restarted: control learns from their next reports who is there and with
    // what.
    let bound = Duration::from_secs(20);
    let title = "harbour".parse()?;
    eventually("control knows the fleet again", bound, async || {
        let offered = world.offered(&title).await?;
        match offered.starts_with(&["edge-a1".to_owned(), "edge-b1".to_owned()]) {
            true => Ok(()),
            false => Err(Trouble(format!("offered: {offered:?}"))),
        }
    })
    .await?;
    let answer = member.press("harbour").await?;
    assert_eq!(answer.ranked[0].appliance.as_str(), "edge-a1", "new plays work after the return");
    Ok(())
}
