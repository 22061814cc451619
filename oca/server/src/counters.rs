//! What one worker counts: plain numbers with one writer, read by the admin thread at a scrape.
//! Never a lock and never a read-modify-write: the worker loads and stores, relaxed.

mod engines;
mod protocols;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use control_types::fleet::DiskClass;
use oca_http::Outcome;
use rustls::CipherSuite;

use crate::engine::Engine;
use crate::outcome::{CloseReason, Ending};
pub use engines::{ChoiceCounters, ZeroCopyCounters};
pub use protocols::ProtocolCounters;

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `by`. Only the owning worker may call it.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Takes `by` away, for numbers that go down too. Only the owning worker may call it.
    pub fn take(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
    }

    /// Replaces the number. Only the owning worker may call it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the time histograms, microseconds.
pub const TIME_BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Times, by bucket, and their sum.
#[derive(Debug, Default)]
pub struct Times {
    /// One for each bound, and one for what is over the last.
    pub buckets: [Counter; TIME_BOUNDS_US.len() + 1],
    /// Sum, microseconds.
    pub sum_us: Counter,
}

impl Times {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// Counts one time.
    pub fn add(&self, nanos: u64) {
        let micros = nanos / 1_000;
        let bucket = TIME_BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add(1);
        self.sum_us.add(micros);
    }
}

/// Cipher suites that the TLS library may agree on, with their versions; the last is any other.
const SUITES: [(CipherSuite, &str, &str); 10] = [
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "1.3", "aes128gcm"),
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "1.3", "aes256gcm"),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "1.3", "chacha20poly1305"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "1.2", "aes128gcm"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "1.2", "aes256gcm"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "1.2", "chacha20poly1305"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "1.2", "aes128gcm"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "1.2", "aes256gcm"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "1.2", "chacha20poly1305"),
    (CipherSuite::TLS_NULL_WITH_NULL_NULL, "other", "other"),
];

/// Handshakes that had the same version, cipher and way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshakes {
    /// `1.2`, `1.3`.
    pub version: &'static str,
    /// Of the records.
    pub cipher: &'static str,
    /// Whether a ticket shortened them.
    pub resumed: bool,
    /// How many.
    pub count: u64,
}

/// What one worker counts of one device.
#[derive(Debug, Default)]
pub struct DeviceCounters {
    /// Reads of chunks that were answered, and how long they took.
    pub reads: Times,
    /// Bytes they gave.
    pub bytes: Counter,
    /// Reads and opens that failed.
    pub errors: Counter,
}

/// Everything one worker counts.
#[derive(Debug)]
pub struct Counters {
    /// Connections open now.
    pub connections: Counter,
    /// Connections ever accepted.
    pub accepted: Counter,
    /// Connections closed, by `CloseReason`.
    pub closed: Vec<Counter>,
    /// By protocol.
    pub protocols: ProtocolCounters,
    /// Answers, by outcome and ending; see [`Counters::answers`].
    answers: Vec<Counter>,
    /// Bytes handed to sockets, heads and TLS framing included.
    pub sent_bytes: Counter,
    /// Bytes of objects among them.
    pub media_bytes: Counter,
    /// Bytes that other appliances were filled with, seals included.
    pub fill_bytes: Counter,
    /// Connections, by the engine chosen for them; the order is `Engine::ALL`.
    pub engine_sockets: [Counter; Engine::ALL.len()],
    /// Why sockets have their engines; see [`Counters::choices`].
    choices: ChoiceCounters,
    /// Zero-copy sends.
    pub zero_copy: ZeroCopyCounters,
    /// Bytes of objects, by engine.
    pub engine_bytes: [Counter; Engine::ALL.len()],
    /// TLS handshakes finished, by version, cipher and whether a ticket shortened them; see
    /// [`Counters::handshakes`].
    handshakes: Vec<Counter>,
    /// Chunks found in memory.
    pub hot_hits: Counter,
    /// Chunks read from disk.
    pub hot_misses: Counter,
    /// Of those read, the ones that had been dropped a short while before.
    pub hot_ghost_hits: Counter,
    /// Chunks dropped to make room.
    pub hot_evictions: Counter,
    /// Chunks in memory now.
    pub hot_chunks: Counter,
    /// Disk reads, by class: ssd, hdd.
    pub disk_reads: [Times; 2],
    /// Bytes read from disk, by class.
    pub disk_bytes: [Counter; 2],
    /// Disk reads and opens that failed, by class.
    pub disk_errors: [Counter; 2],
    /// By device, in the order of `Devices::list`; set once by the worker.
    devices: OnceLock<Box<[DeviceCounters]>>,
    /// Times a connection had to wait for a turn on a device.
    pub device_waits: Counter,
    /// Reads given up on a device that answered others.
    pub reads_late: Counter,
    /// Chunks whose bytes were not the object's.
    pub chunks_bad: Counter,
    /// From the last byte of a request head to the first byte of its answer handed to the socket.
    pub first_byte: Times,
    /// The same for media, by where its first chunk was: in memory, on flash, on a rotating disk.
    pub first_byte_from: [Times; 3],
    /// Times a connection had to wait for a buffer.
    pub starved: Counter,
    /// Tickets verified, and found already verified.
    pub tickets_verified: Counter,
    /// See `tickets_verified`.
    pub tickets_remembered: Counter,
    /// Tickets that had ended, and were good because control was away.
    pub tickets_excused: Counter,
    /// Times the kernel was told another pace.
    pub paces_set: Counter,
    /// Access log lines dropped because the writer was behind.
    pub log_dropped: Counter,
    /// Messages to the admin thread dropped because it was behind.
    pub troubles_dropped: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// CPU time of the worker's thread, microseconds; set by the worker once in a while.
    pub cpu_us: Counter,
    /// Open files.
    pub files: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        let answers = Outcome::all().count() * Ending::ALL.len();
        let zeros = |count: usize| (0..count).map(|_| Counter::default()).collect();
        Self {
            connections: Counter::default(),
            accepted: Counter::default(),
            closed: zeros(CloseReason::ALL.len()),
            protocols: ProtocolCounters::default(),
            answers: zeros(answers),
            sent_bytes: Counter::default(),
            media_bytes: Counter::default(),
            fill_bytes: Counter::default(),
            engine_sockets: Default::default(),
            choices: ChoiceCounters::default(),
            zero_copy: ZeroCopyCounters::default(),
            engine_bytes: Default::default(),
            handshakes: zeros(SUITES.len() * 2),
            hot_hits: Counter::default(),
            hot_misses: Counter::default(),
            hot_ghost_hits: Counter::default(),
            hot_evictions: Counter::default(),
            hot_chunks: Counter::default(),
            disk_reads: Default::default(),
            disk_bytes: Default::default(),
            disk_errors: Default::default(),
            devices: OnceLock::new(),
            device_waits: Counter::default(),
            reads_late: Counter::default(),
            chunks_bad: Counter::default(),
            first_byte: Times::default(),
            first_byte_from: Default::default(),
            starved: Counter::default(),
            tickets_verified: Counter::default(),
            tickets_remembered: Counter::default(),
            tickets_excused: Counter::default(),
            paces_set: Counter::default(),
            log_dropped: Counter::default(),
            troubles_dropped: Counter::default(),
            turns: Counter::default(),
            cpu_us: Counter::default(),
            files: Counter::default(),
        }
    }
}

