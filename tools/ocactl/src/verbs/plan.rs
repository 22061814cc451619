//! `ocactl plan`: what the director decided for the night, and why.

use clap::Subcommand;
use control_client::ControlClient;
use control_types::fill::{AppliancePlan, FillState, NightPlan, Source, SourceKind};
use control_types::{ApplianceId, ErrorWord, ObjectId, SiteId};
use fill_plan::{Knobs, Makings, WhyNot};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{show_bytes, show_moment};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Plan {
    /// Tonight's plan, one line a pull.
    Show,
    /// Why an object is pulled, where to, and from where; and the forecast with its factors.
    Explain {
        /// Which.
        object: ObjectId,
    },
    /// Why an appliance does not get an object: the rule that decided, with its numbers and the
    /// forecast. Judged by the planner's usual knobs; a director with others may think otherwise.
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
/// What control said; no plan yet is said as such. An object or appliance that nobody knows.
pub async fn run(verb: &Plan, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Plan::Show => Ok(show(&control.plan().await?)),
        Plan::Explain { object } => explain(object, control).await,
        Plan::WhyNot { object, appliance } => why_not(object, appliance, control).await,
    }
}

/// The state as the director plans from it: with the forecast of this hour for demand.
///
/// # Errors
/// What control said.
pub async fn forecast_state(control: &ControlClient) -> Result<FillState, Failure> {
    let mut state = control.fill_state().await?;
    let now = state.now;
    fill_plan::forecast_demand(&mut state, now);
    Ok(state)
}

async fn why_not(
    object: &ObjectId,
    appliance: &ApplianceId,
    control: &ControlClient,
) -> Result<Shown, Failure> {
    let plan = in_force(control).await?;
    let state = forecast_state(control).await?;
    let reason = fill_plan::why_not(&state, plan.as_ref(), &Knobs::default(), object, appliance);
    if matches!(reason.word, WhyNot::UnknownObject | WhyNot::UnknownAppliance) {
        return Err(Failure(reason.because));
    }
    let site = state.appliances.iter().find(|one| one.appliance == *appliance);
    let (forecast, lines) = forecast_of(&state, object, site.map(|one| &one.site));
    let value = json!({
        "object": object, "appliance": appliance, "reason": reason, "forecast": forecast,
    });
    let word = value["reason"]["word"].as_str().unwrap_or_default().to_owned();
    let text = [vec![format!("{word}: {}", reason.because)], lines].concat().join("\n");
    Ok(Shown::new(&value, text))
}

/// What is expected of an object and what that is made of, at `site` or at every site with members;
/// for programs and as lines.
fn forecast_of(
    state: &FillState,
    object: &ObjectId,
    site: Option<&SiteId>,
) -> (Vec<Makings>, Vec<String>) {
    let at_site = |made: &Makings| site.is_none_or(|site| made.site == *site);
    let made = fill_plan::makings(state, state.now, object);
    let made: Vec<Makings> = made.unwrap_or_default().into_iter().filter(at_site).collect();
    let mut lines: Vec<String> =
        made.iter().map(|made| format!("forecast: {}", made.sentence())).collect();
    let wanted = state.objects.iter().find(|one| one.object == *object);
    if let Some(wanted) = wanted.filter(|_| made.is_empty()) {
        let listed = wanted.demand_bytes.iter().find(|demand| Some(&demand.site) == site);
        let bytes = listed.map_or(wanted.demand_bytes_elsewhere, |demand| demand.bytes);
        lines.push(format!(
            "forecast: {} a day, from what was watched lately and what launches usually bring: \
             there is no whole day of history to forecast from yet",
            show_bytes(bytes.clamp(0.0, 1e18) as u64),
        ));
    }
    (made, lines)
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

async fn explain(object: &ObjectId, control: &ControlClient) -> Result<Shown, Failure> {
    let plan = in_force(control).await?;
    let state = forecast_state(control).await?;
    let mut lines: Vec<String> =
        plan.iter().flat_map(|plan| &plan.appliances).flat_map(|part| told(part, object)).collect();
    for holder in &state.appliances {
        if holder.holds.iter().any(|held| held.object == *object) {
            lines.push(format!("{} holds it already", holder.appliance));
        }
    }
    let (forecast, of_forecast) = forecast_of(&state, object, None);
    if lines.is_empty() && of_forecast.is_empty() {
        let cure = "`ocactl plan show` and `ocactl title show` list objects";
        return Err(Failure(format!("{object} is in no plan and on no appliance: {cure}")));
    }
    if lines.is_empty() {
        lines.push("in no plan and on no appliance; `ocactl plan why-not` says why".to_owned());
    }
    lines.extend(of_forecast);
    let value = json!({ "object": object, "lines": lines, "forecast": forecast });
    Ok(Shown::new(&value, lines.join("\n")))
}

/// What the plan says of an object on one appliance.
fn told(part: &AppliancePlan, object: &ObjectId) -> Vec<String> {
    let mut lines = Vec::new();
    for pull in part.pulls.iter().filter(|pull| pull.object == *object) {
        lines.push(format!("{} pulls it: {}", part.appliance, pull.why));
        let from: Vec<String> = pull.sources.iter().map(source_text).collect();
        lines.push(if from.is_empty() {
            "  from nowhere: no box that is up holds it or is to have it".to_owned()
        } else {
            format!("  from {}", from.join(", then "))
        });
    }
    if part.prunes.contains(object) {
        lines.push(format!("{} may remove it when it needs room", part.appliance));
    }
    lines
}
