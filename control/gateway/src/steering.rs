//! `/v1/plays/{play}/steering`: where a player under way should stream from now.
//! Ranks nothing; a player that gets no answer keeps the last one, so refusing is harmless.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use control_steering::Question;
use control_types::play::{PathwayClone, RankedAppliance, SteeringManifest};
use control_types::{ApplianceId, ErrorWord, PlayId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::{MemberAddress, PublicUrl};
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::library::optional;
use crate::manifests::{Dialect, PATHWAYS, Stage, clones, offered_objects, pathways_of};
use crate::play::{UnderWay, open_to_players, ranked_now, session_of, under_way};
use crate::renewal;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(steering)).layer(open_to_players())
}

/// What players append to a steering URL, and what we wrote into it.
#[derive(Deserialize)]
struct Asked {
    /// Of the manifest that the URL was written into.
    pathways: Option<String>,
    #[serde(rename = "_DASH_pathway")]
    dash: Option<String>,
    #[serde(rename = "_HLS_pathway")]
    hls: Option<String>,
}

impl Asked {
    /// Where the player streams from; DASH players write it in quotes.
    fn current(&self) -> Option<ApplianceId> {
        let pathway = self.dash.as_ref().or(self.hls.as_ref())?;
        pathway.trim_matches('"').parse().ok()
    }
}

/// Content Steering manifest (RFC 8216bis 7.1 and its DASH-IF twin). Players append
/// `_HLS_pathway`, `_HLS_throughput`, `_DASH_pathway` or `_DASH_throughput`: where it streams
/// from stays first while that is as good as the best, and decides the dialect of clones.
#[utoipa::path(get, path = "/v1/plays/{play}/steering", tag = "play",
    params(
        ("play" = PlayId, Path),
        ("pathways" = Option<String>, Query, description = "of the manifest, comma-separated"),
        ("_HLS_pathway" = Option<String>, Query, description = "where an HLS player streams from"),
        ("_DASH_pathway" = Option<String>, Query, description = "where a DASH player streams from"),
    ),
    responses((status = 200, body = SteeringManifest)))]
async fn steering(
    State(gateway): State<Gateway>,
    Path(id): Path<PlayId>,
    Query(asked): Query<Asked>,
    address: MemberAddress,
    base: PublicUrl,
) -> Result<impl IntoResponse, Refusal> {
    let play = under_way(&gateway, &id).await?;
    let objects = offered_objects(&play.title.record, play.height_max);
    let current = asked.current();
    let whereabouts = gateway.services().routes.whereabouts(address.0);
    let question = Question::new(address.0, &play.play.title, &objects)
        .of_session(session_of(&id), current.as_ref())
        .lacking(optional(&play.title.record, play.height_max));
    let question = Question { whereabouts, ..question };
    let mut manifest = gateway.services().steering.steering_manifest(
        &question,
        gateway.settings().steering_ttl_s,
        base.of_play(&id, "steering"),
        gateway.now(),
    );
    if manifest.pathway_priority.is_empty() {
        let message = "no appliance can be offered now; stay where you are";
        return Err(Refusal::new(ErrorWord::Unavailable, message));
    }
    let pathways = pathways_of(asked.pathways.as_deref().unwrap_or_default());
    if asked.pathways.is_some() {
        let known: Vec<&str> = pathways.iter().map(ApplianceId::as_str).collect();
        manifest.reload_uri = format!("{}?{PATHWAYS}={}", manifest.reload_uri, known.join(","));
        let is_known = |id: &String| known.contains(&id.as_str());
        if !manifest.pathway_priority.iter().all(is_known) {
            let dialect = if asked.dash.is_some() { Dialect::Dash } else { Dialect::Hls };
            let ranked = ranked_now(&gateway, address, &play)?;
            manifest.pathway_clones = clones_of(&play, &ranked, &pathways, dialect);
        }
    }
    gateway.metrics().count_steering();
    let mut headers = HeaderMap::from_iter(renewal::header_of(&gateway, &play.play).await);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, Json(manifest)))
}

fn clones_of(
    play: &UnderWay,
    ranked: &[RankedAppliance],
    pathways: &[ApplianceId],
    dialect: Dialect,
) -> Vec<PathwayClone> {
    let (record, height_max) = (&play.title.record, play.height_max);
    let stage = Stage { record, ranked, height_max, steering_url: "" };
    clones(&stage, pathways, dialect)
}
