//! Goal: sessions under way move when they must, one by one, and stay where they are otherwise.
//! Method: thousands of simulated sessions that ask again every ten seconds; time is an argument.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use control_steering::{Question, Reach, Settings, Steering};
use control_store::open_embedded;
use control_types::fleet::{ApplianceReport, Maintenance, Role};
use control_types::{ApplianceId, UnixMillis};
use lab::{CAPACITY_BPS, NOW, record, report, site, title, wanted};

const SESSIONS: u64 = 3_000;
const TTL_MS: u64 = 10_000;

struct Network {
    steering: Steering,
    _directory: tempfile::TempDir,
}

async fn network(boxes: usize) -> Network {
    let directory = tempfile::tempdir().unwrap();
    let ports = open_embedded(directory.path()).await.unwrap();
    let steering = Steering::open(ports.ledger, Settings::default()).await.unwrap();
    steering.put_site(&site("a", "isp", &["10.0.0.0/8"])).await.unwrap();
    for number in 0..boxes {
        let record = record(&format!("e{number}"), "a", Role::Edge);
        steering.put_appliance(&record, NOW).await.unwrap();
    }
    Network { steering, _directory: directory }
}

impl Network {
    fn all_report(&self, boxes: usize, at: UnixMillis, change: impl Fn(&mut ApplianceReport)) {
        for number in 0..boxes {
            let mut report = report(&format!("e{number}"), at.0);
            change(&mut report);
            self.steering.report(report, at).unwrap();
        }
    }

    fn first(&self, session: u64, current: Option<&ApplianceId>, at: UnixMillis) -> ApplianceId {
        let (title, objects) = (title(), wanted());
        let question = Question::new("10.0.0.1".parse().unwrap(), &title, &objects);
        let ranked = self.steering.rank(&question.of_session(session, current), at);
        ranked[0].appliance.clone()
    }
}

/// When each session left `e0`, milliseconds after `begin`, asking every ten seconds.
fn departures(network: &Network, from: &ApplianceId, begin: UnixMillis) -> Vec<u64> {
    let mut left = Vec::new();
    for step in 0..=70u64 {
        let at = begin.plus_millis(step * 1_000);
        network.all_report(3, at, |_| {});
        for session in 0..SESSIONS {
            let asks = session % (TTL_MS / 1_000) == step % (TTL_MS / 1_000);
            if asks && left.len() <= session as usize {
                left.resize(session as usize + 1, None);
            }
            if asks && left[session as usize].is_none() {
                let first = network.first(session, Some(from), at);
                if first != *from {
                    left[session as usize] = Some(step * 1_000);
                }
            }
        }
    }
    left.into_iter().map(|left| left.unwrap_or(u64::MAX)).collect()
}

fn check_drained(left: &[u64]) {
    let within = |ms: u64| left.iter().filter(|at| **at <= ms).count() as u64;
    assert!(within(60_000) * 100 >= SESSIONS * 99, "{} of {SESSIONS} in a minute", within(60_000));
    let mut busiest = 0;
    for second in 0..60 {
        busiest = busiest.max(within((second + 1) * 1_000) - within(second * 1_000));
    }
    assert!(busiest * 4 < SESSIONS, "{busiest} of {SESSIONS} left in one second");
    assert!(within(5_000) * 2 < SESSIONS, "one by one, not all at once");
}

#[tokio::test]
async fn a_drain_moves_everybody_within_a_minute_and_nobody_at_once() {
    let network = network(3).await;
    network.all_report(3, NOW, |_| {});
    let from: ApplianceId = "e0".parse().unwrap();
    // Nobody is sent there any more, from the first moment on.
    let _ = network.first(1, None, NOW);
    network.steering.drain(&from, &Reach::Everything).await.unwrap();
    for session in 0..SESSIONS {
        assert_ne!(network.first(session, None, NOW.plus_millis(1)), from);
    }
    check_drained(&departures(&network, &from, NOW.plus_millis(1)));
}

