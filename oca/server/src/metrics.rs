//! Counters of all workers as Prometheus families, merged at a scrape.
//! Never counts anything itself.

mod devices;
mod engines;
mod process;
mod protocols;
mod steering;

use std::sync::Arc;

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::counters::{Counter, Counters, Handshakes, TIME_BOUNDS_US, Times};
use crate::devices::DeviceStanding;
use crate::engine::Engine;
use crate::outcome::CloseReason;
pub use process::Process;
pub use steering::SteeringStanding;

/// What the admin thread knows besides the workers' counters.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Objects held.
    pub objects: u64,
    /// Payload bytes held.
    pub held_bytes: u64,
    /// Ticket keys held.
    pub ticket_keys: u64,
    /// Draining, or asked to.
    pub draining: bool,
    /// Volumes in trouble.
    pub volumes_sick: u64,
    /// This process.
    pub process: Process,
    /// Reports that control took.
    pub reports: u64,
    /// Reports that did not get through.
    pub reports_failed: u64,
    /// Certificates and session secrets taken up while running.
    pub keys_renewed: u64,
    /// Certificates and session secrets that could not be: the old ones are in use.
    pub keys_refused: u64,
    /// Devices, as numbered by workers.
    pub devices: Vec<DeviceStanding>,
    /// Programs that were to take over and could not.
    pub upgrades_failed: u64,
    /// Steering without control.
    pub steering: SteeringStanding,
}

/// The whole page, in the text format that Prometheus reads.
#[must_use]
pub fn page(workers: &[Arc<Counters>], standing: &Standing) -> Vec<u8> {
    let families = families(workers, standing);
    let mut out = Vec::with_capacity(16 * 1024);
    // Families without a metric are an error to the encoder and nothing to the reader.
    let filled: Vec<_> = families.into_iter().filter(|f| !f.get_metric().is_empty()).collect();
    TextEncoder::new().encode(&filled, &mut out).expect("a Vec takes everything");
    out
}

fn families(workers: &[Arc<Counters>], standing: &Standing) -> Vec<MetricFamily> {
    let sum = |of: fn(&Counters) -> &Counter| workers.iter().map(|w| of(w).get()).sum::<u64>();
    let mut page = vec![
        gauge("connections", "Media connections open now.", sum(|c| &c.connections)),
        counter("accepted_total", "Connections accepted.", sum(|c| &c.accepted)),
        counter("sent_bytes_total", "Bytes handed to sockets.", sum(|c| &c.sent_bytes)),
        counter("media_bytes_total", "Bytes of objects sent.", sum(|c| &c.media_bytes)),
        counter("fill_bytes_total", "Bytes sent to other appliances.", sum(|c| &c.fill_bytes)),
        counter("hot_hits_total", "Chunks found in memory.", sum(|c| &c.hot_hits)),
        counter("hot_misses_total", "Chunks read from disk.", sum(|c| &c.hot_misses)),
        counter("hot_ghost_hits_total", "Dropped and read again soon.", sum(|c| &c.hot_ghost_hits)),
        counter("hot_evictions_total", "Chunks dropped for room.", sum(|c| &c.hot_evictions)),
        gauge("hot_chunks", "Chunks in memory now.", sum(|c| &c.hot_chunks)),
        gauge("open_files", "Object files open now.", sum(|c| &c.files)),
        counter("bad_chunks_total", "Chunks that were not the object's.", sum(|c| &c.chunks_bad)),
        counter("starved_total", "Waits for a buffer.", sum(|c| &c.starved)),
        counter("device_waits_total", "Waits for a turn on a disk.", sum(|c| &c.device_waits)),
        counter("reads_late_total", "Reads given up alone.", sum(|c| &c.reads_late)),
        counter("tickets_verified_total", "Signatures checked.", sum(|c| &c.tickets_verified)),
        counter("tickets_remembered_total", "Tickets known.", sum(|c| &c.tickets_remembered)),
        counter("tickets_excused_total", "Ended without control.", sum(|c| &c.tickets_excused)),
        counter("paces_set_total", "Paces told to the kernel.", sum(|c| &c.paces_set)),
        counter("log_dropped_total", "Access log lines dropped.", sum(|c| &c.log_dropped)),
        counter("troubles_dropped_total", "Messages dropped.", sum(|c| &c.troubles_dropped)),
        gauge("objects", "Objects held.", standing.objects),
        gauge("held_bytes", "Payload bytes held.", standing.held_bytes),
        gauge("ticket_keys", "Keys that verify tickets.", standing.ticket_keys),
        gauge("draining", "1 while draining.", u64::from(standing.draining)),
        gauge("volumes_sick", "Volumes with errors lately.", standing.volumes_sick),
        counter("reports_total", "Reports that control took.", standing.reports),
        counter("reports_failed_total", "Reports that failed.", standing.reports_failed),
        counter("keys_renewed_total", "New certificates in use.", standing.keys_renewed),
        counter("keys_refused_total", "New certificates refused.", standing.keys_refused),
        counter("upgrades_failed_total", "Upgrades that failed.", standing.upgrades_failed),
    ];
    page.extend(steering::families(&standing.steering));
    page.extend(protocols::families(workers));
    page.extend(engines::families(workers));
    page.push(answers(workers));
    page.push(closed(workers));
    page.push(handshakes(workers));
    page.push(by_engine("engine_sockets_total", "Connections accepted.", workers, |c| {
        &c.engine_sockets
    }));
    page.push(by_engine("engine_bytes_total", "Bytes of objects sent.", workers, |c| {
        &c.engine_bytes
    }));
    page.push(cpu(workers));
    page.extend(standing.process.families(sum(|c| &c.sent_bytes)));
    page.push(cpu_per_gb(workers));
    page.push(times("first_byte_seconds", "From head to first byte.", "", workers, |c| {
        vec![("all", &c.first_byte)]
    }));
    page.push(times("first_byte_from_seconds", "The same by tier.", "tier", workers, |c| {
        let [memory, ssd, hdd] = &c.first_byte_from;
        vec![("memory", memory), ("ssd", ssd), ("hdd", hdd)]
    }));
    page.extend(devices::families(workers, &standing.devices));
    page.push(times("disk_read_seconds", "One chunk read.", "class", workers, |c| {
        vec![("ssd", &c.disk_reads[0]), ("hdd", &c.disk_reads[1])]
    }));
    page.push(by_class("disk_bytes_total", "Bytes read from disk.", workers, |c| &c.disk_bytes));
    page.push(by_class("disk_errors_total", "Reads that failed.", workers, |c| &c.disk_errors));
    page
}

