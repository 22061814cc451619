//! Worker threads: made, readied, watched for how they end. Knows nothing of what they serve.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use oca_sys::{KernelConfig, ListenerId, RingKernel, RingWaker};

use super::StartError;
use crate::access_log::LogSink;
use crate::counters::Counters;
use crate::limits::{
    ACCEPT_HEADROOM, COMMANDS_MAX, FILES_MAX, OPERATIONS_PER_CONNECTION, OPERATIONS_PER_FILE,
    RECEIVE_BUFFERS_MAX, RECEIVE_BYTES, SEND_BYTES,
};
use crate::worker::{Command, Shared, Turned, Worker, WorkerParts};

/// How often a worker's CPU time is noted.
const CPU_NOTE_EVERY: Duration = Duration::from_millis(250);

/// How a thread ended.
pub enum Ended {
    /// It was told to.
    Well(String),
    /// It panicked.
    Crashed(String),
}

/// Says how its thread ended, when it is dropped.
pub struct Guard(String, SyncSender<Ended>);

impl Guard {
    /// For the thread of this name.
    #[must_use]
    pub fn new(name: &str, ends: SyncSender<Ended>) -> Self {
        Self(name.to_owned(), ends)
    }
}

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
}

/// Sizes of each worker.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Most connections.
    pub connections: usize,
    /// Chunk buffers.
    pub chunk_buffers: usize,
    /// Workers there are: alone, one is not bound to a core.
    pub workers: usize,
}

impl Sizes {
    fn kernel(self) -> KernelConfig {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        // Sockets stay below slots, so that a burst already accepted finds a slot.
        let headroom = ACCEPT_HEADROOM.min(self.connections / 8);
        KernelConfig {
            operations_max: count(
                self.connections * OPERATIONS_PER_CONNECTION + FILES_MAX * OPERATIONS_PER_FILE,
            ),
            sockets_max: count((self.connections - headroom).max(1)),
            receive_buffers: count(self.connections.min(RECEIVE_BUFFERS_MAX)),
            receive_bytes: RECEIVE_BYTES,
            chunk_buffers: count(self.chunk_buffers),
            chunk_bytes: usize::try_from(control_types::limits::CHUNK_BYTES)
                .expect("a chunk fits memory"),
            send_buffers: count(self.connections),
            send_bytes: SEND_BYTES,
        }
    }
}

/// Starts a worker; it accepts when this returns.
///
/// # Errors
/// No thread, or no ring on it.
pub fn start_worker(
    number: usize,
    listeners: Vec<TcpListener>,
    sizes: Sizes,
    shared: Shared,
    log: LogSink,
    ended: SyncSender<Ended>,
) -> Result<(WorkerHandle, JoinHandle<()>), StartError> {
    let counters = Arc::new(Counters::default());
    let (commands, orders) = sync_channel(COMMANDS_MAX);
    let (ready, readied) = sync_channel(1);
    let own_counters = Arc::clone(&counters);
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    let body = move || {
        let _guard = Guard::new(&format!("worker {number}"), ended);
        if sizes.workers > 1 {
            // Refused in some sandboxes; then the scheduler decides.
            let _ = oca_sys::pin_to_core(number);
        }
        let ids = (0u32..).map(ListenerId).take(listeners.len()).collect();
        let (kernel, waker) = match RingKernel::new(sizes.kernel(), listeners) {
            Ok(made) => made,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let engine = kernel.report().to_string();
        if ready.send(Ok((waker, engine))).is_err() {
            return;
        }
        let mut worker = Worker::new(WorkerParts {
            kernel,
            listeners: ids,
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
        Ok(Ok((waker, engine))) => Ok((WorkerHandle { commands, waker, counters, engine }, thread)),
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
