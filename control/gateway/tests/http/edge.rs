//! The edge: what every request meets, sent as bytes where a library would mend them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get, post};
use control_gateway::{RateSettings, edge_around};
use control_types::{ErrorBody, ErrorWord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::lab::{self, Lab, Plan};

/// Sends `text` as it is and reads until the server closes.
async fn raw(lab: &Lab, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(lab.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer)
}

#[tokio::test]
async fn a_host_comes_exactly_once() {
    let lab = Lab::start().await;
    let check = async |heads: &str, wanted: u16| {
        let text = format!("GET /v1/plans HTTP/1.1\r\n{heads}Connection: close\r\n\r\n");
        let (status, answer) = raw(&lab, &text).await;
        assert_eq!(status, wanted, "{heads:?}: {answer}");
    };
    check("Host: a\r\n", 200).await;
    check("Host: a\r\nHost: a\r\n", 400).await;
    check("Host: a\r\nHost: b\r\n", 400).await;
    check("", 400).await;
    check("Host: \r\n", 400).await;
    check("Host: a b\r\n", 400).await;
    let absolute = "GET http://other/v1/plans HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(&lab, absolute).await.0, 400, "two readers could take either host");
}

#[tokio::test]
async fn a_body_is_framed_one_way() {
    let lab = Lab::start().await;
    let check = async |heads: &str| {
        let text = format!(
            "POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{heads}\
             Connection: close\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        let (status, answer) = raw(&lab, &text).await;
        assert_eq!(status, 400, "{heads:?}: {answer}");
    };
    check("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n").await;
    check("Content-Length: 2\r\nContent-Length: 3\r\n").await;
    check("Content-Length: -1\r\n").await;
}

#[tokio::test]
async fn every_refusal_has_the_one_body_and_the_id() {
    let lab = Lab::start().await;
    let http = reqwest::Client::new();
    let json = "application/json";
    let sessions = format!("{}/v1/sessions", lab.url);
    let large = format!("{{\"email\":\"{}\"}}", "a".repeat(200_000));
    let cases = [
        (http.get(format!("{}/nowhere", lab.url)), 404, ErrorWord::NotFound),
        (http.get(format!("{}/v1/nowhere", lab.url)), 404, ErrorWord::NotFound),
        (http.delete(format!("{}/v1/plans", lab.url)), 405, ErrorWord::WrongMethod),
        (http.get(format!("{}/v1/account", lab.url)), 401, ErrorWord::Unauthenticated),
        (http.post(&sessions).body("{}"), 400, ErrorWord::BadRequest),
        (http.post(&sessions).header("content-type", json).body("{"), 400, ErrorWord::BadRequest),
        (http.post(&sessions).header("content-type", json).body(large), 413, ErrorWord::TooLarge),
        (http.get(format!("{}/v1/artwork/xyz", lab.url)), 400, ErrorWord::BadRequest),
        (http.get(format!("{}/v1/plays/xyz/steering", lab.url)), 400, ErrorWord::BadRequest),
    ];
    for (request, status, word) in cases {
        let answer = request.send().await.unwrap();
        let path = answer.url().path().to_owned();
        assert_eq!(answer.status(), status, "{path}");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: ErrorBody = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!((body.error, &body.request_id), (word, &id), "{path}");
        assert!(!body.message.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let lab = Lab::start().await;
    let body = r#"{"email":"a@b.org","password":"correct horse","profile_name":"A","colour":1}"#;
    let request = reqwest::Client::new()
        .post(format!("{}/v1/accounts", lab.url))
        .header("content-type", "application/json")
        .body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("colour"));
}

#[tokio::test]
async fn a_body_that_says_it_is_huge_is_refused_before_it_comes() {
    let lab = Lab::start().await;
    let text = "PUT /v1/operator/plan HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Content-Length: 99999999999\r\nConnection: close\r\n\r\n";
    let (status, answer) = raw(&lab, text).await;
    assert_eq!(status, 413, "{answer}");
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let lab = Lab::start().await;
    let http = reqwest::Client::new();
    let ask = |id: &'static str| {
        http.get(format!("{}/healthz", lab.url)).header("x-request-id", id).send()
    };
    let answer = ask("from-a.caller_1").await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "from-a.caller_1");
    let answer = ask("not { a plain } word").await.unwrap();
    let made = answer.headers()["x-request-id"].to_str().unwrap();
    assert!(uuid::Uuid::parse_str(made).is_ok(), "{made}");
}

#[tokio::test]
async fn an_address_that_asks_too_fast_is_told_when_to_come_back() {
    let few = NonZeroU32::new(3).unwrap();
    let one = NonZeroU32::new(1).unwrap();
    let rates =
        RateSettings { requests_per_second: one, requests_burst: few, ..RateSettings::default() };
    let lab = Lab::start_with(Plan { rates, ..Plan::default() }).await;
    let mut statuses = Vec::new();
    let mut wait = None;
    for _ in 0..8 {
        let answer = reqwest::get(format!("{}/v1/plans", lab.url)).await.unwrap();
        statuses.push(answer.status().as_u16());
        wait = answer.headers().get("retry-after").cloned().or(wait);
    }
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(wait.unwrap().to_str().unwrap().parse::<u32>().unwrap() >= 1);
    let health = reqwest::get(format!("{}/healthz", lab.url)).await.unwrap();
    assert_eq!(health.status(), 200, "a flood does not blind the operator");
}

#[tokio::test]
async fn answers_are_counted_by_route_template() {
    let lab = Lab::start().await;
    let id = uuid::Uuid::new_v4();
    reqwest::get(format!("{}/v1/plays/{id}/steering", lab.url)).await.unwrap();
    let text = lab.nobody().metrics().await.unwrap();
    let line = "control_requests_total{method=\"GET\",\
                route=\"/v1/plays/{play}/steering\",status=\"404\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains(&id.to_string()));
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let lab = Lab::start().await;
    let routes = Router::new().route("/panic", get(panics));
    let gateway = lab::gateway(&lab.services, &Plan::default());
    let addr = lab::listen(edge_around(routes, gateway)).await;
    let answer = reqwest::get(format!("http://{addr}/panic")).await.unwrap();
    assert_eq!(answer.status(), 500);
    let text = answer.text().await.unwrap();
    let body: ErrorBody = serde_json::from_str(&text).unwrap();
    assert_eq!(body.error, ErrorWord::Internal);
    assert!(!text.contains("secret"), "what broke is for the log: {text}");
}

async fn panics() -> &'static str {
    panic!("a secret of ours");
}

/// Goal: a change that was begun ends whole although its caller hung up. Method: the request's
/// future, which is what a server drops then, is dropped while the handler is in the middle.
#[tokio::test]
async fn a_change_outlives_its_caller() {
    let lab = Lab::start().await;
    let (begun, gone, done) = (signal(), signal(), signal());
    let handler = {
        let (begun, gone, done) = (begun.clone(), gone.clone(), done.clone());
        move || async move {
            begun.notify_one();
            gone.notified().await;
            done.notify_one();
        }
    };
    let routes = Router::new().route("/change", post(handler));
    let router = edge_around(routes, lab::gateway(&lab.services, &Plan::default()));
    let request = Request::post("/change").header("host", "a").body(Body::empty()).unwrap();
    let caller = tokio::spawn(router.oneshot(request));
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gone.notify_one();
    tokio::time::timeout(Duration::from_secs(10), done.notified()).await.unwrap();
}

fn signal() -> Arc<Notify> {
    Arc::default()
}
