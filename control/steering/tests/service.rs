//! Goal: the registry, keys, reports and health behave over the real embedded ledger, restarts
//! included. Method: a private directory for each test, time as numbers.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::path::Path;

use control_steering::{Question, Reach, Settings, Steering, SteeringError};
use control_store::open_embedded;
use control_types::ErrorWord;
use control_types::fleet::{ApplianceReport, Health, Role};
use control_types::{ApplianceId, UnixMillis};
use lab::{NOW, SILENT_MS, object, record, report, site, title, volume, wanted};

async fn steering(state_dir: &Path) -> Steering {
    let ports = open_embedded(state_dir).await.unwrap();
    Steering::open(ports.ledger, Settings { silent_ms: SILENT_MS, ..Settings::default() })
        .await
        .unwrap()
}

/// One site, one edge, and the edge's key.
async fn one_edge(state_dir: &Path) -> (Steering, ApplianceId, String) {
    let steering = steering(state_dir).await;
    steering.put_site(&site("a", "isp", &["10.0.0.0/8"])).await.unwrap();
    let made = steering.put_appliance(&record("e1", "a", Role::Edge), NOW).await.unwrap();
    (steering, "e1".parse().unwrap(), made.key.unwrap())
}

fn health_at(steering: &Steering, now: UnixMillis) -> Health {
    steering.appliances(now)[0].health
}

fn ranked(steering: &Steering, now: UnixMillis) -> Vec<String> {
    let (title, objects) = (title(), wanted());
    let question = Question::new("10.0.0.1".parse().unwrap(), &title, &objects);
    steering.rank(&question, now).into_iter().map(|place| place.appliance.to_string()).collect()
}

#[tokio::test]
async fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, id, key) = one_edge(directory.path()).await;
    assert_eq!(steering.authenticate(&key), Some(id.clone()));
    assert_eq!(steering.authenticate(""), None);
    assert_eq!(steering.authenticate(&key[1..]), None);
    let again = steering.put_appliance(&record("e1", "a", Role::Tier), NOW).await.unwrap();
    assert_eq!(again.key, None, "replacing a record keeps its key");
    assert_eq!(steering.authenticate(&key), Some(id.clone()));
    drop(steering);
    let mut files = vec![directory.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!found, "{} holds the key in clear", path.display());
    }
}

#[tokio::test]
async fn registry_survives_a_restart_and_reports_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (before, id, key) = one_edge(directory.path()).await;
    before.drain(&id, &Reach::Everything).await.unwrap();
    before.report(report("e1", 1), NOW).unwrap();
    drop(before);
    let after = steering(directory.path()).await;
    assert_eq!(after.authenticate(&key), Some(id.clone()));
    assert_eq!(after.site_of(&id).unwrap().as_str(), "a");
    assert_eq!(health_at(&after, NOW), Health::Unheard);
    let mut bare = report("e1", 2);
    bare.content = None;
    let heard = after.report(bare, NOW).unwrap();
    assert!(heard.want_content && heard.drain, "{heard:?}");
    assert_eq!(health_at(&after, NOW), Health::Draining);
    after.undrain(&id, &Reach::Everything).await.unwrap();
    assert_eq!(health_at(&after, NOW), Health::Healthy, "a refresh keeps reports");
}

