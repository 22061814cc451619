//! The real director against a small control: it posts once, keeps quiet while the plan is worked
//! through, and posts again when the fleet changes.

// A panic is the report.
#![allow(clippy::unwrap_used)]

mod kit;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use control_client::{ControlClient, Credential};
use control_types::fill::{FillState, NightPlan, PlaceableObject, Window, WindowScope};
use control_types::fleet::{DiskClass, HeldObject, Role};
use control_types::ids::ObjectId;
use control_types::{ErrorBody, ErrorWord, UnixMillis};

use fill_director::{Config, Ingress, Looked, Memory, look};
use fill_plan::Knobs;
use kit::box_of;
use tokio::sync::Notify;

struct Control {
    state: Mutex<FillState>,
    plan: Mutex<Option<NightPlan>>,
}

type Shared = State<Arc<Control>>;
type Refusal = (StatusCode, Json<ErrorBody>);

async fn plan(State(control): Shared) -> Result<Json<NightPlan>, Refusal> {
    let message = "no plan yet".to_owned();
    let body = ErrorBody { error: ErrorWord::NotFound, message, request_id: "r".to_owned() };
    let plan = control.plan.lock().unwrap().clone();
    plan.map(Json).ok_or((StatusCode::NOT_FOUND, Json(body)))
}

async fn put_plan(State(control): Shared, Json(plan): Json<NightPlan>) -> StatusCode {
    *control.plan.lock().unwrap() = Some(plan);
    StatusCode::NO_CONTENT
}

async fn state(State(control): Shared) -> Json<FillState> {
    Json(control.state.lock().unwrap().clone())
}

async fn control(objects: &[ObjectId]) -> (Arc<Control>, String) {
    let placeable = |object: &ObjectId| PlaceableObject {
        object: *object,
        bytes: 1 << 20,
        title: "t".parse().unwrap(),
        height: None,
        demand_bytes: Vec::new(),
        demand_bytes_elsewhere: 1e9,
    };
    let state_of = FillState {
        now: UnixMillis(1),
        objects: objects.iter().map(placeable).collect(),
        appliances: vec![
            box_of("home-1", Role::Origin, 1 << 30, (objects, 1 << 20)),
            box_of("a-1", Role::Edge, 1 << 30, (&[], 0)),
            box_of("a-2", Role::Edge, 1 << 30, (&[], 0)),
        ],
        windows: Vec::new(),
        history: Vec::new(),
    };
    let control = Arc::new(Control { state: Mutex::new(state_of), plan: Mutex::default() });
    let app = Router::new()
        .route("/v1/operator/fill-state", get(state))
        .route("/v1/operator/plan", get(plan).put(put_plan))
        .with_state(Arc::clone(&control));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (control, url)
}

async fn once(url: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let (config, key) = (dir.path().join("director.toml"), dir.path().join("operator.key"));
    std::fs::write(&key, "key").unwrap();
    std::fs::write(&config, format!("[control]\nurl = \"{url}\"\nkey_file = {key:?}\n")).unwrap();
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fill-director"));
        command.args(["run", "--once", "--config"]).arg(&config).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    drop(dir);
    output
}

async fn said(url: &str) -> serde_json::Value {
    let output = once(url).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_posted_once_and_again_when_the_fleet_changes() {
    let objects = [ObjectId([1; 32]), ObjectId([2; 32])];
    let (control, url) = control(&objects).await;
    let first = said(&url).await;
    assert_eq!(
        (&first["posted"], &first["serial"], &first["pulls"]),
        (&true.into(), &1.into(), &4.into())
    );
    assert_eq!(said(&url).await["posted"], false);

    // The fill master got its first object: nothing new to say.
    let plan = control.plan.lock().unwrap().clone().unwrap();
    let master = plan.appliances.iter().find(|entry| !entry.pulls[0].sources[0].pending).unwrap();
    let (master, got) = (master.appliance.clone(), master.pulls[0].object);
    let held = HeldObject { object: got, bytes: 1 << 20, class: DiskClass::Ssd };
    for one in &mut control.state.lock().unwrap().appliances {
        if one.appliance == master {
            one.holds.push(held);
        }
    }
    assert_eq!(said(&url).await["posted"], false);

    // A box falls ill: the plan must not count on it.
    control.state.lock().unwrap().appliances[2].healthy = false;
    let next = said(&url).await;
    assert_eq!((&next["posted"], &next["serial"]), (&true.into(), &2.into()));
}

/// Goal: a plan is posted again when a border's last samples leave another room than it was made
/// for, and not when they leave the same. Method: nights of 1 Gb/s and evenings of 10 over three
/// weeks; then the night turns busy, then quiet as before; then nobody measures any more. The clock
/// is an argument.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_posted_again_when_a_borders_figures_change() {
    // 2026-01-21 03:00 UTC, in 5-minute slots since the first of the month.
    let (begin_s, slots) = (1_767_225_600, 20 * 288 + 36);
    let now = UnixMillis((begin_s + slots * 300) * 1_000);
    let usual = |slot: u64| if slot % 288 >= 192 { 10_000_000_000 } else { 1_000_000_000 };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ingress.csv");
    let measure = |bps: &dyn Fn(u64) -> u64| {
        let line = |slot: u64| format!("{},{}\n", begin_s + slot * 300, bps(slot));
        std::fs::write(&file, (0..slots).map(line).collect::<String>()).unwrap();
    };
    let borders = [Ingress { isp: "isp".parse().unwrap(), file: file.clone(), percentile: 0.95 }];
    let (control, url) = control(&[ObjectId([1; 32])]).await;
    let client = ControlClient::new(&url, Credential::Operator("key".to_owned()), None).unwrap();
    // A director that began just now, so that nothing is remembered.
    let look = || async {
        let mut memory = Memory::default();
        look(&client, &Knobs::default(), &borders, &mut memory, now).await.unwrap()
    };
    let rate = || {
        let plan = control.plan.lock().unwrap().clone().unwrap();
        let rates = plan.appliances.iter().map(|part| part.rate.as_ref().unwrap());
        rates.map(|rate| rate.rate_bps_max(now).unwrap()).max().unwrap()
    };
    let posted = |looked: Looked| match looked {
        Looked::Posted { serial, .. } => Some(serial),
        Looked::Settled { .. } => None,
    };
    measure(&usual);
    assert_eq!(posted(look().await), Some(1));
    let quiet = rate();
    assert!(quiet > 500_000_000, "{quiet}");
    assert_eq!(posted(look().await), None);
    // As good as the same.
    measure(&|slot| if slot + 6 >= slots { 1_010_000_000 } else { usual(slot) });
    assert_eq!(posted(look().await), None);
    measure(&|slot| if slot + 6 >= slots { 7_000_000_000 } else { usual(slot) });
    assert_eq!(posted(look().await), Some(2));
    assert!(rate() < quiet / 2, "{} after {quiet}", rate());
    assert_eq!(posted(look().await), None);
    measure(&usual);
    assert_eq!(posted(look().await), Some(3));
    assert_eq!(rate(), quiet);
    // No figures: shut, and that once.
    std::fs::remove_file(&file).unwrap();
    assert_eq!((posted(look().await), rate()), (Some(4), 0));
    assert_eq!(posted(look().await), None);
}

