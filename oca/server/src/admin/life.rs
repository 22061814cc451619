//! The life of the admin thread: its tasks begin, somebody ends them, the workers end before it
//! does. It answers nobody itself.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Admin, AdminParts, follow, heat, http, report, steering, upgrade};
use crate::access_log::Reopen;
use crate::notify::{Notifier, watchdog_every};
use crate::worker::Command;

/// Admin connections at once; one more waits.
const ADMIN_CONNECTIONS_MAX: u32 = 64;
/// How long the end waits for answers of the admin port.
const LAST_ANSWER_MAX: Duration = Duration::from_millis(500);

/// What the process may be told.
pub(super) struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) upgrade: Signal,
    pub(super) hang_up: Signal,
}

/// Why the thread stops doing what it always does.
enum Leave {
    /// Nobody is to connect any more.
    Drain,
    /// Another program has the sockets.
    Yield,
}

/// Everything the thread does. Woken by sockets, timers and signals; it ends when the workers have.
pub(super) async fn run(parts: AdminParts, listener: TcpListener, signals: Signals) {
    let AdminParts { drain_ms, upgrade_drain_ms, .. } = parts;
    let Signals { terminate, interrupt, upgrade: mut asked, hang_up } = signals;
    let mut ends = (terminate, interrupt);
    let (leaving, mut left) = watch::channel(false);
    let seats = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX as usize));
    let (wishes, mut wished) = mpsc::channel(1);
    let mut workers_done = parts.workers_done;
    let run_note = parts.run_note;
    let admin = Arc::new(Admin {
        library: parts.library,
        gate: parts.gate,
        keeper: parts.keeper,
        workers: parts.workers,
        office: parts.office,
        meter: steering::Meter::default(),
        connections_max: parts.connections_max,
        engines: parts.engines,
        heat: heat::HeatKeeper::new(parts.state_dir),
        media_url: parts.media_url,
        limits: parts.limits,
        doors: parts.doors,
        invocation: parts.invocation,
        notifier: Notifier::from_environment(),
        wishes,
        upgrades_failed: AtomicU64::new(0),
        handing_over: AtomicBool::new(false),
        leaving,
        asked_to_drain: AtomicBool::new(false),
        volume_errors: Mutex::default(),
        found_bad: Mutex::default(),
        used_bytes: Mutex::default(),
        reports: AtomicU64::new(0),
        reports_failed: AtomicU64::new(0),
        keys_renewed: AtomicU64::new(0),
        keys_refused: AtomicU64::new(0),
    });
    let answering = tokio::spawn(http::serve(Arc::clone(&admin), listener, Arc::clone(&seats)));
    tokio::spawn(reopen_logs(hang_up, parts.reopen_log));
    let watching = tokio::spawn(watch_workers(Arc::clone(&admin)));
    let warming = tokio::spawn(heat::keep(Arc::clone(&admin)));
    let looking = tokio::spawn(steering::run(Arc::clone(&admin)));
    let follower = tokio::spawn(follow::run(Arc::clone(&admin), parts.tail, parts.troubles));
    let renewing = parts.fleet.as_ref().and_then(report::FleetParts::renewal).map(tokio::spawn);
    let mut reporter = parts.fleet.map(|fleet| report::Reporter::new(Arc::clone(&admin), fleet));
    let leave = tokio::select! {
        () = report_forever(reporter.as_mut()) => Leave::Drain,
        () = until_leaving(&mut ends, &mut left) => Leave::Drain,
        () = upgrade::run(&admin, &mut wished, &mut asked) => Leave::Yield,
        // An index that nobody keeps fresh is worse than a restart.
        ended = follower => panic!("the task that follows the journals ended: {ended:?}"),
    };
    if matches!(leave, Leave::Yield) {
        // The other program answers operators, tells control and is watched from here on.
        answering.abort();
        wished.close();
        watching.abort();
        warming.abort();
        looking.abort();
        if let Some(renewing) = renewing {
            renewing.abort();
        }
        admin.order_surely(|| Command::Yield { within_ms: upgrade_drain_ms }).await;
        tokio::select! {
            _ = workers_done.wait_for(|done| *done) => {}
            () = until_leaving(&mut ends, &mut left) => {
                tracing::info!(drain_ms, "draining, after another program took over");
                admin.order_surely(|| Command::Drain { within_ms: drain_ms }).await;
            }
        }
    } else {
        admin.notifier.stopping();
        admin.drain(reporter.as_mut(), drain_ms).await;
        if let Some(note) = &run_note {
            note.remove();
        }
    }
    let _ = workers_done.wait_for(|done| *done).await;
    finish_answers(&seats).await;
}

/// An answer under way (to whoever asked for the end) goes out before the runtime ends.
async fn finish_answers(seats: &Semaphore) {
    let all = seats.acquire_many(ADMIN_CONNECTIONS_MAX);
    // Whoever holds a connection open for longer is let go.
    let _ = tokio::time::timeout(LAST_ANSWER_MAX, all).await;
}

impl Admin {
    async fn drain(self: &Arc<Self>, reporter: Option<&mut report::Reporter>, drain_ms: u64) {
        let began = Instant::now();
        self.leave();
        self.lay_outlook();
        self.note_heard();
        tracing::info!(drain_ms, "draining");
        if let Some(reporter) = reporter {
            // Control first: no new play should be sent here while we close.
            reporter.say_goodbye().await;
        }
        heat::write(self).await;
        let spent_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.order_surely(|| Command::Drain { within_ms: drain_ms.saturating_sub(spent_ms) }).await;
        self.close_doors();
    }

    /// An order that must not be lost, however full a worker's box is. Given twice, it counts once.
    async fn order_surely(&self, make: impl Fn() -> Command) {
        while !self.order(&make) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// SIGHUP: whoever keeps our files moved them. It must not end us, whether there are any or not.
async fn reopen_logs(mut hang_up: Signal, log: Option<Reopen>) {
    while hang_up.recv().await.is_some() {
        if let Some(log) = &log {
            log.ask();
            tracing::info!("the access log is opened anew");
        }
    }
}

/// Says that we are alive as long as every worker turns, if somebody wants to know.
async fn watch_workers(admin: Arc<Admin>) {
    let Some(every) = watchdog_every() else { return };
    let mut timer = tokio::time::interval(every);
    let mut before: Vec<u64> = vec![u64::MAX; admin.workers.len()];
    loop {
        timer.tick().await;
        let turns: Vec<u64> = admin.workers.iter().map(|w| w.counters.turns.get()).collect();
        if turns.iter().zip(&before).all(|(now, before)| now != before) {
            admin.notifier.alive();
        }
        before = turns;
    }
}

async fn report_forever(reporter: Option<&mut report::Reporter>) {
    match reporter {
        Some(reporter) => reporter.run().await,
        None => std::future::pending().await,
    }
}

async fn until_leaving(ends: &mut (Signal, Signal), left: &mut watch::Receiver<bool>) {
    tokio::select! {
        _ = ends.0.recv() => {}
        _ = ends.1.recv() => {}
        _ = left.wait_for(|left| *left) => {}
    }
}
