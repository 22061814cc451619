//! Opens every embedded adapter under one directory. Reads no configuration.

use std::path::Path;
use std::sync::Arc;

use crate::ledger::MembersLedger;
use crate::{Activity, Blobs, Cache, Events, Ledger, SearchIndex, StoreError, embedded};

/// All ports of a control process; cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Accounts, plans, titles, fleet, windows, keys.
    pub ledger: Arc<dyn Ledger>,
    /// Accounts and plans of the same ledger: what members wait for.
    pub members: Arc<dyn MembersLedger>,
    /// Plays and positions.
    pub activity: Arc<dyn Activity>,
    /// Short-lived values.
    pub cache: Arc<dyn Cache>,
    /// Everything observed.
    pub events: Arc<dyn Events>,
    /// Titles by text.
    pub search: Arc<dyn SearchIndex>,
    /// Artwork.
    pub blobs: Arc<dyn Blobs>,
}

/// Opens (or makes, mode 0700) `state_dir` with everything in it:
/// `ledger.sqlite`, `activity.sqlite`, `events/`, `search/`, `blobs/`.
///
/// # Errors
/// `Away` when a file cannot be made or opened, `Damaged` when one cannot be read back. The search
/// index is derived: a damaged one is made anew, empty, and filled by its service.
pub async fn open_embedded(state_dir: &Path) -> Result<Ports, StoreError> {
    embedded::make_private(state_dir)?;
    let ledger: Arc<dyn Ledger> =
        Arc::new(embedded::SqliteLedger::open(&state_dir.join("ledger.sqlite")).await?);
    let activity = embedded::SqliteActivity::open(&state_dir.join("activity.sqlite")).await?;
    let events =
        embedded::SegmentedLog::open(&state_dir.join("events"), embedded::LogSettings::default())?;
    let search = embedded::TantivyIndex::open(&state_dir.join("search"))?;
    let blobs = embedded::BlobDirectory::open(&state_dir.join("blobs"))?;
    Ok(Ports {
        members: ledger.clone(),
        ledger,
        activity: Arc::new(activity),
        cache: Arc::new(embedded::MemoryCache::new()),
        events: Arc::new(events),
        search: Arc::new(search),
        blobs: Arc::new(blobs),
    })
}
