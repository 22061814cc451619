//! The router and its description, made from the same handlers: `/openapi.json` cannot drift.
//! Holds no handler but the public ones that need no service.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::IntoResponse;
use control_types::ErrorBody;
use control_types::limits::BODY_BYTES_MAX;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Description, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::limits::MEMBER_BODY_BYTES_MAX;
use crate::{
    accounts, appliance, catalog, edge, home, metrics, operator, play, registration, renewal,
    steering, telemetry, web,
};

/// The whole HTTP surface over these services.
pub fn router(gateway: Gateway) -> Router {
    let (router, _) = resources().split_for_parts();
    let pages = Router::new()
        .fallback(web::page)
        .layer(CompressionLayer::new())
        .with_state(gateway.clone());
    edge_around(router.fallback_service(pages), gateway)
}

/// What appliances ask, and nothing else: for the port that ISPs' firewalls open. It is a part of
/// what [`router`] has.
pub fn appliance_router(gateway: Gateway) -> Router {
    let (routes, _) = appliances().routes(routes!(health)).split_for_parts();
    edge_around(routes, gateway)
}

/// Any routes behind the same edge; for programs and tests that bring handlers of their own.
pub fn edge_around(routes: Router<Gateway>, gateway: Gateway) -> Router {
    let edge = axum::middleware::from_fn_with_state(gateway.clone(), edge::pass);
    routes.layer(edge).with_state(gateway)
}

/// The OpenAPI 3.1 description of [`router`].
#[must_use]
pub fn description() -> Description {
    let (_, mut description) = resources().split_for_parts();
    refusals(&mut description);
    description
}

/// Every route on a line, sorted by path: `METHOD path who`. Committed as `routes.txt`.
#[must_use]
pub fn listing() -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (path, item) in description().paths.paths {
        let methods = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            let tags = operation.tags.clone().unwrap_or_default().join(",");
            lines.push((path.clone(), format!("{method:<6} {path:<48} {tags}\n")));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn appliances() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .merge(appliance::routes())
        .merge(registration::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

fn resources() -> OpenApiRouter<Gateway> {
    let members = OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(catalog::routes())
        .merge(home::routes())
        .merge(play::routes())
        .merge(renewal::routes())
        .merge(steering::routes())
        .merge(telemetry::routes())
        .layer(DefaultBodyLimit::max(MEMBER_BODY_BYTES_MAX));
    let machines =
        OpenApiRouter::new().merge(operator::routes()).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(members)
        .merge(machines)
        .merge(appliances())
        .routes(routes!(openapi))
        .routes(routes!(health))
        .routes(routes!(metrics::metrics))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nightfill control plane",
        description = "Members, titles, plays, the fleet and its nights. Every answer carries \
                       `x-request-id`; every answer of 400 and more is an `ErrorBody`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        ErrorBody,
        control_types::fill::Orders,
        control_types::bundle::SteeringBundle
    )),
    modifiers(&Keys),
    tags(
        (name = "member", description = "Bearer: the access token of a session."),
        (name = "play", description = "The play id in the path is the right to ask."),
        (name = "operator", description = "Bearer: the operator's key."),
        (name = "isp", description = "Bearer: the operator's key, or an ISP's for its own sites."),
        (name = "appliance", description = "A certificate of the fleet's authority on the appliances' \
         port, or Bearer: the appliance's own key."),
        (name = "public", description = "No credentials."),
    )
)]
struct Document;

/// The four kinds of bearer.
struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut Description) {
        let components = description.components.get_or_insert_default();
        let keys = [("member", "JWT"), ("operator", "key"), ("isp", "key"), ("appliance", "key")];
        for (name, format) in keys {
            let bearer =
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).build();
            components.add_security_scheme(name, SecurityScheme::Http(bearer));
        }
    }
}

/// Every operation may refuse, always with the same body.
fn refusals(description: &mut Description) {
    let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    let refusal = ResponseBuilder::new()
        .description("refused; `error` says how, `message` the cure")
        .content("application/json", body)
        .build();
    for item in description.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), RefOr::T(refusal.clone()));
        }
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "public",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(crate) async fn openapi() -> Result<impl IntoResponse, Refusal> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text.clone(),
        None => {
            let text = description().to_json().map_err(|e| Refusal::internal(e.to_string()))?;
            TEXT.get_or_init(|| Bytes::from(text)).clone()
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}

/// Says that control serves.
#[utoipa::path(get, path = "/healthz", tag = "public",
    responses((status = 200, description = "serving", body = String, content_type = "text/plain")))]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}
