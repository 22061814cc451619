//! Goal: windows, plan and orders reach the right appliances at the right time and survive a
//! restart. Method: the real embedded ledger in a private directory, time as numbers.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::path::Path;

use control_steering::{FillDesk, Reach, Settings, Steering, SteeringError};
use control_store::open_embedded;
use control_types::fill::{
    AppliancePlan, BorderShare, BytesFrom, FillReport, FillStateWord, NewWindow, NightPlan, Orders,
    Pull, RateProfile, RateStep, SignedOrders, WindowScope,
};
use control_types::fleet::{DiskClass, Role};
use control_types::limits::{PLAN_READ_MS, RATE_LEASE_MS, SHARED_PLAN_MS};
use control_types::{ApplianceId, ErrorWord, PlanId, UnixMillis};
use lab::{NOW, SILENT_MS, object, record, report, site, title};

const HOUR_MS: u64 = 3_600_000;

/// Two ISPs: site a (a1, a2) and b (b1) of one, site c (c1) of the other.
async fn desk(state_dir: &Path) -> (Steering, FillDesk) {
    let ports = open_embedded(state_dir).await.unwrap();
    let settings = Settings { silent_ms: SILENT_MS, ..Settings::default() };
    let steering = Steering::open(ports.ledger.clone(), settings).await.unwrap();
    for (id, isp) in [("a", "one"), ("b", "one"), ("c", "two")] {
        steering.put_site(&site(id, isp, &[])).await.unwrap();
    }
    for (id, site) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")] {
        steering.put_appliance(&record(id, site, Role::Edge), NOW).await.unwrap();
    }
    (steering, FillDesk::open(ports.ledger, NOW).await.unwrap())
}

fn window(id: &str, scope: WindowScope) -> NewWindow {
    NewWindow {
        id: id.parse().unwrap(),
        scope,
        opens_at: None,
        length_ms: HOUR_MS,
        rate_bps_max: Some(8_000_000),
        bytes_max: None,
    }
}

fn plan(serial: u64, appliances: &[&str]) -> NightPlan {
    let pull = Pull {
        object: object(1),
        bytes: 100,
        title: title(),
        class: DiskClass::Ssd,
        sources: Vec::new(),
        why: "wanted".into(),
    };
    let part = |id: &&str| AppliancePlan {
        appliance: id.parse().unwrap(),
        pulls: vec![pull.clone()],
        prunes: Vec::new(),
        moves: Vec::new(),
        rate: None,
        border: None,
    };
    NightPlan {
        id: PlanId(uuid::Uuid::from_u128(u128::from(serial))),
        serial,
        made_at: NOW,
        follows: None,
        appliances: appliances.iter().map(part).collect(),
    }
}

/// What an agent reads out of orders.
fn believed(signed: &SignedOrders) -> Orders {
    assert!(control_token::are_signed(&signed.orders, &signed.signature, &signed.key));
    serde_json::from_str(&signed.orders).unwrap()
}

/// Names of the windows in an appliance's orders.
fn windows_of(desk: &FillDesk, steering: &Steering, id: &str, now: UnixMillis) -> Vec<String> {
    let id: ApplianceId = id.parse().unwrap();
    let orders = desk.orders_for(steering, &id, "ticket".into(), now).unwrap();
    let orders = believed(&orders);
    assert_eq!(orders.fill_ticket, "ticket");
    orders.windows.iter().map(|window| window.id.to_string()).collect()
}

#[tokio::test]
async fn a_window_reaches_those_in_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    for (id, scope) in [
        ("w1-box", WindowScope::Appliance("a1".parse().unwrap())),
        ("w2-site", WindowScope::Site("a".parse().unwrap())),
        ("w3-isp", WindowScope::Isp("one".parse().unwrap())),
        ("w4-all", WindowScope::Everyone),
    ] {
        desk.open_window(window(id, scope), &Reach::Everything, &steering, NOW).await.unwrap();
    }
    let names = |id: &str| windows_of(&desk, &steering, id, NOW).join(" ");
    assert_eq!(names("a1"), "w1-box w2-site w3-isp w4-all");
    assert_eq!(names("a2"), "w2-site w3-isp w4-all");
    assert_eq!(names("b1"), "w3-isp w4-all");
    assert_eq!(names("c1"), "w4-all");
}

