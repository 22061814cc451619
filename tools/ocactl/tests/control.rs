//! Verbs against a small control: what is asked of it, what is made of its answers, exit codes.
//! Not a test of control; its answers are written here.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use control_token::{Claims, TicketSigner};
use control_types::fill::{
    AppliancePlan, BytesFrom, FillFailure, FillProgress, FillReport, FillStateWord, NewWindow,
    NightPlan, Window,
};
use control_types::fleet::TicketKeys;
use control_types::{ErrorBody, ErrorWord, ObjectId, PlanId, UnixMillis};
use serde_json::Value;

#[derive(Default)]
struct Control {
    windows: Mutex<Vec<NewWindow>>,
    plan: Mutex<Option<NightPlan>>,
    fills: Mutex<Vec<FillProgress>>,
    keys: Mutex<TicketKeys>,
    /// Answers to come that say that it is away.
    away: AtomicUsize,
    /// How often the plan was told.
    looks: AtomicUsize,
}

type Shared = State<Arc<Control>>;

fn refuse(word: ErrorWord, status: StatusCode) -> (StatusCode, Json<ErrorBody>) {
    let (message, request_id) = ("no".to_owned(), "r1".to_owned());
    (status, Json(ErrorBody { error: word, message, request_id }))
}

async fn open_window(
    State(control): Shared,
    headers: HeaderMap,
    Json(new): Json<NewWindow>,
) -> Result<Json<Window>, (StatusCode, Json<ErrorBody>)> {
    if headers["authorization"] != "Bearer operators-key" {
        return Err(refuse(ErrorWord::Unauthenticated, StatusCode::UNAUTHORIZED));
    }
    control.windows.lock().unwrap().push(new.clone());
    let opens_at = new.opens_at.unwrap_or(UnixMillis(1_000));
    Ok(Json(Window {
        id: new.id,
        scope: new.scope,
        opens_at,
        closes_at: opens_at.plus_millis(new.length_ms),
        rate_bps_max: new.rate_bps_max,
        bytes_max: new.bytes_max,
        closed: false,
    }))
}

async fn plan(State(control): Shared) -> Result<Json<NightPlan>, (StatusCode, Json<ErrorBody>)> {
    let less = |left: usize| left.checked_sub(1);
    if control.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
        return Err(refuse(ErrorWord::Unavailable, StatusCode::SERVICE_UNAVAILABLE));
    }
    control.looks.fetch_add(1, Ordering::SeqCst);
    let plan = control.plan.lock().unwrap().clone();
    plan.map(Json).ok_or_else(|| refuse(ErrorWord::NotFound, StatusCode::NOT_FOUND))
}

async fn fills(State(control): Shared) -> Json<Vec<FillProgress>> {
    Json(control.fills.lock().unwrap().clone())
}

async fn keys(State(control): Shared) -> Json<TicketKeys> {
    Json(control.keys.lock().unwrap().clone())
}

async fn start() -> (Arc<Control>, String) {
    let control = Arc::new(Control::default());
    let app = Router::new()
        .route("/v1/operator/windows", post(open_window))
        .route("/v1/operator/plan", get(plan))
        .route("/v1/operator/fills", get(fills))
        .route("/v1/operator/titles", get(|| async { Json(Value::Array(Vec::new())) }))
        .route("/v1/keys/tickets", get(keys))
        .with_state(Arc::clone(&control));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (control, url)
}

