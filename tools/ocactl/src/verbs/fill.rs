//! `ocactl fill`: how far the night is.
//! Moves nothing and closes no window.

use std::time::{Duration, Instant};

use clap::Subcommand;
use control_client::{ClientError, ControlClient};
use control_types::ErrorWord;
use control_types::fill::{FillProgress, FillReport, FillStateWord, NightPlan};
use serde_json::json;

use super::simulate;
use crate::connect::Connection;
use crate::failure::{Failure, tell};
use crate::quantities::{duration_ms, show_bytes, show_moment, show_rate};
use crate::shown::Shown;

/// How often `wait` looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Remarks of one box that are shown.
const REMARKS_MAX: usize = 5;

#[derive(Subcommand)]
pub enum Fill {
    /// Replay a demand trace under one policy or all, without a control plane.
    Simulate(simulate::Simulate),
    /// Make a demand trace from a seed.
    Trace(simulate::MakeTrace),
    /// One line an appliance: done of planned, from where, at what rate; and below, what boxes say
    /// that somebody should look at.
    Status,
    /// Wait until every appliance of the plan has done its part.
    Wait {
        /// Give up after this long.
        #[arg(long, value_parser = duration_ms, default_value = "12h", value_name = "DURATION")]
        timeout: u64,
        /// Done must hold this long with the same plan, so that a plan posted a moment after a
        /// change of content is waited for too.
        #[arg(long, value_parser = duration_ms, default_value = "2s", value_name = "DURATION")]
        settle: u64,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said; for `wait`, also when the time is up.
pub async fn run(verb: &Fill, at: &Connection) -> Result<Shown, Failure> {
    match verb {
        Fill::Simulate(line) => simulate::run(line),
        Fill::Trace(line) => simulate::make(line),
        Fill::Status => status(&at.operator()?).await,
        Fill::Wait { timeout, settle } => {
            let settle = Duration::from_millis(*settle);
            wait(Duration::from_millis(*timeout), settle, &at.operator()?).await
        }
    }
}

async fn status(control: &ControlClient) -> Result<Shown, Failure> {
    let fills = control.fills().await?;
    let rows = fills.iter().map(row).collect();
    let head = [
        "appliance",
        "state",
        "objects",
        "bytes",
        "peer",
        "tier",
        "origin",
        "rate",
        "failures",
        "heard",
    ];
    let mut shown = Shown::table(&fills, &head, rows, "no agent has reported yet");
    for line in fills.iter().flat_map(|progress| remarks(&progress.report)) {
        shown.text.push('\n');
        shown.text.push_str(&line);
    }
    Ok(shown)
}

/// What an operator should look at on one box, one line each, and how much more there is.
fn remarks(report: &FillReport) -> Vec<String> {
    let failures = report.failures.iter().map(|one| format!("{}: {}", one.object, one.why));
    let refused = (report.orders_refused > 0).then(|| {
        format!("refused {} orders since its agent began; its log says why", report.orders_refused)
    });
    let all: Vec<String> = report.troubles.iter().cloned().chain(refused).chain(failures).collect();
    let mut lines: Vec<String> = all
        .iter()
        .take(REMARKS_MAX)
        .map(|remark| format!("{}: {}", report.appliance, plain(remark)))
        .collect();
    if all.len() > REMARKS_MAX {
        let more = all.len() - REMARKS_MAX;
        lines.push(format!("{}: {more} more; --json has them all", report.appliance));
    }
    lines
}

/// Words of a box as a terminal may see them: a box that was taken over must not move a cursor.
fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn row(progress: &FillProgress) -> Vec<String> {
    let report = &progress.report;
    vec![
        report.appliance.to_string(),
        state_word(report.state).to_owned(),
        format!("{} of {}", report.objects_done, report.objects_planned),
        format!("{} of {}", show_bytes(report.bytes_done), show_bytes(report.bytes_planned)),
        show_bytes(report.bytes_from.peer),
        show_bytes(report.bytes_from.tier),
        show_bytes(report.bytes_from.origin),
        show_rate(report.rate_bps),
        report.failures.len().to_string(),
        show_moment(progress.heard_at),
    ]
}

fn state_word(state: FillStateWord) -> &'static str {
    match state {
        FillStateWord::Waiting => "waiting",
        FillStateWord::Filling => "filling",
        FillStateWord::Done => "done",
        FillStateWord::Stuck => "stuck",
    }
}

async fn wait(
    bound: Duration,
    settle: Duration,
    control: &ControlClient,
) -> Result<Shown, Failure> {
    let until = Instant::now() + bound;
    let (mut said, mut is_known) = (String::new(), false);
    let mut done_since: Option<(u64, Instant)> = None;
    loop {
        let (plan, fills, mut waits_for) = match look(control).await {
            Ok((plan, fills)) => {
                is_known = true;
                let waits_for = match &plan {
                    None => vec!["the director's plan".to_owned()],
                    Some(plan) => unfinished(plan, &fills),
                };
                (plan, fills, waits_for)
            }
            // A restart of control in the middle of a night is not the night's end.
            Err(error) if error.is_away() && is_known => {
                (None, Vec::new(), vec![format!("control ({error})")])
            }
            Err(error) => return Err(error.into()),
        };
        let serial = plan.as_ref().map_or(0, |plan| plan.serial);
        done_since = match done_since {
            _ if !waits_for.is_empty() => None,
            Some(since) if since.0 == serial => Some(since),
            _ => Some((serial, Instant::now())),
        };
        if done_since.is_some_and(|(_, since)| since.elapsed() < settle) {
            waits_for.push(format!("plan {serial}, which is done, to stay the plan"));
        }
        if waits_for.is_empty() {
            let bytes: u64 = fills.iter().map(|progress| progress.report.bytes_done).sum();
            let text = format!("all appliances are done: {} in place", show_bytes(bytes));
            return Ok(Shown::new(&json!({ "done": true, "fills": fills }), text));
        }
        let line = format!("waiting for {}", waits_for.join("; "));
        if line != said {
            tell(&line);
            said = line;
        }
        if Instant::now() >= until {
            return Err(Failure(format!(
                "the time is up, still {said}; `ocactl fill status` has more"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The plan in force, none before the first, and how far everybody is.
async fn look(
    control: &ControlClient,
) -> Result<(Option<NightPlan>, Vec<FillProgress>), ClientError> {
    let plan = match control.plan().await {
        Err(error) if error.word() == Some(ErrorWord::NotFound) => None,
        plan => Some(plan?),
    };
    Ok((plan, control.fills().await?))
}

/// What keeps the night from being over, one entry an appliance of the plan.
fn unfinished(plan: &NightPlan, fills: &[FillProgress]) -> Vec<String> {
    let parts = plan.appliances.iter().filter(|part| !part.pulls.is_empty());
    let lacking = parts.filter_map(|part| {
        let id = &part.appliance;
        let report = fills.iter().map(|progress| &progress.report).find(|r| r.appliance == *id);
        match report {
            None => Some(format!("{id} (has not reported)")),
            Some(report) if report.plan != Some(plan.id) => {
                Some(format!("{id} (on an older plan)"))
            }
            Some(report) if report.state == FillStateWord::Done => None,
            Some(report) => {
                let state = state_word(report.state);
                let why =
                    report.failures.first().map(|failure| format!(", {}", plain(&failure.why)));
                let (done, planned) = (report.objects_done, report.objects_planned);
                Some(format!("{id} ({state} {done} of {planned}{})", why.unwrap_or_default()))
            }
        }
    });
    lacking.collect()
}
