//! Story: a title is ingested, a night moves it to the edges, a member watches it to the end.
//! Every byte comes from an appliance of the member's ISP and equals the library's.

use std::time::{Duration, Instant};

use control_types::UnixMillis;
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents};
use nightfill_harness::{Player, Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_watches_a_title_filled_overnight() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan::default()).await?;
    let clip = sources::clip(&world.folder, 12)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;

    let member = world.member("ada@example.org").await?;
    let pressed = Instant::now();
    let answer = member.press("harbour").await?;
    let names: Vec<&str> = answer.ranked.iter().map(|entry| entry.appliance.as_str()).collect();
    assert_eq!(&names[..2], ["edge-a1", "edge-b1"], "the closest site first, then the ISP's other");
    assert!(answer.ticket_expires_at > UnixMillis(0) && answer.resume_ms == 0);

    let play = answer.play;
    let player = Player::open(&member.client, answer, &world.ca.pem, pressed).await?;
    let library = world.library(&player.media())?;
    let mut player = player.comparing_with(library);
    let viewing = player.watch(Duration::from_secs(6), |_, _| Ok(())).await?;
    assert_eq!((viewing.stalls, viewing.switches), (0, 0), "{viewing:?}");
    assert!(
        viewing.bytes_compared > 0 && viewing.bytes_from.contains_key("edge-a1"),
        "{viewing:?}"
    );

    let stopped = PlayEvent {
        kind: PlayEventKind::Stopped,
        position_ms: 6_000,
        since_press_ms: 6_500,
        appliance: None,
        height: 0,
        buffer_ms: 0,
        bytes: 0,
        stall_ms: 0,
        detail: String::new(),
        trouble: None,
        first_byte_ms: None,
    };
    member.client.play_events(play, &PlayEvents { events: vec![stopped] }).await?;
    assert_eq!(member.press("harbour").await?.resume_ms, 6_000, "a member resumes where they left");
    let home = member.client.home(member.profile).await?;
    let first = home.rows.first().expect("a home page has a row once something was started");
    assert_eq!(first.titles[0].position_ms, Some(6_000), "continue watching comes first: {home:?}");
    Ok(())
}
