//! Routes: registrations of ISPs, imported files, the table, and what is wrong with it.
//! Waits for no router: what is shown is what has arrived.

use std::net::IpAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use control_steering::Reach;
use control_store::ledger::AskedBy;
use control_types::fleet::Site;
use control_types::routes::{
    IspNetworks, RouteChange, RouteCover, RouteRefused, RoutesImported, RoutesReport, RoutesStatus,
};
use control_types::{ErrorWord, IspId, SiteId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::{Sent, unread};
use crate::edge::MemberAddress;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::limits::REFUSED_SHOWN_MAX;
use crate::route_desk::{RouteDesk, RouteDeskError};
use crate::who::{Operator, Steward};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(lookup))
        .routes(routes!(refused))
        .routes(routes!(examine))
        .routes(routes!(register))
        .routes(routes!(registrations))
        .routes(routes!(changes))
        .routes(routes!(import, forget))
}

/// The table is behind a lock that a large update holds for a while: no handler may wait on it.
async fn at_desk<T: Send + 'static>(
    gateway: &Gateway,
    work: impl FnOnce(&RouteDesk) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let desk = gateway.services().routes.clone();
    let done = tokio::task::spawn_blocking(move || work(&desk)).await;
    done.map_err(|error| Refusal::internal(format!("the route desk: {error}")))
}

fn said_no(error: RouteDeskError) -> Refusal {
    match error {
        RouteDeskError::Refused(error @ control_routes::RoutesError::Claimed { .. }) => {
            Refusal::new(ErrorWord::Conflict, error.to_string())
        }
        RouteDeskError::Store(error) => error.into(),
        RouteDeskError::Busy => Refusal::new(ErrorWord::Conflict, error.to_string()),
        RouteDeskError::Disk { .. } | RouteDeskError::Interrupted(_) => {
            Refusal::internal(error.to_string())
        }
        error => Refusal::bad(error.to_string()),
    }
}

/// The table and who feeds it.
#[utoipa::path(get, path = "/v1/operator/routes", tag = "operator",
    responses((status = 200, body = RoutesStatus)), security(("operator" = [])))]
async fn status(
    State(gateway): State<Gateway>,
    _: Operator,
) -> Result<Json<RoutesStatus>, Refusal> {
    Ok(Json(at_desk(&gateway, RouteDesk::status).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupQuery {
    ip: IpAddr,
}

/// The prefixes that hold an address, longest first.
#[utoipa::path(get, path = "/v1/operator/routes/lookup", tag = "operator",
    params(("ip" = String, Query)),
    responses((status = 200, body = Vec<RouteCover>)), security(("operator" = [])))]
async fn lookup(
    State(gateway): State<Gateway>,
    _: Operator,
    Query(asked): Query<LookupQuery>,
) -> Json<Vec<RouteCover>> {
    Json(gateway.services().routes.lookup(asked.ip))
}

/// Routes held and not honoured, with the reason, by prefix; at most 1,000.
#[utoipa::path(get, path = "/v1/operator/routes/refused", tag = "operator",
    responses((status = 200, body = Vec<RouteRefused>)), security(("operator" = [])))]
async fn refused(
    State(gateway): State<Gateway>,
    _: Operator,
) -> Result<Json<Vec<RouteRefused>>, Refusal> {
    Ok(Json(at_desk(&gateway, |desk| desk.refused(REFUSED_SHOWN_MAX)).await?))
}

/// What an ISP's engineer should look at, worst first; opens with the ISP's own key too.
#[utoipa::path(get, path = "/v1/operator/routes/doctor/{isp}", tag = "operator",
    params(("isp" = IspId, Path)),
    responses((status = 200, body = RoutesReport)), security(("operator" = [])))]
async fn examine(
    State(gateway): State<Gateway>,
    Steward(by): Steward,
    Path(isp): Path<IspId>,
) -> Result<Json<RoutesReport>, Refusal> {
    if matches!(&by, Reach::Isp(own) if *own != isp) {
        let message = format!("this key is not {isp}'s");
        return Err(Refusal::new(ErrorWord::Forbidden, message));
    }
    let steering = &gateway.services().steering;
    let mut known = steering.sites().into_iter().map(|site| site.isp);
    if !known.any(|known| known == isp) {
        return Err(Refusal::not_found(format_args!("site of ISP {isp}")));
    }
    let fleet: Vec<_> =
        steering.appliances(gateway.now()).into_iter().map(|status| status.record).collect();
    Ok(Json(at_desk(&gateway, move |desk| desk.examine(&isp, &fleet)).await?))
}

