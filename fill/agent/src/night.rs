//! The agent at work: what its tasks share, the tick, the courier to control, the nurse for bad
//! objects. Each task looks at what is and acts; none takes input from another but through here.
//!
//! ```text
//! keeper   every tick: windows and clock -> gate and meters
//! courier  every poll (a second while filling): orders in, report out
//! nurse    every second: suspect markers -> quarantine -> repairs
//! lanes    N of them: next job -> fetch -> verify -> write -> publish
//! ```
//!
//! Repair is allowed at any time, outside windows too, at a low rate: a bad object fails members
//! now, and one stream's worth of bytes does not move a billed peak.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use control_client::{ControlClient, Credential};
use control_types::fill::{FillReport, FillStateWord, Pull, Source, SourceKind};
use control_types::ids::ObjectId;
use control_types::limits::CHUNK_BYTES;
use oca_store::Writer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::board::{Board, Job, Tally};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::AgentError;
use crate::fetch::Dialer;
use crate::gate::Gate;
use crate::ladder::Fault;
use crate::lane::{lane, stops};
use crate::ledger::Ledger;
use crate::limits::{
    FILLING_POLL_MS, REPAIR_BPS_MAX, RUNNING_PER_LANE_MAX, STOP_MS_MAX, SUSPECTS_MS, TICK_MS,
};
use crate::meter::Meter;
use crate::orders::{Standing, Took};
use crate::vault::Vault;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Told to stop, or nothing left to do now.
    Well,
    /// Every object that is left failed.
    Stuck,
}

/// What the tasks share; all on one thread.
pub(crate) struct Night {
    config: Config,
    pub(crate) clock: Clock,
    pub(crate) dialer: Rc<Dialer>,
    control: ControlClient,
    pub(crate) board: RefCell<Board>,
    pub(crate) vault: RefCell<Vault>,
    standing: RefCell<Standing>,
    ledger: RefCell<Ledger>,
    /// Changes wake whoever must halt.
    gate: watch::Sender<Gate>,
    meter: RefCell<Option<Meter>>,
    repair_meter: RefCell<Meter>,
    /// The window's bytes are used up.
    spent: Cell<bool>,
    stop: watch::Sender<bool>,
    /// Work changed hands: lanes look again.
    pub(crate) changed: Notify,
    /// Bytes of the last second with when they came, for the reported rate.
    lately: RefCell<VecDeque<(u64, u64)>>,
    /// Control was asked at least once, whatever it said.
    asked: Cell<bool>,
    away: Cell<bool>,
}

/// Runs the agent until SIGTERM or SIGINT, or, with `once`, until nothing is left to do now. Must
/// be called inside `tokio_uring::start`.
///
/// # Errors
/// What stops it from starting: a volume that is locked, state or roots that cannot be read.
pub async fn run(config: Config, once: bool) -> Result<Ended, AgentError> {
    let connections = config.connections;
    let night = Rc::new(Night::open(config)?);
    let mut terminate = signal(SignalKind::terminate())
        .map_err(AgentError::io(PathBuf::from("SIGTERM"), "listen for the signal"))?;
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(AgentError::io(PathBuf::from("SIGINT"), "listen for the signal"))?;
    night.keep_gate();
    let tasks = [
        tokio_uring::spawn(keeper(Rc::clone(&night))),
        tokio_uring::spawn(nurse(Rc::clone(&night))),
    ];
    let courier = tokio_uring::spawn(courier(Rc::clone(&night)));
    let lanes: Vec<_> =
        (0..connections).map(|_| tokio_uring::spawn(lane(Rc::clone(&night)))).collect();
    println!("{{\"ready\":true}}");

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: putting work down"),
        _ = interrupt.recv() => tracing::info!("SIGINT: putting work down"),
        () = night.finished(), if once => tracing::info!("nothing left to do now"),
    }
    let ended = if night.word(&night.board.borrow().tally()) == FillStateWord::Stuck {
        Ended::Stuck
    } else {
        Ended::Well
    };
    night.stop.send_replace(true);
    night.changed.notify_waiters();
    let put_down = async {
        for task in lanes.into_iter().chain(tasks) {
            let _ = task.await;
        }
        let _ = courier.await;
    };
    let _ = tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), put_down).await;
    Ok(if once { ended } else { Ended::Well })
}

