//! Content Steering of a play under way: what a player is told when the fleet changes.

use control_types::UnixMillis;
use control_types::play::{
    PlayEvent, PlayEventKind, PlayEvents, PlayTrouble, PressPlay, SteeringManifest, TroubleKind,
};
use control_types::steering::{PolicyFile, ReplayRequest};

use crate::lab::{Lab, Plan, event, title};

#[tokio::test]
async fn a_drained_appliance_leaves_the_list_and_comes_back() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let first = answer.ranked[0].appliance.clone();
    let player = lab.nobody();

    let before = player.steering(answer.play, Some(first.as_str())).await.unwrap();
    assert_eq!((before.version, before.ttl), (1, 10));
    assert_eq!(before.reload_uri, answer.steering_url);
    let ranked: Vec<&str> = answer.ranked.iter().map(|place| place.appliance.as_str()).collect();
    assert_eq!(before.pathway_priority, ranked);

    // Whoever streams from it may stay for a little; nobody new is sent there.
    lab.operator().drain(&first).await.unwrap();
    let during = player.steering(answer.play, None).await.unwrap();
    assert!(!during.pathway_priority.contains(&first.to_string()), "{during:?}");
    assert!(!during.pathway_priority.is_empty());

    lab.operator().undrain(&first).await.unwrap();
    let after = player.steering(answer.play, None).await.unwrap();
    assert_eq!(after.pathway_priority, before.pathway_priority);
}

#[tokio::test]
async fn the_answer_is_what_the_standard_spells() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let url = format!("{}?_DASH_pathway=edge-a1&_DASH_throughput=5000", answer.steering_url);
    let fetched = reqwest::get(url).await.unwrap();
    assert_eq!(fetched.headers()["access-control-allow-origin"], "*");
    assert_eq!(fetched.headers()["cache-control"], "no-store");
    let json: serde_json::Value = serde_json::from_str(&fetched.text().await.unwrap()).unwrap();
    for key in ["VERSION", "TTL", "RELOAD-URI", "PATHWAY-PRIORITY"] {
        assert!(json.get(key).is_some(), "{key} in {json}");
    }
}

#[tokio::test]
async fn a_pathway_that_the_manifest_lacks_is_cloned() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let base = answer.ranked.last().unwrap().appliance.as_str();
    for (dialect, whole) in [("_HLS_pathway", true), ("_DASH_pathway", false)] {
        let url = format!("{}?pathways={base}&{dialect}={base}", answer.steering_url);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let manifest: SteeringManifest = serde_json::from_str(&text).unwrap();
        assert!(manifest.reload_uri.ends_with(&format!("?pathways={base}")), "{text}");
        let ids = manifest.pathway_clones.iter().map(|clone| clone.id.as_str());
        let missing = manifest.pathway_priority.iter().map(String::as_str);
        assert!(ids.eq(missing.filter(|id| *id != base)), "{text}");
        for clone in &manifest.pathway_clones {
            let place = answer.ranked.iter().find(|one| one.appliance.as_str() == clone.id);
            let url = place.unwrap().base_url.split("/t/").next().unwrap();
            let replaced = &clone.uri_replacement;
            assert_eq!(clone.base_id, base);
            let host = url.trim_start_matches("https://");
            let host = if whole { host.split(':').next() } else { Some(host) };
            assert_eq!(replaced.host.as_deref(), host, "{text}");
            assert!(replaced.per_variant_uris.values().all(|uri| uri.starts_with(url)), "{text}");
            assert_eq!(replaced.per_variant_uris.is_empty(), !whole, "{text}");
        }
    }
}

#[tokio::test]
async fn a_play_that_was_taken_back_is_over() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    lab.operator().revoke_tickets(&answer.play.to_string()).await.unwrap();
    let refused = reqwest::get(&answer.hls_url).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(lab.nobody().steering(answer.play, None).await.is_err());
    let next = member.press_play(&press).await.unwrap();
    assert_eq!(reqwest::get(&next.hls_url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_decides() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let lab = Lab::start_with(Plan { trusted_proxies, ..Plan::default() }).await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.site("near", "isp-a", &["203.0.113.0/24"]).await;
    lab.appliance("edge-near", "near", control_types::fleet::Role::Edge, &[&night]).await;
    let (_, session, profile) = lab.member("ann@example.org").await;
    let http = reqwest::Client::new();
    let press = |from: &'static str| {
        http.post(format!("{}/v1/plays", lab.url))
            .bearer_auth(&session.access_token)
            .header("x-forwarded-for", from)
            .json(&PressPlay { profile, title: night.id.clone() })
            .send()
    };
    assert_eq!(press("203.0.113.7").await.unwrap().status(), 201);
    assert_eq!(press("192.0.2.7").await.unwrap().status(), 503, "nobody serves that network");
}

/// Goal: what players met reaches steering, and what steering decided can be asked for later.
#[tokio::test]
async fn a_players_404_and_the_log_of_questions_reach_steering() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 1);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let answer = member.press_play(&press).await.unwrap();
    let first = answer.ranked[0].appliance.clone();
    // All its pictures and its sound: a height less would still be the title.
    let events = night.renditions.iter().map(|rendition| PlayEvent {
        appliance: Some(first.clone()),
        detail: "404".to_owned(),
        trouble: Some(PlayTrouble { kind: TroubleKind::NotFound, object: Some(rendition.media) }),
        ..event(PlayEventKind::Error, 0, 10)
    });
    let events = PlayEvents { events: events.collect() };
    member.play_events(answer.play, &events).await.unwrap();
    let manifest = member.steering(answer.play, None).await.unwrap();
    assert_ne!(manifest.pathway_priority[0], first.to_string(), "the object is denied of it");

    lab.services.steering.write_log().await.unwrap();
    let (from, until) = (UnixMillis(0), UnixMillis(u64::MAX / 2));
    let records = lab.operator().steer_log(from, until).await.unwrap();
    let asks: usize = records.iter().map(|record| record.asks.len()).sum();
    assert!(asks >= 2, "the press and the manifest: {records:?}");
    let again = ReplayRequest { policy: PolicyFile::default(), records };
    let replayed = lab.operator().replay(&again).await.unwrap();
    assert_eq!((replayed.asks, replayed.moved), (asks as u64, 0));
    let ip = "127.0.0.1".parse().unwrap();
    let past = lab.operator().explain_recorded(ip, &night.id, until).await.unwrap();
    assert!(past.decided_at.is_some() && past.candidates[0].rank == Some(1));
    let none = lab.operator().explain_recorded(ip, &night.id, UnixMillis(1)).await.unwrap_err();
    assert!(none.to_string().contains("the log reaches back to"), "{none}");
}
