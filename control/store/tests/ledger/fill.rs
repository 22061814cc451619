//! What any ledger must do with windows, schedules and the plan.

use control_store::ledger::PlanPut;
use control_store::{Ledger, StoreError};
use control_types::fill::{AppliancePlan, NightPlan, Window, WindowScope};
use control_types::schedule::{Weekday, WindowSchedule};
use control_types::{PlanId, UnixMillis};
use uuid::Uuid;

pub async fn schedules_are_replaced_and_removed(ledger: &dyn Ledger) {
    let nightly = |id: &str, start: &str| WindowSchedule {
        id: id.parse().unwrap(),
        scope: WindowScope::Everyone,
        start: start.to_owned(),
        length_ms: 60_000,
        days: vec![Weekday::Mon],
        time_zone: "Europe/Lisbon".to_owned(),
        except: vec!["2026-12-24".to_owned()],
        rate_bps_max: Some(7),
        bytes_max: None,
    };
    ledger.put_schedule(&nightly("s-two", "02:00")).await.unwrap();
    ledger.put_schedule(&nightly("s-one", "02:00")).await.unwrap();
    ledger.put_schedule(&nightly("s-two", "03:00")).await.unwrap();
    let (one, two) = (nightly("s-one", "02:00"), nightly("s-two", "03:00"));
    assert_eq!(ledger.schedules().await.unwrap(), [one.clone(), two.clone()]);
    assert!(ledger.remove_schedule(&one.id).await.unwrap());
    assert!(!ledger.remove_schedule(&one.id).await.unwrap());
    assert_eq!(ledger.schedules().await.unwrap(), [two]);
}

pub async fn windows_close_once_and_keep_their_name(ledger: &dyn Ledger) {
    let window = |id: &str, scope: WindowScope, opens_at: u64, closes_at: u64| Window {
        id: id.parse().unwrap(),
        scope,
        opens_at: UnixMillis(opens_at),
        closes_at: UnixMillis(closes_at),
        rate_bps_max: Some(1_200_000_000),
        bytes_max: None,
        closed: false,
    };
    let late = window("w-late", WindowScope::Site("site-a".parse().unwrap()), 300, 400);
    let early = window("w-early", WindowScope::Everyone, 100, 200);
    ledger.add_window(&late).await.unwrap();
    ledger.add_window(&early).await.unwrap();
    assert!(matches!(ledger.add_window(&early).await, Err(StoreError::Taken(_))));
    assert_eq!(ledger.windows(UnixMillis(0)).await.unwrap(), [early.clone(), late.clone()]);
    assert_eq!(ledger.windows(UnixMillis(200)).await.unwrap(), std::slice::from_ref(&late));
    let closed = ledger.close_window(&late.id).await.unwrap().unwrap();
    assert_eq!(closed, Window { closed: true, ..late.clone() });
    assert_eq!(ledger.close_window(&late.id).await.unwrap(), Some(closed.clone()));
    assert_eq!(ledger.windows(UnixMillis(200)).await.unwrap(), [closed], "readers see it too");
    assert_eq!(ledger.close_window(&"no-window".parse().unwrap()).await.unwrap(), None);
}

pub async fn a_plan_only_rises(ledger: &dyn Ledger) {
    let plan = |serial: u64, appliances: &[&str]| NightPlan {
        id: PlanId(Uuid::new_v4()),
        serial,
        made_at: UnixMillis(serial * 10),
        follows: None,
        appliances: appliances
            .iter()
            .map(|id| AppliancePlan {
                appliance: id.parse().unwrap(),
                pulls: Vec::new(),
                prunes: vec![control_types::ObjectId([7; 32])],
                moves: Vec::new(),
                rate: None,
                border: None,
            })
            .collect(),
    };
    assert_eq!(ledger.plan().await.unwrap(), None);
    let second = plan(2, &["edge-b", "edge-a"]);
    assert_eq!(ledger.put_plan(&second).await.unwrap(), PlanPut::Stored);
    assert_eq!(ledger.plan().await.unwrap(), Some(second.clone()), "parts keep their order");
    for stale in [1, 2] {
        let put = ledger.put_plan(&plan(stale, &[])).await.unwrap();
        assert_eq!(put, PlanPut::Stale { serial: 2 });
    }
    assert_eq!(ledger.plan().await.unwrap(), Some(second));
    let empty = plan(3, &[]);
    assert_eq!(ledger.put_plan(&empty).await.unwrap(), PlanPut::Stored);
    assert_eq!(ledger.plan().await.unwrap(), Some(empty));
    // Two plans that were made on the third: one takes its place, the other knows nothing of that.
    for (serial, follows, put) in [
        (4, 2, PlanPut::Stale { serial: 3 }),
        (5, 3, PlanPut::Stored),
        (6, 3, PlanPut::Stale { serial: 5 }),
        (5, 5, PlanPut::Stale { serial: 5 }),
        (6, 5, PlanPut::Stored),
    ] {
        let offered = NightPlan { follows: Some(follows), ..plan(serial, &[]) };
        assert_eq!(ledger.put_plan(&offered).await.unwrap(), put, "{serial} after {follows}");
    }
}
