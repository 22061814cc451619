//! Three standard players in headless Chromium, one after the other, while their appliances are
//! drained, killed, brought back and added. Does to the appliances what the browser's script asks
//! for, and judges nothing: the script does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nightfill_harness::nodes::ApplianceNode;
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, sources};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::progress::Progress;

/// Longest all three may take.
const WITHIN: Duration = Duration::from_secs(600);
/// Length of the film: long enough for five events, each at its slowest.
const FILM_S: u32 = 240;
const TITLE: &str = "long-harbour";
/// The site of every box here.
const SITE: &str = "site-a";
/// Name of the box that no manifest knows.
const ADDED: &str = "edge-a9";

/// What is played and what happens meanwhile.
pub struct Programme {
    players: &'static [&'static str],
    /// Length of the film, seconds: long enough for all events, each at its slowest.
    film_s: u32,
    /// For the browser's script; all that it knows where this is empty.
    steps: &'static str,
}

impl Programme {
    /// Three players, five events each, and control is there.
    pub const WHOLE: Self = Self { players: &["hls", "dash", "shaka"], film_s: FILM_S, steps: "" };
    /// Two players, for whom control ends, then the box they stream from; then one drains.
    pub const BRIEF: Self =
        Self { players: &["hls", "dash"], film_s: 100, steps: "blackout,kill,drain" };
}

/// Fills a film into every edge, then plays it in every player.
///
/// # Errors
/// When a program or the browser fails, or a player stalled, gave up or ended where it should not.
pub async fn run(
    world: &mut World,
    pages: &Path,
    steps: &Progress,
    programme: &Programme,
) -> Result<(), Trouble> {
    let clip = sources::clip(&world.folder, programme.film_s)?;
    let ingested = world.ingest(TITLE, "The Long Harbour", &clip).await;
    steps.step("a film of minutes", ingested)?;
    steps.step("one night", world.night().await)?;
    let mut browser = start(world, pages, programme).await?;
    let played = tokio::time::timeout(WITHIN, follow(world, &mut browser)).await;
    let verdict = match played {
        Ok(verdict) => verdict,
        Err(_) => {
            let _ = browser.kill().await;
            Err(Trouble(format!("the players were not done within {} s", WITHIN.as_secs())))
        }
    };
    let verdict = steps.step("standard players, steered", verdict)?;
    println!("{verdict}");
    if verdict["ok"] == Value::Bool(true) {
        return Ok(());
    }
    Err(Trouble(format!("the players were not steered as promised: {}", verdict["problems"])))
}

async fn start(world: &World, pages: &Path, programme: &Programme) -> Result<Child, Trouble> {
    let mut plays = Vec::new();
    for player in programme.players {
        // A member each: a plan allows two streams at once, and a play that was left counts a
        // while.
        let member = world.member(&format!("{player}@example.org")).await?;
        let answer = member.press(TITLE).await?;
        // Of a DASH file with one index Shaka Player reads the addresses once; of HLS, each time.
        let url = if *player == "dash" { answer.dash_url } else { answer.hls_url };
        plays.push(json!({ "player": player, "url": url }));
    }
    // One certificate is made per box, and the one that is added has not got its own yet: the
    // browser takes any, as it may on loopback.
    let mut command = Command::new("node");
    command.arg("e2e/players.mjs").current_dir(pages.parent().unwrap_or(pages));
    command.env("NIGHTFILL_PLAYS", Value::from(plays).to_string());
    command.env("NIGHTFILL_HOSTS", hosts(world).to_string());
    if !programme.steps.is_empty() {
        command.env("NIGHTFILL_STEPS", programme.steps);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn();
    started.map_err(|error| Trouble(format!("cannot start node, install Node.js 20: {error}")))
}

/// `host:port` of every box, and whose it is.
fn hosts(world: &World) -> Value {
    let host = |edge: &ApplianceNode| {
        let host = edge.media_url.split("://").nth(1).unwrap_or_default().to_owned();
        (host, edge.spec.id.to_string())
    };
    let boxes = world.edges.iter().chain(std::iter::once(&world.origin));
    json!(boxes.map(host).collect::<BTreeMap<_, _>>())
}

async fn follow(world: &mut World, browser: &mut Child) -> Result<Value, Trouble> {
    let out =
        browser.stdout.take().ok_or_else(|| Trouble("the browser has no stdout".to_owned()))?;
    let mut answers =
        browser.stdin.take().ok_or_else(|| Trouble("the browser has no stdin".to_owned()))?;
    let mut lines = BufReader::new(out).lines();
    let mut last = Value::Null;
    while let Some(line) = lines.next_line().await? {
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            eprintln!("           {line}");
            continue;
        };
        let Some(event) = value["event"].as_str() else {
            last = value;
            continue;
        };
        let appliance = value["appliance"].as_str().unwrap_or_default();
        eprintln!("           {event} {appliance}");
        let current = value["current"].as_str().unwrap_or_default();
        let mut answer = act(world, event, appliance, current).await?;
        answer["hosts"] = hosts(world);
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
        answers.flush().await?;
    }
    let status = browser.wait().await?;
    if last.is_null() {
        return Err(Trouble(format!("the browser ended with {status} and said nothing")));
    }
    Ok(last)
}

