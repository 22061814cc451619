//! Goal: start-up, stalls, liveness and streams come out as CTA-2066 and the plan say, also from
//! players that count badly. Method: events in, the operator's view out; time as numbers.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_telemetry::Press;
use control_telemetry::limits::PLAYS_MAX;
use control_telemetry::sessions::Sessions;
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents};
use control_types::{AccountId, PlayId, ProfileId, UnixMillis};
use uuid::Uuid;

use PlayEventKind::{Ended, Heartbeat, Paused, Resumed, Stalled, Started, Stopped, Switched};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn play(number: u128) -> PlayId {
    PlayId(Uuid::from_u128(number))
}

fn account(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

fn press(number: u128, account_number: u128, at: UnixMillis) -> Press {
    Press {
        play: play(number),
        account: account(account_number),
        profile: ProfileId(Uuid::from_u128(account_number)),
        title: "night".parse().unwrap(),
        home_sites: Vec::new(),
        began_at: at,
    }
}

fn event(kind: PlayEventKind, since_press_ms: u64, position_ms: u64) -> PlayEvent {
    PlayEvent {
        kind,
        position_ms,
        since_press_ms,
        appliance: None,
        height: 0,
        buffer_ms: 0,
        bytes: 0,
        stall_ms: 0,
        detail: String::new(),
        trouble: None,
        first_byte_ms: None,
    }
}

/// One play that reported these events, one report each, at the player's own pace.
fn played(events: &[PlayEvent]) -> Sessions {
    let mut sessions = Sessions::default();
    sessions.begin(press(1, 1, NOW));
    for event in events {
        let at = NOW.plus_millis(event.since_press_ms);
        let report = PlayEvents { events: vec![event.clone()] };
        sessions.record(&play(1), &report, at).unwrap();
    }
    sessions
}

fn state_at(sessions: &Sessions, at: UnixMillis) -> String {
    sessions.live(at).sessions.first().map_or("gone".into(), |live| live.state.clone())
}

#[test]
fn the_state_follows_the_events() {
    let events = [
        (event(Heartbeat, 100, 0), "starting"),
        (event(Started, 400, 0), "playing"),
        (event(Heartbeat, 5_000, 4_600), "playing"),
        (event(Stalled, 6_000, 5_600), "stalled"),
        (event(Heartbeat, 6_500, 5_600), "stalled"),
        (event(Resumed, 7_000, 5_600), "playing"),
        (event(Paused, 8_000, 6_600), "paused"),
        (event(Heartbeat, 9_000, 6_600), "paused"),
        (event(Heartbeat, 10_000, 7_000), "playing"),
        (event(Switched, 11_000, 8_000), "playing"),
        (event(Ended, 12_000, 9_000), "gone"),
    ];
    let mut so_far = Vec::new();
    for (event, wanted) in events {
        let at = NOW.plus_millis(event.since_press_ms);
        let what = format!("{:?} at {}", event.kind, event.since_press_ms);
        so_far.push(event);
        assert_eq!(state_at(&played(&so_far), at), wanted, "{what}");
    }
}

#[test]
fn stalled_time_is_over_watched_time_without_pauses() {
    let sessions = played(&[
        event(Started, 1_000, 0),
        event(Stalled, 5_000, 4_000),
        event(Resumed, 7_000, 4_000),
        event(Paused, 10_000, 7_000),
        event(Heartbeat, 40_000, 7_500),
        event(Stopped, 41_000, 8_500),
    ]);
    let live = sessions.live(NOW);
    // Watched: 10 s up to the pause and 1 s after it; stalled 2 s.
    assert!((live.stalled_ratio - 2.0 / 11.0).abs() < 1e-9, "{}", live.stalled_ratio);
    assert_eq!((live.startup_ms_p50, live.startup_ms_p95), (1_000, 1_000));
    assert_eq!(live.plays_total, 1);
}

#[test]
fn a_lying_player_cannot_stall_longer_than_it_watched() {
    let mut lie = event(Heartbeat, 2_000, 1_000);
    lie.stall_ms = u64::MAX;
    let mut slept = event(Heartbeat, 9_000_000, 2_000);
    slept.since_press_ms = u64::MAX;
    let sessions = played(&[event(Started, 1_000, 0), lie.clone()]);
    assert!(sessions.live(NOW).stalled_ratio <= 1.0);
    let mut backwards = event(Heartbeat, 5, 1_500);
    backwards.kind = Stalled;
    let mut sessions = Sessions::default();
    sessions.begin(press(1, 1, NOW));
    let report = PlayEvents { events: vec![event(Started, 1_000, 0), lie, slept, backwards] };
    sessions.record(&play(1), &report, NOW).unwrap();
    let live = sessions.live(NOW);
    assert!(live.stalled_ratio <= 1.0, "{}", live.stalled_ratio);
    assert_eq!(live.sessions[0].state, "stalled");
}

#[test]
fn a_play_leaves_the_live_list_after_30_s_of_silence_and_the_streams_after_60() {
    let sessions = played(&[event(Started, 500, 0)]);
    let heard = NOW.plus_millis(500);
    let seen = |ms| {
        let at = heard.plus_millis(ms);
        (sessions.live(at).sessions.len(), sessions.streams(&account(1), at))
    };
    assert_eq!(seen(29_999), (1, 1));
    assert_eq!(seen(30_000), (0, 1));
    assert_eq!(seen(59_999), (0, 1));
    assert_eq!(seen(60_000), (0, 0));
}

#[test]
fn streams_count_one_account_and_only_plays_that_are_not_over() {
    let mut sessions = Sessions::default();
    for (number, owner) in [(1, 1), (2, 1), (3, 2)] {
        sessions.begin(press(number, owner, NOW));
    }
    assert_eq!(sessions.streams(&account(1), NOW), 2, "a press counts before its first report");
    let stopped = PlayEvents { events: vec![event(Stopped, 9, 9)] };
    let recorded = sessions.record(&play(2), &stopped, NOW).unwrap();
    assert_eq!((recorded.position_ms, recorded.ended), (Some(9), false));
    assert_eq!(recorded.subject.account, account(1));
    assert_eq!(sessions.streams(&account(1), NOW), 1);
    assert_eq!(sessions.streams(&account(2), NOW), 1);
    assert_eq!(sessions.streams(&account(3), NOW), 0);
    let again = PlayEvents { events: vec![event(Resumed, 20, 9)] };
    sessions.record(&play(2), &again, NOW).unwrap();
    assert_eq!(sessions.streams(&account(1), NOW), 2, "it went on after all");
}

#[test]
fn percentiles_are_of_the_last_thousand_plays() {
    let mut sessions = Sessions::default();
    // 500 slow old plays that must not be seen, then 1,000 with start-ups 1 to 1,000 ms.
    for number in 0..1_500u64 {
        sessions.begin(press(u128::from(number), 1, NOW));
        let startup = if number < 500 { 60_000 } else { number - 499 };
        let report = PlayEvents { events: vec![event(Started, startup, 0)] };
        sessions.record(&play(u128::from(number)), &report, NOW).unwrap();
    }
    let live = sessions.live(NOW);
    assert_eq!((live.startup_ms_p50, live.startup_ms_p95), (500, 950));
    assert_eq!(live.plays_total, 1_500);
    assert_eq!(live.sessions.len(), 200);
    assert_eq!(live.sessions[0].play, play(1_499), "newest first");
}

#[test]
fn an_unknown_play_is_not_invented_and_an_adopted_one_is_not_counted_as_new() {
    let mut sessions = Sessions::default();
    let report = PlayEvents { events: vec![event(Heartbeat, 5_000, 4_000)] };
    assert!(sessions.record(&play(1), &report, NOW).is_none());
    sessions.adopt(press(1, 1, NOW));
    sessions.adopt(press(1, 2, NOW));
    let recorded = sessions.record(&play(1), &report, NOW).unwrap();
    assert_eq!(recorded.subject.account, account(1), "the first to adopt it stays");
    assert_eq!(sessions.live(NOW).plays_total, 0);
    assert_eq!(sessions.live(NOW).startup_ms_p50, 0);
}

#[test]
fn memory_is_bounded_by_forgetting_the_oldest() {
    let mut sessions = Sessions::default();
    for number in 0..(PLAYS_MAX as u128 + 10) {
        sessions.begin(press(number, number, NOW));
    }
    assert!(sessions.subject(&play(9)).is_none());
    assert!(sessions.subject(&play(10)).is_some());
    assert_eq!(sessions.streams(&account(9), NOW), 0);
}

#[test]
fn a_clock_that_was_set_back_holds_no_stream() {
    let mut sessions = Sessions::default();
    sessions.begin(press(1, 1, NOW));
    assert_eq!(sessions.streams(&account(1), NOW), 1);
    let earlier = UnixMillis(NOW.0 - 3_600_000);
    assert_eq!(sessions.streams(&account(1), earlier), 0, "heard of an hour from now");
    assert!(sessions.live(earlier).sessions.is_empty());
    let report = PlayEvents { events: vec![event(Started, 1_000, 0)] };
    sessions.record(&play(1), &report, earlier).unwrap();
    assert_eq!(sessions.streams(&account(1), earlier), 1, "a player that goes on counts at once");
}
