//! What routers' sessions count, and all of routes in Prometheus text.
//! Labels are closed sets: never an address or a prefix.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use control_routes::Refused;

use super::RouteDesk;

/// Why a router's session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BmpEnd {
    /// The router closed it, or said goodbye.
    Closed,
    /// The router opened another one.
    Replaced,
    /// Its bytes were no BMP.
    Garbage,
    /// A bound of the routes.
    Full,
    /// The connection broke.
    Broken,
    /// Nobody configured this address, or its site is not registered: never begun.
    Unknown,
    /// More sessions than we hold: never begun.
    Crowded,
}

impl BmpEnd {
    const ALL: [Self; 7] = [
        Self::Closed,
        Self::Replaced,
        Self::Garbage,
        Self::Full,
        Self::Broken,
        Self::Unknown,
        Self::Crowded,
    ];

    /// The word in the log and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Replaced => "replaced",
            Self::Garbage => "garbage",
            Self::Full => "full",
            Self::Broken => "broken",
            Self::Unknown => "unknown_router",
            Self::Crowded => "crowded",
        }
    }
}

/// Counters of BMP sessions; the listener writes them.
#[derive(Debug, Default)]
pub struct BmpCounters {
    /// Sessions open now.
    pub sessions: AtomicU64,
    /// Messages taken in.
    pub messages: AtomicU64,
    /// Updates whose announcements were taken as withdrawals (RFC 7606).
    pub mended: AtomicU64,
    /// From a message's arrival to its being visible in decisions: the last one, milliseconds.
    pub lag_ms: AtomicU64,
    /// The longest since the start, milliseconds.
    pub lag_ms_max: AtomicU64,
    ended: [AtomicU64; BmpEnd::ALL.len()],
    /// When the oldest change arrived that decisions do not see yet.
    waiting: Mutex<Option<Instant>>,
}

impl BmpCounters {
    /// Counts the end of a session, or that one was not begun.
    pub fn count_end(&self, end: BmpEnd) {
        self.ended[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a change arrived at that time and waits to be seen.
    pub fn note_change(&self, arrived: Instant) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(arrived);
    }

    /// The oldest change that waits to be seen; call it before publishing.
    pub fn take_change(&self) -> Option<Instant> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes how long changes waited to be seen.
    pub fn note_lag(&self, lag_ms: u64) {
        self.lag_ms.store(lag_ms, Ordering::Relaxed);
        self.lag_ms_max.fetch_max(lag_ms, Ordering::Relaxed);
    }
}

impl RouteDesk {
    /// Prometheus text. Blocks while the table is being changed.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let counts = self.routes().with(|rib| rib.counts());
        let table = self.routes().table();
        let bmp = &self.bmp;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::new();
        let single = [
            ("control_routes_prefixes", "gauge", "Prefixes decisions see.", table.len() as u64),
            ("control_routes_version", "counter", "Changes decisions saw.", table.version()),
            ("control_routes_announced_total", "counter", "Announcements.", counts.announced_total),
            ("control_routes_withdrawn_total", "counter", "Withdrawals.", counts.withdrawn_total),
            ("control_routes_lost_total", "counter", "Peers' sessions lost.", counts.lost_total),
            ("control_routes_expired_total", "counter", "Holds that ended.", counts.expired_total),
            ("control_bmp_sessions", "gauge", "Routers' sessions open.", of(&bmp.sessions)),
            ("control_bmp_messages_total", "counter", "BMP messages.", of(&bmp.messages)),
            (
                "control_bmp_mended_total",
                "counter",
                "Updates taken as withdrawals.",
                of(&bmp.mended),
            ),
            ("control_routes_lag_ms", "gauge", "Arrival to decisions, last.", of(&bmp.lag_ms)),
            ("control_routes_lag_ms_max", "gauge", "The same, longest.", of(&bmp.lag_ms_max)),
        ];
        for (name, kind, help, value) in single {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        let mut many = |name: &str, kind: &str, help: &str, values: &[(&str, &str, u64)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (label, word, value) in values {
                let _ = writeln!(text, "{name}{{{label}=\"{word}\"}} {value}");
            }
        };
        let held = [("verdict", "honoured", counts.routes), ("verdict", "refused", counts.refused)];
        many("control_routes_held", "gauge", "Routes held.", &held);
        let peers = [("state", "up", counts.peers_up), ("state", "held", counts.peers_held)];
        many("control_routes_peers", "gauge", "Peers and files that feed the table.", &peers);
        let refused =
            Refused::ALL.map(|why| ("reason", why.word(), counts.refused_total[why as usize]));
        many("control_routes_refused_total", "counter", "Announcements refused.", &refused);
        let ended = BmpEnd::ALL.map(|end| ("reason", end.word(), of(&bmp.ended[end as usize])));
        many("control_bmp_ended_total", "counter", "BMP sessions ended or not begun.", &ended);
        text
    }
}
