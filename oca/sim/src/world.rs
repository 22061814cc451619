//! The simulated machine: one clock, one agenda, one disk, and the wires of all clients.
//! Never sleeps, never reads a real clock, draws every chance from one seed; and it stops the run
//! when the server does what no kernel would forgive.

mod chains;
mod loans;
mod moves;
mod reads;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fastrand::Rng;
use oca_sys::{Buffer, Completion, Event, FileId, Pool, SocketId, Token};
use rustls::ClientConfig;

use crate::agenda::{Agenda, Moment};
use crate::client::{Client, ClientSide};
use crate::disk::Disk;
use crate::network::{End, Wire};
use crate::tls::{ClientTls, Keys};
use crate::weather::{MILLISECOND, SECOND, Weather, happens, latency};
pub(crate) use chains::Chain;

const ECANCELED: i32 = 125;
const EIO: i32 = 5;
/// What is written into a buffer that the kernel owns, so that nobody relies on its old content.
pub(crate) const POISON: u8 = 0xa5;
/// More in one wait is a client that asks to be woken over and over.
const HAPPENINGS_MAX: u64 = 1_000_000;
/// Where the wall clock starts: 2027-01-15, a moment like any other.
pub const WALL_START_MS: u64 = 1_800_000_000_000;

/// What can be on the agenda.
#[derive(Debug)]
pub(crate) enum Happening {
    Connects(usize),
    ClientWakes(usize),
    Accepts,
    StopsAccepting(Token),
    Receives(u32),
    Sends(u32),
    Fills(u32),
    Returns(u32, u64),
    GivesUp(u32, u64),
    ShutsDown(u32),
    Closes(u32),
    Opens(Token, PathBuf),
    OpenFails(Token),
    Reads(Token, io::Result<usize>, Buffer),
    ReadsMany(Token, io::Result<usize>, Vec<Buffer>),
    ClosesFile(Token, u32),
    Wakes,
}

/// Everything below the server, and everything at the other end of its wires.
pub struct World {
    pub(crate) now: Moment,
    /// What the wall clock was set forward or back by, milliseconds.
    pub(crate) wall_set_ms: i64,
    pub(crate) random: Rng,
    pub(crate) weather: Weather,
    pub(crate) ready: VecDeque<Completion>,
    pub(crate) receive_pool: Pool,
    pub(crate) chunk_pool: Pool,
    pub(crate) send_pool: Pool,
    /// The queue is full until the next wait.
    pub(crate) refusing: bool,
    pub(crate) accepting: Option<Token>,
    agenda: Agenda<Happening>,
    wires: BTreeMap<u32, Wire>,
    /// Wires that no accept has taken yet.
    backlog: VecDeque<u32>,
    /// Sockets the server has.
    sockets: usize,
    /// An accept is on the agenda.
    accept_due: bool,
    clients: Vec<Seat>,
    /// For HTTP/1.1 and for HTTP/2.
    client_tls: Option<[Arc<ClientConfig>; 2]>,
    disk: Disk,
    /// Buffers under reads that the disk has not answered.
    reads: usize,
    /// Waits in which completions were let gather.
    patient_waits: u64,
    /// Sends by pipes, and those of them that began with what a pipe had kept.
    chains: u64,
    chains_resumed: u64,
    /// Digest of all that was told to the server: equal runs have equal digests.
    trace: u64,
    /// The machine stood still at least once, long enough for deadlines to pass.
    stood_still: bool,
    /// `NIGHTFILL_SIM_TRACE` is set: everything the server is told goes to standard error.
    narrates: bool,
}

struct Seat {
    /// Absent while it is awake.
    client: Option<Box<dyn Client>>,
    tls: Option<ClientTls>,
    room_max: usize,
}

impl World {
    pub(crate) fn new(weather: Weather, seed: u64) -> io::Result<Self> {
        let [receives, chunks, sends] = weather.buffers;
        Ok(Self {
            now: SECOND,
            wall_set_ms: 0,
            random: Rng::with_seed(seed),
            ready: VecDeque::new(),
            receive_pool: Pool::new(oca::limits::RECEIVE_BYTES, receives)?,
            chunk_pool: Pool::new(256 * 1024, chunks)?,
            send_pool: Pool::new(oca::limits::SEND_BYTES, sends)?,
            refusing: false,
            accepting: None,
            agenda: Agenda::default(),
            wires: BTreeMap::new(),
            backlog: VecDeque::new(),
            sockets: 0,
            accept_due: false,
            clients: Vec::new(),
            client_tls: None,
            disk: Disk::default(),
            reads: 0,
            patient_waits: 0,
            chains: 0,
            chains_resumed: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            stood_still: false,
            narrates: std::env::var_os("NIGHTFILL_SIM_TRACE").is_some(),
            weather,
        })
    }

