//! The night from its start to its end: which tasks run, and when they are told to put their work
//! down. Decides nothing of what is filled.
//!
//! No task may be missing: without the keeper a window would never close, without the courier
//! nobody would be heard. So the first that fails ends the whole agent, which goes on where it was
//! when it is started anew.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use control_types::fill::FillStateWord;
use oca_store::disk::Disk;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

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
    let mut tasks = begin(&night, listener.map(|(listener, _)| listener));
    println!("{ready}");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: putting work down"),
        _ = interrupt.recv() => tracing::info!("SIGINT: putting work down"),
        () = night.finished(), if once => tracing::info!("nothing left to do now"),
        task = first_broken(&mut tasks) => {
            tracing::error!(task, "a part of the agent failed: all of it ends");
            return Err(AgentError::Broken { task });
        }
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
        for (_, task) in tasks {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), put_down).await;
    match night.no_orders.take() {
        Some(why) if once => Err(AgentError::NoOrders { why }),
        _ => Ok(if once { ended } else { Ended::Well }),
    }
}

/// A part of the agent with its name.
type Task = (&'static str, JoinHandle<()>);

/// Sets all parts of the agent to work.
fn begin(night: &Rc<Night>, listener: Option<TcpListener>) -> Vec<Task> {
    let own = || Rc::clone(night);
    let mut tasks: Vec<Task> = vec![
        ("keeper", tokio_uring::spawn(keeper(own()))),
        ("nurse", tokio_uring::spawn(nurse(own()))),
        ("porter", tokio_uring::spawn(porter(own()))),
        ("scrubber", tokio_uring::spawn(scrubber(own()))),
        ("watch of members", tokio_uring::spawn(watch_members(own()))),
        ("watch of disks", tokio_uring::spawn(watch_disks(own()))),
        ("courier", tokio_uring::spawn(courier(own()))),
    ];
    let teller = listener.map(|listener| metrics::serve(own(), listener));
    tasks.extend(teller.map(|teller| ("metrics", tokio_uring::spawn(teller))));
    let lanes = 0..night.config.connections;
    tasks.extend(lanes.map(|_| ("lane", tokio_uring::spawn(lane(own())))));
    tasks
}

/// Comes back with the first task that panicked; those that end well are let go.
async fn first_broken(tasks: &mut Vec<Task>) -> &'static str {
    poll_fn(|context| {
        let mut broken = None;
        tasks.retain_mut(|(name, task)| match Pin::new(task).poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                broken = broken.or(ended.err().map(|_| *name));
                false
            }
        });
        broken.map_or(Poll::Pending, Poll::Ready)
    })
    .await
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a part that panics is not missed in silence, and one that ends because it has nothing
    /// to do is no failure.
    #[test]
    fn a_task_that_panics_is_told_and_one_that_ends_well_is_not() {
        tokio_uring::start(async {
            let well = tokio_uring::spawn(async {});
            let forever = tokio_uring::spawn(std::future::pending());
            let mut tasks: Vec<Task> = vec![("well", well), ("forever", forever)];
            let moment = Duration::from_millis(50);
            assert!(tokio::time::timeout(moment, first_broken(&mut tasks)).await.is_err());
            let bad = tokio_uring::spawn(async { panic!("of the test") });
            tasks.push(("bad", bad));
            assert_eq!(first_broken(&mut tasks).await, "bad");
        });
    }
}
