//! Limits that an operator may turn, and the table of all limits that is printed at boot.
//! Never enforces anything: connections and workers do.

use std::fmt::Write;

use serde::Serialize;

use super::{
    BACKLOG, CLIENT_BUCKETS, FIRST_BYTE_MS_MAX, FIRST_REQUEST_MS, HANDSHAKE_MS_MAX, HEAD_BYTES_MAX,
    HEAD_MS_MAX, IDLE_MS_MAX, IO_THREADS_MAX, LINGER_MS_MAX, LOG_BATCHES_MAX, SEND_PROGRESS_MS_MAX,
    SLOW_READER_BPS, SLOW_READER_MS, STARVED_MAX, TICKETS_MAX,
};

/// What a client may take of time and places. Copied into every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// See [`HANDSHAKE_MS_MAX`].
    pub handshake_ms: u64,
    /// See [`HEAD_MS_MAX`].
    pub head_ms: u64,
    /// See [`FIRST_BYTE_MS_MAX`].
    pub first_byte_ms: u64,
    /// See [`IDLE_MS_MAX`].
    pub idle_ms: u64,
    /// See [`SEND_PROGRESS_MS_MAX`].
    pub send_progress_ms: u64,
    /// See [`SLOW_READER_BPS`]; 0: no bound.
    pub slow_reader_bps: u64,
    /// See [`SLOW_READER_MS`].
    pub slow_reader_ms: u64,
    /// Connections of one client, all workers together; 0: no bound.
    pub client_connections: u64,
    /// Bits of an IPv4 address that make a client.
    pub client_prefix_v4: u64,
    /// Bits of an IPv6 address that make a client.
    pub client_prefix_v6: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshake_ms: HANDSHAKE_MS_MAX,
            head_ms: HEAD_MS_MAX,
            first_byte_ms: FIRST_BYTE_MS_MAX,
            idle_ms: IDLE_MS_MAX,
            send_progress_ms: SEND_PROGRESS_MS_MAX,
            slow_reader_bps: SLOW_READER_BPS,
            slow_reader_ms: SLOW_READER_MS,
            client_connections: 0,
            client_prefix_v4: 32,
            client_prefix_v6: 64,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// What is limited; the config's key where there is one.
    pub name: &'static str,
    /// 0 stands for no limit where `beyond` says so.
    pub value: u64,
    /// Of `value`.
    pub unit: &'static str,
    /// What happens beyond it.
    pub beyond: &'static str,
}

/// Sizes that the table names besides the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSizes {
    /// Threads.
    pub workers: usize,
    /// Most connections of each.
    pub connections: usize,
    /// Most memory, bytes.
    pub memory_bytes: u64,
    /// From SIGTERM to the end.
    pub drain_ms: u64,
    /// From an upgrade to the end of the old program.
    pub upgrade_drain_ms: u64,
}

/// Every limit of a running server, in the order in which a request meets them.
#[must_use]
pub fn table(sizes: TableSizes, bounds: &Bounds) -> Vec<Limit> {
    let rows: [(&'static str, u64, &'static str, &'static str); 21] = [
        ("backlog", BACKLOG as u64, "connections a worker", "the kernel drops the SYN"),
        ("workers.count", sizes.workers as u64, "threads", "-"),
        (
            "workers.connections",
            sizes.connections as u64,
            "connections a worker",
            "wait in the backlog",
        ),
        (
            "client_connections",
            bounds.client_connections,
            "connections a client, 0: no limit",
            "closed at once: client_full",
        ),
        ("client_prefix_v4", bounds.client_prefix_v4, "bits of an IPv4 client", "-"),
        ("client_prefix_v6", bounds.client_prefix_v6, "bits of an IPv6 client", "-"),
        ("client buckets", CLIENT_BUCKETS as u64, "counters", "clients share one"),
        ("handshake_ms", bounds.handshake_ms, "ms", "closed: handshake_deadline"),
        ("head_ms", bounds.head_ms, "ms", "closed: head_deadline"),
        ("head bytes", HEAD_BYTES_MAX as u64, "bytes", "431"),
        ("tickets remembered", TICKETS_MAX as u64, "tickets a worker", "the oldest is forgotten"),
        ("waiting for memory", STARVED_MAX as u64, "connections a worker", "503 with Retry-After"),
        ("first_byte_ms", bounds.first_byte_ms, "ms", "503 with Retry-After"),
        ("send_progress_ms", bounds.send_progress_ms, "ms without a byte taken", "closed: stalled"),
        (
            "slow_reader_bps",
            bounds.slow_reader_bps,
            "bit/s, 0: no limit; lower caps exempt",
            "closed: slow_reader",
        ),
        (
            "slow_reader_ms",
            bounds.slow_reader_ms,
            "ms below slow_reader_bps",
            "closed: slow_reader",
        ),
        ("idle_ms", bounds.idle_ms, "ms without a request", "closed: idle_deadline"),
        ("first request", FIRST_REQUEST_MS, "ms old when draining", "closed: draining"),
        ("linger", LINGER_MS_MAX, "ms for the client's FIN", "closed"),
        ("access log queue", LOG_BATCHES_MAX as u64, "batches of 32 KiB", "lines are dropped"),
        ("drain_ms", sizes.drain_ms, "ms from SIGTERM", "connections are cut"),
    ];
    let mut limits: Vec<Limit> = rows
        .into_iter()
        .map(|(name, value, unit, beyond)| Limit { name, value, unit, beyond })
        .collect();
    limits.push(Limit {
        name: "kernel threads",
        value: IO_THREADS_MAX.iter().map(|count| u64::from(*count)).sum(),
        unit: "a worker, for what blocks",
        beyond: "operations wait for one",
    });
    limits.push(Limit {
        name: "upgrade.drain_ms",
        value: sizes.upgrade_drain_ms,
        unit: "ms from an upgrade",
        beyond: "connections of the old program are cut",
    });
    limits.push(Limit {
        name: "memory",
        value: sizes.memory_bytes,
        unit: "bytes, all pools full",
        beyond: "never: pools are fixed",
    });
    limits
}

/// The table for people.
#[must_use]
pub fn in_words(limits: &[Limit]) -> String {
    let width = limits.iter().map(|limit| limit.name.len()).max().unwrap_or(0);
    let mut text = String::from("limits\n");
    for Limit { name, value, unit, beyond } in limits {
        let written = writeln!(text, "  {name:<width$}  {value:>12} {unit}; beyond: {beyond}");
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_configured_and_what_happens_beyond() {
        let bounds = Bounds { idle_ms: 4321, ..Bounds::default() };
        let sizes = TableSizes {
            workers: 3,
            connections: 77,
            memory_bytes: 5,
            drain_ms: 6,
            upgrade_drain_ms: 7,
        };
        let limits = table(sizes, &bounds);
        let text = in_words(&limits);
        for word in ["4321 ms without", "77 connections a worker", "slow_reader_bps", "431"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(text.lines().all(|line| line.len() < 110), "{text}");
    }
}
