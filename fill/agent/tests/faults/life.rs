//! A box on a made-up disk, its agent's lives one after another, and what must be true after each.
//! Chooses no fault.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control_types::PlanId;
use control_types::fill::{FillReport, Orders};
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use fill_agent::{Config, Ended};
use oca_store::{Depth, Index, ObjectReader, Volume, Writer, check};

use crate::bench::{Bench, pull, wide_open};
use crate::made::MadeDisk;
use crate::source::{Mood, Sealed, Source, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;
const VOLUME: &str = "/ssd";
/// Where the agent keeps orders, budget and clock: on the same disk, so that faults meet them too.
const STATE: &str = "/var/fill-agent";

/// Longest life of an agent here, which is mostly waiting for its own ticks.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// Lives on a disk that is well in which the night must be finished: one where nobody else is busy.
const LIVES_MAX: usize = 5;

/// Objects of a night: less than a chunk, whole blocks and a rest, nothing at all.
pub const OBJECTS: usize = 3;
const LENGTHS: [usize; OBJECTS] = [5_000, CHUNK + 700, 0];

pub struct Place {
    bench: Bench,
    config: Config,
    objects: Vec<Sealed>,
    source: Source,
    last: Option<FillReport>,
    /// All that the last life reported.
    reported: Vec<FillReport>,
    pub disk: MadeDisk,
}

impl Place {
    pub async fn new(connections: usize) -> Self {
        let bench = Bench::new().await;
        let mut config = Config::read(&bench.config()).unwrap();
        config.volumes = vec![(PathBuf::from(VOLUME), DiskClass::Ssd)];
        config.state_dir = PathBuf::from(STATE);
        config.connections = connections;
        // A busy machine is no slow source.
        config.stall_ms = 30_000;
        let objects: Vec<Sealed> =
            LENGTHS.iter().map(|length| sealed(90 + *length as u64, *length)).collect();
        let all: Vec<&Sealed> = objects.iter().collect();
        let source = bench.source(Mood::Good, &all).await;
        Self {
            bench,
            config,
            objects,
            source,
            last: None,
            reported: Vec::new(),
            disk: MadeDisk::new(0),
        }
    }

    /// An empty disk, an agent that knows nothing, and a new night's orders.
    pub fn begin(&mut self, seed: u64) {
        self.disk = MadeDisk::new(seed);
        self.disk.put(&PathBuf::from(VOLUME).join("lost+found/x"), b"");
        let from = [("origin", &self.source)];
        let pulls = self.objects.iter().map(|object| pull(object, &from)).collect();
        self.bench.order(pulls, Vec::new(), wide_open());
    }

    /// One life: from its start to when nothing is left to do. Answers how it ended and the most
    /// objects that it ever reported done.
    pub async fn live(&mut self, told: &str) -> (Result<Ended, String>, usize) {
        self.bench.reports();
        let (config, disk) = (self.config.clone(), self.disk.clone());
        let life = tokio::task::spawn_blocking(move || {
            tokio_uring::start(async move {
                let ended = fill_agent::run_on(Arc::new(disk), config).await;
                ended.map_err(|error| error.in_full())
            })
        });
        let ended = tokio::time::timeout(LIFE_MAX, life).await;
        let ended = ended.unwrap_or_else(|_| panic!("{told}: it did not end by itself")).unwrap();
        let reported = self.bench.reports();
        let most = reported.iter().map(|report| report.objects_done).max();
        self.last = reported.last().cloned();
        self.reported = reported;
        (ended, most.unwrap_or(0) as usize)
    }

    /// Gives the plan `plan` of the next serial, and no window to work at it.
    pub fn order_idle(&mut self, plan: PlanId) {
        self.bench.order(Vec::new(), Vec::new(), Vec::new());
        self.bench.amend(|orders| orders.plan = Some(plan));
    }

    /// All of the night's objects, and no window to pull them in.
    pub fn order_shut(&mut self) {
        let from = [("origin", &self.source)];
        let pulls = self.objects.iter().map(|object| pull(object, &from)).collect();
        self.bench.order(pulls, Vec::new(), Vec::new());
    }

    /// Control opens a window for the same plan.
    pub fn open_window(&mut self) {
        self.bench.amend(|orders| orders.windows = wide_open());
    }

    /// What the source was asked for so far.
    pub fn asked(&self) -> u64 {
        self.source.requests()
    }

    /// How many windows the orders on the disk open; none where there are none that can be read.
    pub fn kept_windows(&self) -> Option<usize> {
        let bytes = self.disk.get(&PathBuf::from(STATE).join("orders.json"))?;
        let kept: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let text = kept["signed"]["orders"].as_str().unwrap();
        let orders: Orders = serde_json::from_str(text).unwrap();
        Some(orders.windows.len())
    }

    /// Whether any report of the last life told of `words`.
    pub fn was_told(&self, words: &str) -> bool {
        let told = |report: &FillReport| report.troubles.iter().any(|told| told.contains(words));
        self.reported.iter().any(told)
    }

    /// Somebody who stands between sends what control signed a serial ago.
    pub fn replay(&mut self, plan: PlanId) {
        self.bench.amend(|orders| {
            orders.serial -= 1;
            orders.plan = Some(plan);
        });
    }

    /// The plans that one life reported.
    pub async fn live_by_plans(&mut self, told: &str) -> Vec<PlanId> {
        let _ = self.live(told).await;
        self.reported.iter().filter_map(|report| report.plan).collect()
    }

    /// The same on a disk that is well, until control was heard: orders taken or refused. On a
    /// machine that is busy it may seem away for a life.
    pub async fn hear(&mut self, told: &str, wanted: PlanId) -> Vec<PlanId> {
        for _ in 0..LIVES_MAX {
            let plans = self.live_by_plans(told).await;
            let is_refused = self.reported.iter().any(|report| report.orders_refused > 0);
            if is_refused || plans.contains(&wanted) {
                return plans;
            }
        }
        panic!("{told}: on a disk that is well control is not heard: {:?}", self.reported);
    }

    /// Control's time as the disk keeps it, with the boot it is of; none before it is kept.
    pub fn kept_clock(&self) -> Option<serde_json::Value> {
        let bytes = self.disk.get(&PathBuf::from(STATE).join("clock.json"))?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// On a disk that is well the night is finished. A machine that is busy with something else may
    /// let control or a source seem away for a life; not for all of them.
    pub async fn finish(&mut self, told: &str) {
        let mut lives = Vec::new();
        for _ in 0..LIVES_MAX {
            let (ended, reported) = self.live(told).await;
            assert!(ended.is_ok(), "{told}: on a disk that is well: {ended:?}");
            let held = self.check_listed(told);
            assert!(held >= reported, "{told}: {reported} were reported, {held} are there");
            if held == OBJECTS {
                return;
            }
            lives.push((ended, self.last.clone()));
        }
        panic!("{told}: on a disk that is well: {lives:?}");
    }

    fn volume(&self) -> Volume {
        Volume::on(Arc::new(self.disk.clone()), VOLUME, DiskClass::Ssd).unwrap()
    }

    /// Whatever is listed is whole. Answers how many of the night's objects are.
    pub fn check_listed(&self, told: &str) -> usize {
        let volume = self.volume();
        let index = Index::load(std::slice::from_ref(&volume)).index;
        let mut chunk = Vec::new();
        for entry in index.entries() {
            let reader = ObjectReader::of(&volume, &entry.object)
                .unwrap_or_else(|error| panic!("{told}: listed and not there: {error}"));
            for at in 0..reader.seal().chunks() {
                let read = reader.read_chunk(at, &mut chunk);
                read.unwrap_or_else(|error| panic!("{told}: listed and not whole: {error}"));
            }
        }
        let held = self.objects.iter().filter(|o| index.has_copy(0, &o.seal.object()));
        held.count()
    }

    /// Nothing is left that nobody answers for.
    pub fn check_no_leak(&self, told: &str) {
        let volume = self.volume();
        let writer = Writer::open(&volume, "test").unwrap();
        let report = check(&volume, Depth::Payload).unwrap();
        assert!(report.bad.is_empty(), "{told}: {:?}", report.bad);
        let names = ["lock", "orders.json", "ledger.json", "clock.json", "scrub.json"];
        let kept = names.map(|name| PathBuf::from(STATE).join(name));
        let known = ["lock", "journal", "lost+found/x"].map(|name| volume.path().join(name));
        let known: Vec<PathBuf> = known.into_iter().chain(kept).collect();
        let index = writer.index();
        let is_left = |path: &PathBuf| {
            !known.contains(path) && !index.entries().any(|entry| entry.path() == *path)
        };
        let left: Vec<PathBuf> = self.disk.files().into_iter().filter(is_left).collect();
        assert!(left.is_empty(), "{told}: nobody answers for {left:?}");
    }
}
