//! What any cache must do; run on the in-process one. Time is a number the test moves.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use control_store::embedded::MemoryCache;
use control_store::{Cache, StoreError, limits};

/// A life no test outlasts.
const LONG_MS: u64 = 3_600_000;

/// The suite: `advance` moves the cache's clock by that many milliseconds.
async fn conforms(cache: Arc<dyn Cache>, advance: impl Fn(u64)) {
    values_live_their_time(cache.as_ref(), &advance).await;
    one_taker_gets_it(Arc::clone(&cache)).await;
    counters_count_a_window(cache.as_ref(), &advance).await;
    no_count_is_lost(Arc::clone(&cache)).await;
    bounds_are_kept(cache.as_ref()).await;
}

async fn values_live_their_time(cache: &dyn Cache, advance: &impl Fn(u64)) {
    assert_eq!(cache.get("a").await.unwrap(), None);
    cache.put("a", Bytes::from_static(b"1"), LONG_MS).await.unwrap();
    cache.put("a", Bytes::from_static(b"2"), LONG_MS).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap().as_deref(), Some(&b"2"[..]));
    advance(LONG_MS - 1);
    assert!(cache.get("a").await.unwrap().is_some());
    advance(1);
    assert_eq!(cache.get("a").await.unwrap(), None);
    assert_eq!(cache.take("a").await.unwrap(), None, "what is over cannot be taken either");
}

async fn one_taker_gets_it(cache: Arc<dyn Cache>) {
    for round in 0..50 {
        let key = format!("take/{round}");
        cache.put(&key, Bytes::from_static(b"x"), LONG_MS).await.unwrap();
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (cache, key) = (Arc::clone(&cache), key.clone());
                tokio::spawn(async move { cache.take(&key).await.unwrap().is_some() })
            })
            .collect();
        let mut won = 0;
        for taker in takers {
            won += usize::from(taker.await.unwrap());
        }
        assert_eq!(won, 1, "round {round}");
    }
}

async fn counters_count_a_window(cache: &dyn Cache, advance: &impl Fn(u64)) {
    cache.put("c", Bytes::from_static(b"value"), LONG_MS).await.unwrap();
    for expected in 1..=3 {
        assert_eq!(cache.count("c", LONG_MS).await.unwrap(), expected);
        advance(1);
    }
    assert!(cache.get("c").await.unwrap().is_some(), "values and counters share no keys");
    // Counting did not move the window's end.
    advance(LONG_MS - 3);
    assert_eq!(cache.count("c", LONG_MS).await.unwrap(), 1);
    cache.count("c", LONG_MS).await.unwrap();
    cache.forget_count("c").await.unwrap();
    assert_eq!(cache.count("c", LONG_MS).await.unwrap(), 1);
}

async fn no_count_is_lost(cache: Arc<dyn Cache>) {
    let counters: Vec<_> = (0..8)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move {
                for _ in 0..100 {
                    cache.count("busy", LONG_MS).await.unwrap();
                }
            })
        })
        .collect();
    for counter in counters {
        counter.await.unwrap();
    }
    assert_eq!(cache.count("busy", LONG_MS).await.unwrap(), 801);
}

async fn bounds_are_kept(cache: &dyn Cache) {
    let key = "k".repeat(limits::CACHE_KEY_BYTES_MAX + 1);
    assert!(matches!(cache.get(&key).await, Err(StoreError::Refused { .. })));
    let value = Bytes::from(vec![0; limits::CACHE_VALUE_BYTES_MAX + 1]);
    assert!(matches!(cache.put("big", value, LONG_MS).await, Err(StoreError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_in_process_cache_conforms() {
    let now = Arc::new(AtomicU64::new(1));
    let seen = Arc::clone(&now);
    let cache = MemoryCache::with_clock(Arc::new(move || seen.load(Ordering::SeqCst)));
    let advance = |by| {
        now.fetch_add(by, Ordering::SeqCst);
    };
    conforms(Arc::new(cache), advance).await;
}

#[tokio::test]
async fn a_full_cache_keeps_what_was_used_last() {
    let cache = MemoryCache::new();
    let value = Bytes::from(vec![7; limits::CACHE_VALUE_BYTES_MAX]);
    let fits = limits::CACHE_BYTES_MAX / limits::CACHE_VALUE_BYTES_MAX as u64;
    for index in 0..2 * fits {
        cache.put(&index.to_string(), value.clone(), LONG_MS).await.unwrap();
        assert!(cache.get(&index.to_string()).await.unwrap().is_some(), "{index} was refused");
    }
}
