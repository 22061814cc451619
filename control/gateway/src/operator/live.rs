//! Plays under way and how well they go.
//! Shows no member: plays are named by their id, not by whose they are.

use axum::Json;
use axum::extract::State;
use control_types::telemetry::Live;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::gateway::Gateway;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Plays heard of in the last 30 seconds, and the quality of the last 1,000.
#[utoipa::path(get, path = "/v1/operator/live", tag = "operator",
    responses((status = 200, body = Live)), security(("operator" = [])))]
async fn live(State(gateway): State<Gateway>, _: Operator) -> Json<Live> {
    Json(gateway.services().telemetry.live(gateway.now()))
}