    /// The files.
    pub fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// Virtual time, nanoseconds.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Milliseconds since 1970, as the server sees them.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        (WALL_START_MS + self.now / MILLISECOND).saturating_add_signed(self.wall_set_ms)
    }

    /// Sets the wall clock forward by `millis`, or back, from where it started.
    pub fn set_wall(&mut self, millis: i64) {
        self.wall_set_ms = millis;
    }

    /// Digest of everything that the server was told.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Whether deadlines may have passed for reasons outside of any client.
    #[must_use]
    pub fn stood_still(&self) -> bool {
        self.stood_still
    }

    /// Whether there are fewer buffers than the clients may need at once.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.weather.scarce
    }

    /// Whether clients may have to wait for others to leave before they are accepted.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.weather.sockets_max < 20
    }

    /// Sockets that the server has not given up.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// Buffers under reads that the disk has not answered.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Waits in which the server let completions gather.
    #[must_use]
    pub fn patient_waits(&self) -> u64 {
        self.patient_waits
    }

    /// The machine goes away, with all that it had under way.
    pub fn end(&mut self) {
        self.agenda = Agenda::default();
        self.ready.clear();
        self.wires.clear();
    }

    /// A client that connects after `nanos`, over a path that holds `room_max` bytes.
    pub fn add_client(&mut self, nanos: Moment, room_max: usize, client: Box<dyn Client>) {
        let config = |both: &[Arc<ClientConfig>; 2]| {
            let [h1, h2] = both;
            ClientTls::new(if client.speaks_h2() { h2 } else { h1 })
        };
        let tls = self.client_tls.as_ref().map(config);
        self.clients.push(Seat { client: Some(client), tls, room_max });
        self.later(nanos.max(1), Happening::Connects(self.clients.len() - 1));
    }

    /// Clients added from here on speak TLS.
    pub fn use_tls(&mut self, keys: &Keys) {
        self.client_tls = Some([Arc::clone(&keys.client), Arc::clone(&keys.client_h2)]);
    }

    /// Clients that still want something.
    #[must_use]
    pub fn clients_busy(&self) -> usize {
        self.clients().filter(|client| !client.is_done()).count()
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = &dyn Client> {
        self.clients.iter().filter_map(|seat| seat.client.as_deref())
    }

    /// As if another thread called the waker.
    pub fn wake(&mut self) {
        self.later(1, Happening::Wakes);
    }

    pub(crate) fn later(&mut self, nanos: Moment, what: Happening) {
        let lot = self.random.u32(..);
        self.agenda.add(self.now.saturating_add(nanos), lot, what);
    }

    /// After the time that a quick operation takes.
    pub(crate) fn soon(&mut self, what: Happening) {
        let nanos = latency(&mut self.random, self.weather.latency_max);
        self.later(nanos, what);
    }

    pub(crate) fn wire(&mut self, wire: u32) -> &mut Wire {
        self.wires.get_mut(&wire).expect("wires stay until the end of the run")
    }

    /// The wire of a socket that the server has not given up. The server may be late: what it asks
    /// of a socket behind its close is answered with an error, as the ring does.
    pub(crate) fn socket(&mut self, socket: SocketId) -> Option<&mut Wire> {
        let wire = self.wires.get_mut(&socket.0).filter(|wire| wire.closing.is_none());
        wire.filter(|wire| !matches!(wire.server, End::Gone | End::Reset))
    }

    pub(crate) fn tell(&mut self, token: Token, event: Event) {
        let amount = match &event {
            Event::Received(Ok(bytes), _)
            | Event::Sent(Ok(bytes), _)
            | Event::SentBehind(Ok(bytes), ..)
            | Event::FileSent(Ok(bytes), _)
            | Event::Read(Ok(bytes), _)
            | Event::ReadMany(Ok(bytes), _) => *bytes as u64,
            _ => u64::MAX,
        };
        if self.narrates {
            eprintln!("{:>12} us  {:016x}  {event:?}", self.now / 1000, token.0);
        }
        for word in [self.now, token.0, amount] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        self.ready.push_back(Completion { token, event });
    }

    /// Lets time pass to `until` at the latest, or to the moment there is something to tell.
    pub(crate) fn pass(&mut self, until: Option<Moment>) {
        self.pass_patiently(until, 0);
    }

    /// The same; what there is to tell gathers for `gather` nanoseconds, or until a connection
    /// comes in.
    pub(crate) fn pass_patiently(&mut self, until: Option<Moment>, gather: Moment) {
        self.refusing = false;
        self.now += self.random.u64(1..20_000);
        self.trouble();
        // What was there before is told at once.
        let gathered = if self.ready.is_empty() { self.now.saturating_add(gather) } else { 0 };
        let is_accept = |told: &Completion| matches!(told.event, Event::Accepted(_));
        for happened in 0.. {
            assert!(happened < HAPPENINGS_MAX, "a client spins: time does not get on");
            // What has happened already is gathered even if the deadline is long past.
            let waits = match self.ready.back() {
                None => until.unwrap_or(Moment::MAX),
                Some(last) if is_accept(last) => 0,
                Some(_) => gathered,
            };
            let limit = waits.max(self.now);
            if self.agenda.next_at().is_none_or(|at| at > limit) {
                break;
            }
            let Some((at, what)) = self.agenda.take_next() else { break };
            self.now = self.now.max(at);
            self.happen(what);
        }
        if self.ready.is_empty() {
            let until = until.expect("the server waits for ever and nothing will ever happen");
            self.now = self.now.max(until);
        } else if gather > 0 {
            self.patient_waits += 1;
        }
    }

    fn trouble(&mut self) {
        if happens(&mut self.random, self.weather.standstill) {
            self.now += self.random.u64(..60 * SECOND);
            self.stood_still = true;
        }
        if happens(&mut self.random, self.weather.wall_set) {
            self.wall_set_ms = self.random.i64(-3_600_000..=3_600_000);
        }
        if happens(&mut self.random, self.weather.stray_wake) {
            self.wake();
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Connects(client) => self.connects(client),
            Happening::ClientWakes(client) => self.client_wakes(client),
            Happening::Accepts => self.accepts(),
            Happening::StopsAccepting(token) => {
                let error = io::Error::from_raw_os_error(ECANCELED);
                self.tell(token, Event::Accepted(Err(error)));
            }
            Happening::Receives(wire) => self.receives(wire),
            Happening::Sends(wire) => self.sends(wire),
            Happening::Fills(wire) => self.fills(wire),
            Happening::Returns(wire, loan) => self.returns(wire, loan),
            Happening::GivesUp(wire, seen) => self.gives_up(wire, seen),
            Happening::ShutsDown(wire) => self.shuts_down(wire),
            Happening::Closes(wire) => self.closes(wire),
            Happening::Opens(token, path) => {
                let answer = self.disk.open(&path, &self.weather, &mut self.random);
                self.tell(token, Event::Opened(answer.map(FileId)));
            }
            Happening::OpenFails(token) => {
                self.tell(token, Event::Opened(Err(io::Error::from_raw_os_error(EIO))));
            }
            Happening::Reads(token, answer, into) => {
                self.reads -= 1;
                self.tell(token, Event::Read(answer, into));
            }
            Happening::ReadsMany(token, answer, into) => {
                self.reads -= into.len();
                self.tell(token, Event::ReadMany(answer, into));
            }
            Happening::ClosesFile(token, file) => {
                assert!(!self.chains_from(file), "the server closed file {file} under a send");
                self.disk.close(file);
                self.tell(token, Event::FileClosed);
            }
            Happening::Wakes => self.tell(Token(u64::MAX), Event::Woken),
        }
    }

    fn connects(&mut self, client: usize) {
        let wire = client as u32 + 1;
        let mut made = Wire::new(self.clients[client].room_max);
        if self.weather.coarse_room {
            made.room_min = (made.room_max / 3).max(1);
        }
        self.wires.insert(wire, made);
        self.backlog.push_back(wire);
        self.offer_accept();
        self.client_wakes(client);
    }

    fn client_wakes(&mut self, client: usize) {
        let Some(mut awake) = self.clients[client].client.take() else { return };
        let mut tls = self.clients[client].tls.take();
        if !awake.is_done() {
            let wire = client as u32 + 1;
            awake.wake(&mut ClientSide { world: self, client, wire, tls: &mut tls });
        }
        self.clients[client].client = Some(awake);
        self.clients[client].tls = tls;
    }
}
