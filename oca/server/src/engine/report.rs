//! What people are told of engines: found at boot, and done since. Decides nothing.

use std::fmt;

use serde::Serialize;

use super::{Engine, Engines, Preference, Why};
use crate::counters::{Counters, ZeroCopyCounters};

/// What `/debug/datapath` says of one engine.
#[derive(Clone, Debug, Serialize)]
struct EngineLine {
    engine: Engine,
    sockets: u64,
    bytes: u64,
}

/// What it says of the sockets that have one engine for one reason.
#[derive(Clone, Debug, Serialize)]
struct ReasonLine {
    engine: Engine,
    reason: Why,
    sockets: u64,
}

/// What it says of lent memory.
#[derive(Clone, Debug, Serialize)]
struct ZeroCopyLine {
    /// As found at boot.
    kernel: String,
    sends: u64,
    bytes: u64,
    used: u64,
    copied: u64,
    unsure: u64,
    lent_bytes: u64,
    fallbacks: u64,
}

/// What `/debug/datapath` says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    preference: Preference,
    /// As found at boot; what a worker found later shows as `no_residency` of its connections.
    page_cache: String,
    kernel_tls: String,
    engines: Vec<EngineLine>,
    /// A socket that changed its engine is in more than one line.
    reasons: Vec<ReasonLine>,
    zero_copy: ZeroCopyLine,
}

impl Engines {
    /// What was found at boot, and what the workers of `counters` did with it.
    #[must_use]
    pub fn report<'a>(&self, counters: impl Iterator<Item = &'a Counters>) -> Report {
        let blank = |engine| EngineLine { engine, sockets: 0, bytes: 0 };
        let mut engines = Engine::ALL.map(blank);
        let mut reasons: Vec<ReasonLine> = Vec::new();
        let mut zero_copy = ZeroCopyLine::new(self.zero_copy.to_string());
        for worker in counters {
            zero_copy.add(&worker.zero_copy);
            for (engine, reason, sockets) in worker.choices() {
                let is_it = |line: &&mut ReasonLine| (line.engine, line.reason) == (engine, reason);
                match reasons.iter_mut().find(is_it) {
                    Some(line) => line.sockets += sockets,
                    None => reasons.push(ReasonLine { engine, reason, sockets }),
                }
            }
            for line in &mut engines {
                line.sockets += worker.engine_sockets[line.engine.index()].get();
                line.bytes += worker.engine_bytes[line.engine.index()].get();
            }
        }
        Report {
            preference: self.preference,
            page_cache: self.page_cache_refused.clone().unwrap_or_else(|| "usable".to_owned()),
            kernel_tls: match self.preference {
                Preference::UserTls => format!("not wanted; {}", self.kernel_tls),
                _ => self.kernel_tls.to_string(),
            },
            engines: engines.to_vec(),
            reasons,
            zero_copy,
        }
    }
}

impl ZeroCopyLine {
    fn new(kernel: String) -> Self {
        Self {
            kernel,
            sends: 0,
            bytes: 0,
            used: 0,
            copied: 0,
            unsure: 0,
            lent_bytes: 0,
            fallbacks: 0,
        }
    }

    fn add(&mut self, worker: &ZeroCopyCounters) {
        self.sends += worker.sends.get();
        self.bytes += worker.bytes.get();
        self.used += worker.used.get();
        self.copied += worker.copied.get();
        self.unsure += worker.unsure.get();
        self.lent_bytes += worker.lent_bytes.get();
        self.fallbacks += worker.fallbacks.get();
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.page_cache_refused {
            None => write!(out, "engine {:?}, page cache usable", self.preference)?,
            Some(why) => write!(out, "engine {:?}, no page cache: {why}", self.preference)?,
        }
        write!(out, ", kernel TLS {}, zero-copy sends {}", self.kernel_tls, self.zero_copy)
    }
}
