//! Opens every embedded adapter under one directory. Reads no configuration.

use std::path::Path;
use std::sync::Arc;

use crate::{Activity, Blobs, Cache, Events, Ledger, SearchIndex, StoreError};

/// All ports of a control process; cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Accounts, plans, titles, fleet, windows, keys.
    pub ledger: Arc<dyn Ledger>,
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
    Err(StoreError::Refused {
        what: state_dir.display().to_string(),
        why: "the embedded adapters are not built in yet".to_owned(),
    })
}
