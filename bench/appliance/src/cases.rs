//! What is measured, against whom, and which ratio is the goal. A table; it runs nothing.

/// How a ratio is taken from one pair of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// CPU seconds of the server process per GB (10^9 bytes) of body.
    Gigabyte,
    /// CPU seconds of the server process per 1,000 requests.
    Requests,
}

/// Who is measured beside `oca`, in the same minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// nginx: sendfile, an open-file cache, 16 KiB TLS records.
    Nginx,
    /// `bench-appliance sendfile-loop`: one epoll loop around `sendfile`, without HTTP's rules.
    SendfileLoop,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Plain HTTP.
    Plain,
    /// TLS 1.3 with `TLS_AES_128_GCM_SHA256` and no other.
    Aes128,
    /// TLS 1.3 with `TLS_AES_256_GCM_SHA384` and no other.
    Aes256,
}

/// One shape of load.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As it is printed; `--case` looks for a part of it.
    pub name: &'static str,
    /// Bytes of each object.
    pub object_bytes: u64,
    /// How many there are.
    pub objects: usize,
    /// How many connections ask at once, each for the next object when it has the last.
    pub connections: usize,
    /// Plain or TLS.
    pub cover: Cover,
    /// Ask for random ranges of this many bytes rather than for whole objects.
    pub range_bytes: Option<u64>,
    /// Bits per second that each connection is paced at by the server.
    pub pace_bps: Option<u64>,
    /// Who is measured beside it.
    pub peers: &'static [Peer],
    /// What a ratio compares.
    pub unit: Unit,
    /// Highest ratio of `oca` to each peer that meets the goal, in the order of `peers`.
    pub goals: &'static [f64],
    /// Lowest ratio of GB/s of `oca` to the first peer's that meets the goal.
    pub speed_goal: Option<f64>,
    /// Most system calls of `oca` for a GB that meet the goal.
    pub calls_goal: Option<f64>,
    /// What is timed of each run, as a share of what was asked for: one costs less to show.
    pub share: f64,
}

const LARGE: Case = Case {
    name: "",
    object_bytes: 4 << 20,
    objects: 512,
    connections: 128,
    cover: Cover::Plain,
    range_bytes: None,
    pace_bps: None,
    peers: &[Peer::Nginx],
    unit: Unit::Gigabyte,
    goals: &[0.40],
    speed_goal: None,
    calls_goal: None,
    share: 1.0,
};
const SMALL: Case = Case {
    object_bytes: 16 << 10,
    objects: 1024,
    connections: 64,
    unit: Unit::Requests,
    // One and a half times the requests of a CPU second.
    goals: &[0.667],
    ..LARGE
};
// Eight thousand answers under way have to fit what the kernel gives all sockets together.
const GROWTH: Case =
    Case { object_bytes: 256 << 10, objects: 1024, goals: &[], share: 0.5, ..LARGE };
const PACED: Case = Case {
    // A segment of four seconds.
    object_bytes: 500_000,
    objects: 1024,
    connections: 1000,
    pace_bps: Some(1_000_000),
    goals: &[0.50],
    calls_goal: Some(500.0),
    share: 1.5,
    ..LARGE
};
const RANGES: Case = Case {
    object_bytes: 1 << 30,
    objects: 2,
    range_bytes: Some(64 << 10),
    unit: Unit::Requests,
    // A fifth more requests of a CPU second.
    goals: &[0.833],
    ..LARGE
};
const TLS: Cover = Cover::Aes256;

/// Every case, in the order of the table.
pub const CASES: &[Case] = &[
    Case { name: "TLS 1.3 AES-128, 4 MiB", cover: Cover::Aes128, speed_goal: Some(2.5), ..LARGE },
    Case { name: "TLS 1.3 AES-256, 4 MiB", cover: Cover::Aes256, speed_goal: Some(2.5), ..LARGE },
    Case {
        name: "plain, 4 MiB",
        peers: &[Peer::Nginx, Peer::SendfileLoop],
        goals: &[0.70, 1.05],
        ..LARGE
    },
    Case { name: "plain, 16 KiB", ..SMALL },
    Case { name: "TLS 1.3 AES-256, 16 KiB", cover: TLS, ..SMALL },
    Case { name: "plain, 64 KiB ranges of 1 GiB", ..RANGES },
    Case { name: "TLS 1.3 AES-256, 64 KiB ranges of 1 GiB", cover: TLS, ..RANGES },
    Case { name: "plain, 1000 paced at 1 Mb/s", ..PACED },
    Case { name: "TLS 1.3 AES-256, 1000 paced at 1 Mb/s", cover: TLS, ..PACED },
    Case { name: "growth, plain, 16 connections", connections: 16, ..GROWTH },
    Case { name: "growth, plain, 128 connections", connections: 128, ..GROWTH },
    Case { name: "growth, plain, 1024 connections", connections: 1024, ..GROWTH },
    Case { name: "growth, plain, 8192 connections", connections: 8192, ..GROWTH },
    Case { name: "growth, TLS, 16 connections", connections: 16, cover: TLS, ..GROWTH },
    Case { name: "growth, TLS, 128 connections", connections: 128, cover: TLS, ..GROWTH },
    Case { name: "growth, TLS, 1024 connections", connections: 1024, cover: TLS, ..GROWTH },
    Case { name: "growth, TLS, 8192 connections", connections: 8192, cover: TLS, ..GROWTH },
];

impl Case {
    /// All objects together.
    #[must_use]
    pub fn set_bytes(&self) -> u64 {
        self.object_bytes * self.objects as u64
    }

    /// What it has to reach, in words; empty where it only shows how cost grows.
    #[must_use]
    pub fn goal_text(&self) -> String {
        let per = if self.unit == Unit::Gigabyte { "GB" } else { "request" };
        let costs = self.peers.iter().zip(self.goals);
        let mut parts: Vec<String> = costs
            .map(|(peer, goal)| format!("CPU per {per} <= {goal:.2} {}", peer.word()))
            .collect();
        parts.extend(self.speed_goal.map(|goal| format!("GB/s >= {goal:.1} nginx")));
        parts.extend(self.calls_goal.map(|goal| format!("<= {goal:.0} calls per GB")));
        parts.join(", ")
    }
}

impl Peer {
    /// As it is printed and written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::SendfileLoop => "sendfile-loop",
        }
    }
}
