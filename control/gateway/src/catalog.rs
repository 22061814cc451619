//! `/v1/titles`, `/v1/artwork`: what members read about one title.
//! Ranks nothing; neighbours come from the recommender in its order.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_types::catalog::TitlePage;
use control_types::{ObjectId, ProfileId, TitleId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::home::{cards, positions};
use crate::who::Member;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(title)).routes(routes!(artwork))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TitleQuery {
    profile: ProfileId,
}

/// One title as this profile sees it.
#[utoipa::path(get, path = "/v1/titles/{title}", tag = "member",
    params(("title" = TitleId, Path), ("profile" = ProfileId, Query)),
    responses((status = 200, body = TitlePage)), security(("member" = [])))]
async fn title(
    State(gateway): State<Gateway>,
    member: Member,
    Path(title): Path<TitleId>,
    Query(asked): Query<TitleQuery>,
) -> Result<Json<TitlePage>, Refusal> {
    member.owns(&gateway, &asked.profile).await?;
    let services = gateway.services();
    let snapshot = services.catalog.snapshot();
    let region = gateway.settings().region.as_deref();
    let listed = snapshot.playable(&title, region)?;
    let positions = positions(&gateway, &asked.profile).await;
    let shelf = gateway.shelves().of(&snapshot, region);
    let similar = services.recommend.more_like_this(&title, &shelf, gateway.now());
    let record = &listed.record;
    Ok(Json(TitlePage {
        card: listed.card(positions.get(&title).copied()),
        synopsis: record.synopsis.clone(),
        people: record.people.clone(),
        credit: record.credit.clone(),
        artwork: record.artwork.iter().map(|image| image.object).collect(),
        more_like_this: cards(&snapshot, &positions, &similar),
    }))
}

/// An image of a title. Its name is the hash of its bytes, so it never changes.
#[utoipa::path(get, path = "/v1/artwork/{object}", tag = "public",
    params(("object" = ObjectId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg")))]
async fn artwork(
    State(gateway): State<Gateway>,
    Path(object): Path<ObjectId>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let etag = format!("\"{object}\"");
    let cached =
        headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes());
    let mut answer = if cached {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let found = gateway.services().catalog.artwork(&object).await?;
        let (bytes, kind) =
            found.ok_or_else(|| Refusal::not_found(format_args!("image {object}")))?;
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], bytes).into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(answer)
}
