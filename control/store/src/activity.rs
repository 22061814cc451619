//! Port: what members watch and how far they are. Available before consistent: a lost row costs a
//! member one position, never a play.

use async_trait::async_trait;
use control_types::{AccountId, PlayId, ProfileId, TitleId, UnixMillis};

use crate::StoreError;

/// One press of play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRow {
    /// Which.
    pub play: PlayId,
    /// Who pays.
    pub account: AccountId,
    /// Who watches.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
    /// When play was pressed, by control's clock.
    pub pressed_at: UnixMillis,
}

/// How far one profile is in one title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookmarkRow {
    /// Who.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
    /// How far, milliseconds.
    pub position_ms: u64,
    /// Whether the end was reached.
    pub finished: bool,
    /// Time of the newest event this row knows.
    pub watched_at: UnixMillis,
}

/// Where a scan of all bookmarks goes on: rows are ordered by `(watched_at, profile, title)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchCursor {
    /// Time of the last row seen.
    pub watched_at: UnixMillis,
    /// Profile and title of the last row seen; `None` to begin with every row at `watched_at`.
    pub after: Option<(ProfileId, TitleId)>,
}

/// Plays and positions.
#[async_trait]
pub trait Activity: Send + Sync {
    /// Remembers a press of play, so that its events can be told apart after a restart.
    async fn put_play(&self, play: &PlayRow) -> Result<(), StoreError>;

    /// A play by its id.
    async fn play(&self, play: &PlayId) -> Result<Option<PlayRow>, StoreError>;

    /// Forgets plays pressed before `before`; returns how many.
    async fn forget_plays(&self, before: UnixMillis) -> Result<u64, StoreError>;

    /// Writes the bookmark unless a row with a later `watched_at` is there; says whether it did.
    /// Equal times: the new row wins, so that a repeat is harmless.
    async fn put_bookmark(&self, bookmark: &BookmarkRow) -> Result<bool, StoreError>;

    /// How far this profile is in this title.
    async fn bookmark(
        &self,
        profile: &ProfileId,
        title: &TitleId,
    ) -> Result<Option<BookmarkRow>, StoreError>;

    /// All titles the profile has started, last watched first, at most `count_max`.
    async fn bookmarks(
        &self,
        profile: &ProfileId,
        count_max: usize,
    ) -> Result<Vec<BookmarkRow>, StoreError>;

    /// Bookmarks of every profile from the cursor on, oldest first, at most `count_max`: what the
    /// recommender learns from.
    async fn watched_since(
        &self,
        cursor: &WatchCursor,
        count_max: usize,
    ) -> Result<Vec<BookmarkRow>, StoreError>;

    /// Forgets all a profile watched; returns how many titles.
    async fn forget_profile(&self, profile: &ProfileId) -> Result<u64, StoreError>;
}
