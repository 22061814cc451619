//! Engines as metrics: which, why, and what became of lent memory. Never counts anything itself.

use std::sync::Arc;

use prometheus::proto::{MetricFamily, MetricType};

use super::{counter, family, gauge, labelled};
use crate::counters::{Counter, Counters, ZeroCopyCounters};
use crate::engine::{Engine, Why};

/// The families of all `workers` together.
pub fn families(workers: &[Arc<Counters>]) -> Vec<MetricFamily> {
    let sum = |pick: fn(&ZeroCopyCounters) -> &Counter| {
        workers.iter().map(|worker| pick(&worker.zero_copy).get()).sum()
    };
    vec![
        choices(workers),
        counter("zero_copy_sends_total", "Sends that lent memory.", sum(|z| &z.sends)),
        counter("zero_copy_bytes_total", "Bytes sent from lent memory.", sum(|z| &z.bytes)),
        counter("zero_copy_used_total", "Loans read where they lay.", sum(|z| &z.used)),
        counter("zero_copy_copied_total", "Loans that were copied.", sum(|z| &z.copied)),
        counter("zero_copy_unsure_total", "Loans perhaps copied.", sum(|z| &z.unsure)),
        gauge("zero_copy_lent_bytes", "Memory lent now.", sum(|z| &z.lent_bytes)),
        counter("zero_copy_fallbacks_total", "Copied for want of loans.", sum(|z| &z.fallbacks)),
    ]
}

fn choices(workers: &[Arc<Counters>]) -> MetricFamily {
    let mut rows: Vec<(Engine, Why, u64)> = Vec::new();
    for (engine, why, count) in workers.iter().flat_map(|worker| worker.choices()) {
        match rows.iter_mut().find(|row| (row.0, row.1) == (engine, why)) {
            Some(row) => row.2 += count,
            None => rows.push((engine, why, count)),
        }
    }
    let metrics = rows.iter().map(|(engine, why, count)| {
        labelled(&[("engine", engine.word()), ("reason", why.word())], *count)
    });
    let help = "Sockets by engine and why; one that changes is counted for each.";
    family("engine_choices_total", help, MetricType::COUNTER, metrics.collect())
}
