//! The access log as an operator keeps it: sampled, moved away, and never without what went wrong.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{Setup, eventually, payload};

#[test]
fn good_answers_are_sampled_and_bad_ones_are_all_there_also_after_a_move() {
    let setup = Setup::new();
    let (file, moved) = (setup.path("access.json"), setup.path("moved.json"));
    let setup = setup.section("log", &format!("access = {file:?}\nsample = 0.0\n"));
    let object = setup.publish(0, "night", &payload(5000, 23));
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let mut connection = appliance.connect();
    let outcomes = |file: &std::path::Path| -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|line| line["outcome"].as_str().unwrap().to_owned())
            .collect()
    };
    for _ in 0..5 {
        assert_eq!(connection.get(&path, "").status, 200);
        assert_eq!(connection.get("/v/none", "").status, 404);
    }
    eventually("the bad ones are written", || outcomes(&file).len() == 5);
    assert!(outcomes(&file).iter().all(|word| word == "no_route"), "{:?}", outcomes(&file));
    std::fs::rename(&file, &moved).unwrap();
    let pid = Pid::from_raw(i32::try_from(appliance.child.id()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("a new file is begun", || file.exists());
    assert_eq!(connection.get("/v/none", "").status, 404);
    eventually("lines go to the new file", || outcomes(&file).len() == 1);
    assert_eq!(outcomes(&moved).len(), 5);
}

/// Goal: sixteen neighbours that ask every second whether we are there fill nobody's disk.
#[test]
fn what_neighbours_ask_is_counted_and_not_logged() {
    let setup = Setup::new();
    let file = setup.path("access.json");
    let appliance = setup.section("log", &format!("access = {file:?}\n")).start();
    let mut connection = appliance.connect();
    assert_eq!(connection.ask("OPTIONS", oca::sovereign::LOOK_PATH, "").status, 204);
    assert_eq!(connection.ask("OPTIONS", "/v/night/x", "").status, 204);
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("a browser's question is written", || text().ends_with('\n'));
    assert!(text().lines().count() == 1 && text().contains("/v/night/x"), "{}", text());
    appliance.counts("answers_total", "outcome=\"preflight\"", 2.0);
}

#[test]
fn a_process_exports_what_it_costs() {
    let appliance = Setup::new().start();
    assert_eq!(appliance.get("/v/none").status, 404);
    let metric = |name: &str| appliance.metric(&format!("nightfill_oca_{name}"), "");
    assert!(metric("process_cpu_seconds_total") > 0.0);
    // The answer is counted once its last byte is known to be gone, which may be after it is here.
    eventually("bytes were sent and cost something", || metric("process_cpu_seconds_per_gb") > 0.0);
    assert!(metric("process_resident_bytes") > 1e6);
    assert!((appliance.metric("nightfill_oca_build", "version=") - 1.0).abs() < 0.1);
}
