//! The families of protocols: who speaks what, and how HTTP/2 goes. Never counts anything itself.

use std::sync::Arc;

use prometheus::proto::{MetricFamily, MetricType};

use super::{family, gauge, labelled};
use crate::counters::{Counters, ProtocolCounters};

pub(super) fn families(workers: &[Arc<Counters>]) -> Vec<MetricFamily> {
    let streams = workers.iter().map(|worker| worker.protocols.streams.get()).sum();
    vec![
        by_word(
            "protocol_connections_total",
            "Connections by what they speak, from their first request or their keys on.",
            "protocol",
            workers,
            |protocols| protocols.connections().collect(),
        ),
        by_word(
            "protocol_requests_total",
            "Requests answered, by protocol.",
            "protocol",
            workers,
            |protocols| protocols.requests().collect(),
        ),
        gauge("h2_streams", "Streams of HTTP/2 under way.", streams),
        by_word("h2_goaways_total", "GOAWAY frames sent.", "reason", workers, |protocols| {
            protocols.go_aways().collect()
        }),
        by_word("h2_resets_total", "Streams reset.", "reason", workers, |protocols| {
            protocols.stream_resets().collect()
        }),
        by_word(
            "h2_window_stalls_total",
            "Times an answer had to wait for a window of the peer's.",
            "window",
            workers,
            |protocols| protocols.stalls().collect(),
        ),
    ]
}

fn by_word(
    name: &str,
    help: &str,
    label: &str,
    workers: &[Arc<Counters>],
    of: fn(&ProtocolCounters) -> Vec<(&'static str, u64)>,
) -> MetricFamily {
    let mut rows: Vec<(&'static str, u64)> = Vec::new();
    for worker in workers {
        for (at, (word, count)) in of(&worker.protocols).into_iter().enumerate() {
            match rows.get_mut(at) {
                Some(row) => row.1 += count,
                None => rows.push((word, count)),
            }
        }
    }
    let metrics = rows.iter().map(|(word, count)| labelled(&[(label, word)], *count));
    family(name, help, MetricType::COUNTER, metrics.collect())
}
