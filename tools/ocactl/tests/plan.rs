//! `ocactl plan explain` and `plan why-not` against a small control: what they say of a forecast,
//! of a pull without sources, and of what nobody knows. Not a test of the planner.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// 2026-01-02 03:00 UTC, a Friday.
const NOW: u64 = (20_455 * 24 + 3) * 3_600_000;

fn object(tag: u8) -> String {
    format!("{tag:02x}").repeat(32)
}

/// An origin that holds one object, an edge that lacks it, four weeks in which it was watched.
fn state(with_history: bool) -> Value {
    let appliance = |name: &str, site: &str, role: &str, holds: Value| {
        json!({
            "appliance": name, "site": site, "isp": "isp", "role": role, "healthy": true,
            "media_url": format!("https://{name}"), "holds": holds,
            "volumes": [{ "path": "/ssd", "class": "ssd", "capacity_bytes": 1 << 30,
                "used_bytes": 0, "healthy": true }],
        })
    };
    let held = json!([{ "object": object(1), "bytes": 1 << 20, "class": "ssd" }]);
    let days = (1..=28)
        .map(|ago| json!({ "day": 20_455 - ago, "site": "a", "height": 720, "bytes": 50 << 20 }));
    let history = json!([{
        "title": "harbour", "published_at": 1, "watched": days.collect::<Vec<_>>(),
    }]);
    json!({
        "now": NOW,
        "objects": [{ "object": object(1), "bytes": 1 << 20, "title": "harbour", "height": 720,
            "demand_bytes": [], "demand_bytes_elsewhere": 5e6 }],
        "appliances": [
            appliance("home-1", "home", "origin", held), appliance("a-1", "a", "edge", json!([])),
        ],
        "windows": [],
        "history": if with_history { history } else { json!([]) },
    })
}

fn plan() -> Value {
    json!({
        "id": "00000000-0000-4000-8000-000000000001", "serial": 1, "made_at": NOW,
        "appliances": [{ "appliance": "a-1", "prunes": [], "pulls": [{
            "object": object(2), "bytes": 10, "title": "harbour", "class": "ssd", "sources": [],
            "why": "asked for",
        }] }],
    })
}

async fn ocactl(state: Value, arguments: &[&str]) -> Output {
    let app = Router::new()
        .route("/v1/operator/plan", get(async || Json(plan())))
        .route("/v1/operator/fill-state", get(async move || Json(state)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("operator.key");
    std::fs::write(&key_file, "key").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocactl"));
    command.env("NIGHTFILL_CONTROL", url).env("NIGHTFILL_KEY_FILE", &key_file).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn check(with_history: bool, arguments: &[&str], code: i32, says: &[&str]) {
    let output = ocactl(state(with_history), arguments).await;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in says {
        assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_is_told_with_what_it_is_made_of() {
    let (known, none) = (object(1), object(9));
    let made = ["at a on Friday", "plays a day", "smoothed", "weekday", "of this file"];
    check(true, &["plan", "explain", &known], 0, &made).await;
    check(true, &["plan", "explain", &known], 0, &["home-1 holds it already"]).await;
    check(true, &["plan", "why-not", &known, "a-1"], 0, &made).await;
    check(true, &["plan", "why-not", &known, "a-1"], 0, &["not_yet: nothing speaks"]).await;
    let young = ["no whole day of history", "5.0 MB"];
    check(false, &["plan", "explain", &known], 0, &young).await;
    check(false, &["plan", "why-not", &known, "a-1"], 0, &young).await;
    check(true, &["plan", "explain", &none], 1, &[&none, "in no plan and on no appliance"]).await;
    let output = ocactl(state(true), &["--json", "plan", "why-not", &known, "a-1"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["reason"]["word"], &told["forecast"][0]["site"]),
        (&json!("not_yet"), &json!("a"))
    );
    assert!(told["forecast"][0]["plays_a_day"].as_f64().unwrap() > 50.0, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_fails_and_names_it_and_a_pull_without_sources_says_so() {
    let (known, none) = (object(1), object(9));
    check(true, &["plan", "why-not", &none, "a-1"], 1, &[&none, "ocactl title show"]).await;
    check(true, &["plan", "why-not", &known, "b-9"], 1, &["b-9", "ocactl appliance ls"]).await;
    let from = ["a-1 pulls it: asked for", "from nowhere: no box that is up holds it"];
    check(true, &["plan", "explain", &object(2)], 0, &from).await;
}
