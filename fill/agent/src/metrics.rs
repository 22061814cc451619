//! The agent's own counters, as Prometheus text on `metrics.listen`. For people and their alarms;
//! nothing in the agent goes by them.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::error::AgentError;
use crate::limits::METRICS_MS_MAX;
use crate::night::Night;

/// Takes the address, which is said on stdout: its port may be any.
pub(crate) async fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), AgentError> {
    let failed = |source| AgentError::Listen { at, source };
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Answers one asker after another, each within a bound, until the night is stopped.
pub(crate) async fn serve(night: Rc<Night>, listener: TcpListener) {
    while !night.stopping() {
        let stopped = night.halted(true);
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped => return,
        };
        let Ok((tcp, _)) = accepted else {
            // Out of files, most likely: not asked again at once.
            night.pause(METRICS_MS_MAX).await;
            continue;
        };
        let answer = service_fn(|request| std::future::ready(answer(&night, &request)));
        let connection =
            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(tcp), answer);
        let _ = tokio::time::timeout(Duration::from_millis(METRICS_MS_MAX), connection).await;
    }
}

fn answer<B>(night: &Night, request: &Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_ours = request.method() == Method::GET && request.uri().path() == "/metrics";
    let body = if is_ours { text(night) } else { "GET /metrics\n".to_owned() };
    let mut answer = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    if !is_ours {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(answer)
}

fn text(night: &Night) -> String {
    let report = night.report();
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, tells: &str, values: &[(String, f64)]| {
        let name = format!("nightfill_fill_{name}");
        let _ = writeln!(text, "# HELP {name} {tells}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value as f64)];
    let by = |label: &str, values: &[(&str, u64)]| -> Vec<(String, f64)> {
        let labelled =
            |(word, value): &(&str, u64)| (format!("{{{label}=\"{word}\"}}"), *value as f64);
        values.iter().map(labelled).collect()
    };
    let shaken = night.dialer.handshakes();
    metric("handshakes_total", "counter", "TLS handshakes with sources.", &one(shaken.done()));
    let seconds = [(String::new(), shaken.seconds())];
    let tells = "Time of all TLS handshakes, those that failed too.";
    metric("handshake_seconds_total", "counter", tells, &seconds);
    let broken: Vec<_> = shaken.broken().collect();
    let tells = "TLS handshakes that gave no connection, by reason.";
    metric("handshake_failures_total", "counter", tells, &by("why", &broken));
    let (planned, done) = (report.objects_planned, report.objects_done);
    let objects = [("planned", planned), ("done", done), ("failed", report.failures.len() as u64)];
    metric("objects", "gauge", "Objects of the plan in force.", &by("state", &objects));
    let from = &report.bytes_from;
    let from = [("peer", from.peer), ("tier", from.tier), ("origin", from.origin)];
    metric("window_bytes", "gauge", "Bytes of this window by source.", &by("from", &from));
    metric("rate_bps", "gauge", "Payload of the last second.", &one(report.rate_bps));
    let refused = one(report.orders_refused);
    metric("orders_refused_total", "counter", "Orders that were not believed.", &refused);
    let standing = night.standing.borrow();
    let (unkept, behind) = (one(standing.unkept()), one(standing.is_behind().into()));
    let tells = "Times that newer orders could not be kept on disk, and so were not taken.";
    metric("orders_unkept_total", "counter", tells, &unkept);
    let tells = "1 while orders are in force that are not the newest, which cannot be kept.";
    metric("orders_behind", "gauge", tells, &behind);
    let troubles = one(report.troubles.len() as u64);
    metric("troubles", "gauge", "What the report says an operator should look at.", &troubles);
    text
}
