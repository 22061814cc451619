//! The kernel trait on a real machine: one io_uring per worker thread.
//! It knows no protocol, starts no thread, and acts on nothing inside a completion.
//!
//! ```text
//! submit -> start.rs: operation into `pending`, entry into the submission queue
//! wait   -> wait.rs: entries of our own (`later`), one io_uring_enter, completions gathered
//! gather -> complete.rs: operation out of `pending`, event into `ready`
//! pop    -> next of `ready`
//! ```
//! Entered with "at least one completion" and a time-out, never with a bare submit: with
//! DEFER_TASKRUN the kernel finishes work only inside an enter that asks for events.

mod accept;
mod complete;
mod lend;
mod pace;
mod pending;
mod pipes;
mod queued;
mod read_many;
mod send_behind;
mod send_file;
mod send_lent;
mod send_record;
mod setup;
mod splice;
mod start;
mod table;
mod wait;
mod waker;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use io_uring::{IoUring, opcode, squeue, types};

use crate::buffer::{Buffer, Pool};
use crate::config::KernelConfig;
use crate::kernel::{
    BufferLevels, Completion, Event, FileId, Kernel, Nanos, Op, Piece, SocketId, Tallies, Token,
};
use crate::ktls::{self, SendKeys};
use accept::Listener;
use lend::Lent;
use pending::{Pending, Work};
use table::Table;

pub(crate) use send_lent::REPORT_USAGE;
pub use setup::RingReport;
pub(crate) use setup::{FixedReads, set_up};
pub use waker::RingWaker;

/// `user_data` of entries whose completion nobody waits for.
const UNATTENDED: u64 = u64::MAX;
/// The token of [`Event::Woken`].
const WOKEN: Token = Token(u64::MAX);
/// How long a dropped ring waits for the kernel to let go of our memory.
const LET_GO_MS_MAX: u64 = 5000;

/// One thread's ring. Made on the thread that will use it, and never sent to another.
pub struct RingKernel {
    // The ring is the first field: it is closed before the buffers it may point to are freed. By
    // then `drop` has waited for every operation, or has leaked what it could not wait for.
    ring: IoUring,
    config: KernelConfig,
    pending: Pending,
    /// Entries of our own (cancel, close, go on reading), pushed by the next `wait`.
    later: VecDeque<squeue::Entry>,
    ready: VecDeque<Completion>,
    /// What ended while the server was stepping, for its next turn: a socket that always has room
    /// must not keep the others waiting.
    ready_next: VecDeque<Completion>,
    /// Completions copied out of the ring before any is looked at; kept for its capacity.
    gathered: Vec<(u64, i32, u32)>,
    listeners: Vec<Listener>,
    sockets: Table<Socket>,
    files: Table<OpenFile>,
    receive_pool: Pool,
    chunk_pool: Pool,
    send_pool: Pool,
    /// Receive buffers that the kernel picks from.
    lent: Lent,
    /// For sends from files on paced sockets.
    pipes: pipes::Pipes,
    /// Set when the chunk pool is registered with the ring.
    fixed_reads: FixedReads,
    report: RingReport,
    /// The ring flags that it has task work to do.
    says_so: bool,
    /// The kernel can wait for a first completion behind a time in which they gather (6.12).
    gathers: bool,
    /// Its receives and sends do not wait on sockets that are switched to non-blocking.
    minds_non_blocking: bool,
    /// How sockets are told of their pace.
    telling: pace::Telling,
    tallies: Tallies,
    waker: RingWaker,
    /// The moment that `Nanos(0)` means.
    origin: Instant,
    now: Nanos,
    wall_ms: u64,
    /// Set by `drop`: nothing new is started on behalf of anybody.
    ending: bool,
}

/// A connected socket.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// Operations the kernel has on it. The socket is closed when this is 0 and `closing` is set.
    under_way: u32,
    /// The close that waits, as a key into `pending`.
    closing: Option<u32>,
    /// Switched to non-blocking for sendfile.
    non_blocking: bool,
    /// The last send from a file filled it: the next begins with waiting for room.
    full: bool,
    /// Sends that ended and whose memory the network still has.
    on_loan: u32,
    /// Resident pages in front of it.
    seen: Option<send_file::Seen>,
    /// Content of a packet, where each holds back the next; see `send_file`.
    held_packet: Option<usize>,
    /// Bytes that may wait unsent, by its pace.
    unsent_max: usize,
    /// What its last send from a file left in a pipe.
    kept: Option<pipes::Kept>,
    /// How much it is offered at once, where the ring moves the pages.
    offers: splice::Offers,
}

