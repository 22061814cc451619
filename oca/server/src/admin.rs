//! The admin thread: metrics and drain over HTTP, a fresh index, reports to control, signals.
//! Never touches a segment; it may be slow, and the workers do not notice.

mod follow;
mod heat;
mod http;
mod life;
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
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub use report::{ControlSetUpError, FleetParts};
pub use upgrade::ask_to_upgrade;

use crate::access_log::Reopen;
use crate::engine::Engines;
use crate::handover::{Invocation, Sockets};
use crate::library::Library;
use crate::limits::{Limit, VOLUME_SICK_MS};
use crate::metrics::{Process, Standing};
use crate::notify::Notifier;
use crate::server::{Guard, WorkerHandle};
use crate::sovereign::Office;
use crate::state::RunNote;
use crate::tickets::Gate;
use crate::tls::KeyKeeper;
use crate::worker::{Command, Trouble};

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
            life::Signals {
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
            runtime.block_on(life::run(parts, listener, signals));
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
