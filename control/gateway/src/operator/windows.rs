//! Fill windows and the schedules they come from: when and how fast appliances may fill.
//! Opens no valve: agents learn their windows from their orders. An ISP's key sees what reaches its
//! sites and changes what reaches them alone.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::WindowId;
use control_types::fill::{NewWindow, Window};
use control_types::schedule::{ScheduleStatus, WindowSchedule};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Steward;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(windows, open_window))
        .routes(routes!(close_window))
        .routes(routes!(schedules))
        .routes(routes!(put_schedule, remove_schedule))
}

/// Windows of the last days and all to come, among them the next nights of schedules.
#[utoipa::path(get, path = "/v1/operator/windows", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<Window>)), security(("operator" = []), ("isp" = [])))]
async fn windows(State(gateway): State<Gateway>, Steward(by): Steward) -> Json<Vec<Window>> {
    let (services, fleet) = (gateway.services(), gateway.services().steering.fleet());
    let mut windows = services.fill_desk.windows(gateway.now());
    windows.retain(|window| by.sees_scope(&window.scope, &fleet));
    Json(windows)
}

/// Opens a window, now or later.
#[utoipa::path(post, path = "/v1/operator/windows", tags = ["operator", "isp"], request_body = NewWindow,
    responses((status = 201, body = Window)), security(("operator" = []), ("isp" = [])))]
async fn open_window(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Sent(body): Sent<NewWindow>,
) -> Result<(StatusCode, Json<Window>), Refusal> {
    let services = gateway.services();
    let window =
        services.fill_desk.open_window(body, &by, &services.steering, gateway.now()).await?;
    Ok((StatusCode::CREATED, Json(window)))
}

/// Closes a window, or a schedule's night, before its time.
#[utoipa::path(post, path = "/v1/operator/windows/{window}/close", tags = ["operator", "isp"],
    params(("window" = WindowId, Path)),
    responses((status = 200, body = Window)), security(("operator" = []), ("isp" = [])))]
async fn close_window(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(window): Path<WindowId>,
) -> Result<Json<Window>, Refusal> {
    let (services, now) = (gateway.services(), gateway.now());
    Ok(Json(services.fill_desk.close_window(&window, &by, &services.steering, now).await?))
}

/// Schedules, each with its next night.
#[utoipa::path(get, path = "/v1/operator/schedules", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<ScheduleStatus>)), security(("operator" = []), ("isp" = [])))]
async fn schedules(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
) -> Json<Vec<ScheduleStatus>> {
    let (services, fleet) = (gateway.services(), gateway.services().steering.fleet());
    let mut schedules = services.fill_desk.schedules(gateway.now());
    schedules.retain(|status| by.sees_scope(&status.schedule.scope, &fleet));
    Json(schedules)
}

/// Makes or replaces a schedule.
#[utoipa::path(put, path = "/v1/operator/schedules/{schedule}", tags = ["operator", "isp"],
    params(("schedule" = WindowId, Path)), request_body = WindowSchedule,
    responses((status = 200, body = ScheduleStatus)), security(("operator" = []), ("isp" = [])))]
async fn put_schedule(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(schedule): Path<WindowId>,
    Sent(body): Sent<WindowSchedule>,
) -> Result<Json<ScheduleStatus>, Refusal> {
    if body.id != schedule {
        return Err(Refusal::bad(format!("the body is schedule {}, the path {schedule}", body.id)));
    }
    let services = gateway.services();
    let now = gateway.now();
    Ok(Json(services.fill_desk.put_schedule(body, &by, &services.steering, now).await?))
}

/// Removes a schedule; its night under way ends.
#[utoipa::path(delete, path = "/v1/operator/schedules/{schedule}", tags = ["operator", "isp"],
    params(("schedule" = WindowId, Path)),
    responses((status = 204, description = "removed")), security(("operator" = []), ("isp" = [])))]
async fn remove_schedule(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(schedule): Path<WindowId>,
) -> Result<StatusCode, Refusal> {
    let services = gateway.services();
    services.fill_desk.remove_schedule(&schedule, &by, &services.steering).await?;
    Ok(StatusCode::NO_CONTENT)
}
