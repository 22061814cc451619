//! Goal: every member gets a page, whatever is known; rows hold only what may be shown and what was
//! not seen; the model learns from the real activity store. Method: small histories, rows out.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::sync::Arc;

use control_recommend::limits::ROW_TITLES_MAX;
use control_recommend::{CatalogEntry, Model, Recommender, RowPlan, Shelf, Watch};
use control_store::{Activity, BookmarkRow, open_embedded};
use control_types::catalog::{HistoryItem, RowKind};
use control_types::{ProfileId, TitleId, UnixMillis};
use uuid::Uuid;

const DAY_MS: u64 = 86_400_000;
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn id(text: &str) -> TitleId {
    text.parse().unwrap()
}

fn entry(name: &str, genres: &[&str], age_days: u64) -> CatalogEntry {
    CatalogEntry {
        id: id(name),
        name: name.to_uppercase(),
        genres: genres.iter().map(|genre| (*genre).to_owned()).collect(),
        published_at: UnixMillis(NOW.0 - age_days * DAY_MS),
    }
}

/// Six titles of two genres, from the newest to the oldest.
fn shelf() -> Shelf {
    Shelf::new(vec![
        entry("far-1", &["Space"], 6),
        entry("far-2", &["Space"], 5),
        entry("far-3", &["Space"], 4),
        entry("sea-1", &["Sea"], 3),
        entry("sea-2", &["Sea"], 2),
        entry("sea-3", &["Sea"], 1),
    ])
}

fn seen(title: &str, position_ms: u64, finished: bool, ago_ms: u64) -> HistoryItem {
    let watched_at = UnixMillis(NOW.0 - ago_ms);
    HistoryItem { title: id(title), position_ms, finished, watched_at }
}

/// Thirty members: half watch what is far, half the sea, each misses one title; `far-1` most
/// lately.
async fn learned(directory: &std::path::Path) -> Recommender {
    let activity: Arc<dyn Activity> = open_embedded(directory).await.unwrap().activity;
    for member in 0..30u64 {
        let kind = if member % 2 == 0 { "far" } else { "sea" };
        for number in (1..=3).filter(|number| member % 3 + 1 != *number) {
            let watched_at = UnixMillis(NOW.0 - number * DAY_MS - member);
            let bookmark = BookmarkRow {
                profile: ProfileId(Uuid::from_u128(u128::from(member))),
                title: id(&format!("{kind}-{number}")),
                position_ms: 5,
                finished: true,
                watched_at,
            };
            activity.put_bookmark(&bookmark).await.unwrap();
        }
    }
    let recommender = Recommender::new(activity);
    assert_eq!(recommender.rebuild(NOW).await.unwrap(), 1);
    recommender
}

fn row(rows: &[RowPlan], kind: RowKind) -> Vec<&str> {
    let found = rows.iter().find(|row| row.kind == kind);
    found.map_or(Vec::new(), |row| row.titles.iter().map(TitleId::as_str).collect())
}

#[tokio::test]
async fn a_member_nothing_is_known_of_gets_what_trends_and_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let rows = recommender.home(&[], &shelf(), NOW);
    let kinds: Vec<RowKind> = rows.iter().map(|row| row.kind).collect();
    use RowKind::{Genre, NewHere, TopPicks, Trending};
    assert_eq!(kinds, [Trending, TopPicks, NewHere, Genre, Genre]);
    let newest = ["sea-3", "sea-2", "sea-1", "far-3", "far-2", "far-1"];
    assert_eq!(row(&rows, NewHere), newest);
    assert_eq!(&row(&rows, Trending)[..2], ["sea-1", "far-1"], "watched last, newer first");
    assert_eq!(row(&rows, TopPicks), row(&rows, Trending));
}

#[tokio::test]
async fn before_the_first_rebuild_there_is_a_page_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let activity = open_embedded(directory.path()).await.unwrap().activity;
    let recommender = Recommender::new(activity);
    let rows = recommender.home(&[], &shelf(), NOW);
    assert_eq!(row(&rows, RowKind::Trending), [""; 0]);
    assert_eq!(row(&rows, RowKind::TopPicks).len(), 6);
    recommender.saw_play(&id("far-2"));
    let rows = recommender.home(&[], &shelf(), NOW);
    assert_eq!(row(&rows, RowKind::Trending), ["far-2"], "a press trends at once");
    assert_eq!(row(&rows, RowKind::TopPicks)[0], "far-2");
    assert!(recommender.home(&[], &Shelf::default(), NOW).is_empty());
}

#[tokio::test]
async fn one_title_watched_turns_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let history = [seen("far-1", 7_000, true, 1_000)];
    let rows = recommender.home(&history, &shelf(), NOW);
    assert_eq!(row(&rows, RowKind::ContinueWatching), [""; 0], "finished");
    let because = rows.iter().find(|row| row.kind == RowKind::BecauseYouWatched).unwrap();
    assert_eq!(because.heading, "Because you watched FAR-1");
    let mut near = row(&rows, RowKind::BecauseYouWatched);
    near.sort_unstable();
    assert_eq!(near, ["far-2", "far-3"]);
    let picks = row(&rows, RowKind::TopPicks);
    assert!(picks[..2].iter().all(|pick| pick.starts_with("far")), "{picks:?}");
    assert!(!picks.contains(&"far-1"), "already seen");
    let genres: Vec<&str> =
        rows.iter().filter(|row| row.kind == RowKind::Genre).map(|row| &*row.heading).collect();
    assert_eq!(genres, ["Space", "Sea"], "the member's own genre first");
}

