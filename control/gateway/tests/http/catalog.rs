//! Home, titles, search and artwork over HTTP, from registration by the operator to the page.

use control_types::ErrorWord;
use control_types::catalog::{Artwork, RowKind};
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents, PressPlay};

use crate::lab::{Lab, Plan, event, title};

/// The first bytes of a JPEG and some more.
const JPEG: [u8; 12] = [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F', 0, 1];

#[tokio::test]
async fn a_registered_title_is_on_the_home_page_and_found_by_a_typo() {
    let lab = Lab::start().await;
    let operator = lab.operator();
    let image = operator.put_artwork(JPEG.to_vec()).await.unwrap();
    let mut night = title("night", "Night of the Comet", 10);
    night.artwork = vec![Artwork { object: image.object, width: 640, height: 360, at_ms: 1_000 }];
    operator.put_title(&night).await.unwrap();
    operator.put_title(&title("dawn", "Dawn", 20)).await.unwrap();

    let (member, _, profile) = lab.member("ann@example.org").await;
    let home = member.home(profile).await.unwrap();
    let new = home.rows.iter().find(|row| row.kind == RowKind::NewHere).unwrap();
    assert_eq!(new.titles.len(), 2);

    for (typed, wanted) in [("night of the comit", "night"), ("lovelace dawn", "dawn")] {
        let answer = member.search(typed, profile).await.unwrap();
        let first = answer.titles.first().map(|card| card.id.as_str());
        assert_eq!(first, Some(wanted), "{typed}");
    }
    let page = member.title(&night.id, profile).await.unwrap();
    assert_eq!(page.card.artwork, Some(image.object));
    assert_eq!(page.credit, "CC BY");
    assert_eq!(page.more_like_this.len(), 1, "of the same genre");
    assert_eq!(lab.nobody().artwork(&image.object).await.unwrap(), JPEG);
}

#[tokio::test]
async fn what_was_begun_is_continued() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let play = member.press_play(&press).await.unwrap();
    assert_eq!(play.resume_ms, 0);
    let stopped = event(PlayEventKind::Stopped, 3_000, 3_500);
    let stopped = PlayEvent { height: 720, bytes: 1_000, ..stopped };
    lab.nobody().play_events(play.play, &PlayEvents { events: vec![stopped] }).await.unwrap();

    let home = member.home(profile).await.unwrap();
    assert_eq!(home.rows[0].kind, RowKind::ContinueWatching);
    assert_eq!(home.rows[0].titles[0].position_ms, Some(3_000));
    assert_eq!(member.history(profile).await.unwrap()[0].position_ms, 3_000);
    assert_eq!(member.press_play(&press).await.unwrap().resume_ms, 3_000);
}

#[tokio::test]
async fn an_image_never_changes_and_a_browser_may_keep_it() {
    let lab = Lab::start().await;
    let image = lab.operator().put_artwork(JPEG.to_vec()).await.unwrap();
    let url = format!("{}/v1/artwork/{}", lab.url, image.object);
    let http = reqwest::Client::new();
    let answer = http.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let tag = answer.headers()["etag"].clone();
    let again = http.get(&url).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);

    let error = lab.operator().put_artwork(b"<svg/>".to_vec()).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
    let error = lab.operator().put_artwork(vec![0xff; 5 << 20]).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::TooLarge));
}

#[tokio::test]
async fn a_record_with_mistakes_is_refused_with_all_of_them() {
    let lab = Lab::start().await;
    let mut night = title("night", "", 10);
    night.year = 1700;
    let error = lab.operator().put_title(&night).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
    let text = error.to_string();
    assert!(text.contains("name") && text.contains("1700"), "{text}");
}

#[tokio::test]
async fn a_licence_elsewhere_is_451_and_hides_the_title() {
    let lab = Lab::start_with(Plan { region: Some("DE".into()), ..Plan::default() }).await;
    let mut night = title("night", "Night", 10);
    night.regions = vec!["FR".to_owned()];
    lab.operator().put_title(&night).await.unwrap();
    let (member, _, profile) = lab.member("ann@example.org").await;
    let error = member.title(&night.id, profile).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotHere));
    let press = PressPlay { profile, title: night.id.clone() };
    assert_eq!(member.press_play(&press).await.unwrap_err().word(), Some(ErrorWord::NotHere));
    assert!(member.search("night", profile).await.unwrap().titles.is_empty());
    assert!(member.home(profile).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_removed_title_is_gone_from_every_page() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.operator().remove_title(&night.id).await.unwrap();
    let (member, _, profile) = lab.member("ann@example.org").await;
    assert_eq!(
        member.title(&night.id, profile).await.unwrap_err().word(),
        Some(ErrorWord::NotFound)
    );
    assert!(member.search("night", profile).await.unwrap().titles.is_empty());
    let error = lab.operator().remove_title(&night.id).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
}
