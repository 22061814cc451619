//! The families of devices: what was read from each, how long it took, whether it is in rotation.
//! Labels are the kernel's name of the device and its class.

use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{family, histogram, labelled, pair};
use crate::counters::{Counters, DeviceCounters};
use crate::devices::DeviceStanding;

pub(super) fn families(workers: &[Arc<Counters>], devices: &[DeviceStanding]) -> Vec<MetricFamily> {
    let sum = |number: usize, of: fn(&DeviceCounters) -> u64| -> u64 {
        workers.iter().filter_map(|worker| worker.device(number)).map(of).sum()
    };
    let rows = |value: &dyn Fn(usize, &DeviceStanding) -> u64| -> Vec<Metric> {
        let row = |(number, device): (usize, &DeviceStanding)| {
            let labels = [("class", device.class), ("device", device.name.as_str())];
            labelled(&labels, value(number, device))
        };
        devices.iter().enumerate().map(row).collect()
    };
    let counter = |name, help, value: &dyn Fn(usize, &DeviceStanding) -> u64| {
        family(name, help, MetricType::COUNTER, rows(value))
    };
    vec![
        counter("device_reads_total", "Reads answered.", &|at, _| sum(at, |c| c.reads.count())),
        counter("device_bytes_total", "Bytes they gave.", &|at, _| sum(at, |c| c.bytes.get())),
        counter("device_errors_total", "Reads and opens that failed.", &|at, _| {
            sum(at, |c| c.errors.get())
        }),
        counter("device_out_total", "Times taken out of rotation.", &|_, d| d.times_out),
        counter("device_probes_total", "Reads that asked for its health.", &|_, d| d.probes),
        in_rotation(devices),
        times(workers, devices),
    ]
}

fn in_rotation(devices: &[DeviceStanding]) -> MetricFamily {
    let row = |device: &DeviceStanding| {
        let mut gauge = prometheus::proto::Gauge::default();
        gauge.set_value(f64::from(u8::from(device.in_rotation)));
        let mut metric = Metric::from_gauge(gauge);
        metric.set_label(vec![pair("class", device.class), pair("device", &device.name)]);
        metric
    };
    let help = "1 while it is read from.";
    family("device_in_rotation", help, MetricType::GAUGE, devices.iter().map(row).collect())
}

fn times(workers: &[Arc<Counters>], devices: &[DeviceStanding]) -> MetricFamily {
    let row = |(number, device): (usize, &DeviceStanding)| {
        let counted = workers.iter().filter_map(|worker| worker.device(number));
        let mut metric = Metric::default();
        metric.set_label(vec![pair("class", device.class), pair("device", &device.name)]);
        metric.set_histogram(histogram(counted.map(|counters| &counters.reads)));
        metric
    };
    let rows = devices.iter().enumerate().map(row).collect();
    family("device_read_seconds", "One read.", MetricType::HISTOGRAM, rows)
}
