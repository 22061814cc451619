//! From a checked config to running threads, and from the last of them to an exit code.
//! Never serves anything itself: workers do, and the admin thread watches.
//!
//! ```text
//! start: volumes -> sockets -> log writer -> workers (one thread, one ring each) -> admin thread
//! end:   SIGTERM or POST /drain -> admin tells control, then workers -> they end -> admin ends
//! ```

mod threads;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use control_types::fleet::DiskClass;
use oca_store::{Index, Tail, Volume};

use crate::access_log::{self, LogSink, LogWriter};
use crate::admin::{self, Admin, AdminParts, Doors};
use crate::config::{Config, LogConfig, PacingConfig, TlsConfig, TlsFiles};
use crate::engine::{Choice, Engines, Preference};
use crate::handover::{Invocation, Origin, Predecessor, Sockets};
use crate::library::{Lab, LabError, Library, Sealed};
use crate::limits::{self, Bounds, Limit, MemorySum, TROUBLES_MAX, TableSizes};
use crate::listen::{ListenError, shares, take_or_listen};
use crate::peers::Peers;
use crate::rules::Rules;
use crate::sovereign::Office;
use crate::state::{self, RunNote, StateError};
use crate::tickets::Gate;
use crate::tls::{EPOCH_S, KeyKeeper, TlsError};
use crate::worker::{Shared, Trouble};
pub use threads::{Ended, Guard, WorkerHandle};
use threads::{Sizes, start_worker};

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
    #[error(
        "worker {worker} gets no io_uring with its buffers: ask for less (memory.hot_set_bytes, in \
         a lab --hot-set-bytes), or see what `oca check-config` misses"
    )]
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
    /// The directories, and what kind of disk each stands for.
    pub roots: Vec<(PathBuf, DiskClass)>,
    /// Where to listen.
    pub media: SocketAddr,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    /// Absent: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Protocols offered under TLS.
    pub alpn: Vec<String>,
    /// Threads.
    pub workers: usize,
    /// Which engine clear sockets get.
    pub engine: Preference,
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
    office: Option<Arc<Office>>,
    media: SocketAddr,
    admin: SocketAddr,
    advertise: Option<String>,
    tls: Option<TlsConfig>,
    workers: usize,
    connections: usize,
    chunk_buffers: usize,
    bounds: Bounds,
    pacing: PacingConfig,
    peers: Vec<String>,
    state_dir: Option<PathBuf>,
    log: LogConfig,
    engine: Preference,
    drain_ms: u64,
    upgrade_drain_ms: u64,
}

