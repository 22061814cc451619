//! The agent at work: what its tasks share, and the tick. Each task looks at what is and acts; none
//! takes input from another but through here.
//!
//! ```text
//! keeper   every tick: windows, rate profile and clock -> gate and meter
//! courier  every poll (a second while filling): orders in, report out
//! nurse    every second: suspect markers -> quarantine -> repairs
//! lanes    N of them, fewer while members need the box: job -> fetch -> verify -> write -> publish
//! porter   in the window or while disks are idle: objects between kinds of disk
//! scrubber while disks are idle: every byte, again and again
//! watch    members' counters at oca; disks that went or came; quarantines
//! ```
//!
//! Repair is allowed at any time, outside windows too, at a low rate: a bad object fails members
//! now, and one stream's worth of bytes does not move a billed peak.

pub(crate) mod at_work;
mod told;
mod window;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control_client::{ControlClient, Credential};
use control_types::fill::{ClassMove, Pull, Source, SourceKind};
use control_types::ids::{ApplianceId, ObjectId};
use control_types::limits::CHUNK_BYTES;
use oca_store::StoreError;
use oca_store::disk::Disk;
use tokio::sync::{Notify, watch};

use crate::board::{Board, Job};
use crate::clock::{self, Clock};
use crate::config::{Config, ControlProof};
use crate::error::{AgentError, is_of_the_disk};
use crate::fetch::Dialer;
use crate::foreground::Foreground;
use crate::gate::Gate;
use crate::ladder::Fault;
use crate::lane::stops;
use crate::ledger::Ledger;
use crate::limits::{OTHER_DISK_MS, REPAIR_BPS_MAX, ROOM_AGAIN_MS, RUNNING_PER_LANE_MAX};
use crate::meter::Meter;
use crate::orders::{Refused, Standing};
use crate::pass::{Meters, Pass};
use crate::said::Said;
use crate::state_dir::StateDir;
use crate::vault::{Mounts, Placed, Vault};

/// What the tasks share; all on one thread.
pub(crate) struct Night {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) state: Rc<StateDir>,
    pub(crate) dialer: Rc<Dialer>,
    pub(crate) control: ControlClient,
    pub(crate) board: RefCell<Board>,
    pub(crate) vault: RefCell<Vault>,
    pub(crate) standing: RefCell<Standing>,
    pub(crate) ledger: RefCell<Ledger>,
    /// Changes wake whoever must halt.
    gate: watch::Sender<Gate>,
    meters: Meters,
    /// How members fare.
    pub(crate) foreground: RefCell<Foreground>,
    /// TLS handshakes with sources when the last window closed.
    handshakes: Cell<u64>,
    /// Lanes at work.
    pub(crate) lanes_busy: Cell<usize>,
    /// Why the last orders were refused, until some are taken.
    pub(crate) refusing: Cell<Option<Refused>>,
    /// Why control, which answered, gave nothing to go by the last time.
    pub(crate) no_orders: RefCell<Option<String>>,
    /// The window's bytes are used up.
    spent: Cell<bool>,
    /// The budget could not be kept, and is asked of again at this time, ticks.
    spend_again_at: Cell<Option<u64>>,
    /// What was said of that.
    unspendable: Said,
    /// The open window cannot be noted, and fill rests: when to try again, ticks.
    note_again_at: Cell<Option<u64>>,
    stop: watch::Sender<bool>,
    /// Work changed hands: lanes look again.
    pub(crate) changed: Notify,
    /// Bytes of the last second with when they came, for the reported rate.
    lately: RefCell<VecDeque<(u64, u64)>>,
    /// Control was asked at least once, whatever it said.
    pub(crate) asked: Cell<bool>,
    pub(crate) away: Cell<bool>,
}

impl Night {
    pub(crate) fn open(config: Config, on: Option<&Arc<dyn Disk>>) -> Result<Self, AgentError> {
        let mounts = Mounts::load(&config.state_dir, on);
        let vault = Vault::open_at(&config.volumes, on, &mounts, 0)?;
        let state = Rc::new(StateDir::open(&config.state_dir, on)?);
        mounts.keep(&state, vault.mounts());
        let (appliance, key) = (config.appliance.clone(), config.orders_key.clone());
        let (mut standing, skew_ms) = Standing::open(Rc::clone(&state), appliance, key)?;
        let ledger = Ledger::open(Rc::clone(&state))?;
        let dialer = Dialer::new(&config.sources_ca, config.stall_ms)?;
        let control = match &config.control_proof {
            ControlProof::Identity(path) => {
                ControlClient::with_identity(&config.control_url, path)?
            }
            ControlProof::Key { key, ca } => {
                let credential = Credential::Appliance(key.clone());
                ControlClient::new(&config.control_url, credential, ca.as_deref())?
            }
        };
        let clock = Clock::new();
        let kept = clock::kept(&state);
        standing.heard(kept.as_ref().map_or(0, |anchor| anchor.signed_ms));
        clock.begin(kept.or_else(|| standing.anchor(skew_ms)).as_ref());
        let night = Self {
            clock,
            state,
            dialer: Rc::new(dialer),
            control,
            board: RefCell::new(Board::new(config.peer_wait_ms)),
            vault: RefCell::new(vault),
            standing: RefCell::new(standing),
            ledger: RefCell::new(ledger),
            gate: watch::Sender::new(Gate::default()),
            meters: Meters {
                window: RefCell::new(Meter::open()),
                repair: RefCell::new(Meter::new(REPAIR_BPS_MAX)),
            },
            foreground: RefCell::new(Foreground::new(
                config.connections,
                config.foreground_busy_bps,
            )),
            handshakes: Cell::new(0),
            lanes_busy: Cell::new(0),
            refusing: Cell::new(None),
            no_orders: RefCell::default(),
            spent: Cell::new(false),
            spend_again_at: Cell::new(None),
            unspendable: Said::default(),
            note_again_at: Cell::new(None),
            stop: watch::Sender::new(false),
            changed: Notify::new(),
            lately: RefCell::default(),
            asked: Cell::new(false),
            away: Cell::new(false),
            config,
        };
        night.lay_out();
        Ok(night)
    }

