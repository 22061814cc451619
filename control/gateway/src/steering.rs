//! `/v1/plays/{play}/steering`: where a player under way should stream from now.
//! Ranks nothing; a player that gets no answer keeps the last one, so refusing is harmless.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use control_steering::Question;
use control_types::play::{PathwayClone, RankedAppliance, SteeringManifest};
use control_types::{ApplianceId, ErrorWord, PlayId, UnixMillis};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::{MemberAddress, PublicUrl};
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::library::optional;
use crate::manifests::{
    Dialect, FRESH, Has, PATHWAYS, SINCE, Stage, appliance_of, clones, fresh_of, fresh_pathway,
    offered_objects, pathways_of,
};
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
    /// When the ticket in its URLs was signed.
    since: Option<u64>,
    /// What of later tickets the player was given.
    fresh: Option<String>,
    #[serde(rename = "_DASH_pathway")]
    dash: Option<String>,
    #[serde(rename = "_HLS_pathway")]
    hls: Option<String>,
}

impl Asked {
    /// Where the player streams from; DASH players write it in quotes.
    fn current(&self) -> Option<ApplianceId> {
        appliance_of(self.dash.as_ref().or(self.hls.as_ref())?)
    }

    fn dialect(&self) -> Dialect {
        if self.dash.is_some() { Dialect::Dash } else { Dialect::Hls }
    }
}

/// Content Steering manifest (RFC 8216bis 7.1 and its DASH-IF twin). Players append
/// `_HLS_pathway`, `_HLS_throughput`, `_DASH_pathway` or `_DASH_throughput`: where it streams
/// from stays first while that is as good as the best, and decides the dialect of clones.
#[utoipa::path(get, path = "/v1/plays/{play}/steering", tag = "play",
    params(
        ("play" = PlayId, Path),
        ("pathways" = Option<String>, Query, description = "of the manifest, comma-separated"),
        ("since" = Option<u64>, Query, description = "when the manifest's ticket was signed"),
        ("fresh" = Option<String>, Query, description = "what of later tickets was given"),
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
        offer_clones(&gateway, address, &play, (&asked, &pathways), &mut manifest).await?;
    }
    gateway.metrics().count_steering();
    let mut headers = HeaderMap::from_iter(renewal::header_of(&gateway, &play.play).await);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, Json(manifest)))
}

/// Adds what the player has no pathway of: appliances that its manifest did not name, and, when its
/// ticket is about to end, every appliance with a fresh one. What it has then travels in its next
/// question.
async fn offer_clones(
    gateway: &Gateway,
    address: MemberAddress,
    play: &UnderWay,
    (asked, pathways): (&Asked, &[ApplianceId]),
    manifest: &mut SteeringManifest,
) -> Result<(), Refusal> {
    let known: Vec<&str> = pathways.iter().map(ApplianceId::as_str).collect();
    manifest.reload_uri = format!("{}?{PATHWAYS}={}", manifest.reload_uri, known.join(","));
    let mut renewal = 0;
    if let (Some(since), Dialect::Hls) = (asked.since, asked.dialect()) {
        manifest.reload_uri.push_str(&format!("&{SINCE}={since}"));
        let since = UnixMillis(since.saturating_mul(1_000));
        renewal = renewal::due(gateway, &play.play, since).await;
    }
    let is_known = |id: &String| known.contains(&id.as_str());
    if renewal == 0 && manifest.pathway_priority.iter().all(is_known) {
        return Ok(());
    }
    let ranked = ranked_now(gateway, address, play)?;
    let given = match asked.fresh.as_deref().and_then(fresh_of) {
        _ if renewal == 0 => pathways.to_vec(),
        Some((of, given)) if of == renewal => given,
        _ => Vec::new(),
    };
    let has = Has { pathways, renewal, given: &given };
    manifest.pathway_clones = clones_of(play, &ranked, &has, asked.dialect());
    if renewal > 0 {
        let ids: Vec<&str> = ranked.iter().map(|one| one.appliance.as_str()).collect();
        manifest.reload_uri.push_str(&format!("&{FRESH}={renewal}:{}", ids.join(",")));
        let old = std::mem::take(&mut manifest.pathway_priority);
        let fresh = old.iter().filter(|id| ids.contains(&id.as_str()));
        manifest.pathway_priority = fresh.map(|id| fresh_pathway(id, renewal)).collect();
        // For players that know no clones of this kind: as good as their tickets are.
        manifest.pathway_priority.extend(old.into_iter().filter(is_known));
    }
    Ok(())
}

fn clones_of(
    play: &UnderWay,
    ranked: &[RankedAppliance],
    has: &Has<'_>,
    dialect: Dialect,
) -> Vec<PathwayClone> {
    let (record, height_max) = (&play.title.record, play.height_max);
    let stage = Stage { record, ranked, height_max, steering_url: "" };
    clones(&stage, has, dialect)
}