/// An open file.
#[derive(Debug)]
struct OpenFile {
    file: OwnedFd,
    /// Opened past the page cache. Cleared if the first read shows that the file system cannot.
    direct: bool,
    /// Nobody minds if one of the kernel's threads waits for its pages.
    trusted: bool,
    /// The same file through the page cache, once that was asked for.
    cached: Option<OwnedFd>,
    /// Bytes last found in the page cache, and when that was asked.
    resident_run: Option<(Range<u64>, Nanos)>,
    /// Reads the kernel has on it, and sends from it.
    under_way: u32,
    /// The close that waits, as a key into `pending`.
    closing: Option<u32>,
}

impl RingKernel {
    /// Sets the ring up on the calling thread, which becomes the only one that may use it.
    /// `ListenerId(n)` is the n-th of `listeners`; none is accepted from before `Op::Accept`.
    ///
    /// # Errors
    /// The machine has no io_uring for us, or not the memory. The message says which.
    pub fn new(config: KernelConfig, listeners: Vec<TcpListener>) -> io::Result<(Self, RingWaker)> {
        let receive_pool = Pool::new(config.receive_bytes, config.receive_buffers)?;
        let chunk_pool = Pool::new(config.chunk_bytes, config.chunk_buffers)?;
        let send_pool = Pool::new(config.send_bytes, config.send_buffers)?;
        let (ring, setup) = set_up(config.operations_max)?;
        let (fixed_reads, why) = FixedReads::register(&ring, &chunk_pool);
        let report = RingReport { setup, fixed_reads: why, chunk_pages: chunk_pool.pages() };
        let lent = Lent::new(&ring, &receive_pool)?;
        let gathers = ring.params().is_feature_min_timeout();
        let waker = RingWaker::new()?;
        let listeners: Vec<Listener> =
            listeners.into_iter().map(Listener::new).collect::<io::Result<_>>()?;
        let completions_max = ring.params().cq_entries() as usize;
        let own_operations = listeners.len() + 1;
        // Operations under way are not entries in a queue: there may be more of them.
        let operations_max = ring.params().sq_entries().max(config.operations_max) as usize;
        let mut kernel = Self {
            pending: Pending::new(operations_max + own_operations),
            later: VecDeque::with_capacity(completions_max),
            ready: VecDeque::with_capacity(completions_max),
            ready_next: VecDeque::with_capacity(64),
            gathered: Vec::with_capacity(completions_max),
            sockets: Table::new(config.sockets_max as usize),
            files: Table::new(1024),
            ring,
            config,
            listeners,
            receive_pool,
            chunk_pool,
            send_pool,
            lent,
            pipes: pipes::Pipes::default(),
            fixed_reads,
            says_so: setup != "plain",
            gathers,
            minds_non_blocking: false,
            report,
            telling: pace::Telling::default(),
            tallies: Tallies::default(),
            waker: waker.clone(),
            origin: Instant::now(),
            now: Nanos(0),
            wall_ms: 0,
            ending: false,
        };
        kernel.bind_threads();
        kernel.read_clocks();
        kernel.listen_for_wakes();
        Ok((kernel, waker))
    }

    /// What the machine granted, for the line printed at boot.
    #[must_use]
    pub fn report(&self) -> &RingReport {
        &self.report
    }

    /// Sockets accepted and not yet given up.
    #[must_use]
    pub fn sockets_open(&self) -> usize {
        self.sockets.len()
    }

    fn listen_for_wakes(&mut self) {
        let mut count = Box::new(0u64);
        let event = self.waker.event();
        let descriptor = types::Fd(std::os::fd::AsRawFd::as_raw_fd(event));
        let entry = opcode::Read::new(descriptor, (&raw mut *count).cast(), 8).build();
        let key = self.pending.insert(WOKEN, Work::Wake { count });
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    fn read_clocks(&mut self) {
        let since = self.origin.elapsed().as_nanos();
        self.now = Nanos(u64::try_from(since).unwrap_or(u64::MAX));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    }

    /// Puts an entry into the submission queue; gives it back when the queue is full.
    fn push(&mut self, entry: squeue::Entry) -> Result<(), squeue::Entry> {
        // SAFETY: needed because an entry holds addresses. Every address in `entry` is of memory
        // owned by an operation in `pending` (a pool's mapping, a CString, a Box), which stays
        // there until its completion; entries without addresses have nothing to keep.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| entry)
    }

    /// Our own entries go in behind the server's of this turn. Answers whether all found room.
    fn push_later(&mut self) -> bool {
        while let Some(entry) = self.later.pop_front() {
            if let Err(entry) = self.push(entry) {
                self.later.push_front(entry);
                return false;
            }
        }
        true
    }

    fn gather(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.extend(
            self.ring.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags())),
        );
        for (user_data, result, flags) in gathered.drain(..) {
            if user_data != UNATTENDED {
                self.complete(user_data, result, flags);
            }
        }
        self.gathered = gathered;
    }

    fn ready(&mut self, token: Token, event: Event) {
        self.ready.push_back(Completion { token, event });
    }

    fn ready_next(&mut self, token: Token, event: Event) {
        self.ready_next.push_back(Completion { token, event });
    }
}

