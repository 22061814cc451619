//! One thread's loop: pop completions, step the connections they belong to, submit, wait.
//! Never blocks but in the kernel's `wait`, never takes a lock, reads no clock but the kernel's.
//!
//! Generic over the kernel, so that the same loop runs on a ring and under simulation; `turn` does
//! one round and returns, so that a simulator may interleave many workers on one thread.

mod commands;
mod deadlines;
mod disk;
mod loans;
mod patience;
mod station;
mod tokens;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use oca_sys::{Accepted, Completion, Event, Kernel, ListenerId, Nanos, Op};

pub use commands::{Command, ConnectionLine, StreamLine};
pub use disk::Wish;
pub use loans::Loans;
pub use station::{Fault, OverBudget, Shared, Station, Trouble};
pub use tokens::{Seat, TokenKind};

use crate::access_log::LogSink;
use crate::connection::{self, Connection, Flow, Mood};
use crate::counters::Counters;
use crate::limits::{CHUNK_BUFFERS_MIN, CONNECTIONS_MAX, DEVICE_GATHER_MS};
use crate::outcome::CloseReason;
use deadlines::Deadlines;
use patience::Crowd;

const ECANCELED: i32 = nix::errno::Errno::ECANCELED as i32;
/// Seats of the starved queue that are woken in one turn.
const STARVED_PER_TURN: usize = 64;
/// How long a worker with starved seats sleeps at most, milliseconds.
const STARVED_WAIT_MS: u64 = 2;
/// How long a worker with operations that the kernel had no room for sleeps at most, milliseconds.
const HELD_WAIT_MS: u64 = 1;
/// How long any worker sleeps at most, milliseconds: log batches go out, CPU time is noted.
const TICK_MS: u64 = 250;

/// Everything a worker is made of.
pub struct WorkerParts<K> {
    /// The machine it runs on; it stays on the thread that made it.
    pub kernel: K,
    /// Listeners of that kernel.
    pub listeners: Vec<ListenerId>,
    /// What all workers share.
    pub shared: Shared,
    /// This worker's numbers.
    pub counters: Arc<Counters>,
    /// Orders from the admin thread; whoever sends one wakes the kernel after.
    pub commands: Receiver<Command>,
    /// Where access log lines go.
    pub log: LogSink,
    /// Most connections; the kernel stops accepting there by itself.
    pub connections_max: usize,
    /// Chunk buffers the kernel has.
    pub chunk_buffers: usize,
    /// Keys the hash tables: equal seeds give equal runs.
    pub seed: u64,
}

/// Whether a worker has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Call `turn` again.
    Running,
    /// Drained: no connection is left and none will come.
    Done,
}

/// One worker.
pub struct Worker<K> {
    station: Station<K>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    deadlines: Deadlines,
    /// The moods of all connections.
    crowd: Crowd,
    listeners: Vec<ListenerId>,
    commands: Receiver<Command>,
    drain_until: Option<Nanos>,
    accepting: usize,
    tick_at: Nanos,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
    /// Its connection's, as it is counted in `crowd`.
    mood: Option<Mood>,
}

impl<K: Kernel> Worker<K> {
    /// A worker with no connections that accepts from its listeners at the first turn.
    #[must_use]
    pub fn new(parts: WorkerParts<K>) -> Self {
        let connections_max = parts.connections_max.clamp(1, CONNECTIONS_MAX);
        debug_assert!(parts.chunk_buffers >= 1 && CHUNK_BUFFERS_MIN > 1);
        let mut worker = Self {
            station: Station::new(
                parts.kernel,
                parts.shared,
                parts.counters,
                parts.log,
                parts.chunk_buffers,
                parts.seed,
            ),
            slots: std::iter::repeat_with(Slot::default).take(connections_max).collect(),
            free: (0..u32::try_from(connections_max).expect("CONNECTIONS_MAX fits 24 bits"))
                .rev()
                .collect(),
            deadlines: Deadlines::new(connections_max),
            crowd: Crowd::default(),
            listeners: parts.listeners,
            commands: parts.commands,
            drain_until: None,
            accepting: 0,
            tick_at: Nanos(0),
        };
        for listener in worker.listeners.clone() {
            worker.accepting += 1;
            worker.station.submit(TokenKind::Accept.token(listener.0, 0), Op::Accept { listener });
        }
        worker
    }

