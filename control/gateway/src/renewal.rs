//! Tickets of plays: the first with the press, and fresh ones for as long as the play may go on.
//! Lets nobody begin a play, and keeps nothing.
//!
//! Policy. A ticket says how it is renewed (`catr`, CTA-5007): in the header
//! `CTA-Common-Access-Token`, as one that control signed. The other kinds do not fit this house.
//! *Automatic* and *redirect* want the verifier to sign, and appliances hold public keys only; a
//! *cookie* would have to be set by control for the hosts of appliances, which are not its own. The
//! player fetches a fresh ticket from here, or finds one in the header of its steering answer once
//! the first is in its last quarter, and sends it beside the URL, whose path keeps the old one;
//! appliances try the header first.
//!
//! A player that can set no header (HLS as a device plays it by itself) is renewed by its steering:
//! when three sixteenths of its ticket are left and nobody fetched another one for the play, the
//! answer clones every pathway under another name, with a fresh ticket in the clone's URLs, and
//! puts the clones first. The player goes over as it would to another appliance. A clone in DASH is
//! another host and keeps the path with the old ticket in it; there the fresh one comes as a query
//! parameter of the clone, in every answer, because dash.js knows the clones of the last one only.
//! Shaka Player knows no such parameters, so nothing is offered to it in DASH.
//!
//! An appliance can sign nothing. One that steers sends a player whose ticket is about to end here
//! for one question (the bundle says where here is), and the answer that brings the fresh ticket
//! sends it back to an appliance, with that ticket in the URL.
//!
//! A fresh ticket opens what the play's first one opened, says so for the same play, and is refused
//! when the play was taken back, when its account is not paid for, and once the play is as old as
//! any play may get. Then play is pressed again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use control_billing::Verdict;
use control_store::PlayRow;
use control_token::{Claims, Renewal, RenewedBy};
use control_types::play::PlayTicket;
use control_types::{ErrorWord, PlayId, UnixMillis};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::guards;
use crate::limits::PLAY_MS_MAX;
use crate::play::{known, open_to_players};

/// Carries a ticket, both ways.
static TICKET: HeaderName = HeaderName::from_static("cta-common-access-token");

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(renew)).layer(open_to_players())
}

/// A fresh ticket for a play under way. The answer's header carries it as well.
#[utoipa::path(get, path = "/v1/plays/{play}/ticket", tag = "play",
    params(("play" = PlayId, Path)),
    responses((status = 200, body = PlayTicket)))]
async fn renew(
    State(gateway): State<Gateway>,
    Path(id): Path<PlayId>,
) -> Result<impl IntoResponse, Refusal> {
    let play = known(&gateway, &id).await?;
    let fresh = renewed(&gateway, &play).await?;
    gateway.renewing().put(id, ());
    let carried = HeaderValue::from_str(&fresh.ticket)
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let no_store = HeaderValue::from_static("no-store");
    Ok(([(header::CACHE_CONTROL, no_store), (TICKET.clone(), carried)], Json(fresh)))
}

/// The header of an answer to a play whose first ticket is in its last quarter: a fresh one, while
/// there may be one. Its absence harms nobody who has time left.
pub(crate) async fn header_of(
    gateway: &Gateway,
    play: &PlayRow,
) -> Option<(HeaderName, HeaderValue)> {
    let first = span(gateway, play, play.pressed_at);
    if first.renew_at? > gateway.now() {
        return None;
    }
    let fresh = renewed(gateway, play).await.ok()?;
    Some((TICKET.clone(), HeaderValue::from_str(&fresh.ticket).ok()?))
}

/// Which renewal of a ticket signed at `since` is due for a player that fetches none by itself; 0:
/// none, or the play is nearly over, or may not go on.
pub(crate) async fn due(gateway: &Gateway, play: &PlayRow, since: UnixMillis) -> u64 {
    let (now, life_ms) = (gateway.now(), gateway.settings().ticket_ms);
    let count = now.millis_since(since) / (life_ms / 16 * 13).max(1);
    // The ticket that the last one before the end brought is good until the end.
    let is_last = || since.plus_millis(life_ms) >= over_at(gateway, play);
    if count == 0 || is_last() || renews_itself(gateway, play) {
        return 0;
    }
    let verdict = guards::verdict(gateway, &play.account, 0).await;
    if matches!(verdict, Ok(Verdict::Entitled(_) | Verdict::TooManyStreams { .. })) {
        count
    } else {
        0
    }
}

/// Whether its player fetched a fresh ticket lately.
pub(crate) fn renews_itself(gateway: &Gateway, play: &PlayRow) -> bool {
    gateway.renewing().find(&play.play).is_some()
}

async fn renewed(gateway: &Gateway, play: &PlayRow) -> Result<PlayTicket, Refusal> {
    // The play is one of its account's streams already: it needs no room beside them.
    if guards::verdict(gateway, &play.account, 0).await? == Verdict::PaymentRequired {
        return Err(Refusal::new(
            ErrorWord::PaymentRequired,
            "the account is not paid for; settle the bill to watch on",
        ));
    }
    gateway.metrics().count_renewed();
    ticket_at(gateway, play, gateway.now())
}

/// A ticket for `play` from `at` on.
///
/// # Errors
/// A claim out of bounds, which only a mistake of ours can cause.
pub(crate) fn ticket_at(
    gateway: &Gateway,
    play: &PlayRow,
    at: UnixMillis,
) -> Result<PlayTicket, Refusal> {
    let Span { until, renew_at } = span(gateway, play, at);
    let renewal = renew_at.map(|renew_at| Renewal {
        by: RenewedBy::Header,
        extend_s: gateway.settings().ticket_ms / 1_000,
        deadline_s: until.millis_since(renew_at) / 1_000,
    });
    let claims = Claims::play(play.play.to_string(), &play.title, at, until);
    let ticket = gateway.services().tickets.sign(&Claims { renewal, ..claims })?;
    Ok(PlayTicket { ticket, expires_at: until, renew_at })
}

/// From when to when a ticket is good.
struct Span {
    until: UnixMillis,
    /// When its last quarter begins; absent when there is nothing to renew it to.
    renew_at: Option<UnixMillis>,
}

fn span(gateway: &Gateway, play: &PlayRow, at: UnixMillis) -> Span {
    let (last, life_ms) = (over_at(gateway, play), gateway.settings().ticket_ms);
    let until = last.min(at.plus_millis(life_ms));
    let renew_at = (until < last).then(|| at.plus_millis(life_ms / 4 * 3));
    Span { until, renew_at }
}

/// When nothing of a play is answered any more.
pub(crate) fn over_at(gateway: &Gateway, play: &PlayRow) -> UnixMillis {
    play.pressed_at.plus_millis(PLAY_MS_MAX.max(gateway.settings().ticket_ms))
}