#[tokio::test]
async fn a_drain_ends_though_the_clock_is_set_back() {
    let network = network(3).await;
    let tomorrow = NOW.plus_millis(86_400_000);
    network.all_report(3, tomorrow, |report| report.sequence = 1);
    let from: ApplianceId = "e0".parse().unwrap();
    network.first(1, Some(&from), tomorrow);
    network.steering.drain(&from, &Reach::Everything).await.unwrap();
    let left = departures(&network, &from, NOW);
    assert!(left.iter().all(|at| *at <= 60_000), "they do not wait for tomorrow");
}

#[tokio::test]
async fn maintenance_is_a_drain_by_the_clock_and_ends_by_it() {
    let network = network(3).await;
    let mut record = record("e0", "a", Role::Edge);
    let begin = NOW.plus_millis(60_000);
    record.detail.maintenance =
        vec![Maintenance { from: begin, until: begin.plus_millis(600_000) }];
    network.steering.put_appliance(&record, NOW).await.unwrap();
    let from: ApplianceId = "e0".parse().unwrap();
    let mine = |at: UnixMillis| {
        network.all_report(3, at, |_| {});
        (0..200).filter(|session| network.first(*session, Some(&from), at) == from).count()
    };
    assert_eq!(mine(NOW), 200, "who streams from it stays");
    check_drained(&departures(&network, &from, begin));
    assert_eq!(mine(begin.plus_millis(100_000)), 0);
    assert_eq!(mine(begin.plus_millis(600_000)), 200);
}

#[tokio::test]
async fn a_process_that_ends_lets_go_of_everybody_at_once() {
    let network = network(3).await;
    network.all_report(3, NOW, |_| {});
    let from: ApplianceId = "e0".parse().unwrap();
    let at = NOW.plus_millis(500);
    let mut goodbye = report("e0", at.0);
    (goodbye.draining, goodbye.more.leaving) = (true, true);
    network.steering.report(goodbye, at).unwrap();
    for session in 0..200 {
        assert_ne!(network.first(session, Some(&from), at), from);
    }
}

#[tokio::test]
async fn a_dead_box_is_not_first_after_two_seconds() {
    let network = network(3).await;
    network.all_report(3, NOW, |_| {});
    let dead: ApplianceId = "e0".parse().unwrap();
    let mut gone_at = None;
    for step in 1..=40u64 {
        let at = NOW.plus_millis(step * 100);
        if step % 10 == 0 {
            for id in ["e1", "e2"] {
                network.steering.report(report(id, at.0), at).unwrap();
            }
        }
        let first = (0..100).any(|session| network.first(session, Some(&dead), at) == dead);
        if !first && gone_at.is_none() {
            gone_at = Some(step * 100);
        }
    }
    assert!(gone_at.is_some_and(|ms| ms <= 2_000), "{gone_at:?}");
}

/// Goal: a title that everybody wants is carried by more boxes before any box is full, and those
/// who stream already are left where they are.
#[tokio::test]
async fn a_viral_title_spreads_before_any_box_sheds() {
    let network = network(4).await;
    let mut live = [0u64; 4];
    let mut sessions: Vec<(u64, ApplianceId)> = Vec::new();
    let (mut at, mut moved) = (NOW, 0);
    for second in 0..60u64 {
        at = NOW.plus_millis(second * 1_000);
        for (number, live) in live.iter().enumerate() {
            let mut one = report(&format!("e{number}"), at.0);
            one.sending_bps = live * CAPACITY_BPS / 1_000;
            network.steering.report(one, at).unwrap();
        }
        for session in second * 30..(second + 1) * 30 {
            let first = network.first(session, None, at);
            live[first.as_str()[1..].parse::<usize>().unwrap()] += 1;
            sessions.push((session, first));
        }
        for (session, current) in &mut sessions {
            if *session % 10 == second % 10 {
                let first = network.first(*session, Some(current), at);
                moved += u32::from(first != *current);
            }
        }
    }
    assert_eq!(live.iter().sum::<u64>(), 1_800);
    assert!(live.iter().all(|live| *live < 700), "of 1,000 each: {live:?}");
    assert_eq!(moved, 0, "load moves nobody who streams");
    let _ = at;
}
