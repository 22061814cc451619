//! Measures steering as `cargo xtask bench steering` prints it.
//! Never a test: a figure here fails nothing; but a decision that differs from the reference is no
//! figure, and ends the bench with an error.

#![forbid(unsafe_code)]

mod balance;
mod decisions;
mod machine;
mod network;
#[allow(clippy::unwrap_used)] // Shared with the crate's tests, where a panic is the report.
#[path = "../../../control/steering/tests/reference/mod.rs"]
mod reference;
mod reports;
mod routes;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value, json};

/// What to measure.
#[derive(Parser)]
struct Line {
    /// Where the release binaries are; for the parts that run them.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Parts to run.
    #[arg(long, value_delimiter = ',', default_value = "equal,decisions,routes,reports,balance")]
    parts: Vec<String>,
    /// Seed of everything random.
    #[arg(long, default_value = "7")]
    seed: u64,
    /// Random questions put to the reference as well.
    #[arg(long, default_value = "1000000")]
    questions: u64,
    /// Size of the network.
    #[arg(long, default_value = "20000")]
    appliances: usize,
    /// See `appliances`.
    #[arg(long, default_value = "1000000")]
    prefixes: u32,
    /// See `appliances`.
    #[arg(long, default_value = "15000")]
    titles: u32,
    /// Where the result is written; parts that did not run keep what is there.
    #[arg(long, default_value = "bench/results/steering.json")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let line = Line::parse();
    match run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-steering: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &Line) -> Result<(), String> {
    let before = std::fs::read_to_string(&line.out).unwrap_or_default();
    let mut result: Map<String, Value> = serde_json::from_str(&before).unwrap_or_default();
    for part in &line.parts {
        let value = match part.as_str() {
            "equal" => decisions::equal(line.seed, line.questions)?,
            "decisions" => decisions::speed(&network::Size::of(line), line.seed),
            "routes" => routes::routes(line.prefixes, line.seed)?,
            "reports" => reports::ingest(line.appliances, line.seed)?,
            "balance" => balance::balance(line.seed)?,
            other => return Err(format!("there is no part {other:?}")),
        };
        println!("{part}: {value:#}");
        result.insert(part.clone(), value);
    }
    result.insert("machine".to_owned(), machine::facts());
    result.insert("seed".to_owned(), json!(line.seed));
    let text = format!("{:#}\n", Value::Object(result));
    std::fs::write(&line.out, text).map_err(|error| format!("{}: {error}", line.out.display()))
}