    /// Puts orders and repairs on the board.
    pub(crate) fn lay_out(&self) {
        let standing = self.standing.borrow();
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        let pulls = work.map_or(&[][..], |work| &work.pulls);
        let ledger = self.ledger.borrow();
        let known = ledger.known();
        let planned = |object: &ObjectId| pulls.iter().find(|pull| pull.object == *object);
        let repairs: Vec<Pull> = ledger
            .repairs()
            .iter()
            .map(|repair| {
                let sources = planned(&repair.object).map_or(&known, |pull| &pull.sources).clone();
                Pull { sources, ..repair.clone() }
            })
            .collect();
        let mut vault = self.vault.borrow_mut();
        let mut board = self.board.borrow_mut();
        board.set(&repairs, pulls, |object| vault.holds(object));
        vault.let_go(|object| board.is_begun(object));
        self.changed.notify_waiters();
    }

    pub(crate) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(crate) fn next_job(&self) -> Option<Job> {
        let lanes = self.config.connections;
        let yields = self.lanes_busy.get() >= self.foreground.borrow().lanes();
        let plan_too = self.gate.borrow().is_open() && !self.spent.get() && !yields;
        let running_max = lanes * RUNNING_PER_LANE_MAX;
        self.board.borrow_mut().next(self.clock.ticks(), plan_too, lanes, running_max)
    }

    /// Whether a job must be put down now.
    pub(crate) fn must_halt(&self, repair: bool) -> bool {
        self.stopping() || stops(&self.gate.borrow(), repair) || (!repair && self.spent.get())
    }