    /// One round: waits for something to happen, then does all of it.
    pub fn turn(&mut self) -> Turned {
        let until = self.turn_until();
        match self.gather_ms() {
            0 => self.station.kernel.wait(Some(until)),
            gather_ms => {
                // A deadline comes with the others; those that it is for wait for seconds.
                let until = until.max(self.station.now().plus_millis(gather_ms));
                self.station.kernel.wait_patiently(Some(until), gather_ms * 1_000_000);
            }
        }
        while let Some(completion) = self.station.kernel.pop() {
            self.take(completion);
            self.step_ready();
        }
        self.step_due();
        self.station.step_storage();
        self.step_starved();
        self.step_ready();
        self.tick();
        self.station.submit_held();
        self.station.counters.turns.add(1);
        if self.drain_until.is_some() && self.free.len() == self.slots.len() && self.accepting == 0
        {
            self.station.log.flush(&self.station.counters);
            return Turned::Done;
        }
        Turned::Running
    }

    /// For how long completions may gather before they are looked at.
    fn gather_ms(&self) -> u64 {
        let station = &self.station;
        if station.draining || !station.starved.is_empty() || station.has_held() {
            return 0;
        }
        let gather_ms = self.crowd.gather_ms();
        // Turns on a device are few, and each is given when another ends.
        if station.lanes.has_waiters() { gather_ms.min(DEVICE_GATHER_MS) } else { gather_ms }
    }

    /// When to wake at the latest.
    fn turn_until(&self) -> Nanos {
        let now = self.station.now();
        let mut until = now.plus_millis(TICK_MS);
        if !self.station.starved.is_empty() {
            until = until.min(now.plus_millis(STARVED_WAIT_MS));
        }
        if self.station.has_held() {
            // The kernel had no room: it has as soon as it was entered, whether or not anything
            // ends.
            until = until.min(now.plus_millis(HELD_WAIT_MS));
        }
        for due in [self.deadlines.next(), self.station.storage_due()].into_iter().flatten() {
            until = until.min(due);
        }
        self.drain_until.map_or(until, |drain| until.min(drain))
    }

    /// One completion to whom it concerns. Those of a connection that is gone only free a buffer.
    fn take(&mut self, completion: Completion) {
        let Some((kind, slot, generation)) = TokenKind::split(completion.token) else {
            return self.take_commands();
        };
        match (kind, completion.event) {
            (TokenKind::Accept, Event::Accepted(result)) => self.accepted(result),
            (
                TokenKind::Open
                | TokenKind::ReadSeal
                | TokenKind::ReadChunk
                | TokenKind::ProbeOpen
                | TokenKind::ProbeRead,
                event,
            ) => self.station.answered(completion.token, event),
            (TokenKind::CloseSocket, Event::SocketClosed) => self.closed(slot, generation),
            (TokenKind::CloseFile, _) => {}
            (TokenKind::Lend, Event::Returned(lending, chunk)) => {
                self.station.returned(lending, &chunk);
                self.step(Seat { slot, generation }, |connection, station| {
                    connection::returned(connection, station, lending)
                });
            }
            (_, event) => self.step(Seat { slot, generation }, |connection, station| {
                connection::arrived(connection, station, event)
            }),
        }
    }

    fn accepted(&mut self, result: std::io::Result<Accepted>) {
        let accepted = match result {
            Ok(accepted) => accepted,
            // The kernel keeps accepting until told to stop, and says so with this one error.
            Err(error) if error.raw_os_error() == Some(ECANCELED) => {
                self.accepting = self.accepting.saturating_sub(1);
                return;
            }
            // The peer gave up before we looked, or the machine is short of something: the next
            // connection may fare better.
            Err(_) => return self.station.counters.close(CloseReason::NotAccepted),
        };
        let Some(slot) = self.free.pop() else {
            // The kernel pauses at `sockets_max`; a burst may still bring a few more.
            return self.turn_away(accepted, CloseReason::NoSlot);
        };
        let Ok(client) = self.station.shared.rules.clients.enter(accepted.peer.ip()) else {
            self.free.push(slot);
            return self.turn_away(accepted, CloseReason::ClientFull);
        };
        let entry = &mut self.slots[slot as usize];
        // 0 marks sockets that never had a slot.
        entry.generation = entry.generation.wrapping_add(1).max(1);
        let seat = Seat { slot, generation: entry.generation };
        let connection = connection::accept(seat, accepted, client, &mut self.station);
        self.slots[slot as usize].connection = Some(connection);
        self.station.counters.connections.set((self.slots.len() - self.free.len()) as u64);
        self.step(seat, |_, _| Flow::Again);
    }

    /// A socket that never gets a seat.
    fn turn_away(&mut self, accepted: Accepted, reason: CloseReason) {
        self.station.counters.close(reason);
        let token = TokenKind::CloseSocket.token(0, 0);
        self.station.submit(token, Op::CloseSocket { socket: accepted.socket });
    }

