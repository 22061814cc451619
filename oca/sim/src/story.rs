//! One run: the real worker on a simulated machine, clients drawn from the seed, and the judgement.
//!
//! What must hold in every run, whatever goes wrong:
//! * every body byte is the object's or its seal's, every answer is framed right, in order, and the
//!   expected one;
//! * a polite client is answered in full, unless its object's disk, a standstill of the machine or
//!   a drain excuses the server;
//! * an object with a copy on a healthy device is served, whatever the other devices do;
//! * every answer begins within `FIRST_BYTE_MAX`, whatever hangs, unless clients had to queue for
//!   sockets or buffers, or the machine stood still;
//! * when the clients are done the server comes to rest: no socket, no receive or send buffer out,
//!   and of the chunk buffers only those it keeps on purpose;
//! * memory that the network has is not written to, and comes back into the server's books;
//! * drained, it ends; gone, it has given every buffer back.

mod judge;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use control_types::fleet::DiskClass;
use fastrand::Rng;
use oca::access_log::LogSink;
use oca::config::PacingConfig;
use oca::counters::Counters;
use oca::devices::{Device, Devices, Patience};
use oca::engine::Engines;
use oca::library::{Library, Sealed};
use oca::limits::{Bounds, GRACE_S};
use oca::outcome::CloseReason;
use oca::rules::Rules;
use oca::tickets::Gate;
use oca::worker::{Command, Shared, Trouble, Turned, Worker, WorkerParts};
use oca_sys::{Kernel, ListenerId};

use crate::answer::Complaint;
use crate::disk::Disk;
use crate::kernel::SimKernel;
use crate::multiplexed::Streamer;
use crate::script;
use crate::shelf::{Shelf, VOLUMES};
use crate::tls::Keys;
use crate::viewer::{Manners, Pace, Viewer};
use crate::weather::{MILLISECOND, SECOND, Weather, happens};

/// An answer begins within this, whatever disks do.
const FIRST_BYTE_MAX: u64 = 3 * SECOND;
/// Turns after the last client is done in which the server comes to rest.
const REST_TURNS: usize = 8;
/// A run that takes more turns than this does not come to rest.
const TURNS_MAX: u64 = 2_000_000;

/// A server on a simulated machine, before and while it runs.
pub struct Story {
    /// The machine.
    pub kernel: SimKernel,
    /// The server.
    pub worker: Worker<SimKernel>,
    /// What the server counts.
    pub counters: Arc<Counters>,
    /// What it tells the admin thread.
    pub troubles: Receiver<Trouble>,
    /// Who may have it.
    pub gate: Arc<Gate>,
    /// What it serves, and from which devices.
    pub library: Arc<Library>,
    /// What is on its disks.
    pub shelf: Arc<Shelf>,
    commands: SyncSender<Command>,
    drained: bool,
    turns: u64,
}

/// Each volume is on a device of its own.
fn devices() -> Devices {
    let device =
        |(name, class): (&str, DiskClass)| Device::new(name.into(), class, Patience::default());
    Devices::given(VOLUMES.into_iter().map(device).collect(), (0..VOLUMES.len()).collect())
}

/// What a run amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Turns of the worker's loop.
    pub turns: u64,
    /// Answers that clients took.
    pub answers: usize,
    /// Complaints that were excused.
    pub excused: usize,
    /// Digest of everything that the server was told.
    pub trace: u64,
}

