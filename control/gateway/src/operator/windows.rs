//! Fill windows: when and how fast appliances may fill.
//! Opens no valve: agents learn their windows from their orders.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::WindowId;
use control_types::fill::{NewWindow, Window};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(windows, open_window)).routes(routes!(close_window))
}

/// Windows of the last days and all to come.
#[utoipa::path(get, path = "/v1/operator/windows", tag = "operator",
    responses((status = 200, body = Vec<Window>)), security(("operator" = [])))]
async fn windows(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<Window>> {
    Json(gateway.services().fill_desk.windows())
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

/// Closes a window before its time.
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