#[tokio::test]
async fn another_isps_prefix_and_other_mistakes_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let put = |id: &str, isp: &str, prefix: &str| {
        let site = site(id, isp, &[prefix]);
        let steering = &steering;
        async move { steering.put_site(&site).await }
    };
    let claimed = put("b", "rival", "10.0.0.0/8").await.unwrap_err();
    assert_eq!(claimed.word(), ErrorWord::Conflict);
    assert!(claimed.to_string().contains("ISP isp at site a"), "{claimed}");
    let inside = put("b", "rival", "10.7.0.0/16").await.unwrap_err();
    assert_eq!(inside.word(), ErrorWord::Conflict, "the longer match would win");
    assert!(inside.to_string().contains("10.7.0.0/16 overlaps 10.0.0.0/8"), "{inside}");
    put("b", "rival", "2001:db8:1::/48").await.unwrap();
    let around = put("a", "isp", "2001:db8::/32").await.unwrap_err();
    assert!(around.to_string().contains("2001:db8::/32 overlaps 2001:db8:1::/48"), "{around}");
    put("c", "isp", "10.0.0.0/8").await.expect("another site of the same ISP");
    put("c", "isp", "10.7.0.0/16").await.expect("a part of its own network");
    put("a", "isp", "10.0.0.0/8").await.expect("the same site again");
    put("a", "rival", "10.0.0.0/8").await.expect_err("a site that changes hands claims anew");
    for bad in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3", "10.0.0.1/8", "ten"] {
        assert_eq!(put("d", "isp", bad).await.unwrap_err().word(), ErrorWord::BadRequest, "{bad}");
    }
    let nowhere = steering.put_appliance(&record("e9", "gone", Role::Edge), NOW).await.unwrap_err();
    assert!(matches!(nowhere, SteeringError::UnknownSite(_)));
    let unknown: ApplianceId = "e9".parse().unwrap();
    assert_eq!(
        steering.drain(&unknown, &Reach::Everything).await.unwrap_err().word(),
        ErrorWord::NotFound
    );
    assert_eq!(steering.remove_appliance(&unknown).await.unwrap_err().word(), ErrorWord::NotFound);
    assert!(steering.report(report("e9", 1), NOW).is_err());
}

#[tokio::test]
async fn a_removed_appliance_is_gone_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, id, key) = one_edge(directory.path()).await;
    steering.report(report("e1", 1), NOW).unwrap();
    assert_eq!(ranked(&steering, NOW), ["e1"]);
    steering.remove_appliance(&id).await.unwrap();
    assert_eq!(steering.authenticate(&key), None);
    assert!(ranked(&steering, NOW).is_empty());
    assert!(steering.fleet().states.is_empty());
}

#[tokio::test]
async fn content_is_asked_for_until_it_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let said = |sequence, change: &dyn Fn(&mut ApplianceReport)| {
        let mut report = report("e1", sequence);
        report.content = None;
        change(&mut report);
        steering.report(report, NOW).unwrap().want_content
    };
    let objects = || steering.appliances(NOW)[0].objects;
    assert!(said(1, &|_| {}), "never seen");
    assert!(!said(2, &|report| report.content = Some(lab::held(&wanted()))));
    assert_eq!(objects(), 4);
    assert!(!said(3, &|_| {}), "same digest");
    assert!(said(4, &|report| report.content_digest = "more".into()), "changed");
    assert_eq!(objects(), 4, "the last known set stands until then");
    assert!(said(5, &|report| report.quarantined = vec![object(1)]), "not all of it is true");
    assert_eq!(objects(), 3);
}

#[tokio::test]
async fn a_late_report_changes_nothing_and_a_new_run_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let load = || steering.appliances(NOW)[0].report.as_ref().unwrap().sending_bps;
    let said = |sequence, run: u128, bps| {
        let mut report = report("e1", sequence);
        report.run = uuid::Uuid::from_u128(run);
        report.sending_bps = bps;
        match steering.report(report, NOW) {
            Ok(_) => "taken",
            Err(SteeringError::Unproven { why, .. }) => why.as_word(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(said(7, 1, 70), "taken");
    assert_eq!((said(6, 1, 60), said(7, 1, 71)), ("report_stale", "report_stale"));
    assert_eq!(load(), 70);
    assert_eq!(said(1, 2, 10), "taken");
    assert_eq!(load(), 10);
    // The earlier run goes on, or somebody plays its reports again: not while the later one lives.
    assert_eq!((said(7, 1, 72), said(8, 1, 73)), ("duplicate", "duplicate"));
    assert_eq!(load(), 10);
    let counted = |word| {
        let counts = steering.counted().unproven;
        counts.into_iter().find(|(known, _)| *known == word).unwrap().1
    };
    assert_eq!((counted("report_stale"), counted("duplicate")), (2, 2));
}

/// An upgrade that failed: the new program reports once and is gone, the old one goes on.
#[tokio::test]
async fn an_earlier_run_goes_on_once_the_later_one_is_silent() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let said = |sequence, run: u128, now| {
        let mut report = report("e1", sequence);
        report.run = uuid::Uuid::from_u128(run);
        steering.report(report, now).is_ok()
    };
    assert!(said(7, 1, NOW) && said(1, 2, NOW));
    assert!(!said(8, 1, NOW.plus_millis(SILENT_MS)));
    let later = NOW.plus_millis(SILENT_MS + 1);
    assert!(!said(7, 1, later), "a report played again is none, whoever is silent");
    assert!(said(8, 1, later));
    assert!(!said(2, 2, later), "now the other one is the earlier");
}

/// Goal: a box out of breath fills, a busy second does not. Method: reports of a busy processor.
#[tokio::test]
async fn a_processor_that_stays_busy_is_load() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let mut sequence = 0;
    let mut after = |cpu_per_mille: u32, times: u64| {
        for _ in 0..times {
            sequence += 1;
            let mut report = report("e1", sequence);
            let machine = control_types::fleet::MachineReport {
                cpu_per_mille,
                ..control_types::fleet::MachineReport::default()
            };
            report.more.machine = Some(machine);
            steering.report(report, NOW.plus_millis(sequence)).unwrap();
        }
        let fleet = steering.fleet_at(NOW.plus_millis(sequence + 1));
        let load = fleet.seen(&"e1".parse().unwrap()).unwrap().load;
        (load.per_mille, load.step)
    };
    assert_eq!(after(0, 3).0, 0);
    let (one_second, step) = after(1_000, 1);
    assert!(one_second < 200 && step == 0, "{one_second}");
    let (minute, step) = after(1_000, 60);
    assert!(minute > 950 && step == 3, "{minute}");
    assert_eq!(after(0, 60).1, 0, "and it passes");
}

