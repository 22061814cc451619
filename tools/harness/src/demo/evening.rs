//! One evening of one member in headless Chromium: sign up, search, play, lose an appliance,
//! resume. The page measures; this only kills the appliance when the page says which, and judges
//! the figures.

use std::cell::RefCell;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nightfill_harness::{Trouble, World};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::progress::Progress;
use super::titles::DemoTitle;

/// Longest the whole evening may take.
const EVENING_WITHIN: Duration = Duration::from_secs(180);
/// Start-up that a member does not notice, milliseconds.
const STARTUP_MS_MAX: f64 = 1_000.0;
/// Longest stop of the picture at a failover, milliseconds.
const STALL_MS_MAX: f64 = 500.0;

/// Drives the browser and prints the one JSON line.
///
/// # Errors
/// When the browser cannot be driven, or one of the promises was not kept.
pub async fn run(
    world: &RefCell<&mut World>,
    pages: &Path,
    dir: &Path,
    title: &DemoTitle,
    steps: &Progress,
) -> Result<(), Trouble> {
    let shots = dir.join("screenshots");
    std::fs::create_dir_all(&shots)?;
    let mut browser = start(world, pages, &shots, title)?;
    let watched = tokio::time::timeout(EVENING_WITHIN, follow(world, &mut browser)).await;
    let seen = match watched {
        Ok(seen) => seen,
        Err(_) => {
            let _ = browser.kill().await;
            let seconds = EVENING_WITHIN.as_secs();
            Err(Trouble(format!("the browser was not done within {seconds} s")))
        }
    };
    let seen = steps.step("one evening in a browser", seen)?;
    eprintln!("           screenshots in {}", shots.display());
    let verdict = judge(&seen);
    println!("{verdict}");
    if verdict["ok"] == Value::Bool(true) {
        return Ok(());
    }
    Err(Trouble(format!("the evening was not as promised: {}", seen["problems"])))
}

fn start(
    world: &RefCell<&mut World>,
    pages: &Path,
    shots: &Path,
    title: &DemoTitle,
) -> Result<Child, Trouble> {
    let world = world.borrow();
    let web = pages.parent().unwrap_or(pages);
    let keys: Vec<&str> = std::iter::once(&world.origin)
        .chain(&world.edges)
        .map(|node| node.tls.spki.as_str())
        .collect();
    let query: String = title.name.to_lowercase().chars().take(5).collect();
    let operator_key = std::fs::read_to_string(&world.control.operator_key)?;
    let mut command = Command::new("node");
    command.arg("e2e/evening.mjs").current_dir(web);
    command.env("NIGHTFILL_URL", world.control.url());
    command.env("NIGHTFILL_SHOTS", shots);
    command.env("NIGHTFILL_SEARCH", query);
    command.env("NIGHTFILL_TITLE", &title.slug);
    command.env("NIGHTFILL_SPKI", keys.join(","));
    command.env("NIGHTFILL_OPERATOR_KEY", operator_key.trim());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn();
    started.map_err(|error| Trouble(format!("cannot start node, install Node.js 20: {error}")))
}

/// Reads the browser's lines, kills the appliance it names, and returns its last line.
async fn follow(world: &RefCell<&mut World>, browser: &mut Child) -> Result<Value, Trouble> {
    let out =
        browser.stdout.take().ok_or_else(|| Trouble("the browser has no stdout".to_owned()))?;
    let mut answers = browser.stdin.take();
    let mut lines = BufReader::new(out).lines();
    let mut last = Value::Null;
    while let Some(line) = lines.next_line().await? {
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            eprintln!("           {line}");
            continue;
        };
        match value["event"].as_str() {
            Some("kill") => kill(world, &value, answers.as_mut()).await?,
            Some(_) => {}
            None => last = value,
        }
    }
    let status = browser.wait().await?;
    if last.is_null() {
        return Err(Trouble(format!("the browser ended with {status} and said nothing")));
    }
    Ok(last)
}

async fn kill(
    world: &RefCell<&mut World>,
    event: &Value,
    answers: Option<&mut ChildStdin>,
) -> Result<(), Trouble> {
    let appliance = event["appliance"].as_str().unwrap_or_default().to_owned();
    world.borrow_mut().edge(&appliance)?.kill_server();
    eprintln!("           {appliance} was killed (SIGKILL) while streaming");
    if let Some(answers) = answers {
        answers.write_all(b"killed\n").await?;
        answers.flush().await?;
    }
    Ok(())
}

/// The page's own figures, and whether they keep what the demo promises.
fn judge(seen: &Value) -> Value {
    let by_appliance = seen["bytes_by_appliance"].as_object();
    let bytes = |wanted: fn(&str) -> bool| -> f64 {
        let entries = by_appliance.into_iter().flatten();
        entries.filter(|(name, _)| wanted(name)).filter_map(|(_, bytes)| bytes.as_f64()).sum()
    };
    let edges = bytes(|name| !name.starts_with("origin"));
    let all = bytes(|_| true);
    let offload = if all > 0.0 { edges / all } else { 0.0 };
    let kept = seen["ok"] == Value::Bool(true)
        && seen["failover"] == Value::Bool(true)
        && seen["startup_ms"].as_f64().is_some_and(|ms| ms < STARTUP_MS_MAX)
        && seen["stall_ms"].as_f64().is_some_and(|ms| ms <= STALL_MS_MAX)
        && all > 0.0;
    json!({
        "played_seconds": seen["played_seconds"],
        "startup_ms": seen["startup_ms"],
        "stalls": seen["stalls"],
        "stall_ms": seen["stall_ms"],
        "failover": seen["failover"],
        "resumed_at": seen["resumed_at"],
        "offload": offload,
        "ok": kept,
    })
}
