//! What runs beside requests: reconcilers that compare what is with what should be, and act.
//! None takes input: each looks for itself, on a timer or a nudge, and running twice is running
//! once.
//!
//! | reconciler | woken by | does |
//! |---|---|---|
//! | search | start, a nudge, 5 min | makes the index hold exactly the catalog |
//! | recommender | a nudge, 10 min | learns from what was watched |
//! | refresh | 15 s | reads titles, registry, windows and plan again if another process wrote |
//! | routes | 200 ms | shows changed routes to steering, drops those held too long |
//! | health | 1 s | logs and records when an appliance's health changes |
//! | steering | 1 s | writes the steering log |
//! | bundles | a quarter of `steering.bundle_ms` | makes steering bundles that changed |
//! | sweep | 1 h | deletes sessions and presses of play long over |
//! | tickets | 5 s | rotates ticket keys, reads what was taken back |
//! | rates | 1 min | forgets addresses that have been quiet |

mod bundles;
mod health;
mod refresh;
mod routes;
mod search;
mod steering;
mod sweep;
mod tickets;

use tokio::task::JoinSet;

use crate::clock::now;
use crate::wiring::Wired;

/// All reconcilers.
pub(crate) struct Background(JoinSet<()>);

impl Background {
    /// Starts them; none delays the start of the process.
    pub fn start(wired: &Wired) -> Self {
        let mut tasks = JoinSet::new();
        let services = &wired.services;
        tasks.spawn(search::run(services.clone()));
        let recommend = services.recommend.clone();
        tasks.spawn(async move { recommend.run(now).await });
        tasks.spawn(refresh::run(services.clone()));
        tasks.spawn(health::run(services.steering.clone(), wired.ports.events.clone()));
        tasks.spawn(steering::run(services.steering.clone()));
        tasks.spawn(bundles::run(services.clone()));
        tasks.spawn(sweep::run(services.clone()));
        tasks.spawn(sweep::rates(wired.gateway.clone()));
        let (desk, ledger) = (services.tickets.clone(), wired.ports.ledger.clone());
        tasks.spawn(tickets::run(desk, ledger, wired.rotation));
        tasks.spawn(routes::run(services.clone()));
        Self(tasks)
    }

    /// Ends them where they stand; what they do survives that.
    pub async fn stop(mut self) {
        self.0.shutdown().await;
    }
}
