//! Port: values that may vanish at any moment. Never the only place a fact is kept.

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// Short-lived values by key. Losing all of it costs speed, never truth.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value, unless it is absent or its time is over.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps `value` for at most `ttl_ms` (at least 1), replacing an earlier one.
    async fn put(&self, key: &str, value: Bytes, ttl_ms: u64) -> Result<(), StoreError>;

    /// Removes and returns the value; of callers at the same moment exactly one gets it.
    async fn take(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Adds one to a counter and returns it. The first count starts a window of `window_ms`;
    /// after it the counter starts again at 1. Counters and values do not share keys.
    async fn count(&self, key: &str, window_ms: u64) -> Result<u64, StoreError>;

    /// Forgets a counter, as after a sign-in that worked.
    async fn forget_count(&self, key: &str) -> Result<(), StoreError>;
}
