//! The access log: one JSON object a line, gathered by workers, written by a thread of its own.
//! Never blocks a worker: a batch that finds the channel full is dropped and counted.
//!
//! Good answers may be sampled; what went wrong is always there. Each sampled line says of how many
//! it is one (`"sample":0.01`), so that sums can be made right.
//!
//! A ticket never appears in it: the path is logged without, and of the query only CMCD.

mod file;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

pub use file::Reopen;
use file::Target;

use crate::connection::Record;
use crate::counters::Counters;
use crate::limits::{LOG_BATCH_BYTES, LOG_BATCHES_MAX, LOG_LINE_BYTES_MAX};
use crate::outcome::Ending;
use crate::protocol::Protocol;

/// A worker's end of the log.
pub struct LogSink {
    /// Absent: nothing is logged.
    batches: Option<SyncSender<Vec<u8>>>,
    batch: Vec<u8>,
    lines: u64,
    sample: Sample,
}

/// Which good answers are logged.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// From 0 to 1.
    share: f64,
    /// Of the numbers that decide; it repeats itself, and that does no harm.
    state: u64,
}

impl Sample {
    fn takes(&mut self) -> bool {
        if self.share >= 1.0 {
            return true;
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // The upper 53 bits as a number from 0 to 1.
        ((self.state >> 11) as f64) < self.share * (1u64 << 53) as f64
    }
}

/// One request, ready to be written.
pub struct Line<'a> {
    /// When it ended, milliseconds since 1970.
    pub wall_ms: u64,
    /// From complete head to last byte handed over.
    pub took_ns: u64,
    /// What was answered.
    pub record: &'a Record,
    /// What became of it.
    pub ending: Ending,
    /// The bytes that the record's places lie in.
    pub head: &'a [u8],
    /// Who.
    pub peer: SocketAddr,
    /// `clear` or the TLS version.
    pub keys: &'static str,
    /// What is spoken.
    pub protocol: Protocol,
}

impl LogSink {
    /// A sink that forgets.
    #[must_use]
    pub fn none() -> Self {
        Self { sample: Sample { share: 1.0, state: 1 }, batches: None, batch: Vec::new(), lines: 0 }
    }

    /// A sink that hands batches to `batches`, with this share of good answers, from 0 to 1.
    #[must_use]
    pub fn new(batches: SyncSender<Vec<u8>>, share: f64, seed: u64) -> Self {
        let sample = Sample { share, state: seed | 1 };
        let batch = Vec::with_capacity(LOG_BATCH_BYTES);
        Self { batches: Some(batches), batch, lines: 0, sample }
    }

    /// Adds a line; hands the batch over when it is large enough.
    pub fn add(&mut self, line: &Line<'_>, counters: &Counters) {
        if self.batches.is_none() {
            return;
        }
        let share = if line.is_good() {
            if !self.sample.takes() {
                return;
            }
            self.sample.share
        } else {
            1.0
        };
        self.lines += 1;
        line.write(share, &mut self.batch);
        if self.batch.len() + LOG_LINE_BYTES_MAX > LOG_BATCH_BYTES {
            self.flush(counters);
        }
    }

    /// Hands over what there is.
    pub fn flush(&mut self, counters: &Counters) {
        let Some(batches) = &self.batches else { return };
        if self.batch.is_empty() {
            return;
        }
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(LOG_BATCH_BYTES));
        if batches.try_send(full).is_err() {
            counters.log_dropped.add(self.lines);
        }
        self.lines = 0;
    }
}

/// A running writer.
pub struct LogWriter {
    /// For sinks.
    pub batches: SyncSender<Vec<u8>>,
    /// For whoever moves the file.
    pub reopen: Reopen,
    /// Ends when the last sink is gone, after writing what they left.
    pub thread: JoinHandle<()>,
}

/// Starts the writer for `target`: `-` for standard error, or a file that is appended to until it
/// has `bytes_max` bytes (0: for ever) and then becomes `.1`.
///
/// # Errors
/// The file cannot be opened.
pub fn start_writer(target: &str, bytes_max: u64) -> io::Result<LogWriter> {
    let target = Target::open(target, bytes_max)?;
    let (batches, receiver) = sync_channel(LOG_BATCHES_MAX);
    let reopen = Reopen::default();
    let asked = reopen.clone();
    let thread = std::thread::Builder::new().name("access-log".to_owned());
    let thread = thread.spawn(move || target.run(&receiver, &asked))?;
    Ok(LogWriter { batches, reopen, thread })
}

