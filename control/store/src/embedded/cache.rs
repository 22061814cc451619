//! The cache in this process' memory. Dies with the process, and is not shared between processes.
//!
//! Policy: at most `CACHE_BYTES_MAX`; when full, the least recently used leave. Admission by
//! popularity is off on purpose: it would refuse *new* counters under pressure, which is when rate
//! limits matter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::future::Cache as Moka;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;

use crate::limits::{CACHE_BYTES_MAX, CACHE_KEY_BYTES_MAX, CACHE_VALUE_BYTES_MAX};
use crate::{Cache, StoreError};

/// Milliseconds since some moment, never falling.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Bytes an entry takes beside its key and value, roughly.
const ENTRY_BYTES: usize = 128;

/// The cache adapter.
pub struct MemoryCache {
    entries: Moka<String, Entry>,
    clock: Clock,
}

#[derive(Clone)]
struct Entry {
    kept: Kept,
    /// First moment it is gone, by `clock`.
    until: u64,
    /// Length of its life, for moka to free the memory of what nobody asks for again.
    life_ms: u64,
}

#[derive(Clone)]
enum Kept {
    Value(Bytes),
    Count(u64),
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryCache {
    /// By the machine's monotonic clock.
    #[must_use]
    pub fn new() -> Self {
        let begin = Instant::now();
        Self::with_clock(Arc::new(move || {
            u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
        }))
    }

    /// By another clock, for tests of what happens later.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let entries = Moka::builder()
            .max_capacity(CACHE_BYTES_MAX)
            .weigher(|key: &String, entry: &Entry| {
                let value = match &entry.kept {
                    Kept::Value(bytes) => bytes.len(),
                    Kept::Count(_) => 0,
                };
                u32::try_from(key.len() + value + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Freeing)
            .build();
        Self { entries, clock }
    }

    fn alive(&self, entry: Option<Entry>) -> Option<Entry> {
        entry.filter(|entry| entry.until > (self.clock)())
    }
}

/// Frees memory by real time; whether an entry still counts is decided by `until`.
struct Freeing;

impl Expiry<String, Entry> for Freeing {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(Duration::from_millis(entry.life_ms))
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        match entry.kept {
            // Counting on does not prolong a window.
            Kept::Count(count) if count > 1 => left,
            _ => Some(Duration::from_millis(entry.life_ms)),
        }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let entry = self.alive(self.entries.get(&value_key(key)?).await);
        Ok(entry.and_then(value_of))
    }

    async fn put(&self, key: &str, value: Bytes, ttl_ms: u64) -> Result<(), StoreError> {
        let key = value_key(key)?;
        if value.len() > CACHE_VALUE_BYTES_MAX {
            return Err(StoreError::Refused {
                what: format!("cache value {key:?}"),
                why: format!("{} bytes; at most {CACHE_VALUE_BYTES_MAX}", value.len()),
            });
        }
        let life_ms = ttl_ms.max(1);
        let until = (self.clock)().saturating_add(life_ms);
        self.entries.insert(key, Entry { kept: Kept::Value(value), until, life_ms }).await;
        Ok(())
    }

    async fn take(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let entry = self.alive(self.entries.remove(&value_key(key)?).await);
        Ok(entry.and_then(value_of))
    }

    async fn count(&self, key: &str, window_ms: u64) -> Result<u64, StoreError> {
        let key = count_key(key)?;
        let now = (self.clock)();
        let life_ms = window_ms.max(1);
        let result = self
            .entries
            .entry(key)
            .and_compute_with(|present| {
                let next = match present.map(moka::Entry::into_value) {
                    Some(Entry { kept: Kept::Count(count), until, life_ms }) if until > now => {
                        Entry { kept: Kept::Count(count.saturating_add(1)), until, life_ms }
                    }
                    _ => {
                        let until = now.saturating_add(life_ms);
                        Entry { kept: Kept::Count(1), until, life_ms }
                    }
                };
                std::future::ready(Op::Put(next))
            })
            .await;
        match result.into_entry().map(|entry| entry.into_value().kept) {
            Some(Kept::Count(count)) => Ok(count),
            // Put always leaves the entry it put.
            Some(Kept::Value(_)) | None => Ok(1),
        }
    }

    async fn forget_count(&self, key: &str) -> Result<(), StoreError> {
        self.entries.invalidate(&count_key(key)?).await;
        Ok(())
    }
}

fn value_of(entry: Entry) -> Option<Bytes> {
    match entry.kept {
        Kept::Value(bytes) => Some(bytes),
        Kept::Count(_) => None,
    }
}

fn value_key(key: &str) -> Result<String, StoreError> {
    checked(key).map(|key| format!("v/{key}"))
}

fn count_key(key: &str) -> Result<String, StoreError> {
    checked(key).map(|key| format!("c/{key}"))
}

fn checked(key: &str) -> Result<&str, StoreError> {
    if key.len() <= CACHE_KEY_BYTES_MAX {
        return Ok(key);
    }
    Err(StoreError::Refused {
        what: format!("cache key {:?}…", key.chars().take(40).collect::<String>()),
        why: format!("{} bytes; at most {CACHE_KEY_BYTES_MAX}", key.len()),
    })
}