    fn closed(&mut self, slot: u32, generation: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        if generation == 0 || entry.generation != generation {
            return;
        }
        if let Some(connection) = entry.connection.take() {
            if let Some(client) = connection.client() {
                self.station.shared.rules.clients.leave(client);
            }
            self.crowd.change(&mut entry.mood, None);
            self.deadlines.clear(slot);
            self.free.push(slot);
            self.station.counters.connections.set((self.slots.len() - self.free.len()) as u64);
        }
    }

    /// Steps the connection at `seat`, if it is still there, until it has to wait for something.
    fn step(&mut self, seat: Seat, first: impl FnOnce(&mut Connection, &mut Station<K>) -> Flow) {
        let Some(entry) = self.slots.get_mut(seat.slot as usize) else { return };
        if entry.generation != seat.generation {
            return;
        }
        let Some(connection) = entry.connection.as_mut() else { return };
        let mut flow = first(connection, &mut self.station);
        while flow == Flow::Again {
            flow = connection::advance(connection, &mut self.station);
        }
        self.crowd.change(&mut entry.mood, Some(connection.mood()));
        match connection.due(&self.station.shared.rules.bounds, self.station.parts_idle) {
            Some(due) => self.deadlines.set(seat.slot, due),
            None => self.deadlines.clear(seat.slot),
        }
    }

    fn step_ready(&mut self) {
        while let Some((seat, fault)) = self.station.ready.pop_front() {
            self.step(seat, |connection, station| match fault {
                Some(fault) => connection::failed(connection, station, fault),
                None => connection::told(connection),
            });
        }
    }

    fn step_due(&mut self) {
        let now = self.station.now();
        while let Some(slot) = self.deadlines.pop(now) {
            let generation = self.slots[slot as usize].generation;
            self.step(Seat { slot, generation }, connection::overdue);
        }
        if self.drain_until.is_some_and(|until| until <= now) {
            self.end_all();
        }
    }

    fn step_starved(&mut self) {
        let woken = self.station.starved.len().min(STARVED_PER_TURN);
        for _ in 0..woken {
            if let Some(seat) = self.station.starved.pop_front() {
                self.step(seat, |connection, _| connection::told(connection));
            }
        }
    }

    /// Once in a while: the log goes out even when little is logged.
    fn tick(&mut self) {
        let now = self.station.now();
        if now >= self.tick_at {
            self.tick_at = now.plus_millis(TICK_MS);
            self.station.log.flush(&self.station.counters);
        }
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Drain { within_ms } => self.drain(within_ms),
                Command::Yield { within_ms } => self.yield_to_another(within_ms),
                Command::Forget(copies) => {
                    for (volume, object) in copies.iter() {
                        self.station.forget_file(*volume, object);
                    }
                }
                Command::Heat(answer) => {
                    let now = self.station.now();
                    // Whoever asked may have given up.
                    drop(answer.send(self.station.heat.list(now)));
                }
                Command::List { lines_max, to } => {
                    let lines = self.slots.iter().filter_map(|slot| slot.connection.as_ref());
                    let now = self.station.now();
                    let lines = lines.take(lines_max).map(|connection| connection.line(now));
                    // Whoever asked may have given up.
                    drop(to.send(lines.collect()));
                }
            }
        }
    }

    /// Stops accepting, lets idle connections go, and gives the others `within_ms`.
    pub fn drain(&mut self, within_ms: u64) {
        if self.station.parts_idle {
            return;
        }
        self.station.parts_idle = true;
        self.stop_accepting(within_ms);
        self.step_all(connection::drain);
    }

    /// Stops accepting for another program's sake: nobody is let go who might be about to ask.
    pub fn yield_to_another(&mut self, within_ms: u64) {
        if !self.station.draining {
            self.stop_accepting(within_ms);
        }
    }

    fn stop_accepting(&mut self, within_ms: u64) {
        let until = self.station.now().plus_millis(within_ms);
        self.drain_until = Some(self.drain_until.map_or(until, |earlier| earlier.min(until)));
        if std::mem::replace(&mut self.station.draining, true) {
            return;
        }
        for listener in self.listeners.clone() {
            let token = TokenKind::StopAccepting.token(listener.0, 0);
            self.station.submit(token, Op::StopAccepting { listener });
        }
    }

    fn end_all(&mut self) {
        self.step_all(|connection, station| {
            connection::end(connection, station, CloseReason::Draining)
        });
    }

    fn step_all(&mut self, first: impl Fn(&mut Connection, &mut Station<K>) -> Flow) {
        for slot in 0..self.slots.len() {
            let seat = Seat {
                slot: u32::try_from(slot).expect("CONNECTIONS_MAX fits 24 bits"),
                generation: self.slots[slot].generation,
            };
            self.step(seat, &first);
        }
    }

    /// The worker's numbers.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.station.counters
    }

    /// The kernel under it, for a simulator that drives both.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.station.kernel
    }
}
