//! Titles and their artwork, as the operator registers them.
//! Checks nothing itself: the catalog lists every mistake of a record at once.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use control_types::TitleId;
use control_types::catalog::{StoredArtwork, TitleRecord};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::{Sent, unread};
use crate::errors::{Refusal, chain};
use crate::gateway::Gateway;
use crate::library::learn_titles;
use crate::limits::ARTWORK_BYTES_MAX;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    let images = OpenApiRouter::new()
        .routes(routes!(put_artwork))
        .layer(DefaultBodyLimit::max(ARTWORK_BYTES_MAX));
    OpenApiRouter::new()
        .routes(routes!(put_title, remove_title))
        .routes(routes!(titles))
        .merge(images)
}

/// Publishes or replaces a title.
#[utoipa::path(put, path = "/v1/operator/titles/{title}", tag = "operator",
    params(("title" = TitleId, Path)), request_body = TitleRecord,
    responses((status = 204, description = "published")), security(("operator" = [])))]
async fn put_title(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(title): Path<TitleId>,
    Sent(body): Sent<TitleRecord>,
) -> Result<StatusCode, Refusal> {
    let services = gateway.services();
    let listed = services.catalog.put(&title, body, gateway.now()).await?;
    learn_titles(services);
    if let Err(error) = services.search.put(&listed.record).await {
        tracing::warn!(%title, cause = chain(&error), "published, and not yet to be found");
        services.titles_changed.notify_one();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a title down; who plays it now plays on.
#[utoipa::path(delete, path = "/v1/operator/titles/{title}", tag = "operator",
    params(("title" = TitleId, Path)),
    responses((status = 204, description = "gone")), security(("operator" = [])))]
async fn remove_title(
    State(gateway): State<Gateway>,
    _: Operator,
    Path(title): Path<TitleId>,
) -> Result<StatusCode, Refusal> {
    let services = gateway.services();
    services.catalog.remove(&title, gateway.now()).await?;
    learn_titles(services);
    if let Err(error) = services.search.remove(&title).await {
        tracing::warn!(%title, cause = chain(&error), "gone, and still in the search index");
        services.titles_changed.notify_one();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// All titles, by id.
#[utoipa::path(get, path = "/v1/operator/titles", tag = "operator",
    responses((status = 200, body = Vec<TitleRecord>)), security(("operator" = [])))]
async fn titles(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<TitleRecord>> {
    let snapshot = gateway.services().catalog.snapshot();
    Json(snapshot.titles().map(|listed| listed.record.clone()).collect())
}

/// Keeps an image under the hash of its bytes.
#[utoipa::path(post, path = "/v1/operator/artwork", tag = "operator",
    request_body(content = Vec<u8>, content_type = "image/jpeg", description = "at most 4 MiB"),
    responses((status = 200, body = StoredArtwork)), security(("operator" = [])))]
async fn put_artwork(
    State(gateway): State<Gateway>,
    _: Operator,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<StoredArtwork>, Refusal> {
    let object = gateway.services().catalog.put_artwork(body.map_err(unread)?).await?;
    Ok(Json(StoredArtwork { object }))
}
