//! The pages: the viewer at `/` and the operators' console at `/console/`, from one directory.
//! Renders nothing; a path of the API is never answered with a page.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_types::ErrorWord;
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

use crate::errors::Refusal;
use crate::gateway::Gateway;

/// Whatever no route took.
pub(crate) async fn page(State(gateway): State<Gateway>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Some(dir) = gateway.settings().web_dir.as_ref().filter(|_| !is_api(&path)) else {
        return nothing_here();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Refusal::new(ErrorWord::WrongMethod, "pages are read with GET").into_response();
    }
    let wants_page = is_page(&path);
    let mut again = Request::new(axum::body::Body::empty());
    *again.method_mut() = request.method().clone();
    *again.headers_mut() = request.headers().clone();

    let Ok(found) = ServeDir::new(dir).oneshot(request).await;
    let mut answer = found.into_response();
    if answer.status() == StatusCode::NOT_FOUND && wants_page {
        // A place inside one of the two applications, which find it by themselves.
        let file = if path.starts_with("/console") { "console/index.html" } else { "index.html" };
        let Ok(found) = ServeFile::new(dir.join(file)).oneshot(again).await;
        answer = found.into_response();
    }
    if answer.status() == StatusCode::NOT_FOUND {
        return nothing_here();
    }
    page_headers(answer.headers_mut(), &path, gateway.settings().is_secure());
    answer
}

fn nothing_here() -> Response {
    let message = "there is nothing at this path; /openapi.json lists what there is";
    Refusal::new(ErrorWord::NotFound, message).into_response()
}

fn is_api(path: &str) -> bool {
    path.starts_with("/v1/") || path == "/v1"
}

/// A file has a dot in its last segment; a place in an application has none.
fn is_page(path: &str) -> bool {
    path.rsplit('/').next().is_none_or(|last| !last.contains('.'))
}

fn page_headers(headers: &mut HeaderMap, path: &str, secure: bool) {
    // The build puts a hash of the content into the name of everything below assets/.
    let cache =
        if path.contains("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let is_html = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_html {
        let policy = if secure { POLICY_SECURE } else { POLICY_PLAIN };
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
}

/// Media comes from appliances, whose names are not known when the page is served; players feed it
/// through blob: URLs and demux it in blob: workers. Everything else is ours.
const POLICY_SECURE: &str = "default-src 'self'; connect-src 'self' https:; \
    media-src 'self' https: blob:; img-src 'self' data: blob:; worker-src 'self' blob:; \
    style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; \
    frame-ancestors 'none'";

/// Control itself without TLS is a laboratory: its appliances may be without TLS too.
const POLICY_PLAIN: &str = "default-src 'self'; connect-src 'self' https: http:; \
    media-src 'self' https: http: blob:; img-src 'self' data: blob:; worker-src 'self' blob:; \
    style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; \
    frame-ancestors 'none'";
