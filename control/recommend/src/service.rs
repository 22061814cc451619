//! The recommender as others call it: reads a snapshot, never waits for a rebuild.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use control_store::{Activity, BookmarkRow, StoreError, WatchCursor};
use control_types::catalog::HistoryItem;
use control_types::{TitleId, UnixMillis};
use tokio::sync::Notify;

use crate::limits::{
    LIVE_TITLES_MAX, REBUILD_EVERY_MS, REBUILD_PAGE, REBUILD_PAUSE_MS, WATCHES_MAX,
};
use crate::model::{Model, Watch};
use crate::rows::{self, RowPlan};
use crate::shelf::Shelf;

/// Home rows and likeness, from a model of who watched what.
pub struct Recommender {
    activity: Arc<dyn Activity>,
    model: ArcSwap<Model>,
    /// Presses since the model was built; they fade only when the next one counts them.
    live: Mutex<AHashMap<TitleId, f64>>,
    nudged: Notify,
    /// One rebuild at a time.
    rebuilding: tokio::sync::Mutex<()>,
}

impl Recommender {
    /// Begins with an empty model: pages hold what is new until the first rebuild.
    #[must_use]
    pub fn new(activity: Arc<dyn Activity>) -> Self {
        Self {
            activity,
            model: ArcSwap::default(),
            live: Mutex::default(),
            nudged: Notify::new(),
            rebuilding: tokio::sync::Mutex::new(()),
        }
    }

    /// The model in use.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.model.load_full()
    }

    /// Asks for a rebuild soon; many nudges are one.
    pub fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Rebuilds for ever: when nudged, at most every `REBUILD_PAUSE_MS`, and without a nudge every
    /// `REBUILD_EVERY_MS`. Takes no input; `clock` says what time it is. Never returns: the caller
    /// drops the future to stop it.
    pub async fn run(&self, clock: impl Fn() -> UnixMillis) {
        loop {
            if let Err(error) = self.rebuild(clock()).await {
                tracing::warn!(%error, "recommendations were not rebuilt; the last model stays");
            }
            tokio::time::sleep(Duration::from_millis(REBUILD_PAUSE_MS)).await;
            let every = Duration::from_millis(REBUILD_EVERY_MS);
            // A nudge and the end of the wait mean the same: look again.
            let _ = tokio::time::timeout(every, self.nudged.notified()).await;
        }
    }

    /// Reads what everyone watched and swaps in the model of it; returns its version.
    ///
    /// # Errors
    /// When the activity port cannot be read; the model then stays as it was.
    pub async fn rebuild(&self, now: UnixMillis) -> Result<u64, StoreError> {
        let _rebuilding = self.rebuilding.lock().await;
        let watches = self.rebuild_read().await?;
        let version = self.model.load().version + 1;
        let learned = tokio::task::spawn_blocking(move || Model::learn(&watches, version, now));
        let model =
            learned.await.map_err(|error| StoreError::away("learn what is watched", error))?;
        self.model.store(Arc::new(model));
        self.live().clear();
        Ok(version)
    }

    async fn rebuild_read(&self) -> Result<Vec<Watch>, StoreError> {
        let mut watches: Vec<Watch> = Vec::new();
        let mut cursor = WatchCursor::default();
        loop {
            let page = self.activity.watched_since(&cursor, REBUILD_PAGE).await?;
            let Some(last) = page.last() else { return Ok(watches) };
            let after = Some((last.profile, last.title.clone()));
            cursor = WatchCursor { watched_at: last.watched_at, after };
            watches.extend(page.into_iter().map(as_watch));
            if watches.len() >= 2 * WATCHES_MAX {
                // Oldest first: the front is what matters least.
                watches.drain(..WATCHES_MAX);
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, AHashMap<TitleId, f64>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A press of play, for what is trending before the next rebuild.
    pub fn saw_play(&self, title: &TitleId) {
        let mut live = self.live();
        if live.len() < LIVE_TITLES_MAX || live.contains_key(title) {
            *live.entry(title.clone()).or_default() += 1.0;
        }
    }

    /// The rows of a profile's home page, top to bottom. Every title in them is on `shelf`.
    #[must_use]
    pub fn home(&self, history: &[HistoryItem], shelf: &Shelf, now: UnixMillis) -> Vec<RowPlan> {
        let model = self.model.load();
        let live = self.live().clone();
        rows::home(&model, shelf, history, &|title| rows::trend(&model, &live, title, now))
    }

    /// Titles that go with `title`, best first, all on `shelf`, without itself.
    #[must_use]
    pub fn more_like_this(&self, title: &TitleId, shelf: &Shelf, now: UnixMillis) -> Vec<TitleId> {
        let model = self.model.load();
        let live = self.live().clone();
        let trend = |title: &TitleId| rows::trend(&model, &live, title, now);
        rows::more_like_this(&model, shelf, title, &trend)
    }
}

fn as_watch(row: BookmarkRow) -> Watch {
    Watch { profile: row.profile, title: row.title, watched_at: row.watched_at }
}
