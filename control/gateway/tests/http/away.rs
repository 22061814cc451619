//! Goal: a press of play goes on without the stores it can do without. Method: activity and log
//! that never answer, and a ledger of members that can be made to, behind the real services.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use control_store::{
    Activity, BookmarkRow, EventRow, Events, Offset, PlayRow, StoreError, WatchCursor,
};
use control_types::play::{PlayEventKind, PlayEvents, PressPlay};
use control_types::{PlayId, ProfileId, TitleId, UnixMillis};

use crate::lab::{Lab, event, title};

/// Never answers.
struct Hung;

#[async_trait]
impl Activity for Hung {
    async fn put_play(&self, _: &PlayRow) -> Result<(), StoreError> {
        pending().await
    }

    async fn play(&self, _: &PlayId) -> Result<Option<PlayRow>, StoreError> {
        pending().await
    }

    async fn forget_plays(&self, _: UnixMillis) -> Result<u64, StoreError> {
        pending().await
    }

    async fn put_bookmark(&self, _: &BookmarkRow) -> Result<bool, StoreError> {
        pending().await
    }

    async fn bookmark(
        &self,
        _: &ProfileId,
        _: &TitleId,
    ) -> Result<Option<BookmarkRow>, StoreError> {
        pending().await
    }

    async fn bookmarks(&self, _: &ProfileId, _: usize) -> Result<Vec<BookmarkRow>, StoreError> {
        pending().await
    }

    async fn watched_since(
        &self,
        _: &WatchCursor,
        _: usize,
    ) -> Result<Vec<BookmarkRow>, StoreError> {
        pending().await
    }

    async fn forget_profile(&self, _: &ProfileId) -> Result<u64, StoreError> {
        pending().await
    }
}

#[async_trait]
impl Events for Hung {
    async fn append(
        &self,
        _: &str,
        _: UnixMillis,
        _: &serde_json::Value,
    ) -> Result<Offset, StoreError> {
        pending().await
    }

    async fn read(&self, _: &str, _: Offset, _: usize) -> Result<Vec<EventRow>, StoreError> {
        pending().await
    }

    async fn end(&self, _: &str) -> Result<Offset, StoreError> {
        pending().await
    }
}

#[tokio::test]
async fn a_play_begins_and_is_reported_though_activity_and_log_hang() {
    let mut lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let hung: Arc<Hung> = Arc::new(Hung);
    lab.services.history = Arc::new(control_history::History::new(hung.clone(), hung));
    lab.serve_again().await;
    let (member, _, profile) = lab.member("ann@example.org").await;
    let press = PressPlay { profile, title: night.id.clone() };
    let mut plays = Vec::new();
    // More than the misses after which nobody waits any more.
    for _ in 0..6 {
        let answer = member.press_play(&press).await.unwrap();
        assert_eq!(answer.resume_ms, 0);
        let stopped = event(PlayEventKind::Stopped, 5_000, 1);
        let report = PlayEvents { events: vec![stopped] };
        lab.nobody().play_events(answer.play, &report).await.unwrap();
        plays.push(answer.play);
    }
    for play in plays {
        lab.nobody().hls_manifest(play).await.expect("memory holds the play");
    }
    let metrics = lab.nobody().metrics().await.unwrap();
    for dependency in ["resume", "plays", "positions"] {
        let open = format!("control_dependency_open{{dependency=\"{dependency}\"}} 1");
        assert!(metrics.contains(&open), "{dependency}: {metrics}");
    }
    assert!(metrics.contains("control_resume_skipped_total 6"), "{metrics}");
    assert!(metrics.contains("control_dependency_missed_total"), "{metrics}");
}
