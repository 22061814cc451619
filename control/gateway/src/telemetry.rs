//! `/v1/plays/{play}/events`: what players say of themselves, to telemetry and to history.
//! Judges no player; a report that cannot be kept whole is still answered.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_store::PlayRow;
use control_telemetry::{Press, TelemetryError};
use control_types::PlayId;
use control_types::play::{PlayEventKind, PlayEvents};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::{read, unread};
use crate::edge::MemberAddress;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::guards;
use crate::limits::EVENTS_MAX;
use crate::manifests::offered_objects;
use crate::play::{known, open_to_players};

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(events)).layer(open_to_players())
}

/// What the player did since its last report. JSON under any content type: a page being closed can
/// send a beacon only as text.
#[utoipa::path(post, path = "/v1/plays/{play}/events", tag = "play",
    params(("play" = PlayId, Path)), request_body = PlayEvents,
    responses((status = 204, description = "taken in")))]
async fn events(
    State(gateway): State<Gateway>,
    Path(id): Path<PlayId>,
    address: MemberAddress,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let report: PlayEvents = read(&body.map_err(unread)?)?;
    let count = report.events.len();
    if count > EVENTS_MAX {
        let message =
            format!("{count} events are more than {EVENTS_MAX}; send them in two reports");
        return Err(Refusal::bad(message));
    }
    let play = known(&gateway, &id).await?;
    let (services, now) = (gateway.services(), gateway.now());
    let recorded = match services.telemetry.record(&id, &report, now) {
        Err(TelemetryError::UnknownPlay(_)) => {
            services.telemetry.adopt(pressed(&gateway, &play, address));
            services.telemetry.record(&id, &report, now)
        }
        recorded => recorded,
    };
    recorded.map_err(|error| Refusal::new(error.word(), error.to_string()))?;
    gateway.metrics().count_events(count);
    let snapshot = services.catalog.snapshot();
    let title = snapshot.title(&play.title);
    let offered = match title {
        Some(title) if report.events.iter().any(|event| event.trouble.is_some()) => {
            offered_objects(&title.record, u32::MAX)
        }
        _ => Vec::new(),
    };
    for event in &report.events {
        services.steering.hear_player(address.0, event, &offered, now);
    }
    let is_over = |kind| matches!(kind, PlayEventKind::Ended | PlayEventKind::Stopped);
    if report.events.iter().any(|event| is_over(event.kind)) {
        services.recommend.nudge();
    }
    // A title taken down meanwhile has no length to hold positions against.
    if let Some(title) = title {
        guards::keep_position(&gateway, &play, title.record.duration_ms, report.events).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A play as telemetry wants to know it: at home where the member's longest prefix is announced.
pub(crate) fn pressed(gateway: &Gateway, play: &PlayRow, address: MemberAddress) -> Press {
    Press {
        play: play.play,
        account: play.account,
        profile: play.profile,
        title: play.title.clone(),
        home_sites: gateway.services().steering.home_sites(address.0),
        began_at: play.pressed_at,
    }
}