fn answers(workers: &[Arc<Counters>]) -> MetricFamily {
    let mut rows: Vec<(&'static str, &'static str, u16, u64)> = Vec::new();
    for (outcome, ending, count) in workers.iter().flat_map(|worker| worker.answers()) {
        let (word, end) = (outcome.word(), ending.word());
        match rows.iter_mut().find(|row| (row.0, row.1) == (word, end)) {
            Some(row) => row.3 += count,
            None => rows.push((word, end, outcome.status(), count)),
        }
    }
    let metrics = rows.iter().map(|(outcome, ending, status, count)| {
        let status = status.to_string();
        labelled(&[("ending", ending), ("outcome", outcome), ("status", &status)], *count)
    });
    family("answers_total", "Requests answered.", MetricType::COUNTER, metrics.collect())
}

fn closed(workers: &[Arc<Counters>]) -> MetricFamily {
    let metrics = CloseReason::ALL.iter().filter_map(|reason| {
        let count: u64 = workers.iter().map(|w| w.closed[*reason as usize].get()).sum();
        (count > 0).then(|| labelled(&[("reason", reason.word())], count))
    });
    family("closed_total", "Connections closed.", MetricType::COUNTER, metrics.collect())
}

fn handshakes(workers: &[Arc<Counters>]) -> MetricFamily {
    let mut rows: Vec<Handshakes> = Vec::new();
    for one in workers.iter().flat_map(|worker| worker.handshakes()) {
        let kind = |row: &Handshakes| (row.version, row.cipher, row.resumed);
        match rows.iter_mut().find(|row| kind(row) == kind(&one)) {
            Some(row) => row.count += one.count,
            None => rows.push(one),
        }
    }
    let metrics = rows.iter().map(|row| {
        let resumed = if row.resumed { "yes" } else { "no" };
        let labels = [("cipher", row.cipher), ("resumed", resumed), ("version", row.version)];
        labelled(&labels, row.count)
    });
    let help = "TLS handshakes finished.";
    family("tls_handshakes_total", help, MetricType::COUNTER, metrics.collect())
}

fn cpu(workers: &[Arc<Counters>]) -> MetricFamily {
    let metrics = workers.iter().enumerate().map(|(number, worker)| {
        let mut metric = labelled(&[("worker", &number.to_string())], 0);
        let mut counter = prometheus::proto::Counter::default();
        counter.set_value(worker.cpu_us.get() as f64 / 1e6);
        metric.set_counter(counter);
        metric
    });
    family("cpu_seconds_total", "CPU time of workers.", MetricType::COUNTER, metrics.collect())
}

