//! `/v1/operator/steer/…`: why a member is sent where, now and then; the log, and what another
//! policy would have made of it. Decides nothing.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Query, State};
use control_steering::Question;
use control_types::fleet::SteerExplanation;
use control_types::steering::{ReplayAnswer, ReplayRequest, SteerRecord};
use control_types::{TitleId, UnixMillis};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::library::optional;
use crate::manifests::offered_objects;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(log)).routes(routes!(replay))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    ip: IpAddr,
    title: TitleId,
    at: Option<u64>,
}

/// Why a member would be sent where: every appliance, with the rule that placed or excluded it.
/// With `at`, the last recorded question like this one, decided again by what was known then.
#[utoipa::path(get, path = "/v1/operator/steer/explain", tag = "operator",
    params(("ip" = String, Query), ("title" = TitleId, Query),
        ("at" = Option<u64>, Query, description = "milliseconds since 1970, UTC")),
    responses((status = 200, body = SteerExplanation)), security(("operator" = [])))]
async fn explain(
    State(gateway): State<Gateway>,
    _: Operator,
    Query(asked): Query<ExplainQuery>,
) -> Result<Json<SteerExplanation>, Refusal> {
    if let Some(at) = asked.at {
        return explain_recorded(&gateway, asked.ip, &asked.title, UnixMillis(at)).await.map(Json);
    }
    let snapshot = gateway.services().catalog.snapshot();
    let title = snapshot
        .title(&asked.title)
        .ok_or_else(|| Refusal::not_found(format_args!("title {}", asked.title)))?;
    let objects = offered_objects(&title.record, u32::MAX);
    let whereabouts = gateway.services().routes.whereabouts(asked.ip);
    let question =
        Question::new(asked.ip, &asked.title, &objects).lacking(optional(&title.record, u32::MAX));
    let question = Question { whereabouts, ..question };
    Ok(Json(gateway.services().steering.explain(&question, gateway.now())))
}

async fn explain_recorded(
    gateway: &Gateway,
    ip: IpAddr,
    title: &TitleId,
    at: UnixMillis,
) -> Result<SteerExplanation, Refusal> {
    let steering = &gateway.services().steering;
    if let Some(found) = steering.log_find(ip, title, at).await? {
        return Ok(steering.explain_recorded(&found.record, found.ask(), ip)?);
    }
    let reach = match steering.log_begins().await? {
        Some(begins) => format!("the log reaches back to {}", begins.0),
        None => "nothing is recorded yet".to_owned(),
    };
    let asked = format!("question for {title} from the network of {ip} at or before {}", at.0);
    Err(Refusal::not_found(format_args!("recorded {asked} ({reach}, in milliseconds since 1970)")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    from: u64,
    until: u64,
}

/// Recorded questions, oldest first, at most 500 records an answer: ask on from the last one's `at`
/// plus one until none comes.
#[utoipa::path(get, path = "/v1/operator/steer/log", tag = "operator",
    params(("from" = u64, Query, description = "milliseconds since 1970, UTC"),
        ("until" = u64, Query, description = "the same; not in the answer")),
    responses((status = 200, body = Vec<SteerRecord>)), security(("operator" = [])))]
async fn log(
    State(gateway): State<Gateway>,
    _: Operator,
    Query(asked): Query<LogQuery>,
) -> Result<Json<Vec<SteerRecord>>, Refusal> {
    let steering = &gateway.services().steering;
    Ok(Json(steering.log_between(UnixMillis(asked.from), UnixMillis(asked.until)).await?))
}

/// Decides recorded questions again, under control's policy and under another.
#[utoipa::path(post, path = "/v1/operator/steer/replay", tag = "operator",
    request_body = ReplayRequest,
    responses((status = 200, body = ReplayAnswer)), security(("operator" = [])))]
async fn replay(
    State(gateway): State<Gateway>,
    _: Operator,
    Sent(body): Sent<ReplayRequest>,
) -> Result<Json<ReplayAnswer>, Refusal> {
    Ok(Json(gateway.services().steering.replay(&body)?))
}
