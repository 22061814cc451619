//! One case's figures: gathered pair by pair, told as medians. Judges nothing but whether a goal
//! that the table names was reached.

use serde_json::{Value, json};

use crate::cases::{Case, Unit};
use crate::keep::Stamp;
use crate::load::{COMPARED_ONE_IN, Done};

/// Below this share of its core neither server nor load is the limit of what was measured.
const BUSY: f64 = 0.90;
/// Above this many seconds a second that the two were ready and had no core, others are the limit.
const CROWDED: f64 = 0.25;

/// The figures of one case.
pub struct Row {
    case: Case,
    pairs: usize,
    seconds: f64,
    engine: Option<String>,
    stamp: Stamp,
    /// One list a server, `oca` first; one entry a round.
    rounds: Vec<Vec<Done>>,
    counted: Vec<Done>,
}

/// Prints the names of the columns.
pub fn print_head() {
    println!(
        "Every head is checked and 1 body in {COMPARED_ONE_IN} compared; medians of the pairs. \
         busy, load: CPU seconds a second of the server and of the load.\n"
    );
    println!(
        "{:<40} {:<13} {:>8} {:>8} {:>6} {:>5}  {:>6} {:>5} {:>5}  {:>5} {:>5} {:>9}",
        "case",
        "server",
        "CPU s",
        "per",
        "ratio",
        "goal",
        "GB/s",
        "x",
        "goal",
        "busy",
        "load",
        "calls/GB"
    );
}

/// What a case has to reach, for `--help`.
#[must_use]
pub fn goal_line(name: &str, goal: &str) -> String {
    let goal = if goal.is_empty() { "shows how cost grows" } else { goal };
    format!("  {name:<40} {goal}\n")
}

impl Row {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(case: &Case, pairs: usize, seconds: f64, engine: Option<String>) -> Self {
        let servers = case.peers.len() + 1;
        let rounds = vec![Vec::new(); servers];
        let stamp = Stamp::now();
        Self { case: *case, pairs, seconds, engine, stamp, rounds, counted: Vec::new() }
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

    fn name(&self, server: usize) -> &'static str {
        server.checked_sub(1).map_or("oca", |peer| self.case.peers[peer].word())
    }

    /// What else than the server held the rate down; empty when it was the server.
    fn bound(&self, server: usize) -> &'static str {
        let of = |figure: fn(&Done) -> f64| self.median_of(server, figure);
        if of(|done| done.server_busy) >= BUSY {
            ""
        } else if self.case.pace_bps.is_some() {
            "paced"
        } else if of(|done| done.load_busy) >= BUSY {
            "generator-bound"
        } else if of(|done| done.server_waits + done.load_waits) >= CROWDED {
            "others had the cores"
        } else {
            "neither had much to do: it waits"
        }
    }

    /// Prints a line a server.
    pub fn print(&self) {
        for server in 0..self.rounds.len() {
            self.print_server(server);
        }
        let (before, after) = self.stamp.load();
        println!("{:<40} load average {before:.1} before, {after:.1} after", "");
    }

    fn print_server(&self, server: usize) {
        let per = if self.case.unit == Unit::Gigabyte { "GB" } else { "1000 req" };
        let [mut ratio, mut goal, mut faster, mut speed_goal] = [const { String::new() }; 4];
        if let Some(peer) = server.checked_sub(1) {
            ratio = format!("{:.3}", self.ratio(server, |done| self.cost(done)));
            goal = self.case.goals.get(peer).map_or(String::new(), |goal| format!("{goal:.2}"));
            faster = format!("{:.2}", self.ratio(server, |done| done.bytes_per_s));
            let aim = self.case.speed_goal.filter(|_| server == 1);
            speed_goal = aim.map_or(String::new(), |goal| format!("{goal:.1}"));
        }
        let calls = self.counted.get(server).and_then(|done| done.calls_per_gb);
        println!(
            "{:<40} {:<13} {:>8.4} {per:>8} {ratio:>6} {goal:>5}  {:>6.3} {faster:>5} \
             {speed_goal:>5}  {:>5.2} {:>5.2} {:>9} {}",
            if server == 0 { self.case.name } else { "" },
            self.name(server),
            self.median_of(server, |done| self.cost(done)),
            self.median_of(server, |done| done.bytes_per_s / 1e9),
            self.median_of(server, |done| done.server_busy),
            self.median_of(server, |done| done.load_busy),
            calls.map_or("-".to_owned(), |calls| format!("{calls:.0}")),
            self.bound(server),
        );
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let servers: Vec<Value> =
            (0..self.rounds.len()).map(|server| self.server_json(server)).collect();
        let ratios: Vec<Value> =
            (1..self.rounds.len()).map(|server| self.ratio_json(server)).collect();
        let compared: u64 = self.rounds.iter().flatten().map(|done| done.compared).sum();
        let calls = self.counted.first().and_then(|done| done.calls_per_gb);
        let calls_goal = self.case.calls_goal;
        let mut row = json!({
            "case": self.case.name,
            "goal": self.case.goal_text(),
            "per": if self.case.unit == Unit::Gigabyte { "GB" } else { "1000 requests" },
            "engine": self.engine,
            "connections": self.case.connections,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "compared_one_in": COMPARED_ONE_IN,
            "answers_compared": compared,
            "calls_goal": calls_goal,
            "calls_reached": calls.zip(calls_goal).map(|(calls, goal)| calls <= goal),
            "servers": servers,
            "ratios": ratios,
        });
        self.stamp.onto(&mut row);
        row
    }

    fn server_json(&self, server: usize) -> Value {
        let of = |figure: fn(&Done) -> f64| round(self.median_of(server, figure));
        let counted = self.counted.get(server);
        let calls = counted.and_then(|done| done.calls_per_gb);
        let from_start = counted.and_then(|done| done.calls_per_gb_from_start);
        json!({
            "server": self.name(server),
            "cpu_seconds": round(self.median_of(server, |done| self.cost(done))),
            "gb_per_s": of(|done| done.bytes_per_s / 1e9),
            "requests_per_s": of(|done| done.requests_per_s),
            "server_busy": of(|done| done.server_busy),
            "server_waits": of(|done| done.server_waits),
            "load_busy": of(|done| done.load_busy),
            "load_waits": of(|done| done.load_waits),
            "bound": self.bound(server),
            "syscalls_per_gb": calls.map(round),
            "syscalls_per_gb_from_start": from_start.map(round),
            "resident_bytes": self.rounds[server].last().and_then(|done| done.resident),
        })
    }

    fn ratio_json(&self, server: usize) -> Value {
        let cost = self.ratio(server, |done| self.cost(done));
        let speed = self.ratio(server, |done| done.bytes_per_s);
        let goal = self.case.goals.get(server - 1).copied();
        let speed_goal = self.case.speed_goal.filter(|_| server == 1);
        json!({
            "peer": self.name(server),
            "cpu": round(cost),
            "cpu_goal": goal,
            "cpu_reached": goal.map(|goal| cost <= goal),
            "speed": round(speed),
            "speed_goal": speed_goal,
            "speed_reached": speed_goal.map(|goal| speed >= goal),
        })
    }
}

fn round(figure: f64) -> f64 {
    (figure * 1e5).round() / 1e5
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
