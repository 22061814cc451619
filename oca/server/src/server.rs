//! From a checked config to running threads, and from the last of them to an exit code.
//! Never serves anything itself: workers do, and the admin thread watches.
//!
//! ```text
//! start: volumes -> sockets -> log writer -> workers (one thread, one ring each) -> admin thread
//! end:   SIGTERM or POST /drain -> admin tells control, then the workers -> workers end -> admin ends
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use oca_store::{Index, Tail, Volume};
use oca_sys::{KernelConfig, ListenerId, RingKernel, RingWaker};

use crate::access_log::{self, LogSink};
use crate::admin::{self, Admin, AdminParts};
use crate::config::{Config, TlsFiles};
use crate::counters::Counters;
use crate::library::{Lab, LabError, Library, Sealed};
use crate::limits::{
    ACCEPT_HEADROOM, COMMANDS_MAX, MemorySum, RECEIVE_BYTES, SEND_BUFFERS, SEND_BYTES, TROUBLES_MAX,
};
use crate::listen::{ListenError, listen_all};
use crate::state::{self, StateError};
use crate::tickets::Gate;
use crate::tls::{Certificate, TlsError, server_config};
use crate::worker::{Command, Shared, Trouble, Turned, Worker, WorkerParts};

/// How often a worker's CPU time is noted.
const CPU_NOTE_EVERY: Duration = Duration::from_millis(100);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// State directory or ticket keys.
    #[error(transparent)]
    State(#[from] StateError),
    /// A volume that is not there.
    #[error(transparent)]
    Store(#[from] oca_store::StoreError),
    /// The directory of a lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Control's URL, key or root.
    #[error(transparent)]
    Control(#[from] admin::ControlSetUpError),
    /// The access log cannot be opened.
    #[error("cannot open the access log {path}: create its directory, or set log.access to \"-\"")]
    Log {
        /// Which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The ring.
    #[error("worker {worker} has no io_uring: {source}; `oca check-config` says what is missing")]
    Ring {
        /// Which worker.
        worker: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A worker or the admin thread ended by itself: a bug; the supervisor should start us again.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended unexpectedly; its panic is above")]
pub struct Crashed(String);

/// How to serve a directory without objects, tickets or control.
#[derive(Clone, Debug)]
pub struct LabPlan {
    /// The directory.
    pub root: PathBuf,
    /// Where to listen.
    pub media: SocketAddr,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    /// Absent: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Threads.
    pub workers: usize,
    /// Chunk buffers of each worker.
    pub chunk_buffers: usize,
    /// Most connections of each worker.
    pub connections: usize,
}

/// What both ways of running have in common.
struct Plan {
    library: Library,
    gate: Gate,
    tail: Option<Tail>,
    fleet: Option<admin::FleetParts>,
    media: SocketAddr,
    admin: SocketAddr,
    advertise: Option<String>,
    tls: Option<TlsFiles>,
    workers: usize,
    connections: usize,
    chunk_buffers: usize,
    access_log: Option<String>,
    drain_ms: u64,
}

/// A running server.
pub struct Running {
    /// Where members connect.
    pub listening: SocketAddr,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    /// Whether members need TLS.
    pub tls: bool,
    /// What the kernel granted.
    pub engine: String,
    /// What it may take.
    pub memory: MemorySum,
    ended: Receiver<Ended>,
    workers: Vec<JoinHandle<()>>,
    admin_thread: JoinHandle<()>,
    workers_done: tokio::sync::watch::Sender<bool>,
    log_thread: Option<JoinHandle<()>>,
}

/// Starts an appliance.
///
/// # Errors
/// Whatever it misses, with the cure.
pub fn serve(config: &Config) -> Result<Running, StartError> {
    let volumes = config
        .volumes
        .iter()
        .map(|volume| Volume::open(&volume.path, volume.class))
        .collect::<Result<Vec<_>, _>>()?;
    let loaded = Index::load(&volumes);
    for problem in &loaded.problems {
        tracing::warn!(%problem, "a volume is not as it should be");
    }
    tracing::info!(objects = loaded.index.len(), bytes = loaded.index.held_bytes(), "loaded");
    let keys = state::load_keys(&config.state_dir, config.tickets.keys_file.as_deref())?;
    let gate = Gate::new(keys, config.tickets.required).map_err(StateError::Keys)?;
    if config.tickets.required && gate.key_count() == 0 {
        tracing::warn!("no ticket keys yet: every request is refused until control names some");
    }
    start(Plan {
        library: Library::Sealed(Sealed::new(loaded.index)),
        gate,
        tail: Some(loaded.tail),
        fleet: admin::FleetParts::new(config)?,
        media: config.media,
        admin: config.admin,
        advertise: config.advertise.clone(),
        tls: config.tls.clone(),
        workers: config.workers,
        connections: config.connections,
        chunk_buffers: config.chunk_buffers,
        access_log: config.access_log.clone(),
        drain_ms: config.drain_ms,
    })
}

/// Starts a lab.
///
/// # Errors
/// Whatever it misses, with the cure.
pub fn lab(plan: &LabPlan) -> Result<Running, StartError> {
    start(Plan {
        library: Library::Lab(Lab::new(&plan.root)?),
        gate: Gate::open(),
        tail: None,
        fleet: None,
        media: plan.media,
        admin: plan.admin,
        advertise: None,
        tls: plan.tls.clone(),
        workers: plan.workers,
        connections: plan.connections,
        chunk_buffers: plan.chunk_buffers,
        access_log: None,
        drain_ms: crate::limits::DRAIN_MS,
    })
}

fn start(plan: Plan) -> Result<Running, StartError> {
    raise_limits(&plan);
    let (listeners, listening) = listen_all(plan.media, plan.workers, "listen.media")?;
    let (mut admin_listeners, admin_addr) = listen_all(plan.admin, 1, "listen.admin")?;
    let certificate = plan.tls.clone().map(Certificate::load).transpose()?;
    let tls = certificate.clone().map(server_config).transpose()?;
    let is_tls = tls.is_some();
    let (log, log_thread) = start_log(plan.access_log.as_deref())?.unzip();
    let (troubles, troubles_out) = sync_channel::<Trouble>(TROUBLES_MAX);
    let shared =
        Shared { library: Arc::new(plan.library), gate: Arc::new(plan.gate), tls, troubles };
    let (ended_in, ended) = sync_channel(plan.workers + 1);
    let mut handles = Vec::with_capacity(plan.workers);
    let mut threads = Vec::with_capacity(plan.workers);
    for (number, listener) in listeners.into_iter().enumerate() {
        let sizes = Sizes {
            connections: plan.connections,
            chunk_buffers: plan.chunk_buffers,
            workers: plan.workers,
        };
        let sink = log.clone().map_or_else(LogSink::none, LogSink::new);
        let (handle, thread) =
            start_worker(number, listener, sizes, shared.clone(), sink, ended_in.clone())?;
        handles.push(handle);
        threads.push(thread);
    }
    let engine = handles.first().map_or_else(String::new, |handle| handle.engine.clone());
    let memory = MemorySum::of(plan.workers, plan.connections, plan.chunk_buffers);
    tracing::info!(total_bytes = memory.total(), ?memory, engine, "memory, at most");
    let (workers_done, workers_done_out) = tokio::sync::watch::channel(false);
    let parts = AdminParts {
        library: shared.library,
        gate: shared.gate,
        certificate,
        workers: handles,
        tail: plan.tail,
        troubles: troubles_out,
        fleet: plan.fleet,
        media_url: media_url(plan.advertise.as_deref(), listening, is_tls),
        drain_ms: plan.drain_ms,
        workers_done: workers_done_out,
    };
    let listener = admin_listeners.pop().expect("one was asked for");
    let admin_thread = Admin::start(parts, listener, Guard("the admin thread".into(), ended_in))
        .map_err(StartError::Thread)?;
    Ok(Running {
        listening,
        admin: admin_addr,
        tls: is_tls,
        engine,
        memory,
        ended,
        workers: threads,
        admin_thread,
        workers_done,
        log_thread,
    })
}

impl Running {
    /// Waits until everything has ended.
    ///
    /// # Errors
    /// A thread panicked: what it held is lost, and the process should end with an error at once.
    pub fn wait(self) -> Result<(), Crashed> {
        // The admin thread ends only after the workers, so these are the workers' ends.
        for _ in 0..self.workers.len() {
            match self.ended.recv() {
                Ok(Ended::Well(name)) => tracing::info!(name, "ended"),
                Ok(Ended::Crashed(name)) => return Err(Crashed(name)),
                Err(_) => break,
            }
        }
        for worker in self.workers {
            worker.join().map_err(|_| Crashed("a worker".to_owned()))?;
        }
        // Nobody listens any more when the admin thread is gone already.
        let _ = self.workers_done.send(true);
        self.admin_thread.join().map_err(|_| Crashed("the admin thread".to_owned()))?;
        if let Some(log) = self.log_thread {
            log.join().map_err(|_| Crashed("the log writer".to_owned()))?;
        }
        Ok(())
    }
}

/// How a thread ended.
pub enum Ended {
    /// It was told to.
    Well(String),
    /// It panicked.
    Crashed(String),
}

/// Says how its thread ended, when it is dropped.
pub struct Guard(String, SyncSender<Ended>);

impl Drop for Guard {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.0);
        let ended = if std::thread::panicking() { Ended::Crashed(name) } else { Ended::Well(name) };
        // Room for all: one message a thread.
        let _ = self.1.try_send(ended);
    }
}

/// What the admin thread holds of a worker.
pub struct WorkerHandle {
    /// Orders; call `wake` after.
    pub commands: SyncSender<Command>,
    /// Wakes its kernel.
    pub waker: RingWaker,
    /// Its numbers.
    pub counters: Arc<Counters>,
    /// What its kernel was granted.
    pub engine: String,
    /// The kernel's own listener, held a second time so that a drain can close the door.
    pub listener: TcpListener,
}

#[derive(Clone, Copy)]
struct Sizes {
    connections: usize,
    chunk_buffers: usize,
    workers: usize,
}

impl Sizes {
    fn kernel(self) -> KernelConfig {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        // Sockets stay below slots, so that a burst already accepted finds a slot.
        let headroom = ACCEPT_HEADROOM.min(self.connections / 8);
        KernelConfig {
            operations_max: 4096,
            sockets_max: count((self.connections - headroom).max(1)),
            receive_buffers: count(self.connections),
            receive_bytes: RECEIVE_BYTES,
            chunk_buffers: count(self.chunk_buffers),
            chunk_bytes: usize::try_from(control_types::limits::CHUNK_BYTES)
                .expect("a chunk fits memory"),
            send_buffers: count(SEND_BUFFERS.min(self.connections).max(8)),
            send_bytes: SEND_BYTES,
        }
    }
}

fn start_worker(
    number: usize,
    listener: TcpListener,
    sizes: Sizes,
    shared: Shared,
    log: LogSink,
    ended: SyncSender<Ended>,
) -> Result<(WorkerHandle, JoinHandle<()>), StartError> {
    let counters = Arc::new(Counters::default());
    let door = listener.try_clone().map_err(StartError::Thread)?;
    let (commands, orders) = sync_channel(COMMANDS_MAX);
    let (ready, readied) = sync_channel(1);
    let own_counters = Arc::clone(&counters);
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    let body = move || {
        let _guard = Guard(format!("worker {number}"), ended);
        if sizes.workers > 1 {
            // Refused in some sandboxes; then the scheduler decides.
            let _ = oca_sys::pin_to_core(number);
        }
        let (kernel, waker) = match RingKernel::new(sizes.kernel(), vec![listener]) {
            Ok(made) => made,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let engine = kernel.report().to_string();
        if ready.send(Ok((waker, engine))).is_err() {
            return;
        }
        let mut worker = Worker::new(WorkerParts {
            kernel,
            listeners: vec![ListenerId(0)],
            shared,
            counters: Arc::clone(&own_counters),
            commands: orders,
            log,
            connections_max: sizes.connections,
            chunk_buffers: sizes.chunk_buffers,
            seed: random_seed(),
        });
        run_worker(&mut worker, &own_counters);
    };
    let thread = thread.spawn(body).map_err(StartError::Thread)?;
    match readied.recv() {
        Ok(Ok((waker, engine))) => {
            Ok((WorkerHandle { commands, waker, counters, engine, listener: door }, thread))
        }
        Ok(Err(source)) => Err(StartError::Ring { worker: number, source }),
        Err(_) => Err(StartError::Thread(io::Error::other("it ended before it was ready"))),
    }
}

fn run_worker(worker: &mut Worker<RingKernel>, counters: &Counters) {
    let mut noted = Instant::now();
    while worker.turn() == Turned::Running {
        if noted.elapsed() >= CPU_NOTE_EVERY {
            noted = Instant::now();
            note_cpu(counters);
        }
    }
    note_cpu(counters);
}

fn note_cpu(counters: &Counters) {
    if let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) {
        let micros = time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000;
        counters.cpu_us.set(u64::try_from(micros).unwrap_or(0));
    }
}

fn random_seed() -> u64 {
    ahash::RandomState::new().hash_one(std::process::id())
}

/// Where log batches go, and the thread that writes them.
type LogWriter = (SyncSender<Vec<u8>>, JoinHandle<()>);

fn start_log(target: Option<&str>) -> Result<Option<LogWriter>, StartError> {
    let Some(target) = target else { return Ok(None) };
    let refused = |source| StartError::Log { path: target.to_owned(), source };
    access_log::start_writer(target).map(Some).map_err(refused)
}

/// Asks for what the sizes need; what is not granted shows in the engine line and in errors later.
fn raise_limits(plan: &Plan) {
    let sockets = plan.workers as u64 * plan.connections as u64;
    let files = plan.workers as u64 * crate::limits::FILES_MAX as u64;
    let _ = oca_sys::raise_open_files(sockets + files + 256);
    let chunks = MemorySum::of(plan.workers, plan.connections, plan.chunk_buffers).chunks;
    let _ = oca_sys::raise_memlock(chunks + (64 << 20));
}

/// `advertise` with the port we really have, unless it names one or has the scheme's own.
fn media_url(advertise: Option<&str>, listening: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let Some(url) = advertise else { return format!("{scheme}://{listening}") };
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let after_bracket = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let own_port = if url.starts_with("https://") { 443 } else { 80 };
    if after_bracket.contains(':') || listening.port() == own_port {
        return url.to_owned();
    }
    format!("{url}:{}", listening.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advertised_url_has_the_real_port() {
        let at: SocketAddr = "0.0.0.0:8443".parse().unwrap();
        let check = |advertise, tls, wanted: &str| {
            assert_eq!(media_url(advertise, at, tls), wanted);
        };
        check(Some("https://edge.example"), true, "https://edge.example:8443");
        check(Some("https://edge.example:443"), true, "https://edge.example:443");
        check(Some("https://[2001:db8::1]"), true, "https://[2001:db8::1]:8443");
        check(None, false, "http://0.0.0.0:8443");
        let https: SocketAddr = "0.0.0.0:443".parse().unwrap();
        assert_eq!(media_url(Some("https://a"), https, true), "https://a");
    }
}
