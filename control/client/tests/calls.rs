//! The client against a server of a few lines that answers what it is told to. Proves what callers
//! rely on: refusals are typed, absence names the URL and the cure, only a GET goes twice.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::{Arc, Mutex};

use control_client::{ClientError, ControlClient, Credential};
use control_types::ErrorWord;
use control_types::accounts::SignIn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Heard = Arc<Mutex<Vec<String>>>;

/// Answers the n-th connection with the n-th text and closes it; an empty text closes at once.
async fn answers(texts: Vec<String>) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard: Heard = Arc::default();
    let ears = heard.clone();
    tokio::spawn(async move {
        for text in texts {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                let mut piece = [0; 4096];
                let n = stream.read(&mut piece).await.unwrap();
                assert!(n > 0, "the client closed before its head was whole");
                head.extend_from_slice(&piece[..n]);
            }
            ears.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn nobody(url: &str) -> ControlClient {
    ControlClient::new(url, Credential::Nobody, None).unwrap()
}

fn sign_in() -> SignIn {
    SignIn { email: "a@example.org".into(), password: "correct horse".into() }
}

#[tokio::test]
async fn a_refusal_carries_word_message_and_request_id() {
    let body = r#"{"error":"too_many","message":"slow down","request_id":"r-1"}"#;
    let (url, _) = answers(vec![answer("429 Too Many Requests", body)]).await;
    let error = nobody(&url).sign_in(&sign_in()).await.err().unwrap();
    assert_eq!(error.word(), Some(ErrorWord::TooMany));
    assert!(!error.is_away());
    let text = error.to_string();
    assert!(text.contains("slow down") && text.contains("r-1") && text.contains(&url), "{text}");
}

#[tokio::test]
async fn an_absent_control_is_named_with_the_cure() {
    // Bound and dropped at once: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let error = nobody(&url).plans().await.unwrap_err();
    assert!(error.is_away() && !error.is_broken());
    let text = error.to_string();
    assert!(text.contains(&url) && text.contains("control serve"), "{text}");
}

#[tokio::test]
async fn a_broken_get_goes_twice_and_a_broken_post_once() {
    let (url, heard) = answers(vec![String::new(), answer("200 OK", "[]")]).await;
    assert_eq!(nobody(&url).plans().await.unwrap(), []);
    assert_eq!(heard.lock().unwrap().len(), 2);

    let (url, heard) = answers(vec![String::new(), answer("200 OK", "{}")]).await;
    let error = nobody(&url).sign_in(&sign_in()).await.err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.is_broken(), "who may ask twice is told that he may: {error}");
    assert_eq!(heard.lock().unwrap().len(), 1);
    // An answer that began is no such case, and neither is a control that is not there.
    let (url, _) = answers(vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned()]).await;
    let error = nobody(&url).sign_in(&sign_in()).await.err().unwrap();
    assert!(error.is_away() && !error.is_broken(), "{error}");
}

#[tokio::test]
async fn what_is_not_control_is_called_so() {
    let page = "<html>It works!</html>";
    let (url, _) = answers(vec![answer("200 OK", page), answer("502 Bad Gateway", page)]).await;
    for status in [200, 502] {
        let error = nobody(&url).plans().await.unwrap_err();
        let ClientError::Garbled { status: seen, .. } = error else { panic!("{error}") };
        assert_eq!(seen, status);
    }
}

#[tokio::test]
async fn a_slow_control_runs_into_the_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = nobody(&url).with_call_ms_max(100).plans().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { after_ms: 100, .. }), "{error}");
    assert!(error.is_away());
}

#[tokio::test]
async fn keys_go_in_the_header_and_never_into_debug_text() {
    let (url, heard) = answers(vec![answer("200 OK", "[]")]).await;
    let key = Credential::Operator("op-secret\n".into());
    let client = ControlClient::new(&url, key, None).unwrap();
    client.titles().await.unwrap();
    let head = heard.lock().unwrap()[0].to_lowercase();
    assert!(head.contains("authorization: bearer op-secret\r\n"), "{head}");
    assert!(!format!("{client:?}").contains("op-secret"));
}

#[test]
fn unusable_arguments_are_refused_before_any_call() {
    for url in ["control:9000", "ftp://control", "http://control/v1", "", "http://c/?a=b"] {
        let error = ControlClient::new(url, Credential::Nobody, None).unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{url}: {error}");
    }
    let error = ControlClient::new("https://c", Credential::Nobody, Some(b"no pem")).unwrap_err();
    assert!(matches!(error, ClientError::Ca { .. }), "{error}");
    let key = Credential::Operator("two\nlines".into());
    let error = ControlClient::new("http://c", key, None).unwrap_err();
    assert!(matches!(error, ClientError::Key { .. }), "{error}");
}

/// Goal: a bundle that is held already is not fetched again, and only a question that named one is
/// told so.
#[tokio::test]
async fn a_bundle_is_fetched_when_it_is_not_the_known_one() {
    let body = r#"{"bundle":"{}","signature":"s","key":"k"}"#;
    let same = answer("304 Not Modified", "");
    let (url, heard) = answers(vec![answer("200 OK", body), same.clone(), same]).await;
    let client = nobody(&url);
    let bundle = client.steering_bundle(None).await.unwrap().unwrap();
    assert_eq!((bundle.bundle.as_str(), bundle.key.as_str()), ("{}", "k"));
    assert_eq!(client.steering_bundle(Some(7)).await.unwrap(), None);
    let error = client.steering_bundle(None).await.unwrap_err();
    assert!(matches!(error, ClientError::Garbled { status: 304, .. }), "{error}");
    let heard = heard.lock().unwrap();
    assert!(heard[1].to_lowercase().contains("if-none-match: \"7\""), "{}", heard[1]);
    assert!(!heard[0].to_lowercase().contains("if-none-match"), "{}", heard[0]);
}