/// A running server.
pub struct Running {
    /// Where members connect.
    pub listening: SocketAddr,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    /// Whether members need TLS.
    pub tls: bool,
    /// What a peer on the listening address gets.
    pub choice: Choice,
    /// What the kernel granted.
    pub ring: String,
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
pub fn serve(config: &Config, origin: Origin) -> Result<Running, StartError> {
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
    let (gate, office) = gate_and_office(config)?;
    if config.tickets.required && gate.key_count() == 0 {
        tracing::warn!("no ticket keys yet: every request is refused until control names some");
    }
    let mut tls = config.tls.clone();
    if let Some(tls) = &mut tls
        && tls.ticket_secret_file.is_none()
    {
        // Of our own, so that sessions survive a restart at least.
        tls.ticket_secret_file = Some(state::session_secret(&config.state_dir)?);
    }
    let plan = Plan {
        library: Library::Sealed(Sealed::with_patience(loaded.index, config.patience)),
        gate,
        tail: Some(loaded.tail),
        fleet: admin::FleetParts::new(config)?,
        office,
        media: config.media,
        admin: config.admin,
        advertise: config.advertise.clone(),
        tls,
        workers: config.workers,
        connections: config.connections,
        chunk_buffers: config.chunk_buffers,
        bounds: config.bounds,
        pacing: config.pacing,
        peers: config.peers.clone(),
        state_dir: Some(config.state_dir.clone()),
        log: config.log.clone(),
        engine: config.engine,
        drain_ms: config.drain_ms,
        upgrade_drain_ms: config.upgrade_drain_ms,
    };
    start(plan, origin)
}

/// Who may have media, and how members are steered, as far as the last run knew.
fn gate_and_office(config: &Config) -> Result<(Gate, Option<Arc<Office>>), StartError> {
    let keys = state::load_keys(&config.state_dir, config.tickets.keys_file.as_deref())?;
    let gate = Gate::new(keys, config.tickets.required).map_err(StateError::Keys)?;
    gate.revoke(state::load_revocations(&config.state_dir));
    let Some(control) = &config.control else { return Ok((gate, None)) };
    let gate = gate.with_grace_ms(config.tickets.grace_ms);
    let key = config.steering_key.as_deref();
    let every = Duration::from_millis(control.report_ms);
    let office = Office::load(&config.state_dir, &config.appliance, key, every);
    if let Some(heard_at) = office.heard_at() {
        gate.hear(heard_at, false);
    }
    let bundled = office.shown().table.map(|table| table.ticket_keys.clone());
    if gate.key_count() == 0
        && config.tickets.keys_file.is_none()
        && let Some(Err(error)) = bundled.map(|keys| gate.swap(keys))
    {
        tracing::error!(%error, "the ticket keys of the steering bundle are not usable");
    }
    Ok((gate, Some(Arc::new(office))))
}

/// Starts a lab.
///
/// # Errors
/// Whatever it misses, with the cure.
pub fn lab(plan: &LabPlan, origin: Origin) -> Result<Running, StartError> {
    let lab = Lab::new(&plan.roots)?;
    tracing::info!(files = lab.count(), "found");
    let plan = Plan {
        library: Library::Lab(lab),
        gate: Gate::open(),
        tail: None,
        fleet: None,
        office: None,
        media: plan.media,
        admin: plan.admin,
        advertise: None,
        tls: plan.tls.clone().map(|files| TlsConfig {
            files,
            certificates: Vec::new(),
            ticket_secret_file: None,
            ticket_epoch_s: EPOCH_S,
            alpn: plan.alpn.clone(),
        }),
        workers: plan.workers,
        connections: plan.connections,
        chunk_buffers: plan.chunk_buffers,
        bounds: Bounds::default(),
        pacing: PacingConfig::default(),
        peers: Vec::new(),
        state_dir: None,
        log: LogConfig::default(),
        engine: plan.engine,
        drain_ms: crate::limits::DRAIN_MS,
        upgrade_drain_ms: crate::limits::UPGRADE_DRAIN_MS,
    };
    start(plan, origin)
}

impl Plan {
    fn sizes(&self) -> Sizes {
        Sizes {
            connections: self.connections,
            chunk_buffers: self.chunk_buffers,
            workers: self.workers,
        }
    }

