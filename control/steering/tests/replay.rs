//! Goal: what the log says is what was decided, and another policy decides it otherwise in the way
//! it says. Method: random worlds asked through the service's own recorder, replayed.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use control_steering::{Question, Settings, Steering, SteeringError};
use control_store::open_embedded;
use control_types::UnixMillis;
use control_types::fleet::Role;
use control_types::steering::{PolicyFile, ReplayRequest, RuleName};
use lab::{NOW, record, report, site, title, wanted};

async fn steering(state_dir: &std::path::Path) -> Steering {
    let ports = open_embedded(state_dir).await.unwrap();
    let steering = Steering::open(ports.ledger, Settings::default()).await.unwrap();
    steering.keep_log(ports.events);
    steering.put_site(&site("near", "isp", &["10.1.0.0/16"])).await.unwrap();
    steering.put_site(&site("wide", "isp", &["10.0.0.0/8"])).await.unwrap();
    for (id, at, sending_bps) in [("n1", "near", 800), ("n2", "near", 100), ("w1", "wide", 0)] {
        steering.put_appliance(&record(id, at, Role::Edge), NOW).await.unwrap();
        let mut report = report(id, 1);
        report.sending_bps = sending_bps * 1_000_000;
        steering.report(report, NOW).unwrap();
    }
    steering
}

fn ask(steering: &Steering, session: u64, ip: &str, at: UnixMillis) -> String {
    let (title, objects) = (title(), wanted());
    let question = Question::new(ip.parse().unwrap(), &title, &objects).of_session(session, None);
    steering.rank(&question, at)[0].appliance.to_string()
}

fn policy(change: impl FnOnce(&mut PolicyFile)) -> PolicyFile {
    let mut file = PolicyFile::default();
    change(&mut file);
    file
}

#[tokio::test]
async fn the_log_is_decided_again_as_it_was_and_otherwise_under_another_policy() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    let mut firsts = std::collections::BTreeMap::new();
    for session in 0..100 {
        let ip = if session % 4 == 0 { "10.9.0.1" } else { "10.1.0.1" };
        *firsts.entry(ask(&steering, session, ip, NOW)).or_insert(0u64) += 1;
    }
    steering.write_log().await.unwrap();
    let records = steering.log_between(NOW, NOW.plus_millis(1)).await.unwrap();
    assert_eq!(records.iter().map(|record| record.asks.len()).sum::<usize>(), 100);
    let replay =
        |policy: PolicyFile| steering.replay(&ReplayRequest { policy, records: records.clone() });
    let same = replay(PolicyFile::default()).unwrap();
    assert_eq!((same.asks, same.moved, &same.before), (100, 0, &same.after));
    let told: std::collections::BTreeMap<String, u64> =
        same.before.firsts.iter().map(|(id, count)| (id.to_string(), *count)).collect();
    assert_eq!(told, firsts, "the log decides what was decided");
    assert_eq!(same.before.outcomes["hit"], 75 + 25);
    // Without the prefix, load decides: the idle box far away takes everybody.
    let order = [RuleName::Absent, RuleName::Partial, RuleName::Headroom];
    let flat = replay(policy(|file| {
        file.order = Some(order.to_vec());
        file.busy_percent = Some(5);
    }));
    let flat = flat.unwrap();
    assert_eq!(flat.after.firsts[&"w1".parse().unwrap()], 100, "{:?}", flat.after.firsts);
    assert_eq!(flat.after.outcomes["policy"], 75);
    let none = replay(policy(|file| {
        file.weights.insert("n2".parse().unwrap(), 0.0);
        file.busy_percent = Some(90);
        file.high_percent = Some(92);
        file.spill_power = Some(0);
    }));
    let none = none.unwrap();
    let n1 = none.after.firsts.get(&"n1".parse().unwrap()).copied().unwrap_or(0);
    assert_eq!(n1, 75, "a box of no weight is behind its equal: {:?}", none.after.firsts);
}

#[tokio::test]
async fn a_policy_says_all_that_is_wrong_with_it_and_a_forged_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    ask(&steering, 1, "10.1.0.1", NOW);
    let mut records = steering.take_records();
    let wrong = policy(|file| {
        file.order = Some(vec![RuleName::Med, RuleName::Med]);
        file.busy_percent = Some(99);
        file.distance_step_km = Some(0);
        file.weights.insert("n1".parse().unwrap(), f64::NAN);
    });
    let request = ReplayRequest { policy: wrong, records: Vec::new() };
    let error = steering.replay(&request).unwrap_err().to_string();
    for part in ["stands twice", "let them rise", "distance_step_km", "weights.n1"] {
        assert!(error.contains(part), "{part} is missing in {error}");
    }
    for bent in ["", "AAAA", "not base64!", &"A".repeat(64)] {
        records[0].asks[0].candidates = bent.to_owned();
        let request = ReplayRequest { policy: PolicyFile::default(), records: records.clone() };
        let replayed = steering.replay(&request);
        match bent {
            "" => assert_eq!(replayed.unwrap().before.nobody, 1),
            _ => drop(replayed.map(|answer| assert_eq!(answer.asks, 1))),
        }
    }
    records[0].asks[0].candidates = "A".repeat(31);
    let request = ReplayRequest { policy: PolicyFile::default(), records };
    assert!(matches!(steering.replay(&request), Err(SteeringError::BadRecord { .. })));
    assert!(serde_json::from_str::<PolicyFile>("{\"busy\": 3}").is_err(), "unknown keys");
}

#[tokio::test]
async fn a_decision_of_the_past_is_found_and_explained_by_what_was_known_then() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    for minute in 0..30u64 {
        let at = NOW.plus_millis(minute * 60_000);
        for id in ["n1", "n2", "w1"] {
            let mut report = report(id, at.0);
            report.sending_bps = if minute < 10 && id == "n1" { 990_000_000 } else { 0 };
            steering.report(report, at).unwrap();
        }
        ask(&steering, minute, "10.1.0.1", at);
        steering.write_log().await.unwrap();
    }
    let (ip, title) = ("10.1.77.7".parse().unwrap(), title());
    let at = NOW.plus_millis(5 * 60_000 + 30_000);
    let found = steering.log_find(ip, &title, at).await.unwrap().unwrap();
    let told = steering.explain_recorded(&found.record, found.ask(), ip).unwrap();
    assert_eq!(told.decided_at, Some(NOW.plus_millis(5 * 60_000)));
    assert_eq!(told.matched_prefix.as_deref(), Some("10.1.0.0/16"));
    let n1 = told.candidates.iter().find(|one| one.appliance.as_str() == "n1").unwrap();
    assert!(n1.because.contains("99% load"), "{}", n1.because);
    assert_eq!(n1.reason, "full");
    let elsewhere = "192.0.2.1".parse().unwrap();
    assert!(steering.log_find(elsewhere, &title, at).await.unwrap().is_none());
    let before = UnixMillis(NOW.0 - 1);
    assert!(steering.log_find(ip, &title, before).await.unwrap().is_none());
    assert_eq!(steering.log_begins().await.unwrap(), Some(NOW));
}
