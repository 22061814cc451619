//! `/metrics`, `/healthz`, `/debug/…` and `POST /drain`, for the operator's machines only.
//! Never open to members: it says who is connected.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use super::{Admin, heat};
use crate::limits::LISTED_CONNECTIONS_MAX;
use crate::metrics;
use crate::worker::Command;

/// Time for a request head.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long all workers together may take to say who is connected.
const LIST_TIME_MAX: Duration = Duration::from_millis(500);

/// What is answered; all but `/drain` by GET.
const PATHS: [&str; 9] = [
    "/metrics",
    "/healthz",
    "/debug/connections",
    "/debug/datapath",
    "/debug/devices",
    "/debug/heat",
    "/debug/limits",
    "/debug/steering",
    "/drain",
];

type Answer = Response<Full<Bytes>>;

/// Accepts and answers until the thread ends.
pub(super) async fn serve(admin: Arc<Admin>, listener: TcpListener, seats: Arc<Semaphore>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin listener is not usable"),
    };
    loop {
        let seat = Arc::clone(&seats).acquire_owned().await.expect("nobody closes the semaphore");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let _seat = seat;
            let service = service_fn(|request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(answer(&admin, &request).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
            // A client that went away is not our error.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(admin: &Arc<Admin>, request: &Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let workers: Vec<_> = admin.workers.iter().map(|w| Arc::clone(&w.counters)).collect();
            let page = metrics::page(&workers, &admin.standing());
            reply(StatusCode::OK, "text/plain; version=0.0.4", page)
        }
        (&Method::GET, "/healthz") => healthz(admin),
        (&Method::GET, "/debug/connections") => connections(admin).await,
        (&Method::GET, "/debug/devices") => json_reply(StatusCode::OK, &heat::devices(admin)),
        (&Method::GET, "/debug/heat") => {
            json_reply(StatusCode::OK, &heat::show(admin, request.uri().query()).await)
        }
        (&Method::GET, "/debug/datapath") => datapath(admin),
        (&Method::GET, "/debug/limits") => {
            json_reply(StatusCode::OK, &json!({ "limits": admin.limits }))
        }
        (&Method::GET, "/debug/steering") => json_reply(StatusCode::OK, &admin.steering_shown()),
        (&Method::POST, "/drain") => {
            admin.leave();
            json_reply(StatusCode::ACCEPTED, &json!({ "draining": true }))
        }
        (&Method::POST, "/upgrade") => upgrade(admin).await,
        (_, path) if PATHS.contains(&path) => {
            let text = "this path answers GET, and /drain and /upgrade answer POST\n";
            reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", text.into())
        }
        _ => reply(StatusCode::NOT_FOUND, "text/plain", (PATHS.join(" ") + "\n").into_bytes()),
    }
}

/// 200 with the new process once it is ready, 500 with the reason; 409 while another is starting.
async fn upgrade(admin: &Admin) -> Answer {
    let (wish, heard) = oneshot::channel();
    if admin.wishes.try_send(wish).is_err() {
        let body = json!({ "error": "an upgrade or the end is under way" });
        return json_reply(StatusCode::CONFLICT, &body);
    }
    match heard.await {
        Ok(Ok(pid)) => {
            json_reply(StatusCode::OK, &json!({ "pid": pid, "was": std::process::id() }))
        }
        Ok(Err(why)) => json_reply(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": why })),
        Err(_) => {
            let body = json!({ "error": "this program is ending" });
            json_reply(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

/// 200 while new members are welcome, 503 while draining; the body says which.
fn healthz(admin: &Admin) -> Answer {
    let standing = admin.standing();
    let status = if standing.draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({
        "draining": standing.draining,
        "objects": standing.objects,
        "ticket_keys": standing.ticket_keys,
        "volumes_sick": standing.volumes_sick,
    });
    json_reply(status, &body)
}

async fn connections(admin: &Arc<Admin>) -> Answer {
    let (answers, heard) = sync_channel(admin.workers.len().max(1));
    admin.order(|| Command::List { lines_max: LISTED_CONNECTIONS_MAX, to: answers.clone() });
    drop(answers);
    let gather = move || {
        let until = std::time::Instant::now() + LIST_TIME_MAX;
        let mut lines = Vec::new();
        // Ends when every worker has answered, or time is up.
        while let Ok(more) =
            heard.recv_timeout(until.saturating_duration_since(std::time::Instant::now()))
        {
            lines.extend(more);
        }
        lines
    };
    let mut lines = tokio::task::spawn_blocking(gather).await.unwrap_or_default();
    lines.truncate(LISTED_CONNECTIONS_MAX);
    let open: u64 = admin.workers.iter().map(|worker| worker.counters.connections.get()).sum();
    json_reply(StatusCode::OK, &json!({ "open": open, "connections": lines }))
}

/// Which way bytes go on this machine, and why not the other way.
fn datapath(admin: &Admin) -> Answer {
    let rings: Vec<_> = admin.workers.iter().map(|worker| worker.engine.as_str()).collect();
    let counters = admin.workers.iter().map(|worker| &*worker.counters);
    let body = json!({ "rings": rings, "datapath": admin.engines.report(counters) });
    json_reply(StatusCode::OK, &body)
}

fn json_reply(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut text = body.to_string();
    text.push('\n');
    reply(status, "application/json", text.into_bytes())
}

fn reply(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
