//! Story: 200 members are steered by appliances. Every process of control is killed, then one of
//! the appliances, then another is drained by its own admin port. The picture never stops, nobody
//! is sent to the dead one any more, and after control's return new plays work.
//!
//! `NIGHTFILL_SOVEREIGN_SECONDS` is how long they watch: 45 unless told otherwise, at least 30.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_types::play::{PlayAnswer, SteeringManifest};
use nightfill_harness::process::eventually;
use nightfill_harness::{Crowd, Player, Trouble, Watching, World, WorldPlan, sources};

const SCREENS: usize = 200;
/// Each presses play once; ten screens share a play.
const MEMBERS: usize = 20;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// The goal for new plays after control's return.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// A machine on which a timer comes later than this has too much else to do to judge pictures by:
/// then it is said, and what is left of the story is who streams from where.
const STOOD_STILL_MAX: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_control_is_gone() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan {
        boxes: vec![2, 2],
        control_sections: "[steering]\nserved_by = \"appliances\"\nbundle_ms = 500\n\
                           bundle_content_ms = 1000\n",
        ..WorldPlan::default()
    })
    .await?;
    let clip = sources::clip(&world.folder, 24)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let answers = presses(&world).await?;
    let member = world.member("first@example.org").await?;
    let answer = member.press("harbour").await?;
    let player =
        Player::open(&member.client, answer.clone(), &world.ca.pem, Instant::now()).await?;
    let track = Arc::new(player.track());
    for edge in ["edge-a1", "edge-a2", "edge-b1", "edge-b2"] {
        let purpose = format!("{edge} steers to all edges");
        let told = async || told_by(&world, edge, &answer).await;
        eventually(&purpose, SEEN_WITHIN, async || wants(&told().await?, 4, &[])).await?;
    }

    let seconds = std::env::var("NIGHTFILL_SOVEREIGN_SECONDS");
    let seconds = seconds.ok().and_then(|text| text.parse().ok()).unwrap_or(45).max(30);
    let span = Duration::from_secs(seconds);
    let watching = Watching::start(SCREENS, &track, &answers, &world.ca.pem)?;
    eventually("all screens show something", SEEN_WITHIN, async || {
        let crowd = watching.now();
        let shown = crowd.screens.iter().filter(|seen| !seen.watched.is_zero()).count();
        if shown == SCREENS { Ok(()) } else { Err(Trouble(format!("{shown} of {SCREENS}"))) }
    })
    .await?;
    world.control.kill();

    let killed = busiest(&watching.now());
    let before = watching.now();
    assert!(before.at(&killed) > 0, "somebody streams from {killed}");
    world.edge(&killed)?.kill_server();
    left(&watching, &killed).await?;
    steered_again(&watching, &before, &killed).await?;
    let others: Vec<String> =
        world.running_edges().into_iter().filter(|edge| *edge != killed).collect();
    for edge in &others {
        let told = async || told_by(&world, edge, &answer).await;
        let purpose = format!("{edge}, alone, steers around {killed}");
        eventually(&purpose, SEEN_WITHIN, async || wants(&told().await?, 3, &[&killed])).await?;
    }

    let drained = busiest(&watching.now());
    drain(&world.edge(&drained)?.admin).await?;
    left(&watching, &drained).await?;
    let ended = world.edge(&drained)?.server()?.ended_within(Duration::from_secs(30))?;
    assert!(ended.success(), "a drained server ends with 0, not {ended}");
    let crowd = watching.end(span).await;
    judge(&crowd, &killed, &drained);

    let returned = Instant::now();
    world.control.restart()?;
    let answer = eventually("new plays work after control's return", BACK_WITHIN, async || {
        let answer = member.press("harbour").await?;
        let first = answer.ranked[0].appliance.as_str();
        let is_alive = first != killed && first != drained && first.starts_with("edge-");
        if is_alive { Ok(answer) } else { Err(Trouble(format!("first is {first}"))) }
    })
    .await?;
    println!("new plays {:?} after control's return", returned.elapsed());
    let span = Duration::from_secs(4);
    let mut player = Player::open(&member.client, answer, &world.ca.pem, Instant::now()).await?;
    let viewing = player.watch(span, |_, _| Ok(())).await?;
    assert!(!viewing.watched.is_zero(), "{viewing:?}");
    Ok(())
}

async fn presses(world: &World) -> Result<Vec<PlayAnswer>, Trouble> {
    let early = world.member("early@example.org").await?;
    // Until the first box of the list has said that it has a bundle, control is who is asked.
    eventually("players are sent to appliances for steering", SEEN_WITHIN, async || {
        let answer = early.press("harbour").await?;
        match answer.steering_url.starts_with(&answer.ranked[0].base_url) {
            true => Ok(()),
            false => Err(Trouble(format!("to {}", answer.steering_url))),
        }
    })
    .await?;
    let mut answers = Vec::new();
    for number in 0..MEMBERS {
        let member = world.member(&format!("member-{number}@example.org")).await?;
        answers.push(member.press("harbour").await?);
    }
    let first = &answers[0];
    let wanted = format!("{}steering", first.ranked[0].base_url);
    assert!(first.steering_url.starts_with(&wanted), "{} is its first box's", first.steering_url);
    Ok(answers)
}

