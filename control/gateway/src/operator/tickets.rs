//! Tickets for those who press no play: tests, support, a curl at night.
//! Revokes nothing: a ticket ends when it says so.

use axum::Json;
use axum::extract::State;
use control_token::Claims;
use control_types::play::{NewTicket, Ticket, TicketScope};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::limits::{TICKET_MS_MAX, TICKET_MS_MIN};
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(issue))
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
    let ticket = gateway.services().signer.sign(&claims)?;
    Ok(Json(Ticket { ticket, expires_at }))
}
