//! Port: find titles by what people type, mistakes included. Knows no member and no region.

use async_trait::async_trait;
use control_types::TitleId;

use crate::StoreError;

/// What is searched of one title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchEntry {
    /// Whose.
    pub id: TitleId,
    /// Weighs most.
    pub name: String,
    /// Cast and crew.
    pub people: Vec<String>,
    /// Weighs least.
    pub genres: Vec<String>,
    /// Matches a query word of four digits.
    pub year: u16,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// Which.
    pub title: TitleId,
    /// 0 to 1, comparable within one answer only.
    pub score: f32,
}

/// Titles by text.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Adds or replaces entries by id; a query after the return sees them all.
    async fn upsert(&self, entries: &[SearchEntry]) -> Result<(), StoreError>;

    /// Removes entries; ids that are not there are no error.
    async fn remove(&self, titles: &[TitleId]) -> Result<(), StoreError>;

    /// Best first, at most `count_max` (and at most `SEARCH_HITS_MAX`). The last word may be
    /// unfinished, each word may hold a typo. An empty query finds nothing.
    async fn query(&self, text: &str, count_max: usize) -> Result<Vec<SearchHit>, StoreError>;

    /// Ids of all entries, for a reconciler that compares them with the catalog.
    async fn titles(&self) -> Result<Vec<TitleId>, StoreError>;
}
