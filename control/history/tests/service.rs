//! History over the real activity store: what players report becomes where members go on.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_history::{History, HistoryError, PLAYS_KEPT_MS, TOPIC_PLAYS, TOPIC_POSITIONS};
use control_store::{Offset, PlayRow, Ports, open_embedded};
use control_types::play::{PlayEvent, PlayEventKind};
use control_types::{PlayId, ProfileId, TitleId, UnixMillis};
use tempfile::TempDir;

const PRESSED: UnixMillis = UnixMillis(1_700_000_000_000);
const FILM_MS: u64 = 600_000;

struct Bench {
    history: History,
    ports: Ports,
    state: TempDir,
}

async fn bench() -> Bench {
    let state = tempfile::tempdir().unwrap();
    let ports = open_embedded(state.path()).await.unwrap();
    let history = History::new(ports.activity.clone(), ports.events.clone());
    Bench { history, ports, state }
}

fn profile(number: u128) -> ProfileId {
    format!("{number:032x}").parse().unwrap()
}

fn title(name: &str) -> TitleId {
    name.parse().unwrap()
}

fn play(number: u128, profile: ProfileId, name: &str, pressed_at: UnixMillis) -> PlayRow {
    PlayRow {
        play: format!("{:032x}", number + 0xf000).parse().unwrap(),
        account: format!("{:032x}", 1).parse().unwrap(),
        profile,
        title: title(name),
        pressed_at,
    }
}

fn event(kind: PlayEventKind, since_press_ms: u64, position_ms: u64) -> PlayEvent {
    PlayEvent {
        kind,
        position_ms,
        since_press_ms,
        appliance: None,
        height: 720,
        buffer_ms: 10_000,
        bytes: 0,
        stall_ms: 0,
        detail: String::new(),
        trouble: None,
        first_byte_ms: None,
    }
}

/// Reports one event as soon as it happens.
async fn report(bench: &Bench, play: &PlayRow, kind: PlayEventKind, since: u64, position: u64) {
    let now = play.pressed_at.plus_millis(since);
    bench.history.record(play, FILM_MS, &[event(kind, since, position)], now).await.unwrap();
}

#[tokio::test]
async fn a_member_goes_on_where_they_left_off() {
    let bench = bench().await;
    let ann = profile(1);
    let film = play(1, ann, "film", PRESSED);
    bench.history.begin(&film).await.unwrap();
    assert_eq!(bench.history.resume_ms(&ann, &film.title).await.unwrap(), 0);
    report(&bench, &film, PlayEventKind::Started, 400, 0).await;
    report(&bench, &film, PlayEventKind::Heartbeat, 30_000, 29_500).await;
    assert_eq!(bench.history.resume_ms(&ann, &film.title).await.unwrap(), 29_500);
    // A jump back is where they are; a stopped report that says little else still says where.
    report(&bench, &film, PlayEventKind::Seeked, 40_000, 10_000).await;
    report(&bench, &film, PlayEventKind::Stopped, 41_000, 11_000).await;
    assert_eq!(bench.history.resume_ms(&ann, &film.title).await.unwrap(), 11_000);
    // Errors and switches do not move it.
    report(&bench, &film, PlayEventKind::Error, 42_000, 0).await;
    report(&bench, &film, PlayEventKind::Switched, 43_000, 0).await;
    assert_eq!(bench.history.resume_ms(&ann, &film.title).await.unwrap(), 11_000);
    assert_eq!(bench.history.resume_ms(&profile(2), &film.title).await.unwrap(), 0);
}

#[tokio::test]
async fn late_reports_do_not_move_a_member_back() {
    let bench = bench().await;
    let ann = profile(1);
    let old = play(1, ann, "film", PRESSED);
    let new = play(2, ann, "film", PRESSED.plus_millis(60_000));
    report(&bench, &new, PlayEventKind::Heartbeat, 10_000, 200_000).await;
    // The other device sends what it had kept while offline.
    let kept = [
        event(PlayEventKind::Heartbeat, 50_000, 49_000),
        event(PlayEventKind::Heartbeat, 20_000, 19_000),
    ];
    let now = PRESSED.plus_millis(3_600_000);
    assert_eq!(bench.history.record(&old, FILM_MS, &kept, now).await.unwrap(), None);
    assert_eq!(bench.history.resume_ms(&ann, &title("film")).await.unwrap(), 200_000);
    // Out of order within one report, the newest counts.
    let kept = [
        event(PlayEventKind::Heartbeat, 90_000, 280_000),
        event(PlayEventKind::Heartbeat, 80_000, 270_000),
    ];
    let written = bench.history.record(&new, FILM_MS, &kept, now).await.unwrap().unwrap();
    assert_eq!(written.position_ms, 280_000);
    assert_eq!(written.watched_at, new.pressed_at.plus_millis(90_000));
}

#[tokio::test]
async fn a_player_that_lies_about_time_cannot_freeze_its_bookmark() {
    let bench = bench().await;
    let film = play(1, profile(1), "film", PRESSED);
    let liar = [event(PlayEventKind::Heartbeat, u64::MAX, 500_000)];
    bench.history.record(&film, FILM_MS, &liar, PRESSED.plus_millis(1_000)).await.unwrap();
    report(&bench, &film, PlayEventKind::Heartbeat, 10_000, 9_000).await;
    assert_eq!(bench.history.resume_ms(&profile(1), &title("film")).await.unwrap(), 9_000);
}

