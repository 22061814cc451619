//! Sites, appliances, drains, and the why of a ranking.
//! Touches no appliance: what changes here reaches them in the answer to their next report.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_types::fleet::{ApplianceKey, ApplianceRecord, ApplianceStatus, Site};
use control_types::{ApplianceId, SiteId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::{Operator, Steward};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(put_site))
        .routes(routes!(sites))
        .routes(routes!(put_appliance, remove_appliance))
        .routes(routes!(appliances))
        .routes(routes!(drain))
        .routes(routes!(undrain))
}

/// Registers or replaces a site with its prefixes.
#[utoipa::path(put, path = "/v1/operator/sites/{site}", tag = "operator",
    params(("site" = SiteId, Path)), request_body = Site,
    responses((status = 204, description = "registered")), security(("operator" = [])))]
async fn put_site(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(site): Path<SiteId>,
    Sent(body): Sent<Site>,
) -> Result<StatusCode, Refusal> {
    same(&site, &body.id)?;
    let services = gateway.services();
    services.steering.put_site(&body).await?;
    // A site that has become another ISP's takes its routers' open sessions along at once.
    for error in services.routes.follow(|| services.steering.sites(), gateway.now()).await {
        tracing::warn!(%site, %error, "not everything said of routes is in force");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// All sites, by id.
#[utoipa::path(get, path = "/v1/operator/sites", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<Site>)), security(("operator" = []), ("isp" = [])))]
async fn sites(State(gateway): State<Gateway>, Steward(by): Steward) -> Json<Vec<Site>> {
    let steering = &gateway.services().steering;
    let (mut sites, fleet) = (steering.sites(), steering.fleet());
    sites.retain(|site| by.has_site(&site.id, &fleet));
    Json(sites)
}

/// Registers or replaces an appliance; its key is in the answer the first time only.
#[utoipa::path(put, path = "/v1/operator/appliances/{appliance}", tag = "operator",
    params(("appliance" = ApplianceId, Path)), request_body = ApplianceRecord,
    responses((status = 200, body = ApplianceKey)), security(("operator" = [])))]
async fn put_appliance(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(appliance): Path<ApplianceId>,
    Sent(body): Sent<ApplianceRecord>,
) -> Result<Json<ApplianceKey>, Refusal> {
    same(&appliance, &body.id)?;
    Ok(Json(gateway.services().steering.put_appliance(&body, gateway.now()).await?))
}

/// Forgets an appliance and its key.
#[utoipa::path(delete, path = "/v1/operator/appliances/{appliance}", tag = "operator",
    params(("appliance" = ApplianceId, Path)),
    responses((status = 204, description = "gone")), security(("operator" = [])))]
async fn remove_appliance(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(appliance): Path<ApplianceId>,
) -> Result<StatusCode, Refusal> {
    gateway.services().steering.remove_appliance(&appliance).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The fleet with its health, by id.
#[utoipa::path(get, path = "/v1/operator/appliances", tags = ["operator", "isp"],
    responses((status = 200, body = Vec<ApplianceStatus>)), security(("operator" = []), ("isp" = [])))]
async fn appliances(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
) -> Json<Vec<ApplianceStatus>> {
    let steering = &gateway.services().steering;
    let (mut appliances, fleet) = (steering.appliances(gateway.now()), steering.fleet());
    appliances.retain(|status| by.has_appliance(&status.record.id, &fleet));
    Json(appliances)
}

/// Offers an appliance to nobody new; what it serves goes on.
#[utoipa::path(post, path = "/v1/operator/appliances/{appliance}/drain", tags = ["operator", "isp"],
    params(("appliance" = ApplianceId, Path)),
    responses((status = 204, description = "draining")), security(("operator" = []), ("isp" = [])))]
async fn drain(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(appliance): Path<ApplianceId>,
) -> Result<StatusCode, Refusal> {
    let steering = &gateway.services().steering;
    steering.drain(&appliance, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes back the caller's own wish to drain; offered again when nobody else's stands.
#[utoipa::path(post, path = "/v1/operator/appliances/{appliance}/undrain", tags = ["operator", "isp"],
    params(("appliance" = ApplianceId, Path)),
    responses((status = 204, description = "taken back")), security(("operator" = []), ("isp" = [])))]
async fn undrain(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(appliance): Path<ApplianceId>,
) -> Result<StatusCode, Refusal> {
    let steering = &gateway.services().steering;
    steering.undrain(&appliance, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A body that names another thing than its path was meant for another place.
fn same<T: PartialEq + std::fmt::Display>(path: &T, body: &T) -> Result<(), Refusal> {
    if path == body {
        return Ok(());
    }
    Err(Refusal::bad(format!("id is {body} and the path says {path}")))
}
