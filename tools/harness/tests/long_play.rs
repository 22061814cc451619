//! Story: a member watches for longer than a ticket lasts, in a player that can set no header, as a
//! device that plays HLS by itself: real hls.js in a real Chromium. Twice its ticket is about to
//! end; twice steering brings pathways with a fresh one, and the picture goes on. Once with control
//! steering, once with an appliance that steers and sends the player to control for its tickets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

/// The shortest that a ticket may be, milliseconds: renewed when eleven seconds of it are left.
const TICKET_MS: u64 = 60_000;
/// The second ticket ends within this; the third is played on after it.
const WATCHED_MS: u64 = 125_000;
const FILM_S: u32 = 135;
const TITLE: &str = "long-harbour";
/// Longest until an appliance has a bundle, after control's restart.
const STEERED_WITHIN: Duration = Duration::from_secs(60);
/// Longest the browser may take.
const WITHIN: Duration = Duration::from_secs(300);

/// What is missing for this story on this machine.
fn missing(pages: &Path) -> Option<String> {
    let chromium = std::env::var("NIGHTFILL_CHROMIUM").unwrap_or("/usr/bin/chromium".to_owned());
    let needed = [PathBuf::from(chromium), pages.join("node_modules/hls.js/dist/hls.min.js")];
    let absent = needed.into_iter().find(|path| !path.exists())?;
    Some(format!("there is no {}", absent.display()))
}

/// Questions to control in all, where an appliance steers: one a ticket, and some to spare for
/// clocks of whole seconds. Control that steers is asked more than twenty times.
const ASKED_OF_CONTROL_MAX: u64 = 8;

/// A browser, a film and a network at a time: two would be too much for two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_player_without_headers_outlives_two_tickets() -> Result<(), Trouble> {
    outlives_two_tickets("[steering]\nserved_by = \"control\"\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_so_as_well_where_an_appliance_steers() -> Result<(), Trouble> {
    let sections = "[steering]\nserved_by = \"appliances\"\nbundle_ms = 500\n\
                    bundle_content_ms = 1000\n";
    outlives_two_tickets(sections).await
}

async fn outlives_two_tickets(control_sections: &'static str) -> Result<(), Trouble> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../control/web");
    if let Some(why) = missing(&pages) {
        eprintln!("NOT RUN: the story of a long play: {why}");
        return Ok(());
    }
    let plan = WorldPlan { boxes: vec![1], control_sections, ..WorldPlan::default() };
    let mut world = World::start(plan).await?;
    let template = world.folder.join("control/control.template");
    let config = std::fs::read_to_string(&template)?;
    let short = config.replace("[plays]\n", &format!("[plays]\nticket_ms = {TICKET_MS}\n"));
    assert_ne!(short, config, "control's config has no [plays] to write into");
    std::fs::write(&template, short)?;
    world.control.restart()?;
    let clip = sources::clip(&world.folder, FILM_S)?;
    world.ingest(TITLE, "The Long Harbour", &clip).await?;
    let member = world.member("ann@example.org").await?;
    let is_sovereign = world.control.is_sovereign();
    let answer = eventually("who is to steer is asked", STEERED_WITHIN, async || {
        let answer = member.press(TITLE).await?;
        let is_of_control = answer.steering_url.starts_with(&world.control.url());
        let why = || Trouble(format!("steering is at {}", answer.steering_url));
        if is_of_control == is_sovereign { Err(why()) } else { Ok(answer) }
    })
    .await?;
    assert!(answer.ticket_renew_at.is_some(), "its ticket ends before the film");

    let mut command = Command::new("node");
    command.arg("e2e/long-play.mjs").current_dir(&pages).kill_on_drop(true);
    command.env("NIGHTFILL_URL", &answer.hls_url);
    command.env("NIGHTFILL_FOR_MS", WATCHED_MS.to_string());
    let ran = tokio::time::timeout(WITHIN, command.output()).await;
    let ran = ran.map_err(|_| Trouble("the browser was not done in time".to_owned()))??;
    let said = String::from_utf8_lossy(&ran.stdout);
    let verdict: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .map_err(|_| Trouble(format!("{said}{}", String::from_utf8_lossy(&ran.stderr))))?;
    println!("{verdict}");
    assert_eq!(verdict["problem"], Value::Null, "{verdict}");
    assert_eq!(verdict["refused"], serde_json::json!([]), "{verdict}");
    assert_eq!(verdict["fatal"], serde_json::json!([]), "{verdict}");
    assert_eq!(verdict["headers"], 0, "it sets none: {verdict}");
    assert!(verdict["tickets"].as_u64() >= Some(3), "two renewals: {verdict}");
    let asked = asked_of_control(&world).await?;
    println!("control was asked {asked} times where to stream from");
    assert!(asked >= 2, "for two tickets");
    assert!(!is_sovereign || asked <= ASKED_OF_CONTROL_MAX, "{asked}: it never went back");
    Ok(())
}

/// Steering questions that control answered.
async fn asked_of_control(world: &World) -> Result<u64, Trouble> {
    let text = world.control.client.metrics().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("control_steering_answers_total "));
    let count = line.and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| Trouble("control counts no steering answers".to_owned()))
}
