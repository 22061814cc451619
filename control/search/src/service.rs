//! Search as others call it. Keeps nothing of its own: the index is derived from the catalog and
//! can be made anew from it at any time.

use std::sync::Arc;

use ahash::AHashSet;
use control_store::SearchIndex;
use control_types::TitleId;
use control_types::catalog::TitleRecord;

use crate::error::SearchError;
use crate::limits::{ANSWER_TITLES_MAX, HITS_MAX, UPSERT_MAX};
use crate::model::{entry, understood};

/// Finds titles.
pub struct Search {
    index: Arc<dyn SearchIndex>,
}

impl Search {
    /// Searches in `index`.
    #[must_use]
    pub fn new(index: Arc<dyn SearchIndex>) -> Self {
        Self { index }
    }

    /// Adds or replaces a title; a search after the return finds it.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub async fn put(&self, record: &TitleRecord) -> Result<(), SearchError> {
        let writing = SearchError::index("write a title");
        self.index.upsert(&[entry(record)]).await.map_err(writing)
    }

    /// Forgets a title; one that is not there is no error.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub async fn remove(&self, title: &TitleId) -> Result<(), SearchError> {
        let removing = SearchError::index("remove a title");
        self.index.remove(std::slice::from_ref(title)).await.map_err(removing)
    }

    /// Makes the index hold exactly `records`: what a reconciler calls at the start and whenever
    /// the catalog changed behind this process. Running it twice is running it once.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub async fn reconcile(&self, records: &[TitleRecord]) -> Result<(), SearchError> {
        let listing = SearchError::index("list its titles");
        let held = self.index.titles().await.map_err(listing)?;
        let wanted: AHashSet<&TitleId> = records.iter().map(|record| &record.id).collect();
        let stray: Vec<TitleId> = held.into_iter().filter(|id| !wanted.contains(id)).collect();
        if !stray.is_empty() {
            let removing = SearchError::index("remove titles");
            self.index.remove(&stray).await.map_err(removing)?;
        }
        for records in records.chunks(UPSERT_MAX) {
            let entries: Vec<_> = records.iter().map(entry).collect();
            self.index.upsert(&entries).await.map_err(SearchError::index("write titles"))?;
        }
        Ok(())
    }

    /// The query as understood, and the titles that answer it and that `allowed` lets through, best
    /// first, at most `ANSWER_TITLES_MAX`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn find(
        &self,
        query: &str,
        allowed: impl Fn(&TitleId) -> bool,
    ) -> Result<(String, Vec<TitleId>), SearchError> {
        let query = understood(query);
        if query.is_empty() {
            return Ok((query, Vec::new()));
        }
        let asking = SearchError::index("answer a query");
        let hits = self.index.query(&query, HITS_MAX).await.map_err(asking)?;
        let titles = hits.into_iter().map(|hit| hit.title).filter(|title| allowed(title));
        let titles = titles.take(ANSWER_TITLES_MAX).collect();
        Ok((query, titles))
    }
}