/// Goal: agents take the plans of a control that came back from an old copy of its ledger. Method:
/// the plan in force is lost, and is one of days ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_serial_is_above_all_before_it_though_controls_ledger_is_an_old_one() {
    let (control, url) = control(&[ObjectId([1; 32])]).await;
    let day_s = 86_400;
    let serial = |said: serde_json::Value| said["serial"].as_u64().unwrap();
    control.state.lock().unwrap().now = UnixMillis(1_800_000_000_000);
    let before = serial(said(&url).await);
    let saved = control.plan.lock().unwrap().clone();
    control.state.lock().unwrap().now = UnixMillis(1_800_000_000_000 + 3 * day_s * 1_000);
    *control.plan.lock().unwrap() = None;
    let lost = serial(said(&url).await);
    assert!(lost > before, "{lost} after {before}");
    // Two looks within a second, and a clock that went back.
    control.state.lock().unwrap().appliances[2].healthy = false;
    assert_eq!(serial(said(&url).await), lost + 1);
    *control.plan.lock().unwrap() = saved;
    assert!(serial(said(&url).await) > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_away_is_an_error_that_names_the_url() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let output = once(&url).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&url) && said.contains("unreachable"), "{said}");
}

/// Goal: a window that is opened while the director looks is seen right after the look. Method: it
/// appears in the middle of the first one; the next by the timer would be an hour later.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_during_a_look_brings_the_next_one() {
    let (control, _) = control(&[ObjectId([1; 32])]).await;
    let (looks, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let looked = {
        let (looks, seen, control) = (Arc::clone(&looks), Arc::clone(&seen), Arc::clone(&control));
        move || async move {
            if looks.fetch_add(1, Ordering::SeqCst) > 0 {
                seen.notify_one();
            }
            Json(control.state.lock().unwrap().clone())
        }
    };
    let windows = move || async move {
        let window = |at: usize| Window {
            id: format!("w{at}").parse().unwrap(),
            scope: WindowScope::Everyone,
            opens_at: UnixMillis(1),
            closes_at: UnixMillis(2),
            rate_bps_max: None,
            bytes_max: None,
            closed: false,
        };
        // One more as soon as the first look has begun, and none after that.
        Json((0..looks.load(Ordering::SeqCst).min(1)).map(window).collect::<Vec<_>>())
    };
    let none = || async { Json(serde_json::Value::Array(Vec::new())) };
    let app = Router::new()
        .route("/v1/operator/fill-state", get(looked))
        .route("/v1/operator/plan", get(plan).put(put_plan))
        .route("/v1/operator/windows", get(windows))
        .route("/v1/operator/appliances", get(none))
        .route("/v1/operator/titles", get(none))
        .with_state(control);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = Config {
        control_url: url,
        control_key: "key".to_owned(),
        control_ca: None,
        every_ms: 3_600_000,
        knobs: Knobs::default(),
        ingress: Vec::new(),
    };
    let watch = fill_director::run(&config, false, |_| ());
    let bound = Duration::from_secs(60);
    let again = tokio::time::timeout(bound, async {
        tokio::select! {
            _ = watch => panic!("it watches until it is told to stop"),
            () = seen.notified() => {}
        }
    });
    again.await.expect("a second look");
}