impl Line<'_> {
    /// Nothing that an operator would look for.
    fn is_good(&self) -> bool {
        self.record.outcome.status() < 400
            && matches!(self.ending, Ending::Complete | Ending::ClientGone)
    }

    fn write(&self, share: f64, to: &mut Vec<u8>) {
        let record = self.record;
        let method = match record.note.method {
            oca_http::Method::Get => "GET",
            oca_http::Method::Head => "HEAD",
            oca_http::Method::Options => "OPTIONS",
            oca_http::Method::Other => "other",
        };
        number(to, "{\"time_ms\":", self.wall_ms);
        text(to, ",\"outcome\":", record.outcome.word().as_bytes());
        text(to, ",\"ending\":", self.ending.word().as_bytes());
        text(to, ",\"method\":", method.as_bytes());
        text(to, ",\"path\":", self.place(&record.note.path));
        text(to, ",\"title\":", self.place(&record.note.title));
        if let Some(found) = &record.found {
            text(to, ",\"object\":", &found.object.as_hex());
            number(to, ",\"start\":", record.start);
            number(to, ",\"end\":", record.end);
        }
        number(to, ",\"bytes\":", record.sent);
        number(to, ",\"us\":", self.took_ns / 1_000);
        text(to, ",\"peer\":", self.peer.to_string().as_bytes());
        if let Some(ticket) = &record.ticket {
            text(to, ",\"play\":", ticket.claims.subject.as_bytes());
        }
        for (name, place) in CMCD_NAMES.iter().zip(&record.note.cmcd) {
            if !place.is_empty() {
                text(to, name, self.place(place));
            }
        }
        text(to, ",\"keys\":", self.keys.as_bytes());
        text(to, ",\"protocol\":", self.protocol.word().as_bytes());
        if share < 1.0 {
            let written = write!(to, ",\"sample\":{share}");
            debug_assert!(written.is_ok(), "a Vec takes everything");
        }
        to.extend_from_slice(if record.is_hot {
            b",\"hot\":true}\n"
        } else {
            b",\"hot\":false}\n"
        });
    }

    fn place(&self, place: &std::ops::Range<usize>) -> &[u8] {
        self.head.get(place.clone()).unwrap_or_default()
    }
}

const CMCD_NAMES: [&str; 5] = [
    ",\"cmcd\":",
    ",\"cmcd_object\":",
    ",\"cmcd_request\":",
    ",\"cmcd_session\":",
    ",\"cmcd_status\":",
];

fn number(to: &mut Vec<u8>, name: &str, value: u64) {
    to.extend_from_slice(name.as_bytes());
    let written = write!(to, "{value}");
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// A JSON string; bytes beyond ASCII cannot be in a head we accepted, and become `?` if they are.
fn text(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    to.push(b'"');
    for byte in value.iter().take(LOG_LINE_BYTES_MAX / 4) {
        match byte {
            b'"' | b'\\' => to.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => to.push(*byte),
            _ => to.push(b'?'),
        }
    }
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_text_the_line_stays_json() {
        let mut line = b"{".to_vec();
        text(&mut line, "\"path\":", b"/a\"b\\c\x00\xff\n");
        line.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["path"], "/a\"b\\c???");
    }

    #[test]
    fn a_sample_is_as_large_as_asked_for() {
        for share in [0.0, 0.01, 0.5, 1.0] {
            let mut sample = Sample { share, state: 12_345 };
            let taken = (0..100_000).filter(|_| sample.takes()).count() as f64;
            assert!((taken / 100_000.0 - share).abs() < 0.01, "{share}: {taken}");
        }
    }

    #[test]
    fn a_writer_that_is_behind_costs_lines_and_not_time() {
        let (batches, _kept) = sync_channel(1);
        let mut sink = LogSink::new(batches, 1.0, 1);
        let counters = Counters::default();
        for _ in 0..3 {
            sink.batch.extend_from_slice(b"line\n");
            sink.lines += 1;
            sink.flush(&counters);
        }
        assert_eq!(counters.log_dropped.get(), 2);
    }
}