#[tokio::test]
async fn silence_is_noticed_in_time_and_forgiven_after_two_reports() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    steering.report(report("e1", 1), NOW).unwrap();
    assert_eq!(health_at(&steering, NOW.plus_millis(SILENT_MS)), Health::Healthy);
    assert_eq!(health_at(&steering, NOW.plus_millis(SILENT_MS + 1)), Health::Silent);
    // Another goes on reporting: the silence is the first one's own.
    let back = another_reports(&steering, NOW, 60).await;
    assert_eq!(health_at(&steering, back), Health::Silent);
    steering.report(report("e1", 2), back).unwrap();
    assert_eq!(health_at(&steering, back), Health::Silent, "one packet is not a return");
    steering.report(report("e1", 3), back.plus_millis(1_000)).unwrap();
    assert_eq!(health_at(&steering, back.plus_millis(1_000)), Health::Healthy);
}

/// Appliance `e2` reports once a second from `from` on; returns the moment of its last report.
async fn another_reports(steering: &Steering, from: UnixMillis, seconds: u64) -> UnixMillis {
    steering.put_appliance(&record("e2", "a", Role::Edge), from).await.unwrap();
    for second in 1..=seconds {
        let at = from.plus_millis(second * 1_000);
        steering.report(report("e2", at.0), at).unwrap();
    }
    from.plus_millis(seconds * 1_000)
}

#[tokio::test]
async fn each_silence_soon_after_another_takes_twice_as_long_to_forgive() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let (mut now, mut sequence) = (NOW, 0);
    let mut needed = Vec::new();
    for _ in 0..4 {
        now = another_reports(&steering, now, 10).await;
        let mut reports = 0;
        while reports == 0 || health_at(&steering, now) != Health::Healthy {
            now = now.plus_millis(1_000);
            (reports, sequence) = (reports + 1, sequence + 1);
            steering.report(report("e1", sequence), now).unwrap();
            assert!(reports < 100, "it never came back");
        }
        needed.push(reports);
    }
    assert_eq!(needed, [1, 2, 4, 8], "the first time it is new, and trusted");
    for _ in 0..300 {
        now = now.plus_millis(1_000);
        sequence += 1;
        steering.report(report("e1", sequence), now).unwrap();
    }
    now = another_reports(&steering, now, 10).await;
    steering.report(report("e1", sequence + 1), now).unwrap();
    steering.report(report("e1", sequence + 2), now).unwrap();
    assert_eq!(health_at(&steering, now), Health::Healthy, "five good minutes wipe the slate");
}

