//! Makes changes of routes visible to decisions, drops what was held long enough, and follows the
//! sites' own prefixes and what operators said through any control process. Woken every
//! `ROUTES_PUBLISH_EVERY_MS`; takes no input.

use std::time::{Duration, Instant};

use control_gateway::Services;

use crate::clock::now;
use crate::limits::{ROUTES_PUBLISH_EVERY_MS, ROUTES_TEND_EVERY_MS};

const _: () = assert!(ROUTES_PUBLISH_EVERY_MS <= ROUTES_TEND_EVERY_MS);

pub(super) async fn run(services: Services) {
    let mut every = tokio::time::interval(Duration::from_millis(ROUTES_PUBLISH_EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tended: Option<Instant> = None;
    let mut told = Vec::new();
    let mut shown = 0;
    loop {
        every.tick().await;
        let tend_after = Duration::from_millis(ROUTES_TEND_EVERY_MS);
        let tends = tended.is_none_or(|at| at.elapsed() >= tend_after);
        if tends {
            tended = Some(Instant::now());
            follow(&services, &mut told).await;
        }
        let services = services.clone();
        // A large change takes a while: not on a thread that answers members.
        let work = tokio::task::spawn_blocking(move || {
            if tends {
                expire(&services);
            }
            publish(&services, shown)
        });
        match work.await {
            Ok(version) => shown = version,
            Err(error) => tracing::error!(%error, "routes were not published"),
        }
    }
}

/// What cannot be in force is told once, not every second.
async fn follow(services: &Services, told: &mut Vec<String>) {
    let failed = services.routes.follow(|| services.steering.sites(), now()).await;
    let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
    for error in failed.iter().filter(|error| !told.contains(error)) {
        tracing::warn!(%error, "not everything said of routes is in force");
    }
    *told = failed;
}

fn expire(services: &Services) {
    for feed in services.routes.routes().with(|rib| rib.expire(now())) {
        let (name, peer, site) = (&feed.name, &feed.peer, &feed.site);
        tracing::warn!(name, peer, %site, "did not come back in time; its routes are dropped");
    }
}

/// Shows decisions the newest table; answers its version.
fn publish(services: &Services, shown: u64) -> u64 {
    let routes = services.routes.routes();
    let waiting = services.routes.bmp.take_change();
    routes.publish();
    let table = routes.table();
    let version = table.version();
    if version != shown {
        services.steering.set_routes(control_routes::RouteTable::clone(&table));
    }
    if let Some(since) = waiting {
        let lag = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        services.routes.bmp.note_lag(lag);
    }
    version
}