    fn limits(&self, memory_bytes: u64) -> Vec<Limit> {
        let sizes = TableSizes {
            workers: self.workers,
            connections: self.connections,
            memory_bytes,
            drain_ms: self.drain_ms,
            upgrade_drain_ms: self.upgrade_drain_ms,
        };
        limits::table(sizes, &self.bounds)
    }
}

fn start(plan: Plan, origin: Origin) -> Result<Running, StartError> {
    raise_limits(&plan);
    let memory = MemorySum::of(plan.workers, plan.connections, plan.chunk_buffers);
    let limits = plan.limits(memory.total());
    let Origin { sockets, predecessor } = origin;
    let Opened { doors, listening, admin: admin_addr } = open_doors(&plan, sockets)?;
    let (sizes, sample) = (plan.sizes(), plan.log.sample);
    let keeper = plan.tls.as_ref().map(KeyKeeper::load).transpose()?;
    let tls = keeper.as_ref().map(|keeper| Arc::clone(&keeper.server));
    let is_tls = tls.is_some();
    let log = start_log(&plan.log)?;
    let (troubles, troubles_out) = sync_channel::<Trouble>(TROUBLES_MAX);
    let engines = Engines::probe(plan.engine);
    let choice = engines.typical(listening, is_tls);
    let shared = Shared {
        library: Arc::new(plan.library),
        gate: Arc::new(plan.gate),
        tls,
        troubles,
        peers: Arc::new(Peers::new(&plan.peers)),
        rules: Arc::new(Rules::new(plan.bounds, plan.pacing)),
        engines: engines.clone(),
        steering: plan.office.as_ref().map(|office| office.desk()).unwrap_or_default(),
    };
    let sink = |number| sink(log.as_ref(), sample, number);
    let Crew { handles, threads, ended_in, ended } = start_crew(sizes, &doors, &shared, sink)?;
    let ring = handles.first().map_or_else(String::new, |handle| handle.engine.clone());
    tracing::info!(total_bytes = memory.total(), %memory, ring, %engines, "memory, at most");
    eprint!("{}", limits::in_words(&limits));
    let (reopen_log, log_thread) = log.map(|log| (log.reopen, log.thread)).unzip();
    let (workers_done, workers_done_out) = tokio::sync::watch::channel(false);
    let run_note = plan.state_dir.as_ref().map(|dir| RunNote::new(dir, listening, admin_addr));
    let own_note = run_note.clone();
    let parts = AdminParts {
        library: shared.library,
        gate: shared.gate,
        keeper,
        workers: handles,
        tail: plan.tail,
        troubles: troubles_out,
        state_dir: plan.state_dir,
        fleet: plan.fleet,
        office: plan.office,
        connections_max: (sizes.workers * sizes.connections) as u64,
        media_url: media_url(plan.advertise.as_deref(), listening, is_tls),
        limits,
        drain_ms: plan.drain_ms,
        upgrade_drain_ms: plan.upgrade_drain_ms,
        doors,
        reopen_log,
        invocation: Invocation::own().map_err(StartError::Thread)?,
        run_note,
        engines,
        workers_done: workers_done_out,
    };
    let admin_thread = Admin::start(parts, Guard::new("the admin thread", ended_in))
        .map_err(StartError::Thread)?;
    say_that_we_run(own_note.as_ref(), predecessor.as_ref());
    Ok(Running {
        listening,
        admin: admin_addr,
        tls: is_tls,
        choice,
        ring,
        memory,
        ended,
        workers: threads,
        admin_thread,
        workers_done,
        log_thread,
    })
}

/// Listening sockets, and where they listen.
struct Opened {
    doors: Doors,
    listening: SocketAddr,
    admin: SocketAddr,
}

fn open_doors(plan: &Plan, handed: Sockets) -> Result<Opened, StartError> {
    // Sockets that another process has too: shutting one down would close its door as well.
    let borrowed = !handed.is_empty();
    let (media, listening) =
        take_or_listen(handed.media, plan.media, plan.workers, "listen.media")?;
    let (admin, admin_addr) = take_or_listen(handed.admin, plan.admin, 1, "listen.admin")?;
    let doors = Doors { sockets: Sockets { media, admin }, borrowed };
    Ok(Opened { doors, listening, admin: admin_addr })
}

/// All workers, running.
struct Crew {
    handles: Vec<WorkerHandle>,
    threads: Vec<JoinHandle<()>>,
    ended_in: SyncSender<Ended>,
    ended: Receiver<Ended>,
}

/// One worker's end of the log.
fn sink(log: Option<&LogWriter>, sample: f64, number: usize) -> LogSink {
    log.map_or_else(LogSink::none, |log| {
        LogSink::new(log.batches.clone(), sample, number as u64 + 1)
    })
}

fn start_crew(
    sizes: Sizes,
    doors: &Doors,
    shared: &Shared,
    sink: impl Fn(usize) -> LogSink,
) -> Result<Crew, StartError> {
    let portions = shares(&doors.sockets.media, sizes.workers).map_err(StartError::Thread)?;
    let (ended_in, ended) = sync_channel(sizes.workers + 1);
    let mut crew = Crew { handles: Vec::new(), threads: Vec::new(), ended_in, ended };
    for (number, listeners) in portions.into_iter().enumerate() {
        let ended_in = crew.ended_in.clone();
        let (handle, thread) =
            start_worker(number, listeners, sizes, shared.clone(), sink(number), ended_in)?;
        crew.handles.push(handle);
        crew.threads.push(thread);
    }
    Ok(crew)
}

/// For `oca upgrade` and people first: whoever hears that we are ready may look for us at once.
fn say_that_we_run(note: Option<&RunNote>, predecessor: Option<&Predecessor>) {
    if let Some(Err(error)) = note.map(RunNote::write) {
        tracing::warn!(%error, "running.json is not written: `oca upgrade` will not find us");
    }
    if let Some(predecessor) = predecessor {
        predecessor.say_ready();
    }
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

fn start_log(config: &LogConfig) -> Result<Option<LogWriter>, StartError> {
    let Some(target) = &config.access else { return Ok(None) };
    let refused = |source| StartError::Log { path: target.clone(), source };
    access_log::start_writer(target, config.bytes_max).map(Some).map_err(refused)
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
