//! One case's figures: gathered pair by pair, told as medians. Judges nothing but whether a goal
//! that the table names was reached.

use serde_json::{Value, json};

use crate::cases::{Case, Unit};
use crate::load::Done;

/// The figures of one case.
pub struct Row {
    case: Case,
    pairs: usize,
    seconds: u64,
    engine: Option<String>,
    /// One list a server, `oca` first; one entry a round.
    rounds: Vec<Vec<Done>>,
    counted: Vec<Done>,
}

/// Prints the names of the columns.
pub fn print_head() {
    println!(
        "{:<40} {:<14} {:>9} {:>9} {:>7} {:>6}  {:>7} {:>7} {:>9}",
        "case", "server", "CPU", "per", "ratio", "goal", "GB/s", "x", "calls/GB"
    );
}

impl Row {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(case: &Case, pairs: usize, seconds: u64, engine: Option<String>) -> Self {
        let servers = case.peers.len() + 1;
        let rounds = vec![Vec::new(); servers];
        Self { case: *case, pairs, seconds, engine, rounds, counted: Vec::new() }
    }

    /// Adds a round, `oca` first.
    pub fn add(&mut self, done: &[Done]) {
        for (list, done) in self.rounds.iter_mut().zip(done) {
            list.push(*done);
        }
    }

    /// Keeps the round in which system calls were counted.
    pub fn counted(&mut self, done: &[Done]) {
        self.counted = done.to_vec();
    }

    fn cost(&self, done: &Done) -> f64 {
        match self.case.unit {
            Unit::Gigabyte => done.cpu / (done.bytes as f64 / 1e9),
            Unit::Requests => done.cpu / (done.requests as f64 / 1e3),
        }
    }

    fn median_of(&self, server: usize, figure: impl Fn(&Done) -> f64) -> f64 {
        median(self.rounds[server].iter().map(figure).collect())
    }

    /// Median over the rounds of `oca`'s figure divided by the peer's of the same round.
    fn ratio(&self, server: usize, figure: impl Fn(&Done) -> f64) -> f64 {
        let rounds = self.rounds[0].iter().zip(&self.rounds[server]);
        median(rounds.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
    }

    fn calls_per_gigabyte(&self, server: usize) -> Option<f64> {
        let done = self.counted.get(server)?;
        Some(done.syscalls? as f64 / (done.bytes as f64 / 1e9))
    }

    /// Prints a line a server.
    pub fn print(&self) {
        let per = match self.case.unit {
            Unit::Gigabyte => "GB",
            Unit::Requests => "1000 req",
        };
        for server in 0..self.rounds.len() {
            let name = server.checked_sub(1).map_or("oca", |peer| self.case.peers[peer].word());
            let (mut ratio, mut goal, mut faster) = (String::new(), String::new(), String::new());
            if let Some(peer) = server.checked_sub(1) {
                ratio = format!("{:.3}", self.ratio(server, |done| self.cost(done)));
                goal = self.case.goals.get(peer).map_or(String::new(), |goal| format!("{goal:.2}"));
                faster = format!("{:.2}", self.ratio(server, speed));
            }
            let calls = self.calls_per_gigabyte(server);
            println!(
                "{:<40} {name:<14} {:>9.4} {per:>9} {ratio:>7} {goal:>6}  {:>7.3} {faster:>7} {:>9}",
                if server == 0 { self.case.name } else { "" },
                self.median_of(server, |done| self.cost(done)),
                self.median_of(server, speed),
                calls.map_or("-".to_owned(), |calls| format!("{calls:.0}")),
            );
        }
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let servers: Vec<Value> = (0..self.rounds.len())
            .map(|server| {
                let name = server.checked_sub(1).map_or("oca", |peer| self.case.peers[peer].word());
                json!({
                    "server": name,
                    "cpu_seconds": round(self.median_of(server, |done| self.cost(done))),
                    "gb_per_s": round(self.median_of(server, speed)),
                    "requests_per_s":
                        round(self.median_of(server, |done| done.requests as f64 / done.seconds)),
                    "syscalls_per_gb": self.calls_per_gigabyte(server).map(round),
                    "resident_bytes": self.rounds[server].last().and_then(|done| done.resident),
                })
            })
            .collect();
        let ratios: Vec<Value> = (1..self.rounds.len())
            .map(|server| {
                let cost = self.ratio(server, |done| self.cost(done));
                let speed = self.ratio(server, speed);
                let goal = self.case.goals.get(server - 1).copied();
                let speed_goal = self.case.speed_goal.filter(|_| server == 1);
                json!({
                    "peer": self.case.peers[server - 1].word(),
                    "cpu": round(cost),
                    "cpu_goal": goal,
                    "cpu_reached": goal.map(|goal| cost <= goal),
                    "speed": round(speed),
                    "speed_goal": speed_goal,
                    "speed_reached": speed_goal.map(|goal| speed >= goal),
                })
            })
            .collect();
        json!({
            "case": self.case.name,
            "per": if self.case.unit == Unit::Gigabyte { "GB" } else { "1000 requests" },
            "engine": self.engine,
            "connections": self.case.connections,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "servers": servers,
            "ratios": ratios,
        })
    }
}

fn speed(done: &Done) -> f64 {
    done.bytes as f64 / 1e9 / done.seconds
}

fn round(figure: f64) -> f64 {
    (figure * 1e5).round() / 1e5
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
