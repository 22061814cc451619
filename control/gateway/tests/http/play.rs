//! The press of play and the two manifests it leads to, read as a player reads them.

use control_store::PlayRow;
use control_token::Verifier;
use control_types::play::{PlayAnswer, PressPlay};
use control_types::{ErrorWord, PlayId, UnixMillis};

use crate::lab::{Lab, now, title};

async fn pressed(lab: &Lab) -> (PlayAnswer, control_types::catalog::TitleRecord) {
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    (member.press_play(&press).await.unwrap(), night)
}

#[tokio::test]
async fn the_answer_holds_all_a_player_needs() {
    let lab = Lab::start().await;
    let (answer, night) = pressed(&lab).await;
    let ids: Vec<&str> = answer.ranked.iter().map(|place| place.appliance.as_str()).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids[..2].iter().any(|id| id.starts_with("edge-a")), "{ids:?}");
    assert!(ids.contains(&"origin"), "{ids:?}");
    assert_eq!(answer.duration_ms, night.duration_ms);
    assert_eq!(answer.report_ms, 5_000);
    for place in &answer.ranked {
        let wanted =
            format!("https://{}.example:8443/t/{}/v/night/", place.appliance, answer.ticket);
        assert_eq!(place.base_url, wanted);
    }
    let verifier = Verifier::new(&lab.nobody().ticket_keys().await.unwrap()).unwrap();
    let claims = verifier.verify(&answer.ticket, now()).unwrap();
    assert_eq!(claims.subject, answer.play.to_string());
    assert!(claims.allows_path(&format!("/v/night/{}.mp4", night.renditions[0].media)));
    assert!(!claims.allows_path("/v/other/x.mp4"));
    assert!(answer.ticket_expires_at > now());
}

#[tokio::test]
async fn hls_has_one_pathway_an_appliance_and_declares_steering() {
    let lab = Lab::start().await;
    let (answer, night) = pressed(&lab).await;
    let fetched = reqwest::get(&answer.hls_url).await.unwrap();
    assert_eq!(fetched.headers()["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(fetched.headers()["access-control-allow-origin"], "*");
    let text = fetched.text().await.unwrap();
    assert!(text.starts_with("#EXTM3U\n"), "{text}");
    let pathways: Vec<&str> = answer.ranked.iter().map(|one| one.appliance.as_str()).collect();
    let pathways = pathways.join(",");
    let steering = format!("SERVER-URI=\"{}?pathways={pathways}&since=", answer.steering_url);
    assert!(text.contains(&steering), "{text}");
    let first = &answer.ranked[0].appliance;
    assert!(text.contains(&format!(",PATHWAY-ID=\"{first}\"")), "{text}");
    for place in &answer.ranked {
        let mark = format!("PATHWAY-ID=\"{}\"", place.appliance);
        let variants = text
            .lines()
            .filter(|line| line.starts_with("#EXT-X-STREAM-INF") && line.contains(&mark));
        assert_eq!(variants.count(), 2, "two rungs on {}", place.appliance);
    }
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[0].starts_with("#EXT-X-STREAM-INF")) {
        let uri = pair[1];
        assert!(uri.starts_with("https://") && uri.ends_with(".m3u8"), "{uri}");
        let name = uri.rsplit('/').next().unwrap().trim_end_matches(".m3u8");
        assert!(night.renditions.iter().any(|one| one.playlist.to_string() == name), "{uri}");
    }
}

#[tokio::test]
async fn dash_has_one_base_url_an_appliance_and_byte_ranges() {
    let lab = Lab::start().await;
    let (answer, night) = pressed(&lab).await;
    let text = lab.nobody().dash_manifest(answer.play).await.unwrap();
    for place in &answer.ranked {
        assert!(
            text.contains(&format!("<BaseURL serviceLocation=\"{}\">https://", place.appliance))
        );
    }
    assert!(text.contains(&format!("queryBeforeStart=\"true\">{}?pathways=", answer.steering_url)));
    for one in &night.renditions {
        assert!(text.contains(&format!("<BaseURL>{}.mp4</BaseURL>", one.media)), "{text}");
    }
    assert!(text.contains("indexRange=\"900-999\"") && text.contains("range=\"0-899\""), "{text}");
}

#[tokio::test]
async fn a_play_outlives_a_restart_of_control() {
    let mut lab = Lab::start().await;
    let (answer, night) = pressed(&lab).await;
    lab.restart().await;
    // Appliances report again by themselves; until then nothing can be offered.
    for id in ["edge-a1", "edge-a2", "origin"] {
        lab.services.steering.report(crate::lab::report(id, &[&night]), now()).unwrap();
    }
    let text = lab.nobody().hls_manifest(answer.play).await.unwrap();
    assert!(text.contains("edge-a1"), "{text}");
    lab.nobody().steering(answer.play, None).await.unwrap();
}

#[tokio::test]
async fn the_plan_bounds_height_and_streams() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, session, profile) = lab.member("ann@example.org").await;
    member.choose_plan("basic").await.unwrap();
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let text = lab.nobody().hls_manifest(answer.play).await.unwrap();
    assert!(text.contains("x720") && !text.contains("x1080"), "{text}");

    let error = member.press_play(&press).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict), "basic allows one stream");
    let lapsed = control_store::ledger::Standing::Lapsed;
    lab.services.billing.set_standing(&session.account.id, lapsed, now()).await.unwrap();
    let error = member.press_play(&press).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::PaymentRequired));
}

#[tokio::test]
async fn refusals_of_a_press() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    let (member, _, profile) = lab.member("ann@example.org").await;
    let (_, _, foreign) = lab.member("bob@example.org").await;
    let press = |profile, title: &str| PressPlay { profile, title: title.parse().unwrap() };

    let check = async |body: PressPlay, word: ErrorWord| {
        let error = member.press_play(&body).await.unwrap_err();
        assert_eq!(error.word(), Some(word), "{body:?}: {error}");
    };
    check(press(profile, "other"), ErrorWord::NotFound).await;
    check(press(foreign, "night"), ErrorWord::NotFound).await;
    check(press(profile, "night"), ErrorWord::Unavailable).await;
    let error = lab.nobody().press_play(&press(profile, "night")).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
    let metrics = lab.nobody().metrics().await.unwrap();
    assert!(metrics.contains("control_plays_total{outcome=\"unavailable\"} 1"), "{metrics}");
}

#[tokio::test]
async fn an_unknown_or_ended_play_is_not_there() {
    let lab = Lab::start().await;
    let (_, session, profile) = lab.member("ann@example.org").await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let unknown = PlayId(uuid::Uuid::new_v4());
    let long_ago = PlayRow {
        play: PlayId(uuid::Uuid::new_v4()),
        account: session.account.id,
        profile,
        title: night.id.clone(),
        pressed_at: UnixMillis(now().0 - 25 * 3_600_000),
    };
    lab.services.history.begin(&long_ago).await.unwrap();
    for play in [unknown, long_ago.play] {
        let error = lab.nobody().hls_manifest(play).await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::NotFound), "{error}");
    }
}