/// Registers what an ISP may announce beyond its sites' own prefixes; empty lists forget it.
#[utoipa::path(put, path = "/v1/operator/isps/{isp}/networks", tag = "operator",
    params(("isp" = IspId, Path)), request_body = IspNetworks,
    responses((status = 204, description = "registered")), security(("operator" = [])))]
async fn register(
    State(gateway): State<Gateway>,
    _: Operator,
    address: MemberAddress,
    Path(isp): Path<IspId>,
    Sent(body): Sent<IspNetworks>,
) -> Result<StatusCode, Refusal> {
    if body.isp != isp {
        return Err(Refusal::bad(format!("isp is {} and the path says {isp}", body.isp)));
    }
    let (services, who) = (gateway.services(), who(address));
    let by = AskedBy { who: &who, at: gateway.now() };
    services.routes.register(&body, || services.steering.sites(), by).await.map_err(said_no)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Every ISP's registration, by ISP.
#[utoipa::path(get, path = "/v1/operator/networks", tag = "operator",
    responses((status = 200, body = Vec<IspNetworks>)), security(("operator" = [])))]
async fn registrations(
    State(gateway): State<Gateway>,
    _: Operator,
) -> Result<Json<Vec<IspNetworks>>, Refusal> {
    Ok(Json(gateway.services().routes.registrations().await.map_err(said_no)?))
}

/// Who registered networks or took files in, newest first; at most 1,000.
#[utoipa::path(get, path = "/v1/operator/routes/changes", tag = "operator",
    responses((status = 200, body = Vec<RouteChange>)), security(("operator" = [])))]
async fn changes(
    State(gateway): State<Gateway>,
    _: Operator,
) -> Result<Json<Vec<RouteChange>>, Refusal> {
    Ok(Json(gateway.services().routes.changes().await.map_err(said_no)?))
}

/// The operator has one key: the address tells who of several held it.
fn who(MemberAddress(address): MemberAddress) -> String {
    format!("the operator, from {address}")
}

/// Takes in a file of routes for a site, in place of the last one: MRT (RFC 6396), CSV or JSON
/// lines, plain, gzip or bzip2.
#[utoipa::path(post, path = "/v1/operator/sites/{site}/routes", tag = "operator",
    params(("site" = SiteId, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "at most 8 MiB"),
    responses((status = 200, body = RoutesImported)), security(("operator" = [])))]
async fn import(
    State(gateway): State<Gateway>,
    _: Operator,
    address: MemberAddress,
    Path(site): Path<SiteId>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<RoutesImported>, Refusal> {
    let file = body.map_err(unread)?;
    let (services, site) = (gateway.services(), known_site(&gateway, &site)?);
    let (who, sites) = (who(address), || services.steering.sites());
    let by = AskedBy { who: &who, at: gateway.now() };
    let imported = services.routes.import(&site, file.into(), sites, by).await;
    Ok(Json(imported.map_err(said_no)?))
}

/// Forgets the file imported for a site.
#[utoipa::path(delete, path = "/v1/operator/sites/{site}/routes", tag = "operator",
    params(("site" = SiteId, Path)),
    responses((status = 204, description = "forgotten")), security(("operator" = [])))]
async fn forget(
    State(gateway): State<Gateway>,
    _: Operator,
    address: MemberAddress,
    Path(site): Path<SiteId>,
) -> Result<StatusCode, Refusal> {
    let (services, who) = (gateway.services(), who(address));
    let by = AskedBy { who: &who, at: gateway.now() };
    let sites = || services.steering.sites();
    match services.routes.forget_import(&site, sites, by).await.map_err(said_no)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::not_found(format_args!("imported file of site {site}"))),
    }
}

fn known_site(gateway: &Gateway, site: &SiteId) -> Result<Site, Refusal> {
    let mut sites = gateway.services().steering.sites().into_iter();
    sites
        .find(|known| known.id == *site)
        .ok_or_else(|| Refusal::not_found(format_args!("site {site}")))
}
