//! `/v1/plays/{play}/steering`: where a player under way should stream from now.
//! Ranks nothing; a player that gets no answer keeps the last one, so refusing is harmless.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use control_steering::Question;
use control_types::play::SteeringManifest;
use control_types::{ErrorWord, PlayId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::{MemberAddress, PublicUrl};
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::manifests::offered_objects;
use crate::play::{open_to_players, under_way};

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(steering)).layer(open_to_players())
}

/// Content Steering manifest (RFC 8216bis 7.1 and its DASH-IF twin). Players append
/// `_HLS_pathway`, `_HLS_throughput`, `_DASH_pathway` or `_DASH_throughput`; the ranking does not
/// hang on them, so they are not read.
#[utoipa::path(get, path = "/v1/plays/{play}/steering", tag = "play",
    params(
        ("play" = PlayId, Path),
        ("_HLS_pathway" = Option<String>, Query, description = "where an HLS player streams from"),
        ("_DASH_pathway" = Option<String>, Query, description = "where a DASH player streams from"),
    ),
    responses((status = 200, body = SteeringManifest)))]
async fn steering(
    State(gateway): State<Gateway>,
    Path(id): Path<PlayId>,
    address: MemberAddress,
    base: PublicUrl,
) -> Result<impl IntoResponse, Refusal> {
    let play = under_way(&gateway, &id).await?;
    let objects = offered_objects(&play.title.record, play.height_max);
    let question = Question { ip: address.0, title: &play.play.title, objects: &objects };
    let manifest = gateway.services().steering.steering_manifest(
        &question,
        gateway.settings().steering_ttl_s,
        base.of_play(&id, "steering"),
        gateway.now(),
    );
    if manifest.pathway_priority.is_empty() {
        let message = "no appliance can be offered now; stay where you are";
        return Err(Refusal::new(ErrorWord::Unavailable, message));
    }
    gateway.metrics().count_steering();
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(manifest)))
}
