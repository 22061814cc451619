//! `/v1/appliance/…`: what appliances report and what their agents work from.
//! An appliance speaks for itself only; its key says who it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control_token::Claims;
use control_types::fill::{FillReport, SignedOrders};
use control_types::fleet::{ApplianceReport, ReportAnswer, TicketKeys};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::bundles;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::limits::FILL_TICKET_MS;
use crate::who::Appliance;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(report))
        .routes(routes!(orders))
        .routes(routes!(fill_report))
        .routes(routes!(ticket_keys))
        .merge(bundles::appliance_routes())
}

/// Health, load, disks and contents of one appliance.
#[utoipa::path(post, path = "/v1/appliance/report", tag = "appliance",
    request_body = ApplianceReport,
    responses((status = 200, body = ReportAnswer)), security(("appliance" = [])))]
async fn report(
    State(gateway): State<Gateway>,
    appliance: Appliance,
    Sent(body): Sent<ApplianceReport>,
) -> Result<Json<ReportAnswer>, Refusal> {
    appliance.is(&body.appliance)?;
    check_media_url(&body.media_url)?;
    let revoked_digest = body.more.revoked_digest.clone();
    let isp = gateway.services().steering.isp_of(&body.appliance);
    let heard = gateway.services().steering.report(body, gateway.now())?;
    gateway.metrics().count_report();
    let newest = isp.and_then(|isp| gateway.services().bundles.ask(&isp, gateway.now()));
    Ok(Json(ReportAnswer {
        want_content: heard.want_content,
        drain: heard.drain,
        ticket_keys: gateway.services().tickets.keys(),
        revoked: gateway.services().tickets.revocations_for(revoked_digest.as_deref()),
        unnamed: heard.unnamed,
        steering_serial: newest.map(|made| made.serial),
    }))
}

/// It goes into manifests as it is, so it must be no more than `scheme://host:port`.
fn check_media_url(url: &str) -> Result<(), Refusal> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    match rest {
        Some(host) if !host.is_empty() && host.len() <= 255 && host.bytes().all(plain) => Ok(()),
        _ => Err(Refusal::bad(format!("media_url {url:?} is not http[s]://host[:port]"))),
    }
}

/// Windows, and this appliance's part of the plan, signed.
#[utoipa::path(get, path = "/v1/appliance/orders", tag = "appliance",
    responses((status = 200, body = SignedOrders)), security(("appliance" = [])))]
async fn orders(
    State(gateway): State<Gateway>,
    appliance: Appliance,
) -> Result<Json<SignedOrders>, Refusal> {
    let (services, now) = (gateway.services(), gateway.now());
    let claims = Claims::fill(now, now.plus_millis(FILL_TICKET_MS));
    let ticket = services.tickets.sign(&claims)?;
    let orders = services.fill_desk.orders_for(&services.steering, &appliance.0, ticket, now)?;
    Ok(Json(orders))
}

/// How an appliance's night goes.
#[utoipa::path(post, path = "/v1/appliance/fill-report", tag = "appliance",
    request_body = FillReport,
    responses((status = 204, description = "taken in")), security(("appliance" = [])))]
async fn fill_report(
    State(gateway): State<Gateway>,
    appliance: Appliance,
    Sent(body): Sent<FillReport>,
) -> Result<StatusCode, Refusal> {
    appliance.is(&body.appliance)?;
    gateway.services().fill_desk.report(body, gateway.now());
    Ok(StatusCode::NO_CONTENT)
}

/// Keys that verify tickets, newest first.
#[utoipa::path(get, path = "/v1/keys/tickets", tag = "public",
    responses((status = 200, body = TicketKeys)))]
async fn ticket_keys(State(gateway): State<Gateway>) -> Json<TicketKeys> {
    Json(gateway.services().tickets.keys())
}
