//! Keys with which boxes register, and the end of certificates. An ISP makes and ends those of its
//! own sites. Shows a key once, in the answer that makes it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::registration::{NewRegistrationKey, RegistrationKey, RegistrationKeyListed};
use control_types::{ApplianceId, RegistrationKeyId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Steward;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(make_registration_key, registration_keys))
        .routes(routes!(remove_registration_key))
        .routes(routes!(void_certificates))
}

/// Makes a key for one appliance, or for those of a site that have no certificate yet.
#[utoipa::path(post, path = "/v1/operator/registration-keys", tags = ["operator", "isp"],
    request_body = NewRegistrationKey,
    responses((status = 201, body = RegistrationKey)), security(("operator" = []), ("isp" = [])))]
async fn make_registration_key(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Sent(body): Sent<NewRegistrationKey>,
) -> Result<(StatusCode, Json<RegistrationKey>), Refusal> {
    let services = gateway.services();
    let authority = services.authority.current().digest();
    let made =
        services.steering.make_registration_key(&body, &by, &authority, gateway.now()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Keys that may still be used, without the keys themselves.
#[utoipa::path(get, path = "/v1/operator/registration-keys", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<RegistrationKeyListed>)),
    security(("operator" = []), ("isp" = [])))]
async fn registration_keys(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
) -> Result<Json<Vec<RegistrationKeyListed>>, Refusal> {
    Ok(Json(gateway.services().steering.registration_keys(&by, gateway.now()).await?))
}

/// Ends a key at once; who registered with it stays registered.
#[utoipa::path(delete, path = "/v1/operator/registration-keys/{key}", tags = ["operator", "isp"],
    params(("key" = RegistrationKeyId, Path)),
    responses((status = 204, description = "gone")), security(("operator" = []), ("isp" = [])))]
async fn remove_registration_key(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(key): Path<RegistrationKeyId>,
) -> Result<StatusCode, Refusal> {
    gateway.services().steering.remove_registration_key(&key, &by, gateway.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an appliance's certificates void at once: a box that was stolen, or is to register anew.
#[utoipa::path(delete, path = "/v1/operator/appliances/{appliance}/certificates",
    tags = ["operator", "isp"], params(("appliance" = ApplianceId, Path)),
    responses((status = 204, description = "void")), security(("operator" = []), ("isp" = [])))]
async fn void_certificates(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(appliance): Path<ApplianceId>,
) -> Result<StatusCode, Refusal> {
    let steering = &gateway.services().steering;
    by.check_appliance(&appliance, &steering.fleet())?;
    steering.void_certificates(&appliance).await?;
    Ok(StatusCode::NO_CONTENT)
}
