//! What any activity store must do; run on SQLite.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_store::embedded::SqliteActivity;
use control_store::{Activity, BookmarkRow, PlayRow, WatchCursor};
use control_types::{AccountId, PlayId, ProfileId, TitleId, UnixMillis};
use uuid::Uuid;

fn title(name: &str) -> TitleId {
    name.parse().unwrap()
}

fn at(profile: ProfileId, name: &str, position_ms: u64, watched_at: u64) -> BookmarkRow {
    let watched_at = UnixMillis(watched_at);
    BookmarkRow { profile, title: title(name), position_ms, finished: false, watched_at }
}

/// The suite, on an empty store.
async fn conforms(activity: &dyn Activity) {
    plays_are_found_until_they_are_forgotten(activity).await;
    bookmarks_only_move_forward_in_time(activity).await;
    a_scan_sees_every_row_once(activity).await;
}

async fn plays_are_found_until_they_are_forgotten(activity: &dyn Activity) {
    let play = PlayRow {
        play: PlayId(Uuid::new_v4()),
        account: AccountId(Uuid::new_v4()),
        profile: ProfileId(Uuid::new_v4()),
        title: title("one"),
        pressed_at: UnixMillis(1_000),
    };
    assert_eq!(activity.play(&play.play).await.unwrap(), None);
    activity.put_play(&play).await.unwrap();
    activity.put_play(&play).await.unwrap();
    assert_eq!(activity.play(&play.play).await.unwrap(), Some(play.clone()));
    assert_eq!(activity.forget_plays(UnixMillis(1_000)).await.unwrap(), 0);
    assert_eq!(activity.forget_plays(UnixMillis(1_001)).await.unwrap(), 1);
    assert_eq!(activity.play(&play.play).await.unwrap(), None);
}

async fn bookmarks_only_move_forward_in_time(activity: &dyn Activity) {
    let profile = ProfileId(Uuid::new_v4());
    assert!(activity.put_bookmark(&at(profile, "one", 10, 100)).await.unwrap());
    assert!(!activity.put_bookmark(&at(profile, "one", 5, 99)).await.unwrap());
    assert!(activity.put_bookmark(&at(profile, "one", 11, 100)).await.unwrap(), "equal wins");
    assert!(activity.put_bookmark(&at(profile, "one", 3, 200)).await.unwrap(), "back is fine");
    let kept = activity.bookmark(&profile, &title("one")).await.unwrap().unwrap();
    assert_eq!(kept, at(profile, "one", 3, 200));

    activity.put_bookmark(&at(profile, "two", 1, 300)).await.unwrap();
    activity.put_bookmark(&at(profile, "three", 1, 250)).await.unwrap();
    let names = |rows: Vec<BookmarkRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.title.to_string()).collect()
    };
    let all = activity.bookmarks(&profile, 10).await.unwrap();
    assert_eq!(names(all), ["two", "three", "one"]);
    assert_eq!(names(activity.bookmarks(&profile, 1).await.unwrap()), ["two"]);
    assert!(activity.bookmarks(&ProfileId(Uuid::new_v4()), 10).await.unwrap().is_empty());

    assert_eq!(activity.forget_profile(&profile).await.unwrap(), 3);
    assert!(activity.bookmarks(&profile, 10).await.unwrap().is_empty());
}

async fn a_scan_sees_every_row_once(activity: &dyn Activity) {
    let profiles: Vec<ProfileId> = (0..5).map(|_| ProfileId(Uuid::new_v4())).collect();
    for profile in &profiles {
        for (index, name) in ["one", "two", "three"].into_iter().enumerate() {
            // Many rows share a time, so that the cursor must not rely on times alone.
            activity.put_bookmark(&at(*profile, name, 1, 1_000 + index as u64 / 2)).await.unwrap();
        }
    }
    let mut seen = Vec::new();
    let mut cursor = WatchCursor::default();
    loop {
        let rows = activity.watched_since(&cursor, 4).await.unwrap();
        let Some(last) = rows.last() else { break };
        cursor = WatchCursor {
            watched_at: last.watched_at,
            after: Some((last.profile, last.title.clone())),
        };
        seen.extend(rows);
    }
    assert_eq!(seen.len(), 15);
    let key = |row: &BookmarkRow| (row.watched_at, row.profile.to_string(), row.title.to_string());
    assert!(seen.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    let from = WatchCursor { watched_at: UnixMillis(1_001), after: None };
    assert_eq!(activity.watched_since(&from, 100).await.unwrap().len(), 5);
}

#[tokio::test]
async fn sqlite_conforms_and_remembers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("activity.sqlite");
    let profile = ProfileId(Uuid::new_v4());
    {
        let activity = SqliteActivity::open(&path).await.unwrap();
        conforms(&activity).await;
        activity.put_bookmark(&at(profile, "kept", 42, 5_000)).await.unwrap();
    }
    let activity = SqliteActivity::open(&path).await.unwrap();
    let kept = activity.bookmark(&profile, &title("kept")).await.unwrap().unwrap();
    assert_eq!(kept.position_ms, 42);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("activity.sqlite");
    std::fs::write(&path, b"this is no database, whatever its name says, and is long enough")
        .unwrap();
    let Err(error) = SqliteActivity::open(&path).await else { panic!("opened a text file") };
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("activity.sqlite"), "{error}: {cause}");
}
