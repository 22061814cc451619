//! Port: small immutable files named by their hash (artwork). Not for media: that lives on
//! appliances.

use async_trait::async_trait;
use bytes::Bytes;
use control_types::ObjectId;

use crate::StoreError;

/// Immutable bytes by name.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps `bytes` (at most `BLOB_BYTES_MAX`) and returns their name. All or nothing; putting
    /// the same bytes again changes nothing.
    async fn put(&self, bytes: Bytes) -> Result<ObjectId, StoreError>;

    /// The bytes, checked against their name; `Damaged` when they no longer match it.
    async fn get(&self, object: &ObjectId) -> Result<Option<Bytes>, StoreError>;

    /// Whether the blob is there; does not read it.
    async fn holds(&self, object: &ObjectId) -> Result<bool, StoreError>;
}