#[tokio::test]
async fn a_window_that_is_over_or_closed_is_in_no_orders() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    desk.open_window(window("tonight", WindowScope::Everyone), &Reach::Everything, &steering, NOW)
        .await
        .unwrap();
    let mut later = window("tomorrow", WindowScope::Everyone);
    later.opens_at = Some(NOW.plus_millis(24 * HOUR_MS));
    desk.open_window(later, &Reach::Everything, &steering, NOW).await.unwrap();
    let names = |now| windows_of(&desk, &steering, "c1", now).join(" ");
    assert_eq!(names(NOW), "tonight tomorrow");
    assert_eq!(names(NOW.plus_millis(HOUR_MS)), "tomorrow");
    let closed = desk
        .close_window(&"tomorrow".parse().unwrap(), &Reach::Everything, &steering, NOW)
        .await
        .unwrap();
    assert!(closed.closed && !closed.is_open(closed.opens_at));
    assert_eq!(names(NOW), "tonight");
    assert_eq!(desk.windows(NOW).len(), 2, "the listing shows closed ones");
    assert_eq!(desk.fill_state(&steering, Vec::new(), NOW).windows.len(), 1);
}

#[tokio::test]
async fn windows_that_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let refused = |change: &dyn Fn(&mut NewWindow)| {
        let mut new = window("w", WindowScope::Everyone);
        change(&mut new);
        let (steering, desk) = (&steering, &desk);
        async move { desk.open_window(new, &Reach::Everything, steering, NOW).await.unwrap_err() }
    };
    let short = refused(&|new| new.length_ms = 999).await;
    assert!(short.to_string().contains("999"), "{short}");
    assert_eq!(short.word(), ErrorWord::BadRequest);
    refused(&|new| new.length_ms = 24 * HOUR_MS + 1).await;
    refused(&|new| new.opens_at = Some(UnixMillis(NOW.0 - HOUR_MS))).await;
    let far = refused(&|new| new.opens_at = Some(UnixMillis(NOW.0 + 9_600 * HOUR_MS + 1))).await;
    assert!(far.to_string().contains("is the year right?"), "{far}");
    refused(&|new| new.rate_bps_max = Some(0)).await;
    refused(&|new| new.scope = WindowScope::Site("nowhere".parse().unwrap())).await;
    desk.open_window(window("w", WindowScope::Everyone), &Reach::Everything, &steering, NOW)
        .await
        .unwrap();
    let taken = refused(&|_| {}).await;
    assert!(matches!(taken, SteeringError::WindowTaken(_)), "{taken}");
    let unknown = desk
        .close_window(&"gone".parse().unwrap(), &Reach::Everything, &steering, NOW)
        .await
        .unwrap_err();
    assert_eq!(unknown.word(), ErrorWord::NotFound);
}

#[tokio::test]
async fn a_plan_is_replaced_only_by_a_newer_one_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (steering, desk) = desk(directory.path()).await;
        let id: ApplianceId = "a1".parse().unwrap();
        let before = believed(&desk.orders_for(&steering, &id, String::new(), NOW).unwrap());
        assert_eq!((before.serial, before.plan, before.work), (0, None, None));
        desk.put_plan(plan(5, &["a1", "b1"]), NOW).await.unwrap();
        for stale in [5, 4] {
            let error = desk.put_plan(plan(stale, &["a1"]), NOW).await.unwrap_err();
            assert_eq!(error.word(), ErrorWord::Conflict, "serial {stale}");
        }
        assert_eq!(desk.plan().unwrap().appliances.len(), 2);
    }
    let (steering, desk) = desk(directory.path()).await;
    assert_eq!(desk.plan().unwrap().serial, 5);
    let orders = |id: &str| {
        let id: ApplianceId = id.parse().unwrap();
        desk.orders_for(&steering, &id, String::new(), NOW).map(|orders| believed(&orders))
    };
    assert_eq!(orders("a1").unwrap().work.unwrap().pulls.len(), 1);
    assert_eq!(orders("a2").unwrap().work, None);
    assert_eq!(orders("a2").unwrap().serial, 5);
    assert_eq!(orders("nobody").unwrap_err().word(), ErrorWord::NotFound);
}

