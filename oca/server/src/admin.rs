//! The admin thread: metrics and drain over HTTP, a fresh index, reports to control, signals.
//! Never touches a segment; it may be slow, and the workers do not notice.

mod follow;
mod heat;
mod http;
mod report;
mod steering;
mod upgrade;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use control_types::ObjectId;
use nix::sys::socket::{Shutdown, shutdown};
use oca_store::Tail;
use oca_sys::Waker;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

pub use report::{ControlSetUpError, FleetParts};
pub use upgrade::ask_to_upgrade;

use crate::access_log::Reopen;
use crate::engine::Engines;
use crate::handover::{Invocation, Sockets};
use crate::library::Library;
use crate::limits::{Limit, VOLUME_SICK_MS};
use crate::metrics::{Process, Standing};
use crate::notify::{Notifier, watchdog_every};
use crate::server::{Guard, WorkerHandle};
use crate::sovereign::Office;
use crate::state::RunNote;
use crate::tickets::Gate;
use crate::tls::KeyKeeper;
use crate::worker::{Command, Trouble};

/// Admin connections at once; one more waits.
const ADMIN_CONNECTIONS_MAX: u32 = 64;
/// How long the end waits for answers of the admin port.
const LAST_ANSWER_MAX: Duration = Duration::from_millis(500);

/// What the admin thread is made of.
pub struct AdminParts {
    /// What is served; this thread keeps it fresh.
    pub library: Arc<Library>,
    /// Who may have it; this thread changes its keys.
    pub gate: Arc<Gate>,
    /// Looked at for new files; absent without TLS.
    pub keeper: Option<KeyKeeper>,
    /// All workers.
    pub workers: Vec<WorkerHandle>,
    /// Absent in a lab.
    pub tail: Option<Tail>,
    /// What workers tell.
    pub troubles: Receiver<Trouble>,
    /// Absent when the appliance stands alone.
    pub fleet: Option<FleetParts>,
    /// Absent when the appliance stands alone.
    pub office: Option<Arc<Office>>,
    /// Places for connections, all workers together.
    pub connections_max: u64,
    /// Keeps `heat.json`; absent in a lab.
    pub state_dir: Option<PathBuf>,
    /// Where members reach us.
    pub media_url: String,
    /// For `/debug/limits`.
    pub limits: Vec<Limit>,
    /// From the order to the end, milliseconds.
    pub drain_ms: u64,
    /// From another program's readiness to the end, milliseconds.
    pub upgrade_drain_ms: u64,
    /// What members and operators connect to.
    pub doors: Doors,
    /// Absent without an access log of our own.
    pub reopen_log: Option<Reopen>,
    /// How to start this program anew.
    pub invocation: Invocation,
    /// Absent in a lab.
    pub run_note: Option<RunNote>,
    /// Which ways bodies may go, as found at boot.
    pub engines: Engines,
    /// True when all workers have ended.
    pub workers_done: watch::Receiver<bool>,
}

/// Listening sockets, held beside the workers' own.
pub struct Doors {
    /// All of them.
    pub sockets: Sockets,
    /// Another process has them too: they are left open at the end.
    pub borrowed: bool,
}

/// What the tasks of the admin thread share.
pub struct Admin {
    library: Arc<Library>,
    gate: Arc<Gate>,
    keeper: Option<KeyKeeper>,
    workers: Vec<WorkerHandle>,
    office: Option<Arc<Office>>,
    meter: steering::Meter,
    connections_max: u64,
    heat: heat::HeatKeeper,
    engines: Engines,
    media_url: String,
    limits: Vec<Limit>,
    doors: Doors,
    invocation: Invocation,
    notifier: Notifier,
    /// Who wants an upgrade.
    wishes: mpsc::Sender<upgrade::Wish>,
    upgrades_failed: AtomicU64,
    /// Another program has, or is about to have, our listening sockets.
    handing_over: AtomicBool,
    /// Set once: this process ends.
    leaving: watch::Sender<bool>,
    /// Control asked to take no new plays.
    asked_to_drain: AtomicBool,
    /// Last error of each volume.
    volume_errors: Mutex<Vec<Option<Instant>>>,
    /// Copies found bad since the last report that got through.
    found_bad: Mutex<Vec<ObjectId>>,
    /// Bytes used on each volume, as of the last change.
    used_bytes: Mutex<Vec<u64>>,
    reports: AtomicU64,
    reports_failed: AtomicU64,
    /// Certificates and session secrets taken up, and refused.
    keys_renewed: AtomicU64,
    keys_refused: AtomicU64,
}

