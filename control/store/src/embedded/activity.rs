//! Plays and positions in a SQLite file of their own, `synchronous=NORMAL`: every commit survives
//! `kill -9`; a power cut may take the last moments: a few seconds of
//! somebody's position.

use std::path::Path;

use async_trait::async_trait;
use control_types::{PlayId, ProfileId, TitleId, UnixMillis};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteRow, SqliteSynchronous};

use crate::embedded::sqlite::{Columns, SqliteFile, away, to_sql};
use crate::limits::ACTIVITY_ROWS_MAX;
use crate::{Activity, BookmarkRow, PlayRow, StoreError, WatchCursor};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/activity");

const PLAY: &str = "remember a play";
const BOOKMARK: &str = "write a position";
const READING: &str = "read what was watched";

/// The activity adapter.
pub struct SqliteActivity {
    file: SqliteFile,
}

impl SqliteActivity {
    /// Opens or makes the file and brings its tables up to date.
    ///
    /// # Errors
    /// `Away`, naming the file.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = SqliteFile::open(path, &MIGRATIONS, SqliteSynchronous::Normal).await?;
        Ok(Self { file })
    }
}

#[async_trait]
impl Activity for SqliteActivity {
    async fn put_play(&self, play: &PlayRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO plays (play, account, profile, title, pressed_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (play) DO NOTHING",
        )
        .bind(play.play.to_string())
        .bind(play.account.to_string())
        .bind(play.profile.to_string())
        .bind(play.title.as_str())
        .bind(to_sql(play.pressed_at.0))
        .execute(&self.file.writer)
        .await
        .map_err(|error| away(PLAY, error))?;
        Ok(())
    }

    async fn play(&self, play: &PlayId) -> Result<Option<PlayRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM plays WHERE play = ?")
            .bind(play.to_string())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(play_of).transpose()
    }

    async fn forget_plays(&self, before: UnixMillis) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM plays WHERE pressed_at < ?")
            .bind(to_sql(before.0))
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(PLAY, error))?;
        Ok(done.rows_affected())
    }

    async fn put_bookmark(&self, bookmark: &BookmarkRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO bookmarks (profile, title, position_ms, finished, watched_at) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (profile, title) DO UPDATE SET \
             position_ms = excluded.position_ms, finished = excluded.finished, \
             watched_at = excluded.watched_at WHERE excluded.watched_at >= bookmarks.watched_at",
        )
        .bind(bookmark.profile.to_string())
        .bind(bookmark.title.as_str())
        .bind(to_sql(bookmark.position_ms))
        .bind(i64::from(bookmark.finished))
        .bind(to_sql(bookmark.watched_at.0))
        .execute(&self.file.writer)
        .await
        .map_err(|error| away(BOOKMARK, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn bookmark(
        &self,
        profile: &ProfileId,
        title: &TitleId,
    ) -> Result<Option<BookmarkRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM bookmarks WHERE profile = ? AND title = ?")
            .bind(profile.to_string())
            .bind(title.as_str())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(bookmark_of).transpose()
    }

    async fn bookmarks(
        &self,
        profile: &ProfileId,
        count_max: usize,
    ) -> Result<Vec<BookmarkRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM bookmarks WHERE profile = ? ORDER BY watched_at DESC, title LIMIT ?",
        )
        .bind(profile.to_string())
        .bind(to_sql(count_max.min(ACTIVITY_ROWS_MAX) as u64))
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(READING, error))?;
        rows.iter().map(bookmark_of).collect()
    }

    async fn watched_since(
        &self,
        cursor: &WatchCursor,
        count_max: usize,
    ) -> Result<Vec<BookmarkRow>, StoreError> {
        // Empty texts sort before every id: "all rows at this time".
        let (profile, title) = match &cursor.after {
            Some((profile, title)) => (profile.to_string(), title.as_str()),
            None => (String::new(), ""),
        };
        let rows = sqlx::query(
            "SELECT * FROM bookmarks WHERE (watched_at, profile, title) > (?, ?, ?) \
             ORDER BY watched_at, profile, title LIMIT ?",
        )
        .bind(to_sql(cursor.watched_at.0))
        .bind(profile)
        .bind(title)
        .bind(to_sql(count_max.min(ACTIVITY_ROWS_MAX) as u64))
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(READING, error))?;
        rows.iter().map(bookmark_of).collect()
    }

    async fn forget_profile(&self, profile: &ProfileId) -> Result<u64, StoreError> {
        let mut work = self.file.begin(BOOKMARK).await?;
        sqlx::query("DELETE FROM plays WHERE profile = ?")
            .bind(profile.to_string())
            .execute(&mut *work)
            .await
            .map_err(|error| away(BOOKMARK, error))?;
        let done = sqlx::query("DELETE FROM bookmarks WHERE profile = ?")
            .bind(profile.to_string())
            .execute(&mut *work)
            .await
            .map_err(|error| away(BOOKMARK, error))?;
        work.commit().await.map_err(|error| away(BOOKMARK, error))?;
        Ok(done.rows_affected())
    }
}

fn play_of(row: &SqliteRow) -> Result<PlayRow, StoreError> {
    let columns = Columns::of(row, "plays");
    Ok(PlayRow {
        play: columns.parsed("play")?,
        account: columns.parsed("account")?,
        profile: columns.parsed("profile")?,
        title: columns.parsed("title")?,
        pressed_at: UnixMillis(columns.number("pressed_at")?),
    })
}

fn bookmark_of(row: &SqliteRow) -> Result<BookmarkRow, StoreError> {
    let columns = Columns::of(row, "bookmarks");
    Ok(BookmarkRow {
        profile: columns.parsed("profile")?,
        title: columns.parsed("title")?,
        position_ms: columns.number("position_ms")?,
        finished: columns.number("finished")? != 0,
        watched_at: UnixMillis(columns.number("watched_at")?),
    })
}
