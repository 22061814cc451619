//! Telemetry as others call it: sessions and demand behind one short lock, the log behind a queue.
//! Never waits for the disk on a caller's time and never fails a play for a full log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control_store::{EventRow, Events, Offset, StoreError};
use control_types::fill::{PlaceableObject, TitleHistory};
use control_types::play::{PlayEvent, PlayEvents};
use control_types::telemetry::Live;
use control_types::{AccountId, PlayId, SiteId, TitleId, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::SiteDirectory;
use crate::demand::{Demand, TitleObjects};
use crate::error::TelemetryError;
use crate::limits::{DETAIL_BYTES_MAX, EVENTS_PER_REPORT_MAX, LOG_QUEUE_MAX, RESTORE_ROWS_MAX};
use crate::sessions::{PlaySubject, Press, Recorded, Sessions};

/// Topic of presses and of what players report.
pub const PLAYS_TOPIC: &str = "plays";

/// Rows of one read while restoring.
const RESTORE_PAGE: usize = 5_000;

/// Live plays, their quality, and demand.
pub struct Telemetry {
    sites: Arc<dyn SiteDirectory>,
    sessions: Mutex<Sessions>,
    demand: Mutex<Demand>,
    log: mpsc::Sender<Entry>,
    dropped: AtomicU64,
}

enum Entry {
    Row {
        at: UnixMillis,
        body: Value,
    },
    /// Answered once everything queued before it is in the log.
    Flush(oneshot::Sender<()>),
}

impl Telemetry {
    /// Learns demand again from the log and starts the log's writer, which ends with this value.
    /// Must run inside a tokio runtime. Rows that cannot be read are passed over: a forecast that
    /// knows less is worse than a better one, and a control plane that does not start is worse than
    /// both.
    ///
    /// # Errors
    /// When the log cannot say how long it is.
    pub async fn open(
        events: Arc<dyn Events>,
        sites: Arc<dyn SiteDirectory>,
    ) -> Result<Self, StoreError> {
        let demand = restore(&*events, &*sites).await?;
        let (log, queue) = mpsc::channel(LOG_QUEUE_MAX);
        tokio::spawn(write_log(events, queue));
        Ok(Self {
            sites,
            sessions: Mutex::default(),
            demand: Mutex::new(demand),
            log,
            dropped: AtomicU64::new(0),
        })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A press of play that was answered.
    pub fn begin(&self, press: Press) {
        self.append(press.began_at, || press_row(&press));
        self.sessions().begin(press);
    }

    /// A play pressed before this process began; the caller knows it from the activity port.
    pub fn adopt(&self, press: Press) {
        self.sessions().adopt(press);
    }

    /// Takes in what a player reports.
    ///
    /// # Errors
    /// `UnknownPlay`, `TooManyEvents`.
    pub fn record(
        &self,
        play: &PlayId,
        report: &PlayEvents,
        now: UnixMillis,
    ) -> Result<Recorded, TelemetryError> {
        let count = report.events.len();
        if count > EVENTS_PER_REPORT_MAX {
            return Err(TelemetryError::TooManyEvents { count, max: EVENTS_PER_REPORT_MAX });
        }
        let (recorded, home, report) = {
            let mut sessions = self.sessions();
            let recorded = sessions.record(play, report, now);
            let home = sessions.home_sites(play).to_vec();
            // From here on, what was believed: the log teaches the next process.
            let mut report = report.clone();
            for event in &mut report.events {
                event.bytes = sessions.believe(play, event.bytes, now);
            }
            (recorded.ok_or(TelemetryError::UnknownPlay(*play))?, home, report)
        };
        let title = &recorded.subject.title;
        let mut demand = self.demand();
        for event in &report.events {
            watch(&mut demand, title, &home, event, &*self.sites, now);
        }
        drop(demand);
        self.append(now, || report_row(play, &recorded.subject, &home, &report));
        Ok(recorded)
    }

    /// Whose play it is, while it is remembered.
    #[must_use]
    pub fn subject(&self, play: &PlayId) -> Option<PlaySubject> {
        self.sessions().subject(play)
    }

    /// Streams of an account now: plays heard of in the last minute and not over.
    #[must_use]
    pub fn streams(&self, account: &AccountId, now: UnixMillis) -> u32 {
        self.sessions().streams(account, now)
    }

    /// What the operator sees.
    #[must_use]
    pub fn live(&self, now: UnixMillis) -> Live {
        self.sessions().live(now)
    }

    /// Tomorrow's bytes of every object of `titles`, at each of `sites`.
    #[must_use]
    pub fn placeable(
        &self,
        titles: &[TitleObjects],
        sites: &[SiteId],
        now: UnixMillis,
    ) -> Vec<PlaceableObject> {
        self.demand().placeable(titles, sites, now)
    }

    /// What was watched of each of `titles` on the days that are remembered.
    #[must_use]
    pub fn history(&self, titles: &[TitleObjects], now: UnixMillis) -> Vec<TitleHistory> {
        self.demand().history(titles, now)
    }

    /// Reports that found the log's queue full, or the log closed, since the start.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns once everything recorded before is in the log, as a process that stops wants.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.log.send(Entry::Flush(done)).await.is_ok() {
            // The writer drops `done` only when it ends, and then there is nothing to wait for.
            let _ = wait.await;
        }
    }

    fn append(&self, at: UnixMillis, body: impl FnOnce() -> Value) {
        match self.log.try_reserve() {
            Ok(slot) => slot.send(Entry::Row { at, body: body() }),
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Appends what is queued, one row after the other; ends when the last sender is gone.
async fn write_log(events: Arc<dyn Events>, mut queue: mpsc::Receiver<Entry>) {
    while let Some(entry) = queue.recv().await {
        match entry {
            Entry::Row { at, body } => {
                if let Err(error) = events.append(PLAYS_TOPIC, at, &body).await {
                    tracing::warn!(%error, "a play report was not written to the event log");
                }
            }
            // A caller that stopped waiting is no error.
            Entry::Flush(done) => drop(done.send(())),
        }
    }
}

/// Demand belongs to the member's sites; without any, to where the bytes came from.
fn watch(
    demand: &mut Demand,
    title: &TitleId,
    home: &[SiteId],
    event: &PlayEvent,
    sites: &dyn SiteDirectory,
    now: UnixMillis,
) {
    if let [_, ..] = home {
        let share = event.bytes / home.len() as u64;
        home.iter().for_each(|site| demand.watch(title, site, event.height, share, now));
    } else if let Some(site) = event.appliance.as_ref().and_then(|id| sites.site_of(id)) {
        demand.watch(title, &site, event.height, event.bytes, now);
    }
}

fn press_row(press: &Press) -> Value {
    json!({
        "what": "pressed",
        "play": press.play,
        "account": press.account,
        "profile": press.profile,
        "title": press.title,
        "home": press.home_sites,
    })
}

fn report_row(play: &PlayId, subject: &PlaySubject, home: &[SiteId], report: &PlayEvents) -> Value {
    let events: Vec<Value> = report.events.iter().map(report_row_event).collect();
    json!({
        "what": "report",
        "play": play,
        "profile": subject.profile,
        "title": subject.title,
        "home": home,
        "events": events,
    })
}

fn report_row_event(event: &PlayEvent) -> Value {
    let mut event = event.clone();
    let end = event.detail.floor_char_boundary(DETAIL_BYTES_MAX);
    event.detail.truncate(end);
    serde_json::to_value(event).unwrap_or(Value::Null)
}

/// Reads the newest rows of the log into a demand table.
async fn restore(events: &dyn Events, sites: &dyn SiteDirectory) -> Result<Demand, StoreError> {
    let mut demand = Demand::default();
    let end = events.end(PLAYS_TOPIC).await?;
    let mut from = Offset(end.0.saturating_sub(RESTORE_ROWS_MAX));
    while from < end {
        let rows = match events.read(PLAYS_TOPIC, from, RESTORE_PAGE).await {
            Ok(rows) => rows,
            Err(error) => {
                let (from_row, count) = (from.0, RESTORE_PAGE);
                tracing::warn!(%error, from_row, count, "demand was not learned from these rows");
                from = Offset(from.0.saturating_add(RESTORE_PAGE as u64));
                continue;
            }
        };
        let Some(last) = rows.last() else { break };
        from = last.offset.next();
        rows.iter().for_each(|row| restore_row(&mut demand, row, sites));
    }
    Ok(demand)
}

/// A row that does not parse was written by another version: it is passed over.
fn restore_row(demand: &mut Demand, row: &EventRow, sites: &dyn SiteDirectory) {
    let field = |name: &str| row.body.get(name).cloned().unwrap_or(Value::Null);
    let Ok(title) = serde_json::from_value::<TitleId>(field("title")) else { return };
    let Ok(report) = serde_json::from_value::<PlayEvents>(json!({ "events": field("events") }))
    else {
        return;
    };
    let home: Vec<SiteId> = serde_json::from_value(field("home")).unwrap_or_default();
    report.events.iter().for_each(|event| watch(demand, &title, &home, event, sites, row.at));
}
