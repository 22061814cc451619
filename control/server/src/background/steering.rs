//! Writes the questions that steering noted to its log. Woken every `STEERING_LOG_EVERY_MS`; takes
//! no input. A log that cannot be written costs those questions and no decision.

use std::sync::Arc;
use std::time::Duration;

use control_steering::Steering;

use crate::limits::STEERING_LOG_EVERY_MS;

pub(super) async fn run(steering: Arc<Steering>) {
    let mut every = tokio::time::interval(Duration::from_millis(STEERING_LOG_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = steering.write_log().await {
            tracing::warn!(%error, "steering questions were not recorded");
        }
    }
}
