//! The catalog over the real stores: what members and the fill read from it.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod bench;

use std::sync::Arc;

use bench::{Bench, JPEG, NOW, film, id, object, open};
use bytes::Bytes;
use control_catalog::{CatalogError, Snapshot, TOPIC};
use control_store::{Offset, StoreError};
use control_types::catalog::{TitleRecord, Track};

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.titles().map(|title| title.record.id.as_str()).collect()
}

#[tokio::test]
async fn a_title_is_listed_replaced_and_removed() {
    let bench = Bench::new().await;
    bench.put(film("b"), NOW).await;
    bench.put(film("a"), NOW.plus_millis(1)).await;
    let held = bench.catalog.snapshot();
    assert_eq!(names(&held), ["a", "b"]);

    let renamed = TitleRecord { name: "Another".to_owned(), ..film("b") };
    let listed = bench.catalog.put(&id("b"), renamed, NOW.plus_millis(2)).await.unwrap();
    assert_eq!((listed.registered_at, listed.changed_at), (NOW, NOW.plus_millis(2)));
    assert_eq!(held.title(&id("b")).unwrap().record.name, "The b", "a held snapshot stands still");
    let snapshot = bench.catalog.snapshot();
    assert_eq!(snapshot.title(&id("b")).unwrap().record.name, "Another");
    assert_eq!(snapshot.len(), 2);

    bench.catalog.remove(&id("a"), NOW).await.unwrap();
    assert_eq!(names(&bench.catalog.snapshot()), ["b"]);
    let again = bench.catalog.remove(&id("a"), NOW).await;
    assert!(matches!(again, Err(CatalogError::Unknown(title)) if title == id("a")));

    let events = bench.ports.events.read(TOPIC, Offset(0), 10).await.unwrap();
    let words: Vec<_> = events.iter().map(|row| row.body["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["title_put", "title_put", "title_put", "title_removed"]);
}

#[tokio::test]
async fn renditions_are_kept_in_ladder_order() {
    let bench = Bench::new().await;
    bench.put(film("film"), NOW).await;
    let snapshot = bench.catalog.snapshot();
    let heights = snapshot.title(&id("film")).unwrap().record.renditions.iter();
    let heights: Vec<u32> = heights
        .map(|one| match one.track {
            Track::Video { height, .. } => height,
            Track::Audio { .. } => 0,
        })
        .collect();
    assert_eq!(heights, [360, 720, 1080, 0]);
}

#[tokio::test]
async fn a_restart_and_a_second_process_see_the_same() {
    let bench = Bench::new().await;
    let second = open(&bench.ports).await;
    bench.put(film("one"), NOW).await;
    assert!(second.snapshot().is_empty());
    assert!(second.refresh().await.unwrap());
    assert!(!second.refresh().await.unwrap(), "nothing new");
    assert_eq!(names(&second.snapshot()), ["one"]);
    // Both write: neither loses what the other wrote.
    second.put(&id("two"), film("two"), NOW).await.unwrap();
    bench.put(film("three"), NOW).await;
    assert_eq!(names(&bench.catalog.snapshot()), ["one", "three", "two"]);
    second.remove(&id("one"), NOW).await.unwrap();
    assert_eq!(names(&second.snapshot()), ["three", "two"]);
    let restarted = open(&bench.ports).await;
    assert_eq!(restarted.snapshot().version(), second.snapshot().version());
    assert_eq!(
        restarted.snapshot().title(&id("two")).unwrap(),
        second.snapshot().title(&id("two")).unwrap()
    );
}

#[tokio::test]
async fn a_licence_reaches_its_regions_only() {
    let bench = Bench::new().await;
    bench.put(film("everywhere"), NOW).await;
    let regions = vec!["PT".to_owned(), "ES".to_owned()];
    bench.put(TitleRecord { regions, ..film("iberia") }, NOW).await;
    let snapshot = bench.catalog.snapshot();
    for (title, region, allowed) in [
        ("everywhere", Some("DE"), true),
        ("everywhere", None, true),
        ("iberia", Some("PT"), true),
        ("iberia", Some("es"), true),
        ("iberia", Some("DE"), false),
        ("iberia", None, false),
    ] {
        match snapshot.playable(&id(title), region) {
            Ok(found) => assert!(allowed && found.record.id == id(title), "{title} {region:?}"),
            Err(CatalogError::NotHere { .. }) => assert!(!allowed, "{title} {region:?}"),
            Err(other) => panic!("{other}"),
        }
    }
    let unknown = snapshot.playable(&id("nothing"), Some("PT"));
    assert!(matches!(unknown, Err(CatalogError::Unknown(_))));
}

#[tokio::test]
async fn every_object_knows_its_title_and_size() {
    let bench = Bench::new().await;
    bench.put(film("one"), NOW).await;
    bench.put(film("two"), NOW).await;
    let snapshot = bench.catalog.snapshot();
    assert_eq!(snapshot.objects().count(), 2 * 4 * 2);
    for (object, bytes, title) in snapshot.objects() {
        assert!(bytes > 0);
        assert_eq!(snapshot.holder(&object), Some(title));
    }
    assert_eq!(snapshot.holder(&object("nobody's")), None);
    bench.catalog.remove(&id("one"), NOW).await.unwrap();
    let left = bench.catalog.snapshot();
    assert!(left.objects().all(|(_, _, title)| *title == id("two")));
    assert_eq!(left.holder(&film("one").renditions[0].media), None);
}

#[tokio::test]
async fn cards_shelves_and_newest_follow_the_records() {
    let bench = Bench::new().await;
    let genres = |list: &[&str]| list.iter().map(|genre| (*genre).to_owned()).collect();
    bench.put(TitleRecord { genres: genres(&["Drama"]), ..film("old") }, NOW).await;
    let mid = TitleRecord { genres: genres(&["drama", "War"]), ..film("mid") };
    bench.put(mid, NOW.plus_millis(10)).await;
    let new = TitleRecord { genres: genres(&["Comedy"]), artwork: Vec::new(), ..film("new") };
    bench.put(new, NOW.plus_millis(20)).await;
    // Replacing a title does not make it new.
    bench.put(TitleRecord { genres: genres(&["Drama"]), ..film("old") }, NOW.plus_millis(30)).await;

    let snapshot = bench.catalog.snapshot();
    let newest: Vec<&str> =
        snapshot.newest(2).iter().map(|title| title.record.id.as_str()).collect();
    assert_eq!(newest, ["new", "mid"]);
    let shelves: Vec<(String, Vec<String>)> = snapshot
        .genres()
        .iter()
        .map(|shelf| (shelf.name.clone(), shelf.titles.iter().map(ToString::to_string).collect()))
        .collect();
    let owned = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(shelves[0], ("drama".to_owned(), owned(&["mid", "old"])));
    assert_eq!(shelves.len(), 3);

    let card = snapshot.card(&id("old"), Some(7_000)).unwrap();
    assert_eq!((card.name.as_str(), card.duration_ms), ("The old", 20_000));
    assert_eq!(card.position_ms, Some(7_000));
    assert_eq!(card.artwork, Some(film("old").artwork[0].object));
    assert_eq!(snapshot.card(&id("new"), None).unwrap().artwork, None);
    assert!(snapshot.card(&id("nothing"), None).is_none());
}

#[tokio::test]
async fn artwork_is_an_image_and_comes_back_with_its_type() {
    let bench = Bench::new().await;
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n...");
    let webp = Bytes::from_static(b"RIFF\0\0\0\0WEBPVP8 ");
    for (bytes, kind) in
        [(Bytes::from_static(JPEG), "image/jpeg"), (png, "image/png"), (webp, "image/webp")]
    {
        let object = bench.catalog.put_artwork(bytes.clone()).await.unwrap();
        assert_eq!(bench.catalog.artwork(&object).await.unwrap(), Some((bytes, kind)));
    }
    assert_eq!(bench.catalog.artwork(&object("never posted")).await.unwrap(), None);
    for bad in [&b""[..], b"<svg onload=alert(1)>", b"GIF89a"] {
        let refused = bench.catalog.put_artwork(Bytes::from_static(bad)).await;
        assert!(matches!(refused, Err(CatalogError::NotAnImage(_))));
    }
    let huge = Bytes::from([JPEG, &vec![0; 9 << 20]].concat());
    let refused = bench.catalog.put_artwork(huge).await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Refused { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_half_a_change() {
    let bench = Bench::new().await;
    bench.put(film("steady"), NOW).await;
    let bench = Arc::new(bench);
    let writer = {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            for _ in 0..20 {
                bench.put(film("comes-and-goes"), NOW).await;
                bench.catalog.remove(&id("comes-and-goes"), NOW).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let snapshot = bench.catalog.snapshot();
        assert!(snapshot.title(&id("steady")).is_some());
        assert_eq!(snapshot.objects().count(), snapshot.len() * 8);
        assert_eq!(snapshot.newest(10).len(), snapshot.len());
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(bench.catalog.snapshot().len(), 1);
}
