//! The most memory that one process may take, as a sum by consumer. Never measures what it takes.

use control_types::limits::{CHUNK_BYTES, TICKET_BYTES_MAX};

use super::{
    INCOMING_BYTES_MAX, LOG_BATCH_BYTES, LOG_BATCHES_MAX, PLAIN_BYTES_MAX, RECEIVE_BUFFERS_MAX,
    RECEIVE_BYTES, SEAL_BYTES_MAX, SEND_BYTES, SESSION_BYTES, TICKETS_MAX,
};

/// What one process may take, bytes, by consumer; printed at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemorySum {
    /// Chunk buffers: the hot set and what is under read.
    pub chunks: u64,
    /// Send buffers: one for each connection, so that slow readers take none from the others.
    pub sends: u64,
    /// Receive buffers, bytes that wait for the rest of a record or head, TLS sessions.
    pub receives: u64,
    /// Decoded seals.
    pub seals: u64,
    /// Verified tickets.
    pub tickets: u64,
    /// Log batches.
    pub logs: u64,
}

impl MemorySum {
    /// The sum for `workers` workers of `connections` connections and `chunk_buffers` each.
    #[must_use]
    pub fn of(workers: usize, connections: usize, chunk_buffers: usize) -> Self {
        let workers = workers as u64;
        let each_connection = (INCOMING_BYTES_MAX + PLAIN_BYTES_MAX + SESSION_BYTES) as u64;
        let buffers = (connections.min(RECEIVE_BUFFERS_MAX) * RECEIVE_BYTES) as u64;
        Self {
            chunks: workers * chunk_buffers as u64 * CHUNK_BYTES,
            sends: workers * (connections * SEND_BYTES) as u64,
            receives: workers * (connections as u64 * each_connection + buffers),
            seals: workers * SEAL_BYTES_MAX as u64,
            tickets: workers * (TICKETS_MAX * 2 * TICKET_BYTES_MAX) as u64,
            logs: (LOG_BATCHES_MAX * LOG_BATCH_BYTES) as u64,
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.chunks + self.sends + self.receives + self.seals + self.tickets + self.logs
    }
}

impl std::fmt::Display for MemorySum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chunks, sends, receives, seals, tickets, logs } = self;
        write!(f, "chunks {chunks}, sends {sends}, receives {receives}, ")?;
        write!(f, "seals {seals}, tickets {tickets}, logs {logs}")
    }
}
