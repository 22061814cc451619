//! The first and last thing every request meets: ids, strictness, bounds, limits, time, panics,
//! log.
//! Knows no resource and no member; what a request asks for is decided behind it.
//!
//! A request passes, in order: request id → strict form → rate of its address → a seat among the
//! running → the handler, on a task of its own and within a deadline → the error body → log and
//! metrics. A change runs to its end even when the caller hangs up or the deadline passes, so that
//! its outcome is in the ledger whole; a read is dropped.

mod address;
mod public_url;
mod rate;
mod strict;

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use control_types::ErrorWord;
use tracing::Instrument;
use uuid::Uuid;

pub(crate) use address::MemberAddress;
pub(crate) use public_url::PublicUrl;
pub use rate::RateSettings;
pub(crate) use rate::Rates;

use crate::errors::{Refusal, speak};
use crate::gateway::Gateway;
use crate::limits::{REQUEST_ID_BYTES_MAX, REQUEST_MS_MAX};

/// Carries a request through every log.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the whole router.
pub(crate) async fn pass(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = pass_id(request.headers());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id = %id, %method, route);

    let answer = match pass_checks(&gateway, request) {
        Ok(request) => pass_run(&gateway, request, next).instrument(span.clone()).await,
        Err(refusal) => refusal.into_response(),
    };
    let (mut answer, refusal) = speak(answer, &id).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID.clone(), value);
    }

    let status = answer.status();
    gateway.metrics().observe(&method, &route, status, began.elapsed());
    let micros = began.elapsed().as_micros() as u64;
    span.in_scope(|| match refusal.and_then(|refusal| refusal.cause) {
        Some(cause) => tracing::warn!(status = status.as_u16(), micros, cause, "answered"),
        None => tracing::info!(status = status.as_u16(), micros, "answered"),
    });
    answer
}

/// The caller's request id when it is a short plain word, else a new one.
fn pass_id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(plain)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn pass_checks(gateway: &Gateway, mut request: Request) -> Result<Request, Refusal> {
    strict::check(&request)?;
    let address = MemberAddress::of(&request, &gateway.settings().trusted_proxies);
    gateway.rates().admit(&address, &request)?;
    request.extensions_mut().insert(address);
    Ok(request)
}

/// Runs the handler on its own task: a panic there is an answer, not a dead connection.
async fn pass_run(gateway: &Gateway, request: Request, next: Next) -> Response {
    let Ok(seat) = gateway.seats().try_acquire_owned() else {
        let message = "control is busy; try again in a second";
        return Refusal::new(ErrorWord::Unavailable, message).into_response();
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let work = async move {
        let answer = next.run(request).await;
        drop(seat);
        answer
    };
    let mut task = Task { handle: tokio::spawn(work.in_current_span()), is_read };
    match tokio::time::timeout(Duration::from_millis(REQUEST_MS_MAX), &mut task.handle).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => Refusal::internal(failure.to_string()).into_response(),
        Err(_) => {
            let message = "control could not answer in time; try again in a moment";
            Refusal::new(ErrorWord::Unavailable, message).into_response()
        }
    }
}

/// A handler under way. Dropping it ends a read and lets a change go on.
struct Task {
    handle: tokio::task::JoinHandle<Response>,
    is_read: bool,
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.is_read {
            self.handle.abort();
        }
    }
}