impl Admin {
    /// Starts the thread; it answers on `listener` when this returns.
    ///
    /// # Errors
    /// No thread, or no runtime on it.
    pub fn start(parts: AdminParts, guard: Guard) -> io::Result<JoinHandle<()>> {
        let own = parts.doors.sockets.admin.first().map(TcpListener::try_clone).transpose()?;
        let listener = own.ok_or_else(|| io::Error::other("no admin socket"))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                upgrade: signal(SignalKind::user_defined2())?,
                hang_up: signal(SignalKind::hangup())?,
            }
        };
        let thread = std::thread::Builder::new().name("admin".to_owned());
        thread.spawn(move || {
            // Dropped last: whoever hears of our end may then join us.
            let _guard = guard;
            runtime.block_on(run(parts, listener, signals));
            runtime.shutdown_timeout(Duration::from_millis(200));
        })
    }

    fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Begins the end. Doing it twice is doing it once.
    fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Gives every worker the order that `make` makes. False when one had no room for it.
    fn order(&self, make: impl Fn() -> Command) -> bool {
        let mut all = true;
        for worker in &self.workers {
            // A worker that ended needs no orders.
            let sent = worker.commands.try_send(make());
            all &= !matches!(sent, Err(std::sync::mpsc::TrySendError::Full(_)));
            worker.waker.wake();
        }
        all
    }

    /// From here on connecting is refused at once, so that a player goes elsewhere instead of
    /// waiting in a backlog that nobody reads.
    fn close_doors(&self) {
        if self.doors.borrowed || self.handing_over.load(Ordering::Relaxed) {
            // Whoever has them too decides what becomes of those who wait there. A socket that is
            // shut down is so for everybody: a program that was about to take over, when we were
            // told to end, would serve behind a closed door.
            return;
        }
        for socket in &self.doors.sockets.media {
            // It fails only for a listener that is closed already.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        }
    }

    fn volume_failed(&self, volume: u16) {
        let mut errors = self.volume_errors.lock().expect("no holder of this lock panics");
        let at = usize::from(volume);
        if errors.len() <= at {
            errors.resize(at + 1, None);
        }
        errors[at] = Some(Instant::now());
    }

    fn is_volume_sick(&self, volume: usize) -> bool {
        if u16::try_from(volume).is_ok_and(|volume| !self.library.devices().may_read(volume)) {
            return true;
        }
        let errors = self.volume_errors.lock().expect("no holder of this lock panics");
        let last = errors.get(volume).copied().flatten();
        last.is_some_and(|at| at.elapsed() < Duration::from_millis(VOLUME_SICK_MS))
    }

    fn volumes(&self) -> usize {
        match &*self.library {
            Library::Sealed(sealed) => sealed.volumes().len(),
            Library::Lab(_) => 0,
        }
    }

    fn standing(&self) -> Standing {
        let (objects, held_bytes) = match &*self.library {
            Library::Sealed(sealed) => {
                let index = sealed.index();
                (index.len() as u64, index.held_bytes())
            }
            Library::Lab(lab) => (lab.count() as u64, 0),
        };
        let volumes = self.volumes();
        Standing {
            objects,
            held_bytes,
            ticket_keys: self.gate.key_count() as u64,
            draining: self.is_leaving() || self.asked_to_drain.load(Ordering::Relaxed),
            volumes_sick: (0..volumes).filter(|volume| self.is_volume_sick(*volume)).count() as u64,
            process: Process::now(),
            reports: self.reports.load(Ordering::Relaxed),
            reports_failed: self.reports_failed.load(Ordering::Relaxed),
            keys_renewed: self.keys_renewed.load(Ordering::Relaxed),
            keys_refused: self.keys_refused.load(Ordering::Relaxed),
            devices: self.library.devices().standings(),
            upgrades_failed: self.upgrades_failed.load(Ordering::Relaxed),
            steering: self.steering_standing(),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
    hang_up: Signal,
}

/// Why the thread stops doing what it always does.
enum Leave {
    /// Nobody is to connect any more.
    Drain,
    /// Another program has the sockets.
    Yield,
}

/// Everything the thread does. Woken by sockets, timers and signals; it ends when the workers have.
async fn run(parts: AdminParts, listener: TcpListener, signals: Signals) {
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
