//! What the admin thread may ask of a worker, and what a worker answers.
//! Never on the path of a segment: a worker looks here only when it was woken for it.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use control_types::ObjectId;
use serde::Serialize;

/// An order to a worker.
pub enum Command {
    /// Stop accepting, finish what is under way within this many milliseconds, end.
    Drain {
        /// After this, connections are cut.
        within_ms: u64,
    },
    /// Another program accepts from the same sockets: stop accepting, answer each connection's next
    /// request with `Connection: close`, end within this many milliseconds.
    Yield {
        /// After this, connections are cut.
        within_ms: u64,
    },
    /// These copies were removed or put aside: close their files, or their room is never free.
    Forget(Arc<[(u16, ObjectId)]>),
    /// Say what was served.
    Heat(SyncSender<Vec<(ObjectId, f64)>>),
    /// Say who is connected: at most so many lines.
    List {
        /// The first so many of the table.
        lines_max: usize,
        /// Where to.
        to: SyncSender<Vec<ConnectionLine>>,
    },
}

/// One connection, for `/debug/connections`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionLine {
    /// Who.
    pub peer: String,
    /// One word: `keys`, `reading`, `fetching`, `sending`, `multiplexed`, `parting`, `closing`.
    pub state: &'static str,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
    /// Requests answered on it.
    pub requests: u64,
    /// Bytes sent on it.
    pub sent_bytes: u64,
    /// On average since it was accepted, bits a second.
    pub rate_bps: u64,
    /// What it is held to, bits a second on the wire; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace_bps: Option<u64>,
    /// Beginning of its ticket's subject (a play); absent between two requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub play: Option<String>,
    /// `clear`, `TLSv1_2`, `TLSv1_3`.
    pub keys: &'static str,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// Streams under way; absent but in HTTP/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<usize>,
    /// The first `LISTED_STREAMS_MAX` of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stream_lines: Vec<StreamLine>,
    /// Which way bodies go.
    pub engine: &'static str,
    /// Why that way.
    pub why: crate::engine::Why,
}

/// One stream of HTTP/2.
#[derive(Clone, Debug, Serialize)]
pub struct StreamLine {
    /// Its number.
    pub stream: u32,
    /// One word: `fetching`, `sending`, `paused`, `waits_for_disk`, `waits_for_window`.
    pub state: &'static str,
    /// Media of its answer that went out, bytes.
    pub sent_bytes: u64,
    /// What it is held to, bits a second; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace_bps: Option<u64>,
}
