//! Notices when an appliance's health changes, for the log and the event log. Woken every
//! `HEALTH_EVERY_MS`; takes no input. Decides nothing: steering judges health at every ranking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use control_steering::Steering;
use control_store::Events;
use control_types::ApplianceId;
use control_types::fleet::Health;
use serde_json::json;

use crate::clock::now;
use crate::limits::HEALTH_EVERY_MS;

/// Topic of `health`.
const TOPIC: &str = "fleet";

pub(super) async fn run(steering: Arc<Steering>, events: Arc<dyn Events>) {
    let mut every = tokio::time::interval(Duration::from_millis(HEALTH_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known: BTreeMap<ApplianceId, Health> = BTreeMap::new();
    loop {
        every.tick().await;
        let at = now();
        let lines = steering.appliances(at);
        // They come by id. Asked one by one, twenty thousand would take longer than a second.
        known.retain(|id, _| lines.binary_search_by(|line| line.record.id.cmp(id)).is_ok());
        for line in lines {
            let id = line.record.id;
            let before = known.insert(id.clone(), line.health);
            if before.is_none_or(|before| before == line.health) {
                continue;
            }
            tracing::info!(appliance = %id, health = ?line.health, "health changed");
            let body = json!({"event": "health", "appliance": id, "health": line.health,
                "before": before});
            if let Err(error) = events.append(TOPIC, at, &body).await {
                tracing::warn!(topic = TOPIC, %error, "an event was not recorded");
            }
        }
    }
}
