//! Story: a member watches for longer than a ticket lasts, in a player that can set no header, as a
//! device that plays HLS by itself: real hls.js in a real Chromium. Twice its ticket is about to
//! end; twice steering brings pathways with a fresh one, and the picture goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nightfill_harness::{Trouble, World, WorldPlan, sources};
use serde_json::Value;
use tokio::process::Command;

/// The shortest that a ticket may be, milliseconds: renewed when eleven seconds of it are left.
const TICKET_MS: u64 = 60_000;
/// The second ticket ends within this; the third is played on after it.
const WATCHED_MS: u64 = 125_000;
const FILM_S: u32 = 135;
const TITLE: &str = "long-harbour";
/// Longest the browser may take.
const WITHIN: Duration = Duration::from_secs(300);

/// What is missing for this story on this machine.
fn missing(pages: &Path) -> Option<String> {
    let chromium = std::env::var("NIGHTFILL_CHROMIUM").unwrap_or("/usr/bin/chromium".to_owned());
    let needed = [PathBuf::from(chromium), pages.join("node_modules/hls.js/dist/hls.min.js")];
    let absent = needed.into_iter().find(|path| !path.exists())?;
    Some(format!("there is no {}", absent.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_without_headers_outlives_two_tickets() -> Result<(), Trouble> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../control/web");
    if let Some(why) = missing(&pages) {
        eprintln!("NOT RUN: the story of a long play: {why}");
        return Ok(());
    }
    // An appliance can sign nothing: this is for players that control steers.
    let control_sections = "[steering]\nserved_by = \"control\"\n";
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
    let answer = member.press(TITLE).await?;
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
    Ok(())
}