impl Counters {
    /// Counts one answer.
    pub fn answer(&self, outcome: Outcome, ending: Ending) {
        let row = Outcome::all().position(|known| known == outcome).unwrap_or(0);
        if let Some(counter) = self.answers.get(row * Ending::ALL.len() + ending as usize) {
            counter.add(1);
        }
    }

    /// Answers so far, by outcome and ending; combinations that never happened are left out.
    pub fn answers(&self) -> impl Iterator<Item = (Outcome, Ending, u64)> {
        let pairs = Outcome::all().flat_map(|o| Ending::ALL.iter().map(move |e| (o, *e)));
        pairs
            .zip(&self.answers)
            .map(|((outcome, ending), counter)| (outcome, ending, counter.get()))
            .filter(|(_, _, count)| *count > 0)
    }

    /// Counts a finished TLS handshake.
    pub fn handshake(&self, suite: Option<CipherSuite>, resumed: bool) {
        let row = SUITES.iter().position(|known| Some(known.0) == suite);
        let row = row.unwrap_or(SUITES.len() - 1);
        if let Some(counter) = self.handshakes.get(row * 2 + usize::from(resumed)) {
            counter.add(1);
        }
    }

    /// Handshakes so far; kinds that never happened are left out.
    pub fn handshakes(&self) -> impl Iterator<Item = Handshakes> {
        let kinds = SUITES.iter().flat_map(|suite| [(suite, false), (suite, true)]);
        kinds.zip(&self.handshakes).filter(|(_, counter)| counter.get() > 0).map(
            |((suite, resumed), counter)| Handshakes {
                version: suite.1,
                cipher: suite.2,
                resumed,
                count: counter.get(),
            },
        )
    }

    /// Makes room for the numbers of `devices` devices, once.
    pub fn set_devices(&self, devices: usize) {
        let zeros = std::iter::repeat_with(DeviceCounters::default).take(devices);
        // A second call finds the room made.
        let _ = self.devices.set(zeros.collect());
    }

    /// The numbers of one device.
    #[must_use]
    pub fn device(&self, device: usize) -> Option<&DeviceCounters> {
        self.devices.get()?.get(device)
    }

    /// Counts a connection that closed.
    pub fn close(&self, reason: CloseReason) {
        self.closed[reason as usize].add(1);
    }
}

/// Place of a class in the per-class arrays.
#[must_use]
pub const fn class_row(class: DiskClass) -> usize {
    match class {
        DiskClass::Ssd => 0,
        DiskClass::Hdd => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lands_in_the_first_bucket_that_holds_it() {
        let times = Times::default();
        [50_000, 51_000, 11_000_000_000].iter().for_each(|nanos| times.add(*nanos));
        let filled: Vec<_> = times.buckets.iter().map(Counter::get).collect();
        assert_eq!((filled[0], filled[1], filled[TIME_BOUNDS_US.len()]), (1, 1, 1));
        assert_eq!(times.sum_us.get(), 50 + 51 + 11_000_000);
    }

    #[test]
    fn answers_are_listed_by_what_they_were() {
        let counters = Counters::default();
        counters.answer(Outcome::Part, Ending::Complete);
        counters.answer(Outcome::Part, Ending::Complete);
        counters.answer(Outcome::OverBudget, Ending::ClientGone);
        let mut listed: Vec<_> = counters.answers().collect();
        listed.sort_by_key(|(_, _, count)| *count);
        assert_eq!(
            listed,
            vec![
                (Outcome::OverBudget, Ending::ClientGone, 1),
                (Outcome::Part, Ending::Complete, 2)
            ]
        );
    }
}
