//! Maintenance that comes again: when appliances take nothing new. An ISP's key sees what reaches
//! its sites and changes what it made itself. Drains nothing by itself: steering looks at the time.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::WindowId;
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Steward;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(maintenance))
        .routes(routes!(put_maintenance, remove_maintenance))
}

/// All of it, each with the time under way or to come.
#[utoipa::path(get, path = "/v1/operator/maintenance", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<MaintenanceStatus>)),
    security(("operator" = []), ("isp" = [])))]
async fn maintenance(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
) -> Json<Vec<MaintenanceStatus>> {
    let steering = &gateway.services().steering;
    let (mut all, fleet) = (steering.maintenance(gateway.now()), steering.fleet());
    all.retain(|status| by.sees_scope(&status.schedule.scope, &fleet));
    Json(all)
}

/// Makes or replaces one.
#[utoipa::path(put, path = "/v1/operator/maintenance/{schedule}", tags = ["operator", "isp"],
    params(("schedule" = WindowId, Path)), request_body = MaintenanceSchedule,
    responses((status = 200, body = MaintenanceStatus)),
    security(("operator" = []), ("isp" = [])))]
async fn put_maintenance(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(schedule): Path<WindowId>,
    Sent(body): Sent<MaintenanceSchedule>,
) -> Result<Json<MaintenanceStatus>, Refusal> {
    if body.id != schedule {
        let message = format!("the body is maintenance {}, the path {schedule}", body.id);
        return Err(Refusal::bad(message));
    }
    Ok(Json(gateway.services().steering.put_maintenance(body, &by, gateway.now()).await?))
}

/// Removes one; what it drains is offered again.
#[utoipa::path(delete, path = "/v1/operator/maintenance/{schedule}", tags = ["operator", "isp"],
    params(("schedule" = WindowId, Path)),
    responses((status = 204, description = "removed")), security(("operator" = []), ("isp" = [])))]
async fn remove_maintenance(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(schedule): Path<WindowId>,
) -> Result<StatusCode, Refusal> {
    gateway.services().steering.remove_maintenance(&schedule, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}
