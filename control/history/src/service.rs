//! History over the activity port: record what players report, answer where to go on. Keeps nothing
//! in memory, so that `kill -9` costs at most the report under way.

use std::collections::HashMap;
use std::sync::Arc;

use control_store::{Activity, BookmarkRow, Events, PlayRow};
use control_types::catalog::HistoryItem;
use control_types::play::PlayEvent;
use control_types::{PlayId, ProfileId, TitleId, UnixMillis};
use serde_json::{Value, json};
use tracing::warn;

use crate::error::HistoryError;
use crate::model::{self, FUTURE_MS_MAX};

/// Topic of `pressed`: one event a press of play. Not "plays", where telemetry tells of the same
/// press in its own words: who reads one topic must not count it twice.
pub const TOPIC_PLAYS: &str = "presses";
/// Topic of `position` and `profile_forgotten`.
pub const TOPIC_POSITIONS: &str = "positions";

/// How long a press of play is remembered, milliseconds: longer than any ticket lives.
pub const PLAYS_KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// Events of one report.
const EVENTS_MAX: usize = 64;

/// Bookmarks looked at for one profile.
const BOOKMARKS_MAX: usize = 1_000;

/// The service; cheap to clone through an `Arc`.
pub struct History {
    activity: Arc<dyn Activity>,
    events: Arc<dyn Events>,
}

impl History {
    /// Over these ports.
    #[must_use]
    pub fn new(activity: Arc<dyn Activity>, events: Arc<dyn Events>) -> Self {
        Self { activity, events }
    }

    /// Remembers a press of play, so that its reports find their profile after a restart too.
    ///
    /// # Errors
    /// `Store`.
    pub async fn begin(&self, play: &PlayRow) -> Result<(), HistoryError> {
        self.keep(play).await?;
        self.tell_pressed(play).await;
        Ok(())
    }

    /// The first half of `begin`: what must stand before the press is answered.
    ///
    /// # Errors
    /// `Store`.
    pub async fn keep(&self, play: &PlayRow) -> Result<(), HistoryError> {
        Ok(self.activity.put_play(play).await?)
    }

    /// The second half, which waits for the log's disk.
    pub async fn tell_pressed(&self, play: &PlayRow) {
        let body = json!({"event": "pressed", "play": play.play, "account": play.account,
            "profile": play.profile, "title": play.title});
        self.tell(TOPIC_PLAYS, play.pressed_at, &body).await;
    }

    /// A play by its id; `None` once it was forgotten.
    ///
    /// # Errors
    /// `Store`.
    pub async fn play(&self, play: &PlayId) -> Result<Option<PlayRow>, HistoryError> {
        Ok(self.activity.play(play).await?)
    }

    /// Takes a report of a play of a title `duration_ms` long. Returns the bookmark if one was
    /// written; `None` when the report tells no position or a newer one is known.
    ///
    /// # Errors
    /// `TooManyEvents`, `Store`.
    pub async fn record(
        &self,
        play: &PlayRow,
        duration_ms: u64,
        events: &[PlayEvent],
        now: UnixMillis,
    ) -> Result<Option<BookmarkRow>, HistoryError> {
        let bookmark = self.keep_position(play, duration_ms, events, now).await?;
        if let Some(bookmark) = &bookmark {
            self.tell_position(play, bookmark).await;
        }
        Ok(bookmark)
    }

