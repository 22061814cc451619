//! Tickets for those who press no play (tests, support, a curl at night), and tickets taken back.
//! Closes no connection: appliances hear of a revocation with their next report.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_token::{Claims, TEXT_BYTES_MAX};
use control_types::play::{NewTicket, Ticket, TicketScope};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::limits::{TICKET_LIFE_MS_MAX, TICKET_MS_MAX, TICKET_MS_MIN};
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(issue)).routes(routes!(revoke))
}

/// Signs a ticket for one title or for fill.
#[utoipa::path(post, path = "/v1/operator/tickets", tag = "operator", request_body = NewTicket,
    responses((status = 200, body = Ticket)), security(("operator" = [])))]
async fn issue(
    State(gateway): State<Gateway>,
    _: Operator,
    Sent(body): Sent<NewTicket>,
) -> Result<Json<Ticket>, Refusal> {
    if !(TICKET_MS_MIN..=TICKET_MS_MAX).contains(&body.ttl_ms) {
        let message = format!("ttl_ms {} is not between 1 second and 24 hours", body.ttl_ms);
        return Err(Refusal::bad(message));
    }
    let now = gateway.now();
    let expires_at = now.plus_millis(body.ttl_ms);
    let claims = match &body.opens {
        TicketScope::Title(title) => Claims::play("operator".to_owned(), title, now, expires_at),
        TicketScope::Fill => Claims::fill(now, expires_at),
    };
    let ticket = gateway.services().tickets.sign(&claims)?;
    Ok(Json(Ticket { ticket, expires_at }))
}

/// Takes back every ticket of a subject: a play's id, or `operator` for those made here. Again is
/// the same as once.
#[utoipa::path(put, path = "/v1/operator/revocations/{subject}", tag = "operator",
    params(("subject" = String, Path, description = "`sub` of the tickets, as `ticket inspect` says")),
    responses((status = 204, description = "refused everywhere within seconds")),
    security(("operator" = [])))]
async fn revoke(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(subject): Path<String>,
) -> Result<StatusCode, Refusal> {
    let plain = |b: u8| b.is_ascii_graphic();
    if subject.is_empty() || subject.len() > TEXT_BYTES_MAX || !subject.bytes().all(plain) {
        return Err(Refusal::bad("a subject is 1 to 128 visible characters, such as a play's id"));
    }
    let now = gateway.now();
    // No ticket of ours lives longer than that.
    let until = now.plus_millis(TICKET_LIFE_MS_MAX);
    gateway.services().tickets.revoke(subject, until, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