async fn ocactl(url: &str, key: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("operator.key");
    std::fs::write(&key_file, key).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocactl"));
    command.env("NIGHTFILL_CONTROL", url).env("NIGHTFILL_KEY_FILE", &key_file).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn plan_id() -> PlanId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

fn night_plan(serial: u64) -> NightPlan {
    let pull = serde_json::json!({
        "object": "0".repeat(64), "bytes": 10, "title": "harbour", "class": "ssd", "sources": [],
        "why": "asked for",
    });
    let appliance = "edge-a1".parse().unwrap();
    let pulls = vec![serde_json::from_value(pull).unwrap()];
    let entry = AppliancePlan {
        appliance,
        pulls,
        prunes: Vec::new(),
        moves: Vec::new(),
        rate: None,
        border: None,
    };
    let (made_at, appliances) = (UnixMillis(1), vec![entry]);
    NightPlan { id: plan_id(), serial, made_at, follows: None, appliances }
}

fn progress(state: FillStateWord) -> FillProgress {
    let report = FillReport {
        appliance: "edge-a1".parse().unwrap(),
        plan: Some(plan_id()),
        state,
        objects_planned: 1,
        objects_done: u64::from(state == FillStateWord::Done),
        bytes_planned: 10,
        bytes_done: 10,
        bytes_from: BytesFrom { peer: 4_000_000, tier: 0, origin: 6_000_000 },
        rate_bps: 8_000_000,
        failures: Vec::new(),
        orders_refused: 0,
        troubles: Vec::new(),
    };
    FillProgress { report, heard_at: UnixMillis(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_asked_for_as_it_was_written() {
    let (control, url) = start().await;
    let line = "window open tonight --isp isp-one --for 2h30m --at 2026-11-24T02:00:00+01:00 \
        --rate 500Mbit --max-bytes 2TB --json";
    let output =
        ocactl(&url, "operators-key\n", &line.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(json(&output)["closes_at"], 1_795_482_000_000_u64 + 9_000_000);
    let asked = control.windows.lock().unwrap().pop().unwrap();
    assert_eq!((asked.length_ms, asked.rate_bps_max), (9_000_000, Some(500_000_000)));
    assert_eq!(asked.bytes_max, Some(2_000_000_000_000));

    let refused = ocactl(&url, "wrong-key", &["window", "open", "w", "--everyone", "--for", "1h"]);
    let refused = refused.await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("401") && said.contains("r1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_the_plan_and_not_before() {
    let (control, url) = start().await;
    let wait = ["fill", "wait", "--timeout", "400ms", "--settle", "1ms"];
    let none = ocactl(&url, "operators-key", &wait).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("the director's plan"));

    *control.plan.lock().unwrap() = Some(night_plan(3));
    *control.fills.lock().unwrap() = vec![progress(FillStateWord::Filling)];
    let open = ocactl(&url, "operators-key", &wait).await;
    let said = String::from_utf8(open.stderr).unwrap();
    assert_eq!(open.status.code(), Some(1), "{said}");
    assert!(said.contains("edge-a1 (filling 0 of 1)"), "{said}");

    let later = Arc::clone(&control);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        *later.fills.lock().unwrap() = vec![progress(FillStateWord::Done)];
    });
    let long = ["fill", "wait", "--timeout", "20s", "--settle", "1ms", "--json"];
    let done = ocactl(&url, "operators-key", &long).await;
    assert_eq!((done.status.code(), &json(&done)["done"]), (Some(0), &Value::Bool(true)));
    let status = ocactl(&url, "operators-key", &["fill", "status"]).await;
    let table = String::from_utf8(status.stdout).unwrap();
    assert!(table.contains("4.0 MB") && table.contains("8.0 Mbit/s"), "{table}");
}

/// Goal: who looks at the night sees what boxes ask to be looked at, and nothing that a box could
/// do to the terminal.
#[tokio::test(flavor = "multi_thread")]
async fn what_boxes_say_is_wrong_is_shown() {
    let (control, url) = start().await;
    let mut ill = progress(FillStateWord::Filling);
    ill.report.troubles = vec!["/srv/hdd1 is gone\u{1b}[2J".to_owned()];
    ill.report.orders_refused = 2;
    let failure = FillFailure { object: ObjectId([7; 32]), why: "edge-a2: stalled".to_owned() };
    ill.report.failures = vec![failure; 9];
    *control.fills.lock().unwrap() = vec![ill];
    let status = ocactl(&url, "operators-key", &["fill", "status"]).await;
    let said = String::from_utf8(status.stdout).unwrap();
    for words in ["edge-a1: /srv/hdd1 is gone", "refused 2 orders", "stalled", "6 more", "heard"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(!said.contains('\u{1b}'), "{said}");
}

/// Goal: waiting for a night outlasts a restart of control, and a control that was never there is
/// said at once. Method: it is away after the first look, until the night is over.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_outlasts_a_control_that_is_away() {
    let (control, url) = start().await;
    let wait = ["fill", "wait", "--timeout", "20s", "--settle", "1ms"];
    control.away.store(usize::MAX, Ordering::SeqCst);
    let never = ocactl(&url, "operators-key", &wait).await;
    let said = String::from_utf8(never.stderr).unwrap();
    assert_eq!(never.status.code(), Some(1), "{said}");
    assert!(said.contains("503") && !said.contains("the time is up"), "{said}");

    control.away.store(0, Ordering::SeqCst);
    *control.plan.lock().unwrap() = Some(night_plan(3));
    *control.fills.lock().unwrap() = vec![progress(FillStateWord::Filling)];
    let later = Arc::clone(&control);
    tokio::spawn(async move {
        while later.looks.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        *later.fills.lock().unwrap() = vec![progress(FillStateWord::Done)];
        later.away.store(3, Ordering::SeqCst);
    });
    let done = ocactl(&url, "operators-key", &wait).await;
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("waiting for control ("), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_not_made_for_a_title_that_nobody_knows() {
    let (_control, url) = start().await;
    let output = ocactl(&url, "operators-key", &["ticket", "issue", "--title", "habour"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("habour") && said.contains("title ls"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_looked_into_even_when_it_opens_nothing() {
    let (control, url) = start().await;
    let signer = TicketSigner::generate().unwrap();
    *control.keys.lock().unwrap() = TicketKeys { keys: vec![signer.verification_key()] };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let ticket = |from: u64, until: u64| {
        let title = "harbour".parse().unwrap();
        let claims = Claims::play("p1".to_owned(), &title, UnixMillis(from), UnixMillis(until));
        signer.sign(&claims).unwrap()
    };
    let good = format!("https://edge:443/t/{}/v/harbour/x.mp4", ticket(now - 5_000, now + 60_000));
    let output = ocactl(&url, "", &["ticket", "inspect", &good, "--json"]).await;
    assert_eq!((output.status.code(), &json(&output)["valid"]), (Some(0), &Value::Bool(true)));

    let old = ticket(now - 900_000, now - 600_000);
    let output = ocactl(&url, "", &["ticket", "inspect", &old, "--json"]).await;
    let said = json(&output);
    assert_eq!((output.status.code(), &said["valid"]), (Some(1), &Value::Bool(false)));
    assert_eq!(said["path_prefixes"][0], "/v/harbour/");

    let output = ocactl(&url, "", &["ticket", "inspect", "bm9uc2Vuc2U"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing in it is readable"));
}