    /// The first half of `record`: the position itself.
    ///
    /// # Errors
    /// As `record`.
    pub async fn keep_position(
        &self,
        play: &PlayRow,
        duration_ms: u64,
        events: &[PlayEvent],
        now: UnixMillis,
    ) -> Result<Option<BookmarkRow>, HistoryError> {
        if events.len() > EVENTS_MAX {
            return Err(HistoryError::TooManyEvents { count: events.len(), count_max: EVENTS_MAX });
        }
        let Some(mut bookmark) = model::progress(play, duration_ms, events, now) else {
            return Ok(None);
        };
        if !self.activity.put_bookmark(&bookmark).await? {
            // One from the future was written by a clock that was ahead: it stands until that
            // moment comes, so positions are kept under its time, or none would be kept until then.
            let kept = self.activity.bookmark(&bookmark.profile, &bookmark.title).await?;
            let ahead = kept.filter(|kept| kept.watched_at > now.plus_millis(FUTURE_MS_MAX));
            let Some(kept) = ahead else { return Ok(None) };
            bookmark.watched_at = kept.watched_at;
            if !self.activity.put_bookmark(&bookmark).await? {
                return Ok(None);
            }
        }
        Ok(Some(bookmark))
    }

    /// The second half, which waits for the log's disk.
    pub async fn tell_position(&self, play: &PlayRow, bookmark: &BookmarkRow) {
        let body = json!({"event": "position", "play": play.play, "profile": bookmark.profile,
            "title": bookmark.title, "position_ms": bookmark.position_ms,
            "finished": bookmark.finished});
        self.tell(TOPIC_POSITIONS, bookmark.watched_at, &body).await;
    }

    /// Where this profile left off in this title, milliseconds; 0 when never started or finished.
    ///
    /// # Errors
    /// `Store`.
    pub async fn resume_ms(
        &self,
        profile: &ProfileId,
        title: &TitleId,
    ) -> Result<u64, HistoryError> {
        let bookmark = self.activity.bookmark(profile, title).await?;
        Ok(model::resume_ms(bookmark.as_ref()))
    }

    /// Positions of all titles under way, for the bars on cards.
    ///
    /// # Errors
    /// `Store`.
    pub async fn positions(
        &self,
        profile: &ProfileId,
    ) -> Result<HashMap<TitleId, u64>, HistoryError> {
        let rows = self.activity.bookmarks(profile, BOOKMARKS_MAX).await?;
        let under_way = rows.into_iter().filter(model::is_under_way);
        Ok(under_way.map(|row| (row.title, row.position_ms)).collect())
    }

    /// Started and unfinished, last watched first, at most `count_max`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn continue_watching(
        &self,
        profile: &ProfileId,
        count_max: usize,
    ) -> Result<Vec<HistoryItem>, HistoryError> {
        let rows = self.activity.bookmarks(profile, BOOKMARKS_MAX).await?;
        let under_way = rows.into_iter().filter(model::is_under_way);
        Ok(under_way.take(count_max).map(model::item).collect())
    }

    /// All the profile started, last watched first, at most `count_max`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn list(
        &self,
        profile: &ProfileId,
        count_max: usize,
    ) -> Result<Vec<HistoryItem>, HistoryError> {
        let rows = self.activity.bookmarks(profile, count_max.min(BOOKMARKS_MAX)).await?;
        Ok(rows.into_iter().map(model::item).collect())
    }

    /// Forgets all a removed profile watched; returns how many titles.
    ///
    /// # Errors
    /// `Store`.
    pub async fn forget_profile(
        &self,
        profile: &ProfileId,
        now: UnixMillis,
    ) -> Result<u64, HistoryError> {
        let count = self.activity.forget_profile(profile).await?;
        let body = json!({"event": "profile_forgotten", "profile": profile, "titles": count});
        self.tell(TOPIC_POSITIONS, now, &body).await;
        Ok(count)
    }

    /// Forgets presses older than `PLAYS_KEPT_MS`; for a background timer, hourly is plenty.
    ///
    /// # Errors
    /// `Store`.
    pub async fn sweep(&self, now: UnixMillis) -> Result<u64, HistoryError> {
        let before = UnixMillis(now.0.saturating_sub(PLAYS_KEPT_MS));
        Ok(self.activity.forget_plays(before).await?)
    }

    /// The row is written already: a log that is away must not make it look undone.
    async fn tell(&self, topic: &str, at: UnixMillis, body: &Value) {
        if let Err(error) = self.events.append(topic, at, body).await {
            warn!(topic, %error, "an event was not recorded");
        }
    }
}