impl Story {
    /// A server with the shelf's files on sound disks.
    #[must_use]
    pub fn new(shelf: &Arc<Shelf>, weather: &Weather, keys: Option<&Keys>, seed: u64) -> Self {
        let kernel = SimKernel::new(weather.clone(), seed).expect("a few megabytes of memory");
        for sample in &shelf.samples {
            for (volume, path) in &sample.copies {
                kernel.world().disk().put(*volume, path.clone(), Arc::clone(&sample.file));
            }
        }
        for outage in &weather.outages {
            kernel.world().disk().plan(outage.clone());
        }
        if let Some(keys) = keys {
            kernel.world().use_tls(keys);
        }
        let (commands, orders) = sync_channel(8);
        let (told, troubles) = sync_channel(1024);
        let counters = Arc::new(Counters::default());
        let library = Arc::new(Library::Sealed(Sealed::on(shelf.index.clone(), devices())));
        let gate = Gate::new(shelf.keys.clone(), true).expect("the shelf's own keys");
        // Nothing comes of it in runs that never hear control.
        let gate = Arc::new(gate.with_grace_ms(GRACE_S * 1_000));
        let shared = Shared {
            library: Arc::clone(&library),
            gate: Arc::clone(&gate),
            tls: keys.map(|keys| Arc::clone(&keys.server)),
            troubles: told,
            peers: Arc::default(),
            // A pace that is slow but steady is not forbidden here: clients draw any.
            rules: Arc::new(Rules {
                clear_h2: true,
                ..Rules::new(
                    Bounds { slow_reader_bps: 0, ..Bounds::default() },
                    PacingConfig::default(),
                )
            }),
            engines: Engines::able(weather.preference),
            steering: Arc::default(),
        };
        let worker = Worker::new(WorkerParts {
            kernel: kernel.clone(),
            listeners: vec![ListenerId(0)],
            shared,
            counters: Arc::clone(&counters),
            commands: orders,
            log: LogSink::none(),
            connections_max: 64,
            chunk_buffers: weather.buffers[1] as usize,
            seed,
        });
        let shelf = Arc::clone(shelf);
        Self {
            kernel,
            worker,
            counters,
            troubles,
            gate,
            library,
            shelf,
            commands,
            drained: false,
            turns: 0,
        }
    }

    /// Turns until every client is done and every socket given up.
    ///
    /// # Errors
    /// It does not come to rest.
    pub fn rest(&mut self) -> Result<(), String> {
        self.turn_while(|story| {
            let world = story.kernel.world();
            world.clients_busy() > 0 || world.sockets() > 0
        })
    }

    /// Tells the server to drain, as the admin thread would.
    pub fn drain(&mut self, within_ms: u64) {
        self.drained = true;
        let sent = self.commands.try_send(Command::Drain { within_ms });
        assert!(sent.is_ok(), "the worker has not looked at its orders");
        self.kernel.world().wake();
    }

    /// Turns until `moment` of virtual time.
    ///
    /// # Errors
    /// It takes too many turns.
    pub fn turn_until(&mut self, moment: u64) -> Result<(), String> {
        self.turn_while(|story| story.kernel.world().now() < moment)
    }

