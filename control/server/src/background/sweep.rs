//! Deletes what is long over. Woken on timers; takes no input. Never touches what still counts.

use std::time::Duration;

use control_gateway::{Gateway, Services};

use crate::clock::now;
use crate::limits::{RATES_EVERY_MS, SWEEP_EVERY_MS};

/// Refresh tokens of sessions that ended, presses of play whose tickets ended.
pub(super) async fn run(services: Services) {
    let mut every = tokio::time::interval(Duration::from_millis(SWEEP_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match services.accounts.sweep(now()).await {
            Ok(tokens) => tracing::debug!(tokens, "swept sessions"),
            Err(error) => tracing::warn!(%error, "sessions were not swept"),
        }
        match services.history.sweep(now()).await {
            Ok(plays) => tracing::debug!(plays, "swept plays"),
            Err(error) => tracing::warn!(%error, "plays were not swept"),
        }
    }
}

/// Addresses of the rate limit.
pub(super) async fn rates(gateway: Gateway) {
    let mut every = tokio::time::interval(Duration::from_millis(RATES_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        gateway.sweep();
    }
}
