//! Port: what happened, in order, by topic. Not a queue: reading removes nothing.

use async_trait::async_trait;
use control_types::UnixMillis;

use crate::StoreError;

/// Place of an event in its topic: 0 for the first, then one more for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// Where to read on after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One event as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Place in the topic.
    pub offset: Offset,
    /// When it happened, as the appender said.
    pub at: UnixMillis,
    /// What happened.
    pub body: serde_json::Value,
}

/// An append-only log for each topic.
#[async_trait]
pub trait Events: Send + Sync {
    /// Appends to `topic` (a slug of at most `EVENT_TOPIC_BYTES_MAX` bytes; made on first use) and
    /// returns once the event survives `kill -9` and, under the default policy, a power cut.
    async fn append(
        &self,
        topic: &str,
        at: UnixMillis,
        body: &serde_json::Value,
    ) -> Result<Offset, StoreError>;

    /// Events of `topic` from `from` on, oldest first, at most `count_max` (and at most
    /// `EVENT_READ_MAX`). Empty at the end of the log and for a topic nobody wrote to.
    async fn read(
        &self,
        topic: &str,
        from: Offset,
        count_max: usize,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// The offset the next event of `topic` will get.
    async fn end(&self, topic: &str) -> Result<Offset, StoreError>;
}
