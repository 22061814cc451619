//! Keys of ISPs: made and revoked by the operator, good for the ISP's own sites.
//! Shows a key once, in the answer that makes it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::fleet::{IspKey, IspKeyListed};
use control_types::{IspId, IspKeyId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(make_key)).routes(routes!(keys)).routes(routes!(revoke_key))
}

/// Makes a key for an ISP that has a site; earlier ones stay good.
#[utoipa::path(post, path = "/v1/operator/isps/{isp}/keys", tag = "operator",
    params(("isp" = IspId, Path)),
    responses((status = 201, body = IspKey)), security(("operator" = [])))]
async fn make_key(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(isp): Path<IspId>,
) -> Result<(StatusCode, Json<IspKey>), Refusal> {
    let made = gateway.services().steering.make_isp_key(&isp, gateway.now()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// All keys of all ISPs, without the keys themselves.
#[utoipa::path(get, path = "/v1/operator/isp-keys", tag = "operator",
    responses((status = 200, body = Vec<IspKeyListed>)), security(("operator" = [])))]
async fn keys(
    State(gateway): State<Gateway>,
    _: Operator,
) -> Result<Json<Vec<IspKeyListed>>, Refusal> {
    Ok(Json(gateway.services().steering.isp_keys().await?))
}

/// Ends a key at once.
#[utoipa::path(delete, path = "/v1/operator/isp-keys/{key}", tag = "operator",
    params(("key" = IspKeyId, Path)),
    responses((status = 204, description = "revoked")), security(("operator" = [])))]
async fn revoke_key(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(key): Path<IspKeyId>,
) -> Result<StatusCode, Refusal> {
    gateway.services().steering.revoke_isp_key(&key).await?;
    Ok(StatusCode::NO_CONTENT)
}
