//! What appliances report and what their agents work from, each with its own key.

use control_client::{ControlClient, Credential};
use control_token::{Verifier, are_signed};
use control_types::ErrorWord;
use control_types::fill::{
    AppliancePlan, BytesFrom, FillReport, FillStateWord, NewWindow, NightPlan, Orders, WindowScope,
};
use control_types::fleet::{Health, Role};
use control_types::schedule::{Weekday, WindowSchedule};

use crate::lab::{Lab, now, report, title};

#[tokio::test]
async fn a_report_is_answered_with_keys_and_wishes() {
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    let box_one = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let mut next = report("edge-a1", &[]);
    next.content = None;
    next.content_digest = "something else".to_owned();
    let answer = box_one.report(&next).await.unwrap();
    assert!(answer.want_content, "control does not hold that set");
    assert_eq!(answer.ticket_keys, lab.nobody().ticket_keys().await.unwrap());
    assert!(!answer.drain);
    lab.operator().drain(&"edge-a1".parse().unwrap()).await.unwrap();
    next.sequence += 1;
    assert!(box_one.report(&next).await.unwrap().drain);
    let line = &lab.operator().appliances().await.unwrap()[0];
    assert_eq!(line.health, Health::Draining);
}

#[tokio::test]
async fn an_appliance_speaks_for_itself_only() {
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    let box_one = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    lab.appliance("edge-a2", "here", Role::Edge, &[]).await;
    let error = box_one.report(&report("edge-a2", &[])).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Forbidden));
    let stranger = lab.nobody().with_credential(Credential::Appliance("nobody-s-key".into()));
    let error = stranger.report(&report("edge-a1", &[])).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
    let error = box_one.appliances().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated), "it is no operator");

    let mut bad = report("edge-a1", &[]);
    bad.media_url = "https://evil.example/\"><x".to_owned();
    assert_eq!(box_one.report(&bad).await.unwrap_err().word(), Some(ErrorWord::BadRequest));
}

#[tokio::test]
async fn a_night_from_window_to_progress() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    let agent = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let operator = lab.operator();

    assert_eq!(operator.plan().await.unwrap_err().word(), Some(ErrorWord::NotFound));
    let window = NewWindow {
        id: "tonight".parse().unwrap(),
        scope: WindowScope::Site("here".parse().unwrap()),
        opens_at: None,
        length_ms: 60_000,
        rate_bps_max: Some(1_000_000),
        bytes_max: None,
    };
    operator.open_window(&window).await.unwrap();
    let error = operator.open_window(&window).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict));
    let work = AppliancePlan {
        appliance: "edge-a1".parse().unwrap(),
        pulls: vec![],
        prunes: vec![],
        moves: Vec::new(),
        rate: None,
        border: None,
    };
    let plan = NightPlan {
        id: control_types::PlanId(uuid::Uuid::new_v4()),
        serial: 7,
        made_at: now(),
        follows: None,
        appliances: vec![work.clone(), of_large_fleet()],
    };
    operator.put_plan(&plan).await.unwrap();
    let error = operator.put_plan(&plan).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict), "a serial counts once");

    let given = orders(&agent).await;
    assert_eq!((given.serial, given.work), (7, Some(work)));
    assert_eq!(given.windows.len(), 1);
    let verifier = Verifier::new(&lab.nobody().ticket_keys().await.unwrap()).unwrap();
    let claims = verifier.verify(&given.fill_ticket, now()).unwrap();
    assert!(claims.allows_path("/o/00") && !claims.allows_path("/v/night/00"));

    let progress = FillReport {
        appliance: "edge-a1".parse().unwrap(),
        plan: Some(plan.id),
        state: FillStateWord::Filling,
        objects_planned: 2,
        objects_done: 1,
        bytes_planned: 200,
        bytes_done: 100,
        bytes_from: BytesFrom { peer: 100, tier: 0, origin: 0 },
        rate_bps: 800,
        failures: vec![],
        orders_refused: 0,
        troubles: Vec::new(),
    };
    agent.fill_report(&progress).await.unwrap();
    assert_eq!(operator.fills().await.unwrap()[0].report, progress);
    let closed = operator.close_window(&window.id).await.unwrap();
    assert!(closed.closed);
    assert!(orders(&agent).await.windows.is_empty());
    operator.remove_appliance(&progress.appliance).await.unwrap();
    assert!(operator.fills().await.unwrap().is_empty(), "nobody waits for a box that is gone");
}

#[tokio::test]
async fn a_schedule_becomes_windows_in_orders() {
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    let agent = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let operator = lab.operator();
    let mut rule = WindowSchedule {
        id: "nightly".parse().unwrap(),
        scope: WindowScope::Site("here".parse().unwrap()),
        start: "02:00".to_owned(),
        length_ms: 5 * 3_600_000,
        days: vec![Weekday::Mon, Weekday::Thu],
        time_zone: "Europe/Lisbon".to_owned(),
        except: vec![],
        rate_bps_max: Some(1_000_000),
        bytes_max: None,
    };
    let made = operator.put_schedule(&rule).await.unwrap();
    assert_eq!(operator.schedules().await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(made.schedule, rule);
    let first = made.next.unwrap();
    assert_eq!(orders(&agent).await.windows[0], first);
    assert_eq!(operator.windows().await.unwrap()[0], first);

    let closed = operator.close_window(&rule.id).await.unwrap();
    assert_eq!((closed.closed, &closed.id), (true, &first.id));
    let next = operator.schedules().await.unwrap()[0].next.clone().unwrap();
    assert!(next.opens_at > first.opens_at, "only the one night was closed");
    assert_eq!(orders(&agent).await.windows[0], next);

    rule.time_zone = "Europe/Lisboa".to_owned();
    let error = operator.put_schedule(&rule).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
    assert!(error.to_string().contains("Europe/Lisbon"), "{error}");
    operator.remove_schedule(&rule.id).await.unwrap();
    assert!(orders(&agent).await.windows.is_empty());
    let error = operator.remove_schedule(&rule.id).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
    let error = agent.schedules().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated), "an appliance is no operator");
}

/// The agent's orders, as it would believe them.
async fn orders(agent: &ControlClient) -> Orders {
    let signed = agent.orders().await.unwrap();
    assert!(are_signed(&signed.orders, &signed.signature, &signed.key));
    serde_json::from_str(&signed.orders).unwrap()
}

/// More than `BODY_BYTES_MAX` of JSON: as much as the rates of some hundred boxes.
fn of_large_fleet() -> AppliancePlan {
    AppliancePlan {
        appliance: "edge-b1".parse().unwrap(),
        pulls: vec![],
        prunes: vec![control_types::ObjectId([7; 32]); 150_000],
        moves: Vec::new(),
        rate: None,
        border: None,
    }
}