/// The number that the hardware bill follows; 0 before the first byte.
fn cpu_per_gb(workers: &[Arc<Counters>]) -> MetricFamily {
    let cpu_us: u64 = workers.iter().map(|w| w.cpu_us.get()).sum();
    let bytes: u64 = workers.iter().map(|w| w.sent_bytes.get()).sum();
    let per_gb = if bytes == 0 { 0.0 } else { cpu_us as f64 * 1e3 / bytes as f64 };
    let mut gauge = prometheus::proto::Gauge::default();
    gauge.set_value(per_gb);
    let help = "CPU seconds of workers per 10^9 bytes sent, since the start.";
    family("cpu_seconds_per_gb", help, MetricType::GAUGE, vec![Metric::from_gauge(gauge)])
}

fn by_engine(
    name: &str,
    help: &str,
    workers: &[Arc<Counters>],
    of: fn(&Counters) -> &[Counter; Engine::ALL.len()],
) -> MetricFamily {
    let metrics = Engine::ALL.iter().map(|engine| {
        let count = workers.iter().map(|w| of(w)[engine.index()].get()).sum();
        labelled(&[("engine", engine.word())], count)
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn by_class(
    name: &str,
    help: &str,
    workers: &[Arc<Counters>],
    of: fn(&Counters) -> &[Counter; 2],
) -> MetricFamily {
    let metrics = ["ssd", "hdd"].iter().enumerate().map(|(row, class)| {
        labelled(&[("class", class)], workers.iter().map(|w| of(w)[row].get()).sum())
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn times(
    name: &str,
    help: &str,
    label: &str,
    workers: &[Arc<Counters>],
    of: fn(&Counters) -> Vec<(&'static str, &Times)>,
) -> MetricFamily {
    let mut metrics = Vec::new();
    let rows = workers.first().map_or(0, |worker| of(worker).len());
    for row in 0..rows {
        let all: Vec<(&str, &Times)> = workers.iter().map(|worker| of(worker)[row]).collect();
        let value = all.first().map_or("", |(value, _)| value);
        let mut metric = Metric::default();
        if !label.is_empty() {
            metric.set_label(vec![pair(label, value)]);
        }
        metric.set_histogram(histogram(all.iter().map(|(_, times)| *times)));
        metrics.push(metric);
    }
    family(name, help, MetricType::HISTOGRAM, metrics)
}

fn histogram<'a>(all: impl Iterator<Item = &'a Times>) -> Histogram {
    let mut counts = [0u64; TIME_BOUNDS_US.len() + 1];
    let mut sum_us = 0;
    for times in all {
        sum_us += times.sum_us.get();
        for (count, bucket) in counts.iter_mut().zip(&times.buckets) {
            *count += bucket.get();
        }
    }
    let mut below = 0;
    let mut buckets = Vec::with_capacity(TIME_BOUNDS_US.len());
    for (bound, count) in TIME_BOUNDS_US.iter().zip(counts) {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket.set_cumulative_count(below);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum_us as f64 / 1e6);
    histogram.set_bucket(buckets);
    histogram
}

fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(name, help, MetricType::COUNTER, vec![labelled(&[], value)])
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut gauge = prometheus::proto::Gauge::default();
    gauge.set_value(value as f64);
    family(name, help, MetricType::GAUGE, vec![Metric::from_gauge(gauge)])
}

/// Names of all families, for the committed listing.
#[must_use]
pub fn names() -> Vec<String> {
    let worker = Arc::new(Counters::default());
    let all = families(&[worker], &Standing::default());
    let mut names: Vec<String> = all.iter().map(|family| family.name().to_owned()).collect();
    names.sort_unstable();
    names
}

fn labelled(labels: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = prometheus::proto::Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(|(name, value)| pair(name, value)).collect());
    metric.set_counter(counter);
    metric
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("nightfill_oca_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use oca_http::Outcome;

    use super::*;
    use crate::outcome::Ending;

    #[test]
    fn workers_are_added_up() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        for worker in &workers {
            worker.answer(Outcome::Part, Ending::Complete);
            worker.chunks_bad.add(2);
            worker.disk_reads[1].add(3_000_000);
        }
        let page = String::from_utf8(page(&workers, &Standing::default())).unwrap();
        for line in [
            "nightfill_oca_bad_chunks_total 4",
            "nightfill_oca_answers_total{ending=\"complete\",outcome=\"part\",status=\"206\"} 2",
            "nightfill_oca_disk_read_seconds_bucket{class=\"hdd\",le=\"0.005\"} 2",
            "nightfill_oca_disk_read_seconds_bucket{class=\"hdd\",le=\"0.0025\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
        }
    }
}