/// What `edge` says to whoever asks with the ticket of `answer`.
async fn told_by(
    world: &World,
    edge: &str,
    answer: &PlayAnswer,
) -> Result<SteeringManifest, Trouble> {
    let ranked = answer.ranked.iter().find(|ranked| ranked.appliance.as_str() == edge);
    let ranked = ranked.ok_or_else(|| Trouble(format!("{edge} is not offered")))?;
    world.steering_of(&format!("{}steering", ranked.base_url)).await
}

/// `edges` edges, and none of `without`.
fn wants(told: &SteeringManifest, edges: usize, without: &[&str]) -> Result<(), Trouble> {
    let list = &told.pathway_priority;
    let count = list.iter().filter(|id| id.starts_with("edge-")).count();
    let has_left = without.iter().all(|gone| !list.iter().any(|id| id == gone));
    if count == edges && has_left { Ok(()) } else { Err(Trouble(format!("it says {list:?}"))) }
}

/// The box that most screens stream from.
fn busiest(crowd: &Crowd) -> String {
    let mut pathways: Vec<&str> = crowd.screens.iter().map(|seen| seen.pathway.as_str()).collect();
    pathways.sort_unstable();
    pathways.dedup();
    let most = pathways.into_iter().max_by_key(|pathway| crowd.at(pathway));
    most.unwrap_or_default().to_owned()
}

async fn left(watching: &Watching, pathway: &str) -> Result<(), Trouble> {
    eventually(&format!("everybody has left {pathway}"), SEEN_WITHIN, async || {
        match watching.now().at(pathway) {
            0 => Ok(()),
            some => Err(Trouble(format!("{some} screens have not"))),
        }
    })
    .await
}

/// Everybody who streamed from `pathway` has had an answer since: whom they asked was another.
async fn steered_again(watching: &Watching, before: &Crowd, pathway: &str) -> Result<(), Trouble> {
    let left = watching.now();
    eventually("those who had to move are steered on", SEEN_WITHIN, async || {
        let now = watching.now();
        let moved = before.screens.iter().map(|seen| seen.pathway == pathway);
        let pairs = now.screens.iter().zip(&left.screens).zip(moved);
        let pairs: Vec<_> = pairs.filter(|(_, moved)| *moved).map(|(pair, _)| pair).collect();
        let steered = pairs.iter().filter(|(now, left)| now.answers > left.answers).count();
        // A screen that asked its new box before that one missed the dead was sent to ask there.
        match steered * 4 >= pairs.len() * 3 {
            true => Ok(()),
            false => Err(Trouble(format!("{steered} of {}", pairs.len()))),
        }
    })
    .await
}

/// `POST /drain` on an admin port: the box leaves, and control is not there to be told.
async fn drain(admin: &str) -> Result<(), Trouble> {
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    http.post(format!("http://{admin}/drain")).send().await?.error_for_status()?;
    Ok(())
}

fn judge(crowd: &Crowd, killed: &str, drained: &str) {
    let still = crowd.stood_still;
    let stalls: Vec<_> = crowd.screens.iter().filter(|seen| seen.stalls > 0).collect();
    println!(
        "{} screens, {} s of picture, {} interruptions, {} moves, {} steering answers, {} \
         unanswered, the machine stood still for at most {still:?}; {killed} was killed, \
         {drained} drained",
        crowd.screens.len(),
        crowd.sum(|seen| seen.watched.as_secs()),
        crowd.sum(|seen| u64::from(seen.stalls)),
        crowd.sum(|seen| u64::from(seen.moves)),
        crowd.sum(|seen| u64::from(seen.answers)),
        crowd.sum(|seen| u64::from(seen.unanswered)),
    );
    if still > STOOD_STILL_MAX {
        println!("NOT JUDGED: the machine was too busy for {} stopped pictures", stalls.len());
    } else {
        assert!(stalls.is_empty(), "interrupted: {:?}", stalls.first());
    }
    // Who answers next is not who a screen streams from: two of four went, one after the other, and
    // for most somebody was always there to ask.
    let (answers, unanswered) =
        (crowd.sum(|seen| seen.answers.into()), crowd.sum(|seen| seen.unanswered.into()));
    assert!(answers > unanswered, "{answers} answers, {unanswered} questions in vain");
    let gone = crowd.at(killed) + crowd.at(drained);
    assert_eq!((crowd.screens.len(), gone), (SCREENS, 0));
}
