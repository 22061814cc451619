//! Gathers heat from the workers and writes it down for the fill agent; shows it and the devices to
//! people. Woken by a timer and by requests; never on the path of a segment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control_types::fleet::DiskClass;
use control_types::{ObjectId, UnixMillis};
use serde_json::{Value, json};

use super::Admin;
use crate::heat::HeatReport;
use crate::library::Library;
use crate::worker::Command;

/// How often `heat.json` is written. Losing the last minute of a day's heat is nothing.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// How long all workers together may take to say what was served.
const GATHER_TIME_MAX: Duration = Duration::from_millis(500);
/// Lines that `/debug/heat` shows without being told, and at most.
const LINES: usize = 20;
const LINES_MAX: usize = 10_000;

/// What is needed to keep the file.
pub(super) struct HeatKeeper {
    /// What earlier runs left.
    before: HeatReport,
    /// Absent in a lab, which keeps nothing.
    state_dir: Option<PathBuf>,
}

impl HeatKeeper {
    /// Reads what the last run left in `state_dir`.
    pub(super) fn new(state_dir: Option<PathBuf>) -> Self {
        let load = |state_dir: &PathBuf| HeatReport::load(state_dir);
        let nothing = || HeatReport::new(UnixMillis(0), Vec::new());
        Self { before: state_dir.as_ref().map_or_else(nothing, load), state_dir }
    }
}

/// Writes again and again.
pub(super) async fn keep(admin: Arc<Admin>) {
    let mut timer = tokio::time::interval(WRITE_EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once, and there is nothing to say yet.
    timer.tick().await;
    loop {
        timer.tick().await;
        write(&admin).await;
    }
}

/// Writes once; called before the workers are told to end, too.
pub(super) async fn write(admin: &Arc<Admin>) {
    let Some(state_dir) = admin.heat.state_dir.clone() else { return };
    let report = gather(admin).await;
    let stored = tokio::task::spawn_blocking(move || report.store(&state_dir)).await;
    if let Ok(Err(error)) = stored {
        tracing::warn!(%error, "heat.json is not written; the old one stays");
    }
}

/// `/debug/heat?n=`
pub(super) async fn show(admin: &Arc<Admin>, query: Option<&str>) -> Value {
    let wanted = query.into_iter().flat_map(|query| query.split('&'));
    let lines = wanted.filter_map(|pair| pair.strip_prefix("n=")?.parse().ok()).next();
    let mut report = gather(admin).await;
    report.objects.truncate(lines.unwrap_or(LINES).min(LINES_MAX));
    json!(report)
}

/// `/debug/devices`
pub(super) fn devices(admin: &Admin) -> Value {
    let standings = admin.library.devices().standings();
    let rows = standings.into_iter().enumerate().map(|(number, standing)| {
        let counted = || admin.workers.iter().filter_map(|worker| worker.counters.device(number));
        let mut row = json!(standing);
        row["reads"] = counted().map(|c| c.reads.count()).sum::<u64>().into();
        row["bytes"] = counted().map(|c| c.bytes.get()).sum::<u64>().into();
        row["errors"] = counted().map(|c| c.errors.get()).sum::<u64>().into();
        row
    });
    json!({ "devices": rows.collect::<Vec<_>>() })
}

async fn gather(admin: &Arc<Admin>) -> HeatReport {
    let (answers, heard) = sync_channel(admin.workers.len().max(1));
    admin.order(|| Command::Heat(answers.clone()));
    drop(answers);
    let admin = Arc::clone(admin);
    let merge = move || {
        let until = Instant::now() + GATHER_TIME_MAX;
        let mut tables = Vec::new();
        // Ends when every worker has answered, or time is up.
        while let Ok(table) = heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            tables.push(table);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixMillis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        HeatReport::merged(&admin.heat.before, &tables, now, |object| find(&admin, object))
    };
    let nothing = |_| HeatReport::new(UnixMillis(0), Vec::new());
    tokio::task::spawn_blocking(merge).await.unwrap_or_else(nothing)
}

fn find(admin: &Admin, object: &ObjectId) -> Option<(u64, DiskClass)> {
    match &*admin.library {
        Library::Sealed(sealed) => {
            sealed.index().find(object).map(|entry| (entry.bytes, entry.class))
        }
        Library::Lab(_) => None,
    }
}
