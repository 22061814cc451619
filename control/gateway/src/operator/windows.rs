//! Fill windows and the schedules they come from: when and how fast appliances may fill.
//! Opens no valve: agents learn their windows from their orders.

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
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(windows, open_window))
        .routes(routes!(close_window))
        .routes(routes!(schedules))
        .routes(routes!(put_schedule, remove_schedule))
}

/// Windows of the last days and all to come, among them the next nights of schedules.
#[utoipa::path(get, path = "/v1/operator/windows", tag = "operator",
    responses((status = 200, body = Vec<Window>)), security(("operator" = [])))]
async fn windows(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<Window>> {
    Json(gateway.services().fill_desk.windows(gateway.now()))
}

/// Opens a window, now or later.
#[utoipa::path(post, path = "/v1/operator/windows", tag = "operator", request_body = NewWindow,
    responses((status = 201, body = Window)), security(("operator" = [])))]
async fn open_window(
    State(gateway): State<Gateway>,
    _: Operator,
    Sent(body): Sent<NewWindow>,
) -> Result<(StatusCode, Json<Window>), Refusal> {
    let services = gateway.services();
    let window = services.fill_desk.open_window(body, &services.steering, gateway.now()).await?;
    Ok((StatusCode::CREATED, Json(window)))
}

/// Closes a window, or a schedule's night, before its time.
#[utoipa::path(post, path = "/v1/operator/windows/{window}/close", tag = "operator",
    params(("window" = WindowId, Path)),
    responses((status = 200, body = Window)), security(("operator" = [])))]
async fn close_window(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(window): Path<WindowId>,
) -> Result<Json<Window>, Refusal> {
    Ok(Json(gateway.services().fill_desk.close_window(&window, gateway.now()).await?))
}

/// Schedules, each with its next night.
#[utoipa::path(get, path = "/v1/operator/schedules", tag = "operator",
    responses((status = 200, body = Vec<ScheduleStatus>)), security(("operator" = [])))]
async fn schedules(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<ScheduleStatus>> {
    Json(gateway.services().fill_desk.schedules(gateway.now()))
}

/// Makes or replaces a schedule.
#[utoipa::path(put, path = "/v1/operator/schedules/{schedule}", tag = "operator",
    params(("schedule" = WindowId, Path)), request_body = WindowSchedule,
    responses((status = 200, body = ScheduleStatus)), security(("operator" = [])))]
async fn put_schedule(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(schedule): Path<WindowId>,
    Sent(body): Sent<WindowSchedule>,
) -> Result<Json<ScheduleStatus>, Refusal> {
    if body.id != schedule {
        return Err(Refusal::bad(format!("the body is schedule {}, the path {schedule}", body.id)));
    }
    let services = gateway.services();
    let now = gateway.now();
    Ok(Json(services.fill_desk.put_schedule(body, &services.steering, now).await?))
}

/// Removes a schedule; its night under way ends.
#[utoipa::path(delete, path = "/v1/operator/schedules/{schedule}", tag = "operator",
    params(("schedule" = WindowId, Path)),
    responses((status = 204, description = "removed")), security(("operator" = [])))]
async fn remove_schedule(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(schedule): Path<WindowId>,
) -> Result<StatusCode, Refusal> {
    gateway.services().fill_desk.remove_schedule(&schedule).await?;
    Ok(StatusCode::NO_CONTENT)
}
