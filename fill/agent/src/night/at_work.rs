//! The night from its start to its end: which tasks run, and when they are told to put their work
//! down. Decides nothing of what is filled.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control_types::fill::FillStateWord;
use oca_store::disk::Disk;
use tokio::signal::unix::{SignalKind, signal};

use super::Night;
use crate::config::Config;
use crate::courier::courier;
use crate::error::AgentError;
use crate::lane::lane;
use crate::limits::{STOP_MS_MAX, TICK_MS};
use crate::metrics;
use crate::nurse::nurse;
use crate::porter::porter;
use crate::scrubber::scrubber;
use crate::watch::{watch_disks, watch_members};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Told to stop, or nothing left to do now.
    Well,
    /// Every object that is left failed, or no orders were ever had.
    Stuck,
}

/// Runs the agent until SIGTERM or SIGINT, or, with `once`, until nothing is left to do now. Must
/// be called inside `tokio_uring::start`.
///
/// # Errors
/// What stops it from starting: a volume that is locked, state or roots that cannot be read.
pub async fn run(config: Config, once: bool) -> Result<Ended, AgentError> {
    work(Rc::new(Night::open(config, None)?), once).await
}

/// As [`run`] with `once`, all volumes on a disk that is not the kernel's: for tests of what disks
/// do to the agent.
///
/// # Errors
/// As [`run`].
pub async fn run_on(disk: Arc<dyn Disk>, config: Config) -> Result<Ended, AgentError> {
    work(Rc::new(Night::open(config, Some(&disk))?), true).await
}

async fn work(night: Rc<Night>, once: bool) -> Result<Ended, AgentError> {
    let connections = night.config.connections;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(AgentError::io(PathBuf::from("SIGTERM"), "listen for the signal"))?;
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(AgentError::io(PathBuf::from("SIGINT"), "listen for the signal"))?;
    night.keep_gate();
    let listener = match night.config.metrics_listen {
        None => None,
        Some(at) => Some(metrics::listen(at).await?),
    };
    let ready = match &listener {
        None => "{\"ready\":true}".to_owned(),
        Some((_, at)) => format!("{{\"ready\":true,\"metrics\":\"{at}\"}}"),
    };
    let teller = listener
        .map(|(listener, _)| tokio_uring::spawn(metrics::serve(Rc::clone(&night), listener)));
    let tasks = [
        tokio_uring::spawn(keeper(Rc::clone(&night))),
        tokio_uring::spawn(nurse(Rc::clone(&night))),
        tokio_uring::spawn(porter(Rc::clone(&night))),
        tokio_uring::spawn(scrubber(Rc::clone(&night))),
        tokio_uring::spawn(watch_members(Rc::clone(&night))),
        tokio_uring::spawn(watch_disks(Rc::clone(&night))),
    ];
    let courier = tokio_uring::spawn(courier(Rc::clone(&night)));
    let lanes: Vec<_> =
        (0..connections).map(|_| tokio_uring::spawn(lane(Rc::clone(&night)))).collect();
    println!("{ready}");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: putting work down"),
        _ = interrupt.recv() => tracing::info!("SIGINT: putting work down"),
        () = night.finished(), if once => tracing::info!("nothing left to do now"),
    }
    let is_lost = night.standing.borrow().orders().is_none();
    let is_stuck = night.word(&night.board.borrow().tally()) == FillStateWord::Stuck;
    if is_lost && night.away.get() && night.no_orders.borrow().is_none() {
        tracing::error!("control is away and no orders were kept: nothing was done");
    }
    let ended = if is_stuck || is_lost { Ended::Stuck } else { Ended::Well };
    night.stop.send_replace(true);
    night.changed.notify_waiters();
    let put_down = async {
        for task in lanes.into_iter().chain(tasks).chain(teller) {
            let _ = task.await;
        }
        let _ = courier.await;
    };
    let _ = tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), put_down).await;
    match night.no_orders.take() {
        Some(why) if once => Err(AgentError::NoOrders { why }),
        _ => Ok(if once { ended } else { Ended::Well }),
    }
}

impl Night {
    /// Comes back when there is nothing left to do now.
    async fn finished(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            let word = self.word(&self.board.borrow().tally());
            let mending = self.board.borrow().is_mending();
            if self.asked.get() && word != FillStateWord::Filling && !mending {
                return;
            }
        }
    }
}

async fn keeper(night: Rc<Night>) {
    while !night.stopping() {
        night.keep_gate();
        night.clock.keep(&night.state);
        night.pause(TICK_MS).await;
    }
}
