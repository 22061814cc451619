//! The steering log on the events port: records are appended once a second, read by time. Loses
//! what an outage of the log would not take; a decision never waits for it.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use control_store::{EventRow, Events, Offset};
use control_types::steering::{SteerAsk, SteerRecord};
use control_types::{TitleId, UnixMillis};

use crate::error::SteeringError;
use crate::limits::{RECORDS_READ_MAX, RECORDS_SEARCHED_AT_ONCE, RECORDS_SEARCHED_MAX};
use crate::service::Steering;

/// Topic of [`SteerRecord`]s.
pub const TOPIC: &str = "steering";

/// A recorded question, found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The record it stands in.
    pub record: SteerRecord,
    /// Which of its questions.
    pub at: usize,
}

impl Found {
    /// The question.
    #[must_use]
    pub fn ask(&self) -> &SteerAsk {
        &self.record.asks[self.at]
    }
}

impl Steering {
    /// Keeps the log there; without one, questions are recorded nowhere.
    pub fn keep_log(&self, events: Arc<dyn Events>) {
        // The first one stays: a log that moves in mid-run would have no order.
        let _ = self.log.set(events);
    }

    /// Appends what was noted since the last time. For a background timer.
    ///
    /// # Errors
    /// When the log cannot be written; what was taken for it is then lost, and counted by nobody.
    pub async fn write_log(&self) -> Result<(), SteeringError> {
        let records = self.take_records();
        let Some(events) = self.log.get() else { return Ok(()) };
        for record in records {
            let body = serde_json::to_value(&record).unwrap_or_default();
            let appended = events.append(TOPIC, record.at, &body).await;
            appended.map_err(SteeringError::store("write the steering log"))?;
        }
        Ok(())
    }

    /// Records from `from` to before `until`, at most `RECORDS_READ_MAX`, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log_between(
        &self,
        from: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<SteerRecord>, SteeringError> {
        let start = self.log_place(from).await?;
        let read = self.log_read(Offset(start), RECORDS_READ_MAX).await?;
        let inside = read.into_iter().map(|(_, record)| record);
        Ok(inside.filter(|record| record.at >= from && record.at < until).collect())
    }

    /// The oldest moment of the log; absent while it is empty.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log_begins(&self) -> Result<Option<UnixMillis>, SteeringError> {
        Ok(self.log_read(Offset(0), 1).await?.first().map(|(_, record)| record.at))
    }

    /// The last question at or before `at` that is like this one, among the `RECORDS_SEARCHED_MAX`
    /// records before it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log_find(
        &self,
        ip: IpAddr,
        title: &TitleId,
        at: UnixMillis,
    ) -> Result<Option<Found>, SteeringError> {
        let end = self.log_place(UnixMillis(at.0.saturating_add(1))).await?;
        let first = end.saturating_sub(RECORDS_SEARCHED_MAX as u64);
        // From the newest backwards, a few at a time: an hour of full records is a gigabyte.
        let mut until = end.saturating_add(1);
        while until > first {
            let from = until.saturating_sub(RECORDS_SEARCHED_AT_ONCE as u64).max(first);
            let read = self.log_read(Offset(from), (until - from) as usize).await?;
            for (offset, record) in read.into_iter().rev() {
                if offset.0 >= until || record.at > at {
                    continue;
                }
                let span = u32::try_from(at.millis_since(record.at)).unwrap_or(u32::MAX);
                let like = |ask: &SteerAsk| ask.after_ms <= span && Self::is_like(ask, ip, title);
                if let Some(at) = record.asks.iter().rposition(like) {
                    return Ok(Some(Found { record, at }));
                }
            }
            until = from;
        }
        Ok(None)
    }

    /// Offset of the first record at or after `at`, by halving.
    async fn log_place(&self, at: UnixMillis) -> Result<u64, SteeringError> {
        let Some(events) = self.log.get() else { return Ok(0) };
        let reading = SteeringError::store("read the steering log");
        let end = events.end(TOPIC).await.map_err(reading)?.0;
        let (mut low, mut high) = (0, end);
        while low < high {
            let middle = low + (high - low) / 2;
            // Of offsets no longer kept, the answer is the oldest that is.
            match self.log_read(Offset(middle), 1).await?.first() {
                Some((offset, record)) if record.at < at => low = offset.0.max(middle) + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    async fn log_read(
        &self,
        from: Offset,
        count: usize,
    ) -> Result<Vec<(Offset, SteerRecord)>, SteeringError> {
        let Some(events) = self.log.get() else { return Ok(Vec::new()) };
        let rows = events.read(TOPIC, from, count).await;
        let rows = rows.map_err(SteeringError::store("read the steering log"))?;
        // A record of another version is not read, and hides no other.
        let read = |row: EventRow| Some((row.offset, serde_json::from_value(row.body).ok()?));
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Whether questions are recorded at all.
    #[must_use]
    pub fn has_log(&self) -> bool {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        self.log.get().is_some() && recorder.is_on()
    }
}
