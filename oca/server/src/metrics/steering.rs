//! The families of steering without control: which bundle, what became of others, who is seen.
//! Never counts anything itself.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{counter, family, gauge, labelled, pair};

/// What the admin thread knows of steering; all zero without `[control]`.
#[derive(Clone, Debug, Default)]
pub struct SteeringStanding {
    /// Of the bundle in use; 0: none.
    pub serial: u64,
    /// Since control made it, seconds.
    pub age_s: u64,
    /// Networks it names.
    pub prefixes: u64,
    /// Boxes that are looked at, by what is known of them.
    pub neighbours: [(&'static str, u64); 4],
    /// Control is silent.
    pub is_alone: bool,
    /// Bundles believed.
    pub taken: u64,
    /// Bundles that could not be had.
    pub failed: u64,
    /// Bundles refused, by word.
    pub refused: Vec<(&'static str, u64)>,
}

pub(super) fn families(standing: &SteeringStanding) -> Vec<MetricFamily> {
    let refused = standing.refused.iter().map(|(why, count)| labelled(&[("why", why)], *count));
    let neighbours = standing.neighbours.iter().filter(|(state, _)| !state.is_empty());
    let neighbours = neighbours.map(|(state, count)| {
        let mut gauge = prometheus::proto::Gauge::default();
        gauge.set_value(*count as f64);
        let mut metric = Metric::from_gauge(gauge);
        metric.set_label(vec![pair("state", state)]);
        metric
    });
    let refused = refused.collect();
    vec![
        gauge("bundle_serial", "Of the steering bundle in use.", standing.serial),
        gauge("bundle_age_seconds", "Since control made it.", standing.age_s),
        gauge("bundle_prefixes", "Networks it names.", standing.prefixes),
        gauge("control_away", "1 while control is silent.", u64::from(standing.is_alone)),
        counter("bundles_taken_total", "Bundles believed.", standing.taken),
        counter("bundles_failed_total", "Bundles not to be had.", standing.failed),
        family("bundles_refused_total", "Bundles refused.", MetricType::COUNTER, refused),
        family("neighbours", "Boxes looked at.", MetricType::GAUGE, neighbours.collect()),
    ]
}
