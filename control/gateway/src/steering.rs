//! `/v1/plays/{play}/steering`: where a player under way should stream from now.
//! Ranks nothing; a player that gets no answer keeps the last one, so refusing is harmless.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use control_steering::Question;
use control_types::pathway::{Fresh, Remembered, appliance_of, fresh_pathway, pathways_of};
use control_types::play::{PathwayClone, RankedAppliance, SteeringManifest};
use control_types::{ApplianceId, ErrorWord, PlayId, UnixMillis};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::{MemberAddress, PublicUrl};
use crate::errors::Refusal;
use crate::gateway::{Gateway, ServedBy};
use crate::library::optional;
use crate::manifests::{Dialect, Has, Stage, clones, offered_objects};
use crate::play::{Anew, UnderWay, anew, open_to_players, session_of, under_way};
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

    /// Whether a clone can bring it a ticket: not where DASH names a pathway without quotes, which
    /// is Shaka Player.
    fn takes_tickets(&self) -> bool {
        self.dash.as_ref().is_none_or(|pathway| pathway.starts_with('"'))
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
/// question. Where appliances steer, that question is an appliance's as soon as the ticket in its
/// URL is as young as the one that the player streams with: by that it knows when to send here.
async fn offer_clones(
    gateway: &Gateway,
    address: MemberAddress,
    play: &UnderWay,
    (asked, pathways): (&Asked, &[ApplianceId]),
    manifest: &mut SteeringManifest,
) -> Result<(), Refusal> {
    let mut known = Remembered { pathways: pathways.to_vec(), ..Remembered::default() };
    let mut renewal = 0;
    if let Some(since) = asked.since.filter(|_| asked.takes_tickets()) {
        known.since = Some(since);
        let since = UnixMillis(since.saturating_mul(1_000));
        renewal = renewal::due(gateway, &play.play, since).await;
    }
    let is_known = |id: &String| pathways.iter().any(|one| one.as_str() == id);
    let renews_itself = renewal == 0
        && gateway.settings().steering_served_by == ServedBy::Appliances
        && renewal::renews_itself(gateway, &play.play);
    if renewal == 0 && !renews_itself && manifest.pathway_priority.iter().all(is_known) {
        manifest.reload_uri += &known.query();
        return Ok(());
    }
    let Anew { ranked, ticket, asked: elsewhere } = anew(gateway, address, play)?;
    let before = asked.fresh.as_deref().and_then(Fresh::of);
    let before = before.filter(|fresh| fresh.renewal == renewal && renewal > 0);
    let is_new = renewal > 0 && before.is_none();
    let given = match before {
        _ if renewal == 0 => pathways.to_vec(),
        // Told in every answer: dash.js knows the clones of the last one only.
        Some(fresh) if asked.dialect() == Dialect::Hls => fresh.given,
        _ => Vec::new(),
    };
    let has = Has { pathways, renewal, given: &given, ticket: (renewal > 0).then_some(&*ticket) };
    manifest.pathway_clones = clones_of(play, &ranked, &has, asked.dialect());
    if renewal > 0 {
        let given: Vec<ApplianceId> = ranked.into_iter().map(|one| one.appliance).collect();
        let old = std::mem::take(&mut manifest.pathway_priority);
        let fresh = old.iter().filter(|id| given.iter().any(|one| one.as_str() == *id));
        manifest.pathway_priority = fresh.map(|id| fresh_pathway(id, renewal)).collect();
        // For players that know no clones of this kind: as good as their tickets are.
        manifest.pathway_priority.extend(old.into_iter().filter(is_known));
        known.fresh = Some(Fresh { renewal, given });
    }
    if let Some(url) = elsewhere.filter(|_| is_new || renews_itself) {
        manifest.reload_uri = url;
    }
    manifest.reload_uri += &known.query();
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