/// Goal: a wall clock that jumps either way, or a control that was paused, leaves the fleet as it
/// was; and a box that died just before a jump back does not live on until the clock is there
/// again.
#[tokio::test]
async fn a_clock_that_jumps_ages_nobody() {
    const HOUR_MS: u64 = 3_600_000;
    for (case, jumped) in
        [("forward", UnixMillis(NOW.0 + HOUR_MS)), ("back", UnixMillis(NOW.0 - HOUR_MS))]
    {
        let directory = tempfile::tempdir().unwrap();
        let (steering, ..) = one_edge(directory.path()).await;
        for id in ["e2", "e3"] {
            steering.put_appliance(&record(id, "a", Role::Edge), NOW).await.unwrap();
        }
        for id in ["e1", "e2", "e3"] {
            steering.report(report(id, 1), NOW).unwrap();
        }
        let before = ranked(&steering, NOW);
        assert_eq!(before.len(), 3);
        assert_eq!(ranked(&steering, jumped), before, "{case}: before anybody reports again");
        let all_healthy = steering.fill_appliances(jumped).iter().all(|line| line.healthy);
        assert!(all_healthy, "{case}: the night is planned for the fleet as it was");
        let mut at = jumped;
        for sequence in 2..=5 {
            at = at.plus_millis(1_000);
            steering.report(report("e1", sequence), at).unwrap();
            steering.report(report("e2", sequence), at).unwrap();
            let healthy = |id: &str| {
                let lines = steering.appliances(at);
                lines.iter().any(|l| l.record.id.as_str() == id && l.health == Health::Healthy)
            };
            assert!(healthy("e1") && healthy("e2"), "{case}: report {sequence}");
            // The first report after the jump counts for no time, so `e3` has three seconds more.
            assert!(healthy("e3"), "{case}: report {sequence}");
        }
        at = at.plus_millis(1_000);
        steering.report(report("e1", 6), at).unwrap();
        assert_eq!(ranked(&steering, at).len(), 2, "{case}: the one that died is left out");
    }
}

/// Goal: a report of one box cannot make all others wait, nor fill the memory.
#[tokio::test]
async fn a_report_says_no_more_than_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let mut long = report("e1", 1);
    long.content_digest = "x".repeat(1_025);
    assert_eq!(steering.report(long, NOW).unwrap_err().word(), ErrorWord::BadRequest);
    let mut many = report("e1", 1);
    many.volumes = vec![volume(true); 129];
    assert_eq!(steering.report(many, NOW).unwrap_err().word(), ErrorWord::BadRequest);

    let name = |number: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        control_types::ObjectId(bytes)
    };
    let all: Vec<_> = (0..60_000).map(name).collect();
    let mut hostile = report("e1", 2);
    hostile.content = Some(lab::held(&all));
    hostile.quarantined = (30_000..90_000).map(name).collect();
    let begin = std::time::Instant::now();
    steering.report(hostile, NOW).unwrap();
    // Each against each would be nearly two thousand million comparisons.
    assert!(begin.elapsed().as_secs() < 5, "it took {:?}", begin.elapsed());
    let kept = &steering.appliances(NOW)[0];
    assert_eq!(kept.objects, 30_000);
    assert!(kept.report.as_ref().unwrap().quarantined.len() <= 1_000, "copied each second");
    let mut digest = report("e1", 3);
    digest.more.revoked_digest = Some("x".repeat(1_025));
    assert_eq!(steering.report(digest, NOW).unwrap_err().word(), ErrorWord::BadRequest);
}

#[tokio::test]
async fn errors_make_sick_slowly_and_well_more_slowly() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let mut errors_total = 0;
    let mut said = |sequence: u64, errors: u64| {
        errors_total += errors;
        let at = NOW.plus_millis(sequence * 1_000);
        let mut report = report("e1", sequence);
        report.errors_total = errors_total;
        steering.report(report, at).unwrap();
        health_at(&steering, at)
    };
    assert_eq!(said(1, 90), Health::Healthy, "totals from before we listened prove nothing");
    assert_eq!(said(2, 4), Health::Healthy, "4 in 100 is within bounds");
    assert_eq!(said(3, 50), Health::Healthy, "one burst");
    assert_eq!(said(4, 5), Health::Sick, "two bad reports in a row");
    for sequence in 5..9 {
        assert_eq!(said(sequence, 0), Health::Sick, "report {sequence}");
    }
    assert_eq!(said(9, 0), Health::Healthy, "five good ones in a row");
    // Members come back to it and it fails again: now it takes twice as many.
    said(10, 50);
    assert_eq!(said(11, 50), Health::Sick);
    for sequence in 12..21 {
        assert_eq!(said(sequence, 0), Health::Sick, "report {sequence}");
    }
    assert_eq!(said(21, 0), Health::Healthy, "ten good ones in a row");
}

