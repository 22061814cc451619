//! What runs beside requests: reconcilers that compare what is with what should be, and act.
//! None takes input: each looks for itself, on a timer or a nudge, and running twice is running
//! once.
//!
//! | reconciler | woken by | does |
//! |---|---|---|
//! | search | start, a nudge, 5 min | makes the index hold exactly the catalog |
//! | recommender | a nudge, 10 min | learns from what was watched |
//! | refresh | 15 s | reads titles, registry, windows and plan again if another process wrote |
//! | health | 1 s | logs and records when an appliance's health changes |
//! | sweep | 1 h | deletes sessions and presses of play long over |
//! | rates | 1 min | forgets addresses that have been quiet |

mod health;
mod refresh;
mod search;
mod sweep;

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
        tasks.spawn(sweep::run(services.clone()));
        tasks.spawn(sweep::rates(wired.gateway.clone()));
        Self(tasks)
    }

    /// Ends them where they stand; what they do survives that.
    pub async fn stop(mut self) {
        self.0.shutdown().await;
    }
}
