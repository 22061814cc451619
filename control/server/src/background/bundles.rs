//! Makes steering bundles for the ISPs whose appliances ask, when something changed. Woken four
//! times in the interval of bundles; takes no input. A bundle that cannot be made costs nobody
//! anything while control is there.

use std::time::{Duration, Instant};

use control_gateway::Services;
use control_steering::bundle::{BundleDesk, Step};
use control_types::IspId;

use crate::clock::now;
use crate::limits::{BUNDLE_LOOK_MS_MAX, BUNDLE_LOOK_MS_MIN, BUNDLE_REST};

pub(super) async fn run(services: Services) {
    let look_ms = services.bundles.settings().every_ms / 4;
    let look = Duration::from_millis(look_ms.clamp(BUNDLE_LOOK_MS_MIN, BUNDLE_LOOK_MS_MAX));
    let mut every = tokio::time::interval(look);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let desk_due = services.clone();
        // A walk over a million routes: not on a thread that answers members.
        let due = tokio::task::spawn_blocking(move || {
            desk_due.bundles.sign_by(desk_due.fill_desk.bundle_keys(now()));
            desk_due.bundles.due(&desk_due.steering, &desk_due.tickets.keys(), now())
        });
        let due = due.await.unwrap_or_else(|error| {
            tracing::error!(%error, "steering bundles were not looked at");
            Vec::new()
        });
        for isp in due {
            let (services, began) = (services.clone(), Instant::now());
            if let Err(error) = tokio::task::spawn_blocking(move || make(&services, &isp)).await {
                tracing::error!(%error, "a steering bundle was not made");
            }
            // At most a quarter of one core, however many ISPs changed.
            tokio::time::sleep(began.elapsed() * BUNDLE_REST).await;
        }
    }
}

fn make(services: &Services, isp: &IspId) {
    let desk: &BundleDesk = &services.bundles;
    match desk.make(&services.steering, isp, &services.tickets.keys(), now()) {
        Ok(Step::Made(made)) => {
            let (serial, listed) = (made.serial, &made.listed);
            let (bytes, build_us) = (listed.bytes, listed.build_us);
            tracing::debug!(%isp, serial, bytes, build_us, "steering bundle made");
            if listed.cut.is_some() {
                let cut = listed.cut;
                tracing::warn!(
                    %isp,
                    appliances = cut.appliances,
                    prefixes = cut.prefixes,
                    places = cut.places,
                    titles = cut.titles,
                    "a bound cut the steering bundle: see control_types::limits"
                );
            }
        }
        Ok(Step::Unchanged) => {}
        Ok(Step::Nobody) => tracing::debug!(%isp, "a steering bundle would name nobody"),
        Err(error) => tracing::warn!(%isp, %error, "a steering bundle was not made"),
    }
}
