//! `ocactl plan`: what the director decided for the night, and why.

use clap::Subcommand;
use control_client::ControlClient;
use control_types::fill::{NightPlan, Source, SourceKind};
use control_types::{ApplianceId, ErrorWord, ObjectId};
use fill_plan::Knobs;
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{show_bytes, show_moment};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Plan {
    /// Tonight's plan, one line a pull.
    Show,
    /// Why an object is pulled, where to, and from where.
    Explain {
        /// Which.
        object: ObjectId,
    },
    /// Why an appliance does not get an object: the rule that decided, with its numbers. Judged by
    /// the planner's usual knobs; a director with others may think otherwise.
    WhyNot {
        /// Which.
        object: ObjectId,
        /// Who.
        appliance: ApplianceId,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said; no plan yet is said as such.
pub async fn run(verb: &Plan, control: &ControlClient) -> Result<Shown, Failure> {
    if let Plan::WhyNot { object, appliance } = verb {
        let plan = in_force(control).await?;
        let state = control.fill_state().await?;
        let reason =
            fill_plan::why_not(&state, plan.as_ref(), &Knobs::default(), object, appliance);
        let value = json!({ "object": object, "appliance": appliance, "reason": reason });
        let word = value["reason"]["word"].as_str().unwrap_or_default();
        return Ok(Shown::new(&value, format!("{word}: {}", reason.because)));
    }
    let plan = control.plan().await?;
    match verb {
        Plan::Show => Ok(show(&plan)),
        Plan::Explain { object } | Plan::WhyNot { object, .. } => {
            explain(&plan, object, control).await
        }
    }
}

/// The plan in force, if there is one yet.
///
/// # Errors
/// What control said.
pub async fn in_force(control: &ControlClient) -> Result<Option<NightPlan>, Failure> {
    match control.plan().await {
        Err(error) if error.word() == Some(ErrorWord::NotFound) => Ok(None),
        plan => Ok(Some(plan?)),
    }
}

fn show(plan: &NightPlan) -> Shown {
    let rows = plan.appliances.iter().flat_map(|part| {
        part.pulls.iter().map(|pull| {
            vec![
                part.appliance.to_string(),
                pull.title.to_string(),
                pull.object.to_string()[..12].to_owned(),
                show_bytes(pull.bytes),
                pull.sources.iter().map(source_text).collect::<Vec<_>>().join(", "),
            ]
        })
    });
    let nothing = "the plan is to change nothing: every appliance holds what it should";
    let head = ["appliance", "title", "object", "bytes", "from, in this order"];
    let mut shown = Shown::table(plan, &head, rows.collect(), nothing);
    let made = show_moment(plan.made_at);
    shown.text = format!("plan {} (serial {}), made {made}\n{}", plan.id, plan.serial, shown.text);
    shown
}

fn source_text(source: &Source) -> String {
    let kind = match source.kind {
        SourceKind::Peer => "peer",
        SourceKind::Tier => "tier",
        SourceKind::Origin => "origin",
    };
    let later = if source.pending { " (when it has it)" } else { "" };
    format!("{kind} {}{later}", source.appliance)
}

async fn explain(
    plan: &NightPlan,
    object: &ObjectId,
    control: &ControlClient,
) -> Result<Shown, Failure> {
    let mut lines = Vec::new();
    for part in &plan.appliances {
        for pull in part.pulls.iter().filter(|pull| pull.object == *object) {
            lines.push(format!("{} pulls it: {}", part.appliance, pull.why));
            let from: Vec<String> = pull.sources.iter().map(source_text).collect();
            lines.push(format!("  from {}", from.join(", then ")));
        }
        if part.prunes.contains(object) {
            lines.push(format!("{} may remove it when it needs room", part.appliance));
        }
    }
    let state = control.fill_state().await?;
    for holder in &state.appliances {
        if holder.holds.iter().any(|held| held.object == *object) {
            lines.push(format!("{} holds it already", holder.appliance));
        }
    }
    if lines.is_empty() {
        let cure = "`ocactl plan show` and `ocactl title show` list objects";
        return Err(Failure(format!("{object} is in no plan and on no appliance: {cure}")));
    }
    Ok(Shown::new(&json!({ "object": object, "lines": lines }), lines.join("\n")))
}
