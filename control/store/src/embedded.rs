//! The embedded adapters: one file a port, nothing to install beside the binary. Not for a fleet
//! of control machines: each state directory belongs to one machine.

mod activity;
mod blobs;
mod cache;
mod events;
mod ledger;
mod search;
mod sqlite;

use std::path::Path;

use crate::StoreError;

pub use activity::SqliteActivity;
pub use blobs::BlobDirectory;
pub use cache::{Clock, MemoryCache};
pub use events::{LogSettings, SegmentedLog, SyncPolicy};
pub use ledger::SqliteLedger;
pub use search::TantivyIndex;

/// Makes a directory only its owner may enter: password hashes and private keys live below it.
/// An existing one is left as its operator made it.
pub(crate) fn make_private(directory: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt as _;

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| StoreError::away("make a state directory", named(directory, &error)))
}

/// The operating system's words with the path they are about, which it leaves out.
pub(crate) fn named(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