async fn act(
    world: &mut World,
    event: &str,
    appliance: &str,
    current: &str,
) -> Result<Value, Trouble> {
    match event {
        // Without control its own people drain it, by its own port: it leaves for good.
        "drain" if !world.control.is_running() => drain(&world.edge(appliance)?.admin).await?,
        "drain" => {
            world.ocactl(&["appliance", "drain", appliance])?;
        }
        "blackout" => world.control.kill(),
        "kill" => world.edge(appliance)?.kill_server(),
        "return" => {
            world.ocactl(&["appliance", "undrain", appliance])?;
            // From the origin, which serves when nobody nearer does, they go by themselves.
            if world.edge(current).is_ok() {
                world.ocactl(&["appliance", "drain", current])?;
            }
        }
        // Whoever streams from the others has to go to the new one.
        "add" => {
            world.add_edge(ADDED, SITE).await?;
            world.holds(ADDED, &TITLE.parse()?).await?;
            for id in world.running_edges() {
                if id != ADDED {
                    world.ocactl(&["appliance", "drain", &id])?;
                }
            }
            return Ok(json!({ "added": ADDED }));
        }
        "reset" => reset(world).await?,
        other => return Err(Trouble(format!("the browser asks for {other:?}, which is nothing"))),
    }
    Ok(json!({}))
}

async fn drain(admin: &str) -> Result<(), Trouble> {
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    http.post(format!("http://{admin}/drain")).send().await?.error_for_status()?;
    Ok(())
}

/// Every box up, none drained, and the added one gone, as before the first player.
async fn reset(world: &mut World) -> Result<(), Trouble> {
    if !world.control.is_running() {
        world.control.restart()?;
    }
    world.remove_edge(ADDED)?;
    for edge in &mut world.edges {
        if !edge.is_serving() {
            edge.start_server()?;
        }
    }
    let ids: Vec<String> = world.edges.iter().map(|edge| edge.spec.id.to_string()).collect();
    for id in &ids {
        world.ocactl(&["appliance", "undrain", id])?;
    }
    for id in &ids {
        world.holds(id, &TITLE.parse()?).await?;
    }
    // A box that was dead is offered again once it has reported for a while.
    let title = TITLE.parse()?;
    eventually("every box is offered again", WITHIN, async || {
        let offered = world.offered(&title).await?;
        match ids.iter().find(|id| !offered.contains(id)) {
            Some(absent) => Err(Trouble(format!("{absent} is not among {offered:?}"))),
            None => Ok(()),
        }
    })
    .await?;
    if world.control.is_sovereign() { steers(world, &ids).await } else { Ok(()) }
}

/// Appliances steer, and each of them offers all of them: it has heard of the last change.
async fn steers(world: &World, ids: &[String]) -> Result<(), Trouble> {
    // Another member each time: a plan allows two streams at once.
    let when = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let number = when.map_or(0, |since| since.as_nanos());
    let member = world.member(&format!("member-{number}@example.org")).await?;
    eventually("every box offers every box", WITHIN, async || {
        let answer = member.press(TITLE).await?;
        if answer.steering_url.contains("/v1/plays/") {
            return Err(Trouble("control answers for steering still".to_owned()));
        }
        for ranked in
            answer.ranked.iter().filter(|ranked| ids.contains(&ranked.appliance.to_string()))
        {
            let told = world.steering_of(&format!("{}steering", ranked.base_url)).await?;
            if let Some(absent) = ids.iter().find(|id| !told.pathway_priority.contains(id)) {
                let (at, list) = (&ranked.appliance, &told.pathway_priority);
                return Err(Trouble(format!("{absent} is not among {list:?} of {at}")));
            }
        }
        Ok(())
    })
    .await
}