#[tokio::test]
async fn a_box_that_fails_every_one_of_its_few_requests_is_sick() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let said = |sequence: u64, requests_total: u64, errors_total: u64| {
        let report = ApplianceReport { requests_total, errors_total, ..report("e1", sequence) };
        let at = NOW.plus_millis(sequence * 1_000);
        steering.report(report, at).unwrap();
        health_at(&steering, at)
    };
    assert_eq!(said(1, 0, 0), Health::Healthy);
    assert_eq!(said(2, 1, 1), Health::Healthy, "one error proves nothing");
    let states: Vec<Health> = (3..=10).map(|at| said(at, at * 4, at * 4)).collect();
    assert_eq!(states[7], Health::Sick, "{states:?}");
    // Nobody is sent to it, so nobody asks: it is given another chance.
    let states: Vec<Health> = (11..=15).map(|at| said(at, 40, 40)).collect();
    assert_eq!((states[3], states[4]), (Health::Sick, Health::Healthy), "{states:?}");
}

#[tokio::test]
async fn a_box_whose_volumes_are_all_bad_is_sick_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    let mut bad = report("e1", 1);
    bad.volumes = vec![volume(false)];
    steering.report(bad, NOW).unwrap();
    assert_eq!(health_at(&steering, NOW), Health::Sick);
    let state = steering.fill_appliances(NOW);
    assert!(!state[0].healthy);
    assert_eq!(state[0].isp.as_str(), "isp");
    assert_eq!(state[0].holds.len(), 4);
}

#[tokio::test]
async fn the_steering_manifest_is_the_ranked_list() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, ..) = one_edge(directory.path()).await;
    steering.put_appliance(&record("e2", "a", Role::Edge), NOW).await.unwrap();
    steering.report(report("e1", 1), NOW).unwrap();
    steering.report(report("e2", 1), NOW).unwrap();
    let (title, objects) = (title(), wanted());
    let question = Question::new("10.0.0.1".parse().unwrap(), &title, &objects);
    let manifest = steering.steering_manifest(&question, 10, "https://control/again".into(), NOW);
    assert_eq!((manifest.version, manifest.ttl), (1, 10));
    assert_eq!(manifest.pathway_priority, ranked(&steering, NOW));
    assert_eq!(manifest.pathway_priority.len(), 2);
    let explained = steering.explain(&question, NOW);
    assert_eq!(explained.matched_prefix.as_deref(), Some("10.0.0.0/8"));
    assert_eq!(explained.candidates.len(), 2);
    assert_eq!(steering.home_sites("10.9.9.9".parse().unwrap()).len(), 1);
    assert!(steering.home_sites("192.0.2.1".parse().unwrap()).is_empty());
}

/// Reports, decisions and drains at once: no report is lost and no reader sees half a fleet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reports_from_many_boxes_at_once_are_all_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, first, _) = one_edge(directory.path()).await;
    for number in 2..=8 {
        let record = record(&format!("e{number}"), "a", Role::Edge);
        steering.put_appliance(&record, NOW).await.unwrap();
    }
    let steering = std::sync::Arc::new(steering);
    let reporters = (1..=8).map(|number| {
        let steering = std::sync::Arc::clone(&steering);
        tokio::task::spawn_blocking(move || {
            for sequence in 1..=50 {
                steering.report(report(&format!("e{number}"), sequence), NOW).unwrap();
                assert!(ranked(&steering, NOW).len() <= 8);
            }
        })
    });
    let reporters: Vec<_> = reporters.collect();
    for _ in 0..5 {
        steering.drain(&first, &Reach::Everything).await.unwrap();
        steering.undrain(&first, &Reach::Everything).await.unwrap();
    }
    for reporter in reporters {
        reporter.await.unwrap();
    }
    let fleet = steering.fleet();
    let fleet = {
        drop(fleet);
        steering.fleet_at(NOW.plus_millis(1))
    };
    let seen: Vec<_> = fleet.states.iter().filter_map(|state| state.seen.as_ref()).collect();
    assert_eq!(seen.len(), 8);
    assert!(seen.iter().all(|seen| seen.report.sequence == 50));
}
