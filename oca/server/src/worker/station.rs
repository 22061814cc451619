//! What all connections of a worker share: the kernel, memory, files, tickets, counters, the log.
//! Never knows a connection; it hands seats back to the loop in `worker`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use control_types::ObjectId;
use control_types::limits::CHUNK_BYTES;
use oca_http::HttpDate;
use oca_sys::{Access, Buffer, FileId, Kernel, Lending, Nanos, Op, Token};
use rustls::ServerConfig;

use super::disk::{self, Avoided, Lanes, Probes};
use super::loans::Loans;
use super::{Seat, TokenKind};
use crate::access_log::LogSink;
use crate::counters::Counters;
use crate::engine::{Engines, Known};
use crate::files::Files;
use crate::heat::HeatTable;
use crate::hot_set::HotSet;
use crate::library::Library;
use crate::limits::{
    CONNECTIONS_MAX, FILES_MAX, IN_FLIGHT_SHARE, LARGE_SENDS_CHUNKS_MIN, LARGE_SENDS_MAX,
    RECEIVE_BYTES, SEAL_BYTES_MAX, SPARE_HEADS_MAX, TICKETS_MAX,
};
use crate::peers::Peers;
use crate::rules::Rules;
use crate::sovereign::Desk;
use crate::tickets::{Gate, TicketMemory};

/// Why bytes that a seat waits for will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file is not there any more.
    Gone,
    /// The disk did not give the bytes.
    Disk,
    /// The disk gave other bytes than the object's.
    Corrupt,
}

/// What a worker tells the admin thread. It may be dropped when that thread is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A copy is bad: leave a marker for the fill agent.
    BadObject {
        /// Position of the volume in the configuration.
        volume: u16,
        /// Which object.
        object: ObjectId,
    },
    /// A read or an open failed.
    DiskError {
        /// Position of the volume in the configuration.
        volume: u16,
    },
    /// A device is silent or fails: nobody reads it for now.
    DeviceOut {
        /// Place in `Devices::list`.
        device: usize,
    },
    /// It has proved to be well.
    DeviceBack {
        /// Place in `Devices::list`.
        device: usize,
    },
}

/// The shared things that come from outside; cloned for every worker.
#[derive(Clone)]
pub struct Shared {
    /// What can be served.
    pub library: Arc<Library>,
    /// Who may have it.
    pub gate: Arc<Gate>,
    /// Certificates and ticketer; absent means plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where troubles go.
    pub troubles: SyncSender<Trouble>,
    /// Whom refusals name.
    pub peers: Arc<Peers>,
    /// What clients are held to.
    pub rules: Arc<Rules>,
    /// Which ways bodies may go.
    pub engines: Engines,
    /// What steering questions are answered from.
    pub steering: Arc<Desk>,
}

/// A worker's own things, lent to each step of a connection.
pub struct Station<K> {
    /// The machine.
    pub kernel: K,
    /// From outside.
    pub shared: Shared,
    /// Which ways bodies may go, as this worker has found.
    pub engines: Engines,
    /// Chunks in memory.
    pub hot: HotSet,
    /// Open files.
    pub files: Files,
    /// Chunks that the page cache has or had, and that were found good.
    pub known: Known,
    /// Which way the next chunk asked for is read: as its asker's engine wants it.
    pub access: Access,
    /// Verified tickets.
    pub tickets: TicketMemory,
    /// This worker's numbers.
    pub counters: Arc<Counters>,
    /// Access log.
    pub log: LogSink,
    /// Stop keeping connections: every answer says so.
    pub draining: bool,
    /// Connections without a request are let go at once. Not while another program takes over: a
    /// client that sends a request just then would find nobody.
    pub parts_idle: bool,
    /// Bytes served by object.
    pub heat: HeatTable,
    /// What is under way on each device.
    pub(super) lanes: Lanes,
    /// Copies not to be read for a while.
    pub(super) avoided: Avoided,
    /// Devices on trial.
    pub(super) probes: Probes,
    /// Reads and probes submitted so far: their tokens.
    pub(super) submitted: u64,
    /// Chunk buffers kept for large sends, and free now.
    pub large: Vec<Buffer>,
    /// Chunks that the network has.
    pub loans: Loans,
    /// Sends under way straight from a chunk's memory.
    pub chunks_in_flight: usize,
    /// Beyond this, clear sends copy: readers that take little must not hold all of the memory.
    pub chunks_in_flight_max: usize,
    pub(super) ready: VecDeque<(Seat, Option<Fault>)>,
    pub(super) starved: VecDeque<Seat>,
    /// Room for request heads that idle connections gave back.
    spare_bytes: Vec<Vec<u8>>,
    /// Operations that found the kernel's queue full; they go first next time.
    held: VecDeque<(Token, Op)>,
    date: (u64, HttpDate),
}

/// No buffer, and too many wait for one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget;