    /// Comes back when a job must be put down.
    pub(crate) fn halted(&self, repair: bool) -> impl Future<Output = ()> + use<> {
        let (mut stop, mut gate) = (self.stop.subscribe(), self.gate.subscribe());
        async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = gate.wait_for(|gate| stops(gate, repair)) => {}
            }
        }
    }

    pub(crate) fn ticket(&self) -> String {
        let standing = self.standing.borrow();
        standing.orders().map_or_else(String::new, |orders| orders.fill_ticket.clone())
    }

    /// Room for a pull, made if need be, and promised to it.
    pub(crate) fn place(&self, pull: &Pull) -> Result<Placed, String> {
        let standing = self.standing.borrow();
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        let prunes = work.map_or(&[][..], |work| &work.prunes);
        let board = self.board.borrow();
        let wanted = |object: &ObjectId| board.wants(object);
        self.vault.borrow().place(pull, prunes, wanted, self.clock.ticks())
    }

    /// The right to ask for `bytes` now, or how long to wait before asking again.
    pub(crate) fn pass(&self, repair: bool, bytes: u64) -> Result<Pass<'_>, u64> {
        self.meters.pass(&self.clock, self.dialer.wire(), repair, bytes)
    }

    /// Largest piece to ask a source for at once, bytes.
    pub(crate) fn piece_bytes(&self, repair: bool) -> u64 {
        let wire = self.dialer.wire();
        let window = self.meters.window.borrow().piece_bytes(wire);
        let repairs = self.meters.repair.borrow().piece_bytes(wire);
        let repair = if repair { repairs } else { CHUNK_BYTES };
        window.min(repair).min(CHUNK_BYTES)
    }

    /// Whether the porter may use the disks: members have long felt nothing. Where nobody says how
    /// members fare, only inside a window.
    pub(crate) fn may_move(&self) -> bool {
        let is_told = self.config.foreground_metrics.is_some();
        !self.stopping()
            && (is_told || self.gate.borrow().is_open())
            && self.foreground.borrow().is_idle()
    }

    /// Whether the scrubber may: it is slow by itself, so at any time that members feel nothing,
    /// but not beside a fill.
    pub(crate) fn may_scrub(&self) -> bool {
        !self.stopping() && self.foreground.borrow().is_idle() && self.lanes_busy.get() == 0
    }

    /// The plan's moves between kinds of disk.
    pub(crate) fn plan_moves(&self) -> Vec<ClassMove> {
        let standing = self.standing.borrow();
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        work.map_or_else(Vec::new, |work| work.moves.clone())
    }

    /// Serial of the plan in force.
    pub(crate) fn serial(&self) -> u64 {
        self.standing.borrow().orders().map_or(0, |orders| orders.serial)
    }

    pub(crate) fn came(&self, kind: SourceKind, bytes: u64) {
        self.ledger.borrow_mut().came(kind, bytes);
        let now = self.clock.ticks();
        let mut lately = self.lately.borrow_mut();
        // Here and not in the report alone, which waits as long as control does.
        while lately.front().is_some_and(|(at, _)| at + 1_000 <= now) {
            lately.pop_front();
        }
        lately.push_back((now, bytes));
    }

    pub(crate) fn fault(&self, object: &ObjectId, source: &Source, fault: Fault) {
        let (appliance, kind) = (&source.appliance, source.kind);
        // A box that is away is met by every object that waits for it, again and again.
        let is_waited_for = fault == Fault::NotThere && source.pending;
        if is_waited_for || self.is_passed_over(appliance) {
            tracing::debug!(%object, %appliance, ?kind, "source {}", fault.word());
        } else {
            tracing::warn!(%object, %appliance, ?kind, "source {}", fault.word());
        }
        let (now, wait_ms) = (self.clock.ticks(), self.config.peer_wait_ms);
        self.board.borrow_mut().fault(object, appliance, fault, now, wait_ms);
    }

    /// Whether `appliance` did something wrong a while ago and is passed over for now.
    pub(crate) fn is_passed_over(&self, appliance: &ApplianceId) -> bool {
        self.board.borrow().reputation.cools(appliance, self.clock.ticks())
    }

    /// A volume refused what was done below `path`: it is set aside if that is the disk's own
    /// trouble. Answers why, in full.
    pub(crate) fn disk_refused(&self, path: &Path, error: StoreError) -> String {
        let is_its_own = matches!(&error, StoreError::Io { source, .. } if is_of_the_disk(source));
        let why = AgentError::from(error).in_full();
        if is_its_own {
            self.vault.borrow_mut().rest(path, &why, self.clock.ticks());
        }
        why
    }

    /// The disk, not a source, stopped `object`. It is tried again soon where another disk may do
    /// better.
    pub(crate) fn disk_failed(&self, object: &ObjectId, why: String) {
        let now = self.clock.ticks();
        let may_go_on =
            self.vault.borrow().is_resting_any(now) && self.vault.borrow().takes_any(now);
        let again_ms = if may_go_on { OTHER_DISK_MS } else { ROOM_AGAIN_MS };
        self.board.borrow_mut().disk_failed(object, why, now + again_ms);
    }

    /// Sleeps, or comes back at once when the agent stops.
    pub(crate) async fn pause(&self, millis: u64) {
        let mut stop = self.stop.subscribe();
        let _ =
            tokio::time::timeout(Duration::from_millis(millis), stop.wait_for(|stop| *stop)).await;
    }
}

/// A night on a new volume in `folder`, control away, for tests of its parts.
#[cfg(test)]
pub(crate) fn on_folder(folder: &std::path::Path) -> Night {
    on_folder_of(folder, "http://127.0.0.1:9")
}

/// The same with control at `url`.
#[cfg(test)]
pub(crate) fn on_folder_of(folder: &std::path::Path, url: &str) -> Night {
    let (volume, key) = (folder.join("ssd"), folder.join("key"));
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(&key, "key").unwrap();
    let text = format!(
        "appliance = \"a\"\nstate_dir = {:?}\n[[volume]]\npath = {volume:?}\nclass = \"ssd\"\n\
         [control]\nurl = {url:?}\nkey_file = {key:?}\n",
        folder.join("state")
    );
    std::fs::write(folder.join("agent.toml"), text).unwrap();
    Night::open(Config::read(&folder.join("agent.toml")).unwrap(), None).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a box that is away does not fill the log, however many objects wait for it. Method:
    /// each of them meets it.
    #[test]
    fn a_source_that_is_away_is_told_of_once_in_a_while_and_not_for_each_object() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = on_folder(folder.path());
            let source = Source {
                kind: SourceKind::Peer,
                appliance: "peer".parse().unwrap(),
                media_url: "https://peer".to_owned(),
                pending: true,
            };
            let pull = |tag| Pull {
                object: ObjectId([tag; 32]),
                bytes: u64::MAX,
                title: "t".parse().unwrap(),
                class: control_types::fleet::DiskClass::Ssd,
                sources: vec![source.clone()],
                why: String::new(),
            };
            let pulls: Vec<Pull> = (0..50).map(pull).collect();
            night.board.borrow_mut().set(&[], &pulls, |_| false);
            let lines = crate::said::lines_of(|| {
                pulls.iter().for_each(|pull| night.fault(&pull.object, &source, Fault::Away));
            });
            assert_eq!(lines.len(), 1, "{lines:#?}");
            // Nor does a size that none has end it.
            assert_eq!(night.board.borrow().tally().planned_bytes, u64::MAX);
        });
    }
}
