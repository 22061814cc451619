//! Players' reports, and what the operator sees of them.

use control_types::ErrorWord;
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents, PressPlay};

use crate::lab::{self, Lab, title};

fn event(kind: PlayEventKind, position_ms: u64, since_press_ms: u64) -> PlayEvent {
    PlayEvent {
        appliance: Some("edge-a1".parse().unwrap()),
        height: 720,
        buffer_ms: 8_000,
        bytes: 1_000_000,
        ..lab::event(kind, position_ms, since_press_ms)
    }
}

#[tokio::test]
async fn a_report_shows_up_live_and_counts_as_demand() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let events =
        vec![event(PlayEventKind::Started, 0, 400), event(PlayEventKind::Heartbeat, 2_000, 2_400)];
    // As a beacon comes: text, from any page.
    let body = serde_json::to_string(&PlayEvents { events }).unwrap();
    let url = format!("{}/v1/plays/{}/events", lab.url, answer.play);
    let http = reqwest::Client::new();
    let sent =
        http.post(&url).header("content-type", "text/plain").header("origin", "https://tv.example");
    let sent = sent.body(body).send().await.unwrap();
    assert_eq!(sent.status(), 204);
    assert_eq!(sent.headers()["access-control-allow-origin"], "*");

    let live = lab.operator().live().await.unwrap();
    assert_eq!(live.plays_total, 1);
    let session = &live.sessions[0];
    assert_eq!((session.state.as_str(), session.startup_ms), ("playing", Some(400)));
    assert_eq!(session.appliance.as_ref().unwrap().as_str(), "edge-a1");

    let state = lab.operator().fill_state().await.unwrap();
    assert_eq!(state.objects.len(), 6, "media and playlist of three renditions");
    let demand: f64 =
        state.objects.iter().flat_map(|one| &one.demand_bytes).map(|at| at.bytes).sum();
    assert!(demand > 0.0);
    let metrics = lab.nobody().metrics().await.unwrap();
    assert!(metrics.contains("control_play_events_total 2"), "{metrics}");
}

#[tokio::test]
async fn reports_without_a_play_or_over_the_bound_are_refused() {
    let lab = Lab::start().await;
    let unknown = control_types::PlayId(uuid::Uuid::new_v4());
    let one = PlayEvents { events: vec![event(PlayEventKind::Heartbeat, 0, 0)] };
    let error = lab.nobody().play_events(unknown, &one).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
    let many = PlayEvents { events: vec![event(PlayEventKind::Heartbeat, 0, 0); 65] };
    let error = lab.nobody().play_events(unknown, &many).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
}

#[tokio::test]
async fn a_page_elsewhere_may_ask_first() {
    let lab = Lab::start().await;
    let url = format!("{}/v1/plays/{}/events", lab.url, uuid::Uuid::new_v4());
    let asked = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "https://tv.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = asked.send().await.unwrap();
    assert!(answer.status().is_success());
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    // What needs a member's token is not open to other pages.
    let plays = reqwest::get(format!("{}/v1/plans", lab.url)).await.unwrap();
    assert!(!plays.headers().contains_key("access-control-allow-origin"));
}