impl<K: Kernel> Station<K> {
    pub(super) fn new(
        mut kernel: K,
        shared: Shared,
        counters: Arc<Counters>,
        log: LogSink,
        chunk_buffers: usize,
        seed: u64,
    ) -> Self {
        let library = Arc::clone(&shared.library);
        let devices = library.devices();
        counters.set_devices(devices.list().len());
        let large = match chunk_buffers {
            // Only records are sent from them.
            _ if shared.tls.is_none() => 0,
            ..LARGE_SENDS_CHUNKS_MIN => 0,
            _ => LARGE_SENDS_MAX.min(chunk_buffers / 16),
        };
        let mut engines = shared.engines.clone();
        if let Some(why) = kernel.lending_refused() {
            engines.zero_copy().refuse(why);
        }
        Self {
            large: std::iter::from_fn(|| kernel.chunk_buffer()).take(large).collect(),
            kernel,
            engines,
            shared,
            hot: HotSet::new(chunk_buffers, seed),
            files: Files::new(FILES_MAX, SEAL_BYTES_MAX, seed),
            known: Known::new(seed),
            access: Access::Direct,
            tickets: TicketMemory::new(TICKETS_MAX, seed),
            counters,
            log,
            draining: false,
            parts_idle: false,
            heat: HeatTable::default(),
            lanes: Lanes::new(&disk::bounds(devices, chunk_buffers)),
            avoided: Avoided::default(),
            probes: Probes::new(devices.list().len()),
            submitted: 0,
            loans: Loans::new(chunk_buffers),
            chunks_in_flight: 0,
            chunks_in_flight_max: chunk_buffers / IN_FLIGHT_SHARE,
            ready: VecDeque::with_capacity(256),
            starved: VecDeque::with_capacity(256),
            spare_bytes: Vec::with_capacity(SPARE_HEADS_MAX),
            held: VecDeque::with_capacity(256),
            date: (0, HttpDate::from_unix_seconds(0)),
        }
    }

    /// Monotonic time as of this turn.
    pub fn now(&self) -> Nanos {
        self.kernel.now()
    }

    /// Hands an operation to the kernel, or keeps it for the next turn when the queue is full. What
    /// waits here is bounded by the operations that connections, chunks and files may have under
    /// way: a handful each.
    pub fn submit(&mut self, token: Token, op: Op) {
        if !self.held.is_empty() {
            self.held.push_back((token, op));
        } else if let Err(op) = self.kernel.submit(token, op) {
            self.held.push_back((token, op));
        }
    }

    /// Hands over what the last turn had to keep. True when nothing is left.
    pub(super) fn submit_held(&mut self) -> bool {
        while let Some((token, op)) = self.held.pop_front() {
            if let Err(op) = self.kernel.submit(token, op) {
                self.held.push_front((token, op));
                return false;
            }
        }
        true
    }

    /// Whether the last turn had to keep something.
    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// A send that lends this chunk is about to begin.
    pub fn lend(&mut self, chunk: &Buffer) {
        self.loans.lend(chunk);
        self.counters.zero_copy.sends.add(1);
        self.counters.zero_copy.lent_bytes.set(self.loans.chunks() as u64 * CHUNK_BYTES);
    }

    /// The network is done with what one send lent.
    pub(super) fn returned(&mut self, lending: Lending, chunk: &Buffer) {
        self.loans.take_back(chunk);
        let counters = &self.counters.zero_copy;
        counters.lent_bytes.set(self.loans.chunks() as u64 * CHUNK_BYTES);
        match lending {
            Lending::Used => counters.used.add(1),
            Lending::Copied => counters.copied.add(1),
            Lending::Unsure => counters.unsure.add(1),
            Lending::Nothing => {}
        }
    }

    /// Closes a file nobody reads.
    pub fn close_file(&mut self, file: FileId) {
        self.known.forget(file);
        self.submit(TokenKind::CloseFile.token(0, 0), Op::CloseFile { file });
    }

    /// A send buffer, or `None` when all are out.
    pub fn send_buffer(&mut self) -> Option<Buffer> {
        self.kernel.send_buffer()
    }

    /// Room for a request head, as an idle connection left it.
    pub fn empty_bytes(&mut self) -> Vec<u8> {
        self.spare_bytes.pop().unwrap_or_default()
    }

    /// Takes back room that a connection does not need while it is idle.
    pub fn keep_bytes(&mut self, bytes: Vec<u8>) {
        debug_assert!(bytes.is_empty());
        if (1..=RECEIVE_BYTES).contains(&bytes.capacity())
            && self.spare_bytes.len() < SPARE_HEADS_MAX
        {
            self.spare_bytes.push(bytes);
        }
    }

    /// Puts `seat` in the queue of those that wait for a buffer.
    ///
    /// # Errors
    /// The queue is full: the seat must give up.
    pub fn starve(&mut self, seat: Seat) -> Result<(), OverBudget> {
        if self.starved.len() >= CONNECTIONS_MAX {
            return Err(OverBudget);
        }
        self.counters.starved.add(1);
        self.starved.push_back(seat);
        Ok(())
    }

    /// Seats that wait for a buffer.
    pub fn waiting_for_buffers(&self) -> usize {
        self.starved.len()
    }

    /// Tells the admin thread; never waits for it.
    pub fn report(&mut self, trouble: Trouble) {
        if self.shared.troubles.try_send(trouble).is_err() {
            self.counters.troubles_dropped.add(1);
        }
    }

    /// The `Date` header of this second.
    pub fn date(&mut self) -> HttpDate {
        let seconds = self.kernel.wall_ms() / 1000;
        if self.date.0 != seconds {
            self.date = (seconds, HttpDate::from_unix_seconds(seconds));
        }
        self.date.1
    }
}
