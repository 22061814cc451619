//! Makes the search index hold exactly the catalog. Woken at start, by a change of titles, and
//! every
//! `SEARCH_EVERY_MS`; takes no input. Never blocks a title from being published.

use std::time::Duration;

use control_gateway::Services;
use control_types::catalog::TitleRecord;

use crate::limits::{RETRY_MS_MIN, SEARCH_EVERY_MS};

pub(super) async fn run(services: Services) {
    let mut wait_ms = RETRY_MS_MIN;
    loop {
        let snapshot = services.catalog.snapshot();
        let records: Vec<TitleRecord> =
            snapshot.titles().map(|listed| listed.record.clone()).collect();
        match services.search.reconcile(&records).await {
            Ok(()) => wait_ms = SEARCH_EVERY_MS,
            Err(error) => {
                tracing::warn!(%error, "the search index is behind the catalog");
                wait_ms = (wait_ms * 2).clamp(RETRY_MS_MIN, SEARCH_EVERY_MS);
            }
        }
        // A nudge and the end of the wait mean the same: look again.
        let nudge = services.titles_changed.notified();
        let _ = tokio::time::timeout(Duration::from_millis(wait_ms), nudge).await;
    }
}
