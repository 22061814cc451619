//! Ledger of titles as the operator registered them. Not what members read: that is the catalog's
//! snapshot.

use async_trait::async_trait;
use control_types::catalog::TitleRecord;
use control_types::{TitleId, UnixMillis};

use crate::StoreError;

/// One title.
#[derive(Clone, Debug, PartialEq)]
pub struct TitleRow {
    /// As registered last.
    pub record: TitleRecord,
    /// First registration; kept when it is replaced.
    pub registered_at: UnixMillis,
    /// Last registration.
    pub changed_at: UnixMillis,
}

/// Titles.
#[async_trait]
pub trait CatalogLedger: Send + Sync {
    /// Registers or replaces; returns the row as it is now.
    async fn put_title(
        &self,
        record: &TitleRecord,
        now: UnixMillis,
    ) -> Result<TitleRow, StoreError>;

    /// Removes; says whether it was there.
    async fn remove_title(&self, title: &TitleId) -> Result<bool, StoreError>;

    /// All titles, by id.
    async fn titles(&self) -> Result<Vec<TitleRow>, StoreError>;

    /// Rises with every change of any title, so that a reader knows when to read again.
    async fn titles_version(&self) -> Result<u64, StoreError>;
}
