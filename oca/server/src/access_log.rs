//! The access log: one JSON object a line, gathered by workers, written by a thread of its own.
//! Never blocks a worker: a batch that finds the channel full is dropped and counted.
//!
//! A ticket never appears in it: the path is logged without, and of the query only CMCD.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::connection::Record;
use crate::counters::Counters;
use crate::limits::{LOG_BATCH_BYTES, LOG_BATCHES_MAX, LOG_LINE_BYTES_MAX};
use crate::outcome::Ending;

/// A worker's end of the log.
pub struct LogSink {
    /// Absent: nothing is logged.
    batches: Option<SyncSender<Vec<u8>>>,
    batch: Vec<u8>,
    lines: u64,
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
}

impl LogSink {
    /// A sink that forgets.
    #[must_use]
    pub fn none() -> Self {
        Self { batches: None, batch: Vec::new(), lines: 0 }
    }

    /// A sink that hands batches to `batches`.
    #[must_use]
    pub fn new(batches: SyncSender<Vec<u8>>) -> Self {
        Self { batches: Some(batches), batch: Vec::with_capacity(LOG_BATCH_BYTES), lines: 0 }
    }

    /// Adds a line; hands the batch over when it is large enough.
    pub fn add(&mut self, line: &Line<'_>, counters: &Counters) {
        if self.batches.is_none() {
            return;
        }
        self.lines += 1;
        line.write(&mut self.batch);
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

/// Starts the writer for `target`: a file that is appended to, or `-` for standard error. It ends
/// when the last sink is gone, after writing what they left.
///
/// # Errors
/// The file cannot be opened.
pub fn start_writer(target: &str) -> io::Result<(SyncSender<Vec<u8>>, JoinHandle<()>)> {
    let out: Box<dyn Write + Send> = match target {
        "-" => Box::new(io::stderr()),
        path => Box::new(OpenOptions::new().create(true).append(true).open(Path::new(path))?),
    };
    let (batches, receiver) = sync_channel(LOG_BATCHES_MAX);
    let thread = std::thread::Builder::new().name("access-log".to_owned());
    Ok((batches, thread.spawn(move || write_batches(&receiver, out))?))
}

fn write_batches(batches: &Receiver<Vec<u8>>, mut out: Box<dyn Write + Send>) {
    while let Ok(batch) = batches.recv() {
        // A full disk must not stop the appliance; what is lost here is lost.
        drop(out.write_all(&batch).and_then(|()| out.flush()));
    }
}

impl Line<'_> {
    fn write(&self, to: &mut Vec<u8>) {
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
    fn a_writer_that_is_behind_costs_lines_and_not_time() {
        let (batches, _kept) = sync_channel(1);
        let mut sink = LogSink::new(batches);
        let counters = Counters::default();
        for _ in 0..3 {
            sink.batch.extend_from_slice(b"line\n");
            sink.lines += 1;
            sink.flush(&counters);
        }
        assert_eq!(counters.log_dropped.get(), 2);
    }
}