    fn turn_while(&mut self, more: impl Fn(&Self) -> bool) -> Result<(), String> {
        while more(self) {
            self.turns += 1;
            if self.turns > TURNS_MAX {
                return Err(self.describe());
            }
            if self.worker.turn() == Turned::Done {
                return Ok(());
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let world = self.kernel.world();
        let seconds = world.now() / SECOND;
        let mut text = format!("no rest after {TURNS_MAX} turns and {seconds} s");
        for client in world.clients().filter(|client| !client.is_done()) {
            text += &format!("\n  client: {}", client.describe());
        }
        let sockets = world.sockets();
        drop(world);
        text + &format!("\n  server: {sockets} sockets, {:?}", self.kernel.buffers())
    }

    /// Judges what has happened, ends the server, and counts what it gave back.
    ///
    /// # Errors
    /// What must never happen, in words.
    pub fn finish(mut self) -> Result<Summary, String> {
        let summary = self.judge()?;
        // The network may have memory of ours for longer than anybody has a socket.
        self.turn_while(|story| story.kernel.world().loans() > 0)?;
        self.come_to_rest()?;
        if !self.drained {
            self.drain(1000);
        }
        let ends = 10_000;
        if (0..ends).all(|_| self.worker.turn() == Turned::Running) {
            return Err(format!("still draining after {ends} turns"));
        }
        let Self { kernel, worker, .. } = self;
        drop(worker);
        kernel.world().end();
        let levels = kernel.buffers();
        if [levels.receive, levels.chunk, levels.send].iter().any(|level| level.out() > 0) {
            return Err(format!("buffers lost: {levels:?}"));
        }
        Ok(summary)
    }

    /// A probe of a sick device may just be on its way to a kernel that had no room for it.
    fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..REST_TURNS {
            if self.check_rest().is_ok() || self.worker.turn() == Turned::Done {
                break;
            }
        }
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), String> {
        let levels = self.kernel.buffers();
        let sockets = self.kernel.world().sockets();
        let reads = self.kernel.world().reads();
        let (kept, connections) = (self.counters.hot_chunks.get(), self.counters.connections.get());
        // Fewer than kept, when one was given up for a read that is not back yet.
        let at_rest = sockets == 0
            && connections == 0
            && levels.receive.out() == 0
            && levels.send.out() == 0
            && (self.drained || self.counters.zero_copy.lent_bytes.get() == 0)
            && levels.chunk.out() as u64 <= kept + reads as u64;
        if at_rest {
            return Ok(());
        }
        Err(format!(
            "{sockets} sockets, {connections} connections, {kept} chunks kept, {reads} under \
             read, {levels:?}"
        ))
    }

    /// Files that a fault was put on, for messages.
    #[must_use]
    pub fn blamed(&self) -> Vec<PathBuf> {
        let mut world = self.kernel.world();
        let disk = world.disk();
        let copies = self.shelf.samples.iter().flat_map(|sample| &sample.copies);
        let paths = copies.map(|(_, path)| path.clone());
        paths.filter(|path| disk.is_blamed(path)).collect()
    }
}

/// The run of one seed.
///
/// # Errors
/// What must never happen, in words.
pub fn run(shelf: &Arc<Shelf>, seed: u64) -> Result<Summary, String> {
    let random = &mut Rng::with_seed(seed);
    let weather = Weather::draw(random);
    let keys = is_encrypted(seed).then_some(&shelf.tls);
    let mut story = Story::new(shelf, &weather, keys, seed);
    story.kernel.world().disk().spoil_some(&weather, random);
    for _ in 0..random.u32(1..20) {
        add_viewer(&story, &weather, random);
    }
    if random.u8(..5) == 0 {
        story.turn_until(random.u64(..20 * SECOND))?;
        story.drain(random.u64(..20_000));
    }
    story.rest()?;
    story.finish()
}

/// Every fourth run is over TLS.
#[must_use]
pub fn is_encrypted(seed: u64) -> bool {
    seed % 4 == 3
}

/// One client by chance; a third of them speak HTTP/2.
fn add_viewer(story: &Story, weather: &Weather, random: &mut Rng) {
    if random.u8(..3) == 0 {
        return add_streamer(story, weather, random);
    }
    let manners = match happens(random, weather.rude_client) {
        true => Manners::draw_rude(random),
        false if random.u8(..4) == 0 => Manners::HalfClosed,
        false => Manners::Polite,
    };
    let mut asks = Vec::new();
    for _ in 0..random.u32(1..6) {
        asks.push(script::draw(&story.shelf, random));
        if asks.last().is_some_and(|ask| ask.last) {
            break;
        }
    }
    let client = Viewer::new(Arc::clone(&story.shelf), asks, manners, Pace::draw(random));
    let room_max = 1 << random.u32(10..19);
    let begins = random.u64(1..5 * SECOND);
    story.kernel.world().add_client(begins, room_max, Box::new(client));
}

fn add_streamer(story: &Story, weather: &Weather, random: &mut Rng) {
    let is_rude = happens(random, weather.rude_client);
    let client = Streamer::draw(&story.shelf, is_rude, random);
    let room_max = 1 << random.u32(10..19);
    let begins = random.u64(1..5 * SECOND);
    story.kernel.world().add_client(begins, room_max, Box::new(client));
}
