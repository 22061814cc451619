//! The night's plan: what the director reads, what it posts, and how the night goes.
//! Gathers facts from catalog, telemetry and fleet; plans nothing.

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use control_catalog::Listed;
use control_telemetry::{ObjectShape, TitleObjects};
use control_types::catalog::Track;
use control_types::fill::{FillProgress, FillState, NightPlan};
use control_types::limits::PLAN_BYTES_MAX;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::{Operator, Steward};

/// Where a plan is put, which may be larger than other bodies.
pub(crate) const PLAN_PATH: &str = "/v1/operator/plan";

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    let plans = OpenApiRouter::new()
        .routes(routes!(plan, put_plan))
        .layer(DefaultBodyLimit::max(PLAN_BYTES_MAX));
    OpenApiRouter::new().routes(routes!(fill_state)).merge(plans).routes(routes!(fills))
}

/// All that the director looks at, as of one moment.
#[utoipa::path(get, path = "/v1/operator/fill-state", tag = "operator",
    responses((status = 200, body = FillState)), security(("operator" = [])))]
async fn fill_state(State(gateway): State<Gateway>, _: Operator) -> Json<FillState> {
    let (services, now) = (gateway.services(), gateway.now());
    let snapshot = services.catalog.snapshot();
    let titles: Vec<TitleObjects> = snapshot.titles().map(|listed| shape(listed)).collect();
    let sites: Vec<_> = services.steering.sites().into_iter().map(|site| site.id).collect();
    let objects = services.telemetry.placeable(&titles, &sites, now);
    let mut state = services.fill_desk.fill_state(&services.steering, objects, now);
    state.history = services.telemetry.history(&titles, now);
    Json(state)
}

fn shape(listed: &Listed) -> TitleObjects {
    let objects = listed.record.renditions.iter().flat_map(|rendition| {
        let height = match rendition.track {
            Track::Video { height, .. } => Some(height),
            Track::Audio { .. } => None,
        };
        [
            ObjectShape { object: rendition.media, bytes: rendition.media_bytes, height },
            ObjectShape { object: rendition.playlist, bytes: rendition.playlist_bytes, height },
        ]
    });
    TitleObjects {
        title: listed.record.id.clone(),
        published_at: listed.registered_at,
        objects: objects.collect(),
    }
}

/// Puts a plan in force; its serial must be above the present one's.
#[utoipa::path(put, path = "/v1/operator/plan", tag = "operator", request_body = NightPlan,
    responses((status = 204, description = "in force")), security(("operator" = [])))]
async fn put_plan(
    State(gateway): State<Gateway>,
    _: Operator,
    Sent(body): Sent<NightPlan>,
) -> Result<StatusCode, Refusal> {
    gateway.services().fill_desk.put_plan(body, gateway.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The plan in force.
#[utoipa::path(get, path = "/v1/operator/plan", tag = "operator",
    responses((status = 200, body = NightPlan)), security(("operator" = [])))]
async fn plan(State(gateway): State<Gateway>, _: Operator) -> Result<Json<NightPlan>, Refusal> {
    let plan = gateway.services().fill_desk.plan();
    let plan = plan.ok_or_else(|| Refusal::not_found("plan yet; run the director"))?;
    Ok(Json(NightPlan::clone(&plan)))
}

/// The night so far, one line an appliance.
#[utoipa::path(get, path = "/v1/operator/fills", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<FillProgress>)), security(("operator" = []), ("isp" = [])))]
async fn fills(State(gateway): State<Gateway>, Steward(by): Steward) -> Json<Vec<FillProgress>> {
    let (services, fleet) = (gateway.services(), gateway.services().steering.fleet());
    let mut fills = services.fill_desk.fills();
    // A box that was removed is nobody's to wait for.
    fills.retain(|progress| {
        let id = &progress.report.appliance;
        fleet.registry.appliances.contains_key(id) && by.has_appliance(id, &fleet)
    });
    Json(fills)
}