impl Kernel for RingKernel {
    fn submit(&mut self, token: Token, op: Op) -> Result<(), Op> {
        if !self.pending.has_room() || self.ring.submission().is_full() {
            return Err(op);
        }
        self.start(token, op);
        Ok(())
    }

    fn wait(&mut self, until: Option<Nanos>) {
        self.wait_once(until, 0);
    }

    fn wait_patiently(&mut self, until: Option<Nanos>, gather_ns: u64) {
        self.wait_once(until, gather_ns);
    }

    fn pop(&mut self) -> Option<Completion> {
        self.ready.pop_front()
    }

    fn receive_buffer(&mut self) -> Option<Buffer> {
        self.receive_pool.take()
    }

    fn chunk_buffer(&mut self) -> Option<Buffer> {
        self.chunk_pool.take()
    }

    fn send_buffer(&mut self) -> Option<Buffer> {
        self.send_pool.take()
    }

    fn pace(&mut self, socket: SocketId, bytes_per_second: Option<u64>) -> io::Result<()> {
        self.set_pace(socket, bytes_per_second)
    }

    fn lending_refused(&self) -> Option<String> {
        self.report.fixed_reads.as_ref().err().cloned()
    }

    fn queued(&self, socket: SocketId) -> Option<u64> {
        self.queued_on(socket)
    }

    fn local_address(&self, socket: SocketId) -> Option<IpAddr> {
        let address = self.sockets.get(socket.0)?.stream.local_addr().ok()?;
        Some(address.ip().to_canonical())
    }

    fn seal_from_here(&mut self, socket: SocketId, keys: &SendKeys<'_>) -> io::Result<()> {
        ktls::seal_from_here(self.usable(socket)?.stream.as_fd(), keys)
    }

    fn buffers(&self) -> BufferLevels {
        let mut receive = self.receive_pool.level();
        // Lent and not picked: nobody's.
        receive.free += self.lent.count();
        BufferLevels { receive, chunk: self.chunk_pool.level(), send: self.send_pool.level() }
    }

    fn resident(&mut self, file: FileId, piece: Piece) -> usize {
        let now = self.now;
        let Some(file) = self.files.get_mut(file.0) else { return 0 };
        file.resident(piece, now).unwrap_or(0)
    }

    fn trust_pages(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(file.0) {
            file.trusted = true;
        }
    }

    fn tallies(&self) -> Tallies {
        Tallies { lent: self.pending.lent() as u64, ..self.tallies }
    }

    fn now(&self) -> Nanos {
        self.now
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms
    }
}

impl Drop for RingKernel {
    /// Closing a ring does not stop at once what it has begun, so memory is taken back only from
    /// operations that have completed. What the kernel keeps longer than the patience here is
    /// leaked on purpose: a lost mapping is harmless, a write into a reused one is not. What is
    /// lent to the network is not waited for at all: a slow peer may keep it for a minute.
    fn drop(&mut self) {
        self.ending = true;
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        self.later.push_back(cancel.user_data(UNATTENDED));
        let begun = Instant::now();
        while !self.pending.is_idle() && begun.elapsed() < Duration::from_millis(LET_GO_MS_MAX) {
            self.push_later();
            if self.enter(Some(Duration::from_millis(50))).is_err() {
                break;
            }
            self.gather();
        }
        if !self.pending.is_empty() {
            std::mem::forget(std::mem::replace(&mut self.pending, Pending::new(0)));
            self.lent.leak();
        }
    }
}

impl std::fmt::Debug for RingKernel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RingKernel").field("report", &self.report).finish_non_exhaustive()
    }
}
