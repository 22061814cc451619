//! `/v1/profiles/{profile}/home`, its history, and search: pages of many titles.
//! Ranks nothing; dresses the recommender's and the index's ids with the catalog's cards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Path, Query, State};
use control_catalog::Snapshot;
use control_recommend::{CatalogEntry, Shelf};
use control_types::catalog::{HistoryItem, Home, Row, SearchAnswer, TitleCard};
use control_types::{ProfileId, TitleId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::{Refusal, chain};
use crate::gateway::Gateway;
use crate::limits::{HISTORY_MAX, QUERY_BYTES_MAX};
use crate::who::Member;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(home)).routes(routes!(history)).routes(routes!(search))
}

/// The shelf made from the newest snapshot; made anew when the catalog's version moves.
#[derive(Default)]
pub(crate) struct Shelves(Mutex<Option<(u64, Arc<Shelf>)>>);

impl Shelves {
    pub fn of(&self, snapshot: &Snapshot, region: Option<&str>) -> Arc<Shelf> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((version, shelf)) if *version == snapshot.version() => shelf.clone(),
            _ => {
                let allowed = snapshot.titles().filter(|title| title.is_allowed_in(region));
                let entries = allowed.map(|title| CatalogEntry {
                    id: title.record.id.clone(),
                    name: title.record.name.clone(),
                    genres: title.record.genres.clone(),
                    published_at: title.registered_at,
                });
                let shelf = Arc::new(Shelf::new(entries.collect()));
                *kept = Some((snapshot.version(), shelf.clone()));
                shelf
            }
        }
    }
}

/// The home page of a profile. Without its history, when that is away, it is everybody's page.
#[utoipa::path(get, path = "/v1/profiles/{profile}/home", tag = "member",
    params(("profile" = ProfileId, Path)),
    responses((status = 200, body = Home)), security(("member" = [])))]
async fn home(
    State(gateway): State<Gateway>,
    member: Member,
    Path(profile): Path<ProfileId>,
) -> Result<Json<Home>, Refusal> {
    member.owns(&gateway, &profile).await?;
    let services = gateway.services();
    let snapshot = services.catalog.snapshot();
    let shelf = gateway.shelves().of(&snapshot, gateway.settings().region.as_deref());
    let history = services.history.list(&profile, HISTORY_MAX).await.unwrap_or_else(|error| {
        tracing::warn!(cause = chain(&error), "a home page without its history");
        Vec::new()
    });
    let under_way = history.iter().filter(|item| !item.finished && item.position_ms > 0);
    let positions: HashMap<TitleId, u64> =
        under_way.map(|item| (item.title.clone(), item.position_ms)).collect();
    let plans = services.recommend.home(&history, &shelf, gateway.now());
    let rows = plans.into_iter().map(|plan| Row {
        kind: plan.kind,
        heading: plan.heading,
        titles: cards(&snapshot, &positions, &plan.titles),
    });
    Ok(Json(Home { rows: rows.collect() }))
}

/// All the profile started, last watched first.
#[utoipa::path(get, path = "/v1/profiles/{profile}/history", tag = "member",
    params(("profile" = ProfileId, Path)),
    responses((status = 200, body = Vec<HistoryItem>)), security(("member" = [])))]
async fn history(
    State(gateway): State<Gateway>,
    member: Member,
    Path(profile): Path<ProfileId>,
) -> Result<Json<Vec<HistoryItem>>, Refusal> {
    member.owns(&gateway, &profile).await?;
    Ok(Json(gateway.services().history.list(&profile, HISTORY_MAX).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    q: String,
    profile: ProfileId,
}

/// Titles by name, people and genre; typing mistakes are forgiven.
#[utoipa::path(get, path = "/v1/search", tag = "member",
    params(("q" = String, Query), ("profile" = ProfileId, Query)),
    responses((status = 200, body = SearchAnswer)), security(("member" = [])))]
async fn search(
    State(gateway): State<Gateway>,
    member: Member,
    Query(asked): Query<SearchQuery>,
) -> Result<Json<SearchAnswer>, Refusal> {
    if asked.q.len() > QUERY_BYTES_MAX {
        return Err(Refusal::bad(format!("q is longer than {QUERY_BYTES_MAX} bytes")));
    }
    member.owns(&gateway, &asked.profile).await?;
    let snapshot = gateway.services().catalog.snapshot();
    let region = gateway.settings().region.as_deref();
    let allowed = |title: &TitleId| snapshot.playable(title, region).is_ok();
    let (query, titles) = gateway.services().search.find(&asked.q, allowed).await?;
    let positions = positions(&gateway, &asked.profile).await;
    Ok(Json(SearchAnswer { query, titles: cards(&snapshot, &positions, &titles) }))
}

/// Titles the recommender named and the catalog still has.
pub(crate) fn cards(
    snapshot: &Snapshot,
    positions: &HashMap<TitleId, u64>,
    titles: &[TitleId],
) -> Vec<TitleCard> {
    let card = |id: &TitleId| snapshot.card(id, positions.get(id).copied());
    titles.iter().filter_map(card).collect()
}

/// How far a profile is in what it started; nothing when history is away, because a page without
/// bars beats no page.
pub(crate) async fn positions(gateway: &Gateway, profile: &ProfileId) -> HashMap<TitleId, u64> {
    gateway.services().history.positions(profile).await.unwrap_or_else(|error| {
        tracing::warn!(cause = chain(&error), "a page without positions");
        HashMap::new()
    })
}
