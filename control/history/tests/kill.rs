//! Goal: a position that was recorded is there after `kill -9`. Method: this test binary runs
//! itself as a child that records positions and prints each once it was accepted; the parent kills
//! it in the midst and asks where to go on.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use control_history::History;
use control_store::{PlayRow, open_embedded};
use control_types::UnixMillis;
use control_types::play::{PlayEvent, PlayEventKind};

const CHILD_DIRECTORY: &str = "NIGHTFILL_HISTORY_CHILD";

fn film() -> PlayRow {
    PlayRow {
        play: format!("{:032x}", 1).parse().unwrap(),
        account: format!("{:032x}", 2).parse().unwrap(),
        profile: format!("{:032x}", 3).parse().unwrap(),
        title: "film".parse().unwrap(),
        pressed_at: UnixMillis(1_700_000_000_000),
    }
}

#[test]
fn a_recorded_position_survives_kill_9() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        record_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_recorded_position_survives_kill_9", "--nocapture"])
        .env(CHILD_DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last: u64 = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("recorded ")?.parse().ok())
        .take(100)
        .last()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(last, 100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let resume = runtime.block_on(async {
        let ports = open_embedded(directory.path()).await.unwrap();
        let history = History::new(ports.activity.clone(), ports.events.clone());
        let film = film();
        assert_eq!(history.play(&film.play).await.unwrap(), Some(film.clone()));
        history.resume_ms(&film.profile, &film.title).await.unwrap()
    });
    assert!(resume >= last, "went back from {last} to {resume}");
}

fn record_until_killed(directory: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ports = open_embedded(directory).await.unwrap();
        let history = History::new(ports.activity.clone(), ports.events.clone());
        let film = film();
        history.begin(&film).await.unwrap();
        for second in 1..u64::MAX {
            let position_ms = second * 1_000;
            let event = PlayEvent {
                kind: PlayEventKind::Heartbeat,
                position_ms,
                since_press_ms: position_ms,
                appliance: None,
                height: 0,
                buffer_ms: 0,
                bytes: 0,
                stall_ms: 0,
                detail: String::new(),
                trouble: None,
                first_byte_ms: None,
            };
            let now = film.pressed_at.plus_millis(position_ms);
            history.record(&film, u64::MAX / 1_000, &[event], now).await.unwrap();
            println!("recorded {position_ms}");
        }
    });
    unreachable!("the loop above outlasts every parent")
}