#[tokio::test]
async fn continue_watching_is_newest_first_and_only_what_was_begun() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let history = [
        seen("far-1", 7_000, false, 9_000),
        seen("sea-1", 7_000, false, 1_000),
        seen("sea-2", 7_000, true, 500),
        seen("sea-3", 0, false, 100),
        seen("withdrawn", 7_000, false, 50),
    ];
    let rows = recommender.home(&history, &shelf(), NOW);
    assert_eq!(rows[0].kind, RowKind::ContinueWatching);
    assert_eq!(row(&rows, RowKind::ContinueWatching), ["sea-1", "far-1"]);
    for title in row(&rows, RowKind::TopPicks) {
        assert!(history.iter().all(|item| item.title.as_str() != title), "{title} was begun");
    }
}

/// Filters work inside the ranking: a small shelf is filled with the best of it, not with what is
/// left of the best of everything.
#[tokio::test]
async fn only_what_is_on_the_shelf_is_ranked() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let small = Shelf::new(vec![entry("far-2", &["Space"], 1), entry("unknown", &[], 2)]);
    let history = [seen("far-1", 7_000, true, 1_000)];
    let rows = recommender.home(&history, &small, NOW);
    for row in &rows {
        assert!(row.titles.iter().all(|title| small.find(title).is_some()), "{row:?}");
        assert!(row.titles.len() <= ROW_TITLES_MAX && !row.titles.is_empty());
    }
    assert_eq!(row(&rows, RowKind::TopPicks), ["far-2", "unknown"]);
}

#[tokio::test]
async fn more_like_this_is_co_watched_then_of_the_same_genre() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let mut entries = shelf().entries().to_vec();
    entries.push(entry("far-new", &["Space"], 0));
    entries.push(entry("alone", &[], 0));
    let shelf = Shelf::new(entries);
    let like = |title: &str| -> Vec<String> {
        let found = recommender.more_like_this(&id(title), &shelf, NOW);
        found.iter().map(TitleId::to_string).collect()
    };
    let mut near = like("far-1");
    assert_eq!(near.pop().as_deref(), Some("far-new"));
    near.sort();
    assert_eq!(near, ["far-2", "far-3"]);
    let mut fresh = like("far-new");
    fresh.sort();
    assert_eq!(fresh, ["far-1", "far-2", "far-3"], "a title nobody watched yet has its genre");
    assert!(like("alone").is_empty());
    assert!(like("unheard-of").is_empty());
}

#[tokio::test]
async fn a_rebuild_counts_up_and_learns_what_came_since() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = learned(directory.path()).await;
    let first = recommender.model();
    assert_eq!((first.version, first.profiles), (1, 30));
    recommender.saw_play(&id("brand-new"));
    assert_eq!(recommender.rebuild(NOW).await.unwrap(), 2);
    assert_eq!(recommender.model().version, 2);
    assert_eq!(first.version, 1, "a snapshot in use does not change");
}

/// The background loop learns at once and again when nudged.
#[tokio::test]
async fn a_nudge_rebuilds() {
    let directory = tempfile::tempdir().unwrap();
    let recommender = Arc::new(learned(directory.path()).await);
    let runner = tokio::spawn({
        let recommender = Arc::clone(&recommender);
        async move { recommender.run(|| NOW).await }
    });
    let reached = |version| {
        let recommender = Arc::clone(&recommender);
        let wait = async move {
            while recommender.model().version < version {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), wait)
    };
    reached(2).await.expect("it learns when it starts");
    recommender.nudge();
    reached(3).await.expect("it learns when it is nudged");
    runner.abort();
}

/// One set of watches is one model, whatever order it came in.
#[test]
fn learning_does_not_depend_on_the_order_of_what_was_watched() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut watches: Vec<Watch> = (0..2_000u64)
        .map(|at| Watch {
            profile: ProfileId(Uuid::from_u128(random.u128(0..60))),
            title: id(&format!("t{}", random.u8(0..80))),
            watched_at: UnixMillis(at),
        })
        .collect();
    let history: Vec<TitleId> = (0..5).map(|number| id(&format!("t{number}"))).collect();
    let ranked = |watches: &[Watch]| {
        let model = Model::learn(watches, 1, NOW);
        let ranked = model.rank(&history, &|_| true, 10);
        ranked.into_iter().map(|(title, _)| title).collect::<Vec<_>>()
    };
    let in_order = ranked(&watches);
    random.shuffle(&mut watches);
    assert_eq!(ranked(&watches), in_order);
    assert_eq!(in_order.len(), 10);
}