#[tokio::test]
async fn progress_is_the_last_report_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let said = |id: &str, done: u64, at: UnixMillis| {
        let report = FillReport {
            appliance: id.parse().unwrap(),
            plan: None,
            state: FillStateWord::Filling,
            objects_planned: 9,
            objects_done: done,
            bytes_planned: 900,
            bytes_done: done * 100,
            bytes_from: BytesFrom::default(),
            rate_bps: 0,
            failures: Vec::new(),
            orders_refused: 0,
            troubles: Vec::new(),
        };
        desk.report(report, at);
    };
    said("b1", 1, NOW);
    said("a1", 2, NOW);
    said("b1", 3, NOW.plus_millis(1));
    let fills = desk.fills();
    let lines: Vec<_> = fills
        .iter()
        .map(|fill| format!("{} {}", fill.report.appliance, fill.report.objects_done))
        .collect();
    assert_eq!(lines, ["a1 2", "b1 3"]);
    assert_eq!(fills[1].heard_at, NOW.plus_millis(1));
    steering.report(report("a1", 1), NOW).unwrap();
    let state = desk.fill_state(&steering, Vec::new(), NOW);
    let healthy: Vec<bool> = state.appliances.iter().map(|one| one.healthy).collect();
    assert_eq!(healthy, [true, false, false, false]);
}

/// Goal: what one ISP's key opens leaves room for every other's and for the operator's.
#[tokio::test]
async fn one_isps_key_does_not_fill_the_desk() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let scope = |site: &str| WindowScope::Site(site.parse().unwrap());
    let (one, two) = (Reach::Isp("one".parse().unwrap()), Reach::Isp("two".parse().unwrap()));
    let mut opened = 0;
    let refused = loop {
        let new = window(&format!("w{opened}"), scope("a"));
        match desk.open_window(new, &one, &steering, NOW).await {
            Ok(_) => opened += 1,
            Err(error) => break error,
        }
        assert!(opened <= 100, "and no more");
    };
    assert!(refused.to_string().contains("close some"), "{refused}");
    desk.open_window(window("theirs", scope("c")), &two, &steering, NOW).await.unwrap();
    let all = WindowScope::Everyone;
    desk.open_window(window("all", all), &Reach::Everything, &steering, NOW).await.unwrap();
    desk.close_window(&"w0".parse().unwrap(), &one, &steering, NOW).await.unwrap();
    desk.open_window(window("again", scope("b")), &one, &steering, NOW).await.unwrap();
}

#[tokio::test]
async fn the_next_key_of_orders_is_announced_by_the_one_before_until_it_signs() {
    use control_steering::limits::{ORDERS_KEY_MS, ORDERS_KEY_OVERLAP_MS};
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let told = |desk: &FillDesk, now: UnixMillis| {
        let signed =
            desk.orders_for(&steering, &"a1".parse().unwrap(), "ticket".into(), now).unwrap();
        let orders = believed(&signed);
        assert_eq!(signed.key, desk.orders_key(now));
        (signed.key, orders.next_key)
    };
    let (first, next) = told(&desk, NOW);
    assert_eq!(next, None);
    let later = NOW.plus_millis(ORDERS_KEY_MS);
    desk.refresh(UnixMillis(later.0 - 1)).await.unwrap();
    assert_eq!(told(&desk, later), (first.clone(), None), "not old enough");
    desk.refresh(later).await.unwrap();
    let (signs, next) = told(&desk, later);
    let next = next.expect("a next key is announced");
    assert!(signs == first && next != first);
    // Another process of control, started meanwhile, tells the same.
    let ports = open_embedded(directory.path()).await.unwrap();
    let other = FillDesk::open(ports.ledger, later.plus_millis(1)).await.unwrap();
    assert_eq!(told(&other, later), (first.clone(), Some(next.clone())));
    let last = UnixMillis(later.0 + ORDERS_KEY_OVERLAP_MS - 1);
    assert_eq!(told(&desk, last), (first, Some(next.clone())));
    assert_eq!(told(&desk, last.plus_millis(1)), (next, None));
}

#[tokio::test]
async fn bundles_are_signed_by_the_key_of_orders_and_announce_the_next_one_as_orders_do() {
    use control_steering::limits::{ORDERS_KEY_MS, ORDERS_KEY_OVERLAP_MS};
    let directory = tempfile::tempdir().unwrap();
    let (_, desk) = desk(directory.path()).await;
    let told = |desk: &FillDesk, now: UnixMillis| {
        let sealed = desk.bundle_keys(now).seal("{}".to_owned());
        assert_eq!(sealed.key, desk.orders_key(now));
        assert!(control_token::is_bundle_signed(&sealed, &sealed.key));
        assert!(sealed.handovers.iter().all(control_token::is_handover_signed));
        let way = sealed.handovers.into_iter().map(|one| (one.key, one.next));
        (sealed.key, way.collect::<Vec<_>>())
    };
    let (first, way) = told(&desk, NOW);
    assert!(way.is_empty());
    let later = NOW.plus_millis(ORDERS_KEY_MS);
    desk.refresh(later).await.unwrap();
    let (signs, way) = told(&desk, later);
    let next = way[0].1.clone();
    assert!(signs == first && way == [(first.clone(), next.clone())]);
    assert!(!desk.bundle_keys(NOW).is_same(&desk.bundle_keys(later.plus_millis(u64::MAX / 4))));
    let over = later.plus_millis(ORDERS_KEY_OVERLAP_MS);
    assert_eq!(told(&desk, over), (next.clone(), way.clone()), "the way from the first one stays");
    let ports = open_embedded(directory.path()).await.unwrap();
    let other = FillDesk::open(ports.ledger, over).await.unwrap();
    assert_eq!(told(&other, over), (next, way), "another process says the same");
}