impl Night {
    fn open(config: Config) -> Result<Self, AgentError> {
        std::fs::create_dir_all(&config.state_dir)
            .map_err(AgentError::io(&config.state_dir, "create the state directory"))?;
        let vault = Vault::open(&config.volumes)?;
        let (standing, skew_ms) = Standing::open(config.state_dir.join("orders.json"))?;
        let ledger = Ledger::open(config.state_dir.join("ledger.json"))?;
        let dialer = Dialer::new(&config.sources_ca, config.stall_ms)?;
        let credential = Credential::Appliance(config.control_key.clone());
        let control =
            ControlClient::new(&config.control_url, credential, config.control_ca.as_deref())?;
        let clock = Clock::new();
        clock.set_skew_ms(skew_ms);
        let night = Self {
            clock,
            dialer: Rc::new(dialer),
            control,
            board: RefCell::default(),
            vault: RefCell::new(vault),
            standing: RefCell::new(standing),
            ledger: RefCell::new(ledger),
            gate: watch::Sender::new(Gate::default()),
            meter: RefCell::new(None),
            repair_meter: RefCell::new(Meter::new(REPAIR_BPS_MAX)),
            spent: Cell::new(false),
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
    fn lay_out(&self) {
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
        let vault = self.vault.borrow();
        self.board.borrow_mut().set(&repairs, pulls, |object| vault.holds(object));
        self.changed.notify_waiters();
    }

    pub(crate) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(crate) fn next_job(&self) -> Option<Job> {
        let lanes = self.config.connections;
        let plan_too = self.gate.borrow().is_open() && !self.spent.get();
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

    /// Room for a pull, made if need be.
    pub(crate) fn place(&self, pull: &Pull) -> Result<Writer, String> {
        let standing = self.standing.borrow();
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        let prunes = work.map_or(&[][..], |work| &work.prunes);
        let board = self.board.borrow();
        self.vault.borrow().place(pull, prunes, |object| board.wants(object))
    }

    /// Takes `bytes` from the meters, or says how long to wait.
    pub(crate) fn grant(&self, repair: bool, bytes: u64) -> u64 {
        let now = self.clock.ticks();
        if repair {
            let wait_ms = self.repair_meter.borrow_mut().grant(bytes, now);
            if wait_ms > 0 {
                return wait_ms;
            }
        }
        self.meter.borrow_mut().as_mut().map_or(0, |meter| meter.grant(bytes, now))
    }

    /// Largest piece to ask a source for at once, bytes.
    pub(crate) fn piece_bytes(&self, repair: bool) -> u64 {
        let window = self.meter.borrow().as_ref().map_or(CHUNK_BYTES, Meter::piece_bytes);
        let repair = if repair { self.repair_meter.borrow().piece_bytes() } else { CHUNK_BYTES };
        window.min(repair)
    }

    /// Takes `bytes` off the window's budget; false when it is spent.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let bytes_max = self.gate.borrow().bytes_max;
        match self.ledger.borrow_mut().spend(bytes, bytes_max) {
            Ok(true) => true,
            Ok(false) => {
                self.spent.set(true);
                false
            }
            Err(error) => {
                // A budget that cannot be kept is not spent from.
                tracing::error!(error = error.in_full(), "cannot keep the window's budget");
                bytes_max.is_none()
            }
        }
    }

    pub(crate) fn came(&self, kind: SourceKind, bytes: u64) {
        self.ledger.borrow_mut().came(kind, bytes);
        self.lately.borrow_mut().push_back((self.clock.ticks(), bytes));
    }

    pub(crate) fn fault(&self, object: &ObjectId, source: &Source, fault: Fault) {
        let (appliance, kind) = (&source.appliance, source.kind);
        if fault != Fault::NotThere || !source.pending {
            tracing::warn!(%object, %appliance, ?kind, "source {}", fault.word());
        }
        let (now, wait_ms) = (self.clock.ticks(), self.config.peer_wait_ms);
        self.board.borrow_mut().fault(object, appliance, fault, now, wait_ms);
    }

    /// Sets gate and meters by the windows and control's time.
    fn keep_gate(&self) {
        let standing = self.standing.borrow();
        let windows = standing.orders().map_or(&[][..], |orders| &orders.windows);
        let gate = Gate::at(windows, self.clock.now());
        if *self.gate.borrow() == gate {
            return;
        }
        if let Some(window) = &gate.window {
            if let Err(error) = self.ledger.borrow_mut().enter(window) {
                tracing::error!(error = error.in_full(), "cannot note the window");
                return;
            }
            tracing::info!(%window, bps_max = ?gate.bps_max, "window open");
        } else {
            tracing::info!("window closed");
        }
        self.spent.set(false);
        let mut meter = self.meter.borrow_mut();
        match (gate.bps_max, meter.as_mut()) {
            (Some(bps_max), Some(meter)) => meter.retune(bps_max),
            (Some(bps_max), None) => *meter = Some(Meter::new(bps_max)),
            (None, _) => *meter = None,
        }
        self.gate.send_replace(gate);
        self.changed.notify_waiters();
    }

    fn word(&self, tally: &Tally) -> FillStateWord {
        let standing = self.standing.borrow();
        if standing.orders().is_none() {
            FillStateWord::Waiting
        } else if tally.planned == tally.done {
            FillStateWord::Done
        } else if !self.gate.borrow().is_open() || self.spent.get() {
            FillStateWord::Waiting
        } else if tally.done + tally.failed == tally.planned {
            FillStateWord::Stuck
        } else {
            FillStateWord::Filling
        }
    }

    fn report(&self) -> FillReport {
        let tally = self.board.borrow().tally();
        let now = self.clock.ticks();
        let mut lately = self.lately.borrow_mut();
        while lately.front().is_some_and(|(at, _)| at + 1_000 <= now) {
            lately.pop_front();
        }
        let standing = self.standing.borrow();
        FillReport {
            appliance: self.config.appliance.clone(),
            plan: standing.orders().and_then(|orders| orders.plan),
            state: self.word(&tally),
            objects_planned: tally.planned,
            objects_done: tally.done,
            bytes_planned: tally.planned_bytes,
            bytes_done: tally.done_bytes,
            bytes_from: self.ledger.borrow().from(),
            rate_bps: lately.iter().map(|(_, bytes)| bytes).sum::<u64>() * 8,
            failures: tally.failures,
        }
    }

    /// Comes back when there is nothing left to do now.
    async fn finished(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            let word = self.word(&self.board.borrow().tally());
            let repairs = !self.ledger.borrow().repairs().is_empty();
            if self.asked.get() && word != FillStateWord::Filling && !repairs {
                return;
            }
        }
    }

    /// Sleeps, or comes back at once when the agent stops.
    async fn pause(&self, millis: u64) {
        let mut stop = self.stop.subscribe();
        let _ =
            tokio::time::timeout(Duration::from_millis(millis), stop.wait_for(|stop| *stop)).await;
    }
}

async fn keeper(night: Rc<Night>) {
    while !night.stopping() {
        night.keep_gate();
        night.pause(TICK_MS).await;
    }
}

async fn nurse(night: Rc<Night>) {
    while !night.stopping() {
        let lost = night.vault.borrow().quarantine_suspects();
        let mut changed = !lost.is_empty();
        {
            let mut ledger = night.ledger.borrow_mut();
            for repair in lost {
                let object = repair.object;
                match ledger.add_repair(repair) {
                    Ok(true) => {}
                    Ok(false) => tracing::error!(%object, "too many repairs: is a disk dying?"),
                    Err(error) => tracing::error!(%object, error = error.in_full(), "repair lost"),
                }
            }
            let vault = night.vault.borrow();
            let before = ledger.repairs().len();
            if let Err(error) = ledger.close_repairs(|repair| vault.holds(&repair.object)) {
                tracing::error!(error = error.in_full(), "cannot close repairs");
            }
            changed |= ledger.repairs().len() != before;
        }
        if changed {
            night.lay_out();
        }
        night.pause(SUSPECTS_MS).await;
    }
}

/// Orders in, report out. Control being away is normal: the last orders stand.
async fn courier(night: Rc<Night>) {
    let mut last = None;
    loop {
        let stopping = night.stopping();
        if !stopping {
            fetch_orders(&night).await;
        }
        let report = night.report();
        let filling = report.state == FillStateWord::Filling;
        if last != Some(report.state) {
            tracing::info!(state = ?report.state, done = report.objects_done,
                planned = report.objects_planned, "fill");
            last = Some(report.state);
        }
        if let Err(error) = night.control.fill_report(&report).await {
            tracing::debug!(%error, "report not taken");
        }
        if stopping {
            return;
        }
        let poll_ms = night.config.poll_ms;
        night.pause(if filling { poll_ms.min(FILLING_POLL_MS) } else { poll_ms }).await;
    }
}

async fn fetch_orders(night: &Night) {
    let answer = night.control.orders().await;
    let orders = match answer {
        Ok(orders) => orders,
        Err(error) => {
            if !night.away.replace(true) {
                tracing::warn!(%error, "no orders from control: going on from the last ones");
            }
            night.asked.set(true);
            return;
        }
    };
    if night.away.replace(false) {
        tracing::info!("control is back");
    }
    night.clock.learn(orders.now);
    let pulls = orders.work.as_ref().map_or(Vec::new(), |work| work.pulls.clone());
    let (skew_ms, ticks) = (night.clock.skew_ms(), night.clock.ticks());
    let took = night.standing.borrow_mut().take(orders, skew_ms, ticks);
    match took {
        Err(error) => tracing::error!(error = error.in_full(), "orders not taken"),
        Ok(Took::Same) => {}
        Ok(Took::Older { offered }) => {
            tracing::warn!(offered, "refused an older plan; remove orders.json to accept it");
        }
        Ok(Took::New) => {
            if let Err(error) = night.ledger.borrow_mut().learn(&pulls) {
                tracing::error!(error = error.in_full(), "sources not remembered");
            }
            night.lay_out();
        }
    }
    night.keep_gate();
    night.asked.set(true);
}
