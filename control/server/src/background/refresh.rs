//! Reads titles, registry, windows and plan again, in case another control process changed them.
//! Woken every `REFRESH_EVERY_MS`; takes no input. Changes nothing in the ledger.

use std::time::Duration;

use control_gateway::Services;

use crate::clock::now;
use crate::limits::REFRESH_EVERY_MS;

pub(super) async fn run(services: Services) {
    let mut every = tokio::time::interval(Duration::from_millis(REFRESH_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is now, and everything was read a moment ago.
    every.tick().await;
    control_gateway::learn_titles(&services);
    loop {
        every.tick().await;
        match services.catalog.refresh().await {
            Ok(true) => {
                control_gateway::learn_titles(&services);
                services.titles_changed.notify_one();
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "titles were not read again"),
        }
        if let Err(error) = services.steering.refresh().await {
            tracing::warn!(%error, "the registry was not read again");
        }
        if let Err(error) = services.fill_desk.refresh(now()).await {
            tracing::warn!(%error, "windows and plan were not read again");
        }
    }
}