#[tokio::test]
async fn the_last_twentieth_counts_as_the_end() {
    let bench = bench().await;
    for (number, kind, position, finished) in [
        (1, PlayEventKind::Heartbeat, FILM_MS * 95 / 100 - 1, false),
        (2, PlayEventKind::Heartbeat, FILM_MS * 95 / 100, true),
        (3, PlayEventKind::Ended, FILM_MS - 200, true),
        (4, PlayEventKind::Stopped, FILM_MS * 2, true),
    ] {
        let film = play(number, profile(number), "film", PRESSED);
        report(&bench, &film, kind, 1_000, position).await;
        let items = bench.history.list(&profile(number), 10).await.unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].finished, finished, "{kind:?} at {position}");
        assert!(items[0].position_ms <= FILM_MS);
        let resume = bench.history.resume_ms(&profile(number), &title("film")).await.unwrap();
        assert_eq!(resume, if finished { 0 } else { position });
    }
    // `ended` followed by `stopped` in the same breath is still the end.
    let film = play(5, profile(5), "film", PRESSED);
    let both = [event(PlayEventKind::Ended, 9_000, 0), event(PlayEventKind::Stopped, 9_000, 0)];
    let now = PRESSED.plus_millis(9_000);
    let written = bench.history.record(&film, FILM_MS, &both, now).await.unwrap().unwrap();
    assert!(written.finished);
    assert_eq!(written.position_ms, FILM_MS);
}

#[tokio::test]
async fn continue_watching_is_started_unfinished_and_newest_first() {
    let bench = bench().await;
    let ann = profile(1);
    for (number, name, kind, position) in [
        (1, "old", PlayEventKind::Heartbeat, 10_000),
        (2, "done", PlayEventKind::Ended, FILM_MS),
        (3, "new", PlayEventKind::Paused, 20_000),
        (4, "barely", PlayEventKind::Started, 0),
    ] {
        let pressed_at = PRESSED.plus_millis(number as u64 * 1_000_000);
        report(&bench, &play(number, ann, name, pressed_at), kind, 30_000, position).await;
    }
    let names = |items: Vec<control_types::catalog::HistoryItem>| -> Vec<String> {
        items.into_iter().map(|item| item.title.to_string()).collect()
    };
    let row = bench.history.continue_watching(&ann, 10).await.unwrap();
    assert_eq!(names(row), ["new", "old"]);
    assert_eq!(names(bench.history.continue_watching(&ann, 1).await.unwrap()), ["new"]);
    let list = bench.history.list(&ann, 10).await.unwrap();
    assert_eq!(names(list), ["barely", "new", "done", "old"]);
    let positions = bench.history.positions(&ann).await.unwrap();
    assert_eq!(positions.len(), 2);
    assert_eq!(positions[&title("new")], 20_000);
    assert_eq!(bench.history.forget_profile(&ann, PRESSED).await.unwrap(), 4);
    assert!(bench.history.list(&ann, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn plays_are_found_after_a_restart_and_forgotten_in_time() {
    let bench = bench().await;
    let film = play(1, profile(1), "film", PRESSED);
    bench.history.begin(&film).await.unwrap();
    report(&bench, &film, PlayEventKind::Heartbeat, 5_000, 4_000).await;
    let Bench { history, ports, state } = bench;
    drop((history, ports));

    let ports = open_embedded(state.path()).await.unwrap();
    let history = History::new(ports.activity.clone(), ports.events.clone());
    assert_eq!(history.play(&film.play).await.unwrap(), Some(film.clone()));
    assert_eq!(history.resume_ms(&film.profile, &film.title).await.unwrap(), 4_000);
    let pressed = ports.events.read(TOPIC_PLAYS, Offset(0), 10).await.unwrap();
    assert_eq!(ports.events.end("plays").await.unwrap(), Offset(0), "that is telemetry's");
    assert_eq!(pressed.len(), 1);
    assert_eq!(pressed[0].body["title"], "film");
    assert_eq!(ports.events.read(TOPIC_POSITIONS, Offset(0), 10).await.unwrap().len(), 1);

    assert_eq!(history.sweep(PRESSED.plus_millis(PLAYS_KEPT_MS)).await.unwrap(), 0);
    assert_eq!(history.sweep(PRESSED.plus_millis(PLAYS_KEPT_MS + 1)).await.unwrap(), 1);
    assert_eq!(history.play(&film.play).await.unwrap(), None);
    assert_eq!(history.resume_ms(&film.profile, &film.title).await.unwrap(), 4_000, "kept");
}

#[tokio::test]
async fn reports_are_bounded_and_may_be_empty() {
    let bench = bench().await;
    let film = play(1, profile(1), "film", PRESSED);
    let many = vec![event(PlayEventKind::Heartbeat, 1, 1); 65];
    let refused = bench.history.record(&film, FILM_MS, &many, PRESSED).await;
    assert!(matches!(refused, Err(HistoryError::TooManyEvents { count: 65, .. })));
    assert_eq!(bench.history.record(&film, FILM_MS, &[], PRESSED).await.unwrap(), None);
    let unknown: PlayId = format!("{:032x}", 77).parse().unwrap();
    assert_eq!(bench.history.play(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_freeze_positions() {
    let bench = bench().await;
    let ann = profile(1);
    let ahead = PRESSED.plus_millis(365 * 24 * 3_600_000);
    report(&bench, &play(1, ann, "film", ahead), PlayEventKind::Heartbeat, 10_000, 10_000).await;
    let after = play(2, ann, "film", PRESSED);
    report(&bench, &after, PlayEventKind::Heartbeat, 60_000, 60_000).await;
    assert_eq!(bench.history.resume_ms(&ann, &title("film")).await.unwrap(), 60_000);
    report(&bench, &after, PlayEventKind::Heartbeat, 90_000, 90_000).await;
    assert_eq!(bench.history.resume_ms(&ann, &title("film")).await.unwrap(), 90_000);
}