/// A plan whose part for `a1` is a share of a border: 80 b/s, and 10 b/s as its floor.
fn shared(serial: u64) -> NightPlan {
    let profile = |rate_bps_max| RateProfile {
        steps: vec![RateStep { starts_at: UnixMillis(NOW.0 - HOUR_MS), rate_bps_max }],
    };
    let mut plan = plan(serial, &["a1"]);
    plan.appliances[0].rate = Some(profile(80));
    plan.appliances[0].border =
        Some(BorderShare { isp: "one".parse().unwrap(), floor: profile(10), held: profile(90) });
    plan
}

/// Goal: a share of a border is lent for minutes, and by nobody who may have missed a newer plan.
/// Method: orders at several times of a plan that was read once.
#[tokio::test]
async fn a_share_of_a_border_is_lent_and_its_floor_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    desk.put_plan(shared(1), NOW).await.unwrap();
    let id: ApplianceId = "a1".parse().unwrap();
    let work = |asked_ms: u64| {
        let at = NOW.plus_millis(asked_ms);
        believed(&desk.orders_for(&steering, &id, String::new(), at).unwrap()).work.unwrap()
    };
    let rate = |asked_ms: u64, after_ms: u64| {
        work(asked_ms).rate.unwrap().rate_bps_max(NOW.plus_millis(after_ms)).unwrap()
    };
    assert_eq!((rate(0, 0), rate(0, RATE_LEASE_MS / 2 - 1)), (80, 80));
    assert_eq!((rate(0, RATE_LEASE_MS), rate(0, 20 * HOUR_MS)), (10, 10));
    assert_eq!(work(0).border, None, "the director's sums are not the box's");
    // Orders do not change with every poll.
    assert_eq!(work(0), work(1));
    // This process did not read the plan again: another may have put a newer one.
    assert_eq!((rate(PLAN_READ_MS, PLAN_READ_MS), rate(50_000, 50_000)), (80, 10));
    desk.refresh(NOW.plus_millis(50_000)).await.unwrap();
    assert_eq!(rate(50_000, 50_000), 80);
}

/// Goal: two looks at one plan, as of a director that was restarted while its plan was on the way,
/// do not both lend the border. Method: both plans were made on the first; serials go by the clock,
/// so the second's is higher.
#[tokio::test]
async fn of_two_plans_made_on_one_only_the_first_takes_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let (_steering, desk) = desk(directory.path()).await;
    desk.put_plan(NightPlan { follows: Some(0), ..shared(100) }, NOW).await.unwrap();
    desk.put_plan(NightPlan { follows: Some(100), ..shared(200) }, NOW).await.unwrap();
    let late = NightPlan { follows: Some(100), ..shared(201) };
    let error = desk.put_plan(late.clone(), NOW).await.unwrap_err();
    assert_eq!(error.word(), ErrorWord::Conflict);
    assert!(error.to_string().contains("201 is not above 200"), "{error}");
    assert_eq!(desk.plan().unwrap().serial, 200);
    desk.put_plan(NightPlan { follows: Some(200), ..late }, NOW).await.unwrap();
}

#[tokio::test]
async fn a_plan_that_divides_a_border_is_refused_when_it_comes_late() {
    let directory = tempfile::tempdir().unwrap();
    let (_steering, desk) = desk(directory.path()).await;
    let late = NOW.plus_millis(SHARED_PLAN_MS + 1);
    let error = desk.put_plan(shared(1), late).await.unwrap_err();
    assert_eq!(error.word(), ErrorWord::Conflict);
    assert!(error.to_string().contains("60001 ms ago"), "{error}");
    assert!(desk.plan().is_none());
    desk.put_plan(plan(1, &["a1"]), late).await.unwrap();
}
