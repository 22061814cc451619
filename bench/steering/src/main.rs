//! Measures steering as `cargo xtask bench steering` prints it.
//! Never a test: a figure here fails nothing; but a decision that differs from the reference is no
//! figure, and ends the bench with an error.

#![forbid(unsafe_code)]

mod balance;
mod boxes;
mod bundles;
mod decisions;
mod machine;
mod network;
mod play;
#[allow(clippy::unwrap_used)] // Shared with the crate's tests, where a panic is the report.
#[path = "../../../control/steering/tests/reference/mod.rs"]
mod reference;
mod reports;
mod routes;

use std::path::{Path, PathBuf};
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
    #[arg(
        long,
        alias = "case",
        value_delimiter = ',',
        default_value = "equal,decisions,bundles,routes,reports,balance"
    )]
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
    /// Boxes that report in the part `mtls`, at the rate of all `appliances`.
    #[arg(long, default_value = "2000")]
    connections: usize,
    /// ISPs that share the network in the part `bundles`; elsewhere one has all of it.
    #[arg(long, default_value = "1000")]
    isps: usize,
    /// Length of a run of the parts `play` and `mtls`, seconds.
    #[arg(long, default_value = "20")]
    seconds: f64,
    /// Presses a second in the part `play`; 70 % of what is found without it.
    #[arg(long)]
    rate: Option<f64>,
    /// Where the part `play`, which is not of the default parts, writes its result.
    #[arg(long, default_value = "bench/results/play.json")]
    play_out: PathBuf,
    /// What the part `play` starts this program with: control over ports that can be slowed.
    #[arg(long, hide = true, requires = "config")]
    serve: bool,
    /// See `serve`.
    #[arg(long, hide = true)]
    config: Option<PathBuf>,
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
    if let (true, Some(config)) = (line.serve, &line.config) {
        return play::serve_slowed(config);
    }
    if line.parts.iter().any(|part| part == "play") {
        run_play(line)?;
    }
    let others: Vec<&String> = line.parts.iter().filter(|part| *part != "play").collect();
    if others.is_empty() { Ok(()) } else { run_parts(line, &others) }
}

fn run_play(line: &Line) -> Result<(), String> {
    let bin_dir = line.bin_dir.as_deref().ok_or("the part play needs --bin-dir")?;
    let options =
        play::Options { bin_dir, seed: line.seed, seconds: line.seconds, rate: line.rate };
    let mut result = play::play(&options)?;
    result["machine"] = machine::facts();
    result["seed"] = json!(line.seed);
    write(&line.play_out, result)
}

fn run_parts(line: &Line, parts: &[&String]) -> Result<(), String> {
    let before = std::fs::read_to_string(&line.out).unwrap_or_default();
    let mut result: Map<String, Value> = serde_json::from_str(&before).unwrap_or_default();
    for part in parts {
        let value = match part.as_str() {
            "equal" => decisions::equal(line.seed, line.questions)?,
            "decisions" => decisions::speed(&network::Size::of(line), line.seed),
            "bundles" => bundles::bundles(
                &network::Size { isps: line.isps, ..network::Size::of(line) },
                line.seed,
            )?,
            "routes" => routes::routes(line.prefixes, line.seed)?,
            "reports" => reports::ingest(line.appliances, line.seed)?,
            "mtls" => boxes::mtls(&boxes::Options {
                bin_dir: line.bin_dir.as_deref().ok_or("the part mtls needs --bin-dir")?,
                appliances: line.appliances,
                connections: line.connections,
                seconds: line.seconds,
            })?,
            "balance" => balance::balance(line.seed)?,
            other => return Err(format!("there is no part {other:?}")),
        };
        println!("{part}: {value:#}");
        result.insert((*part).clone(), value);
    }
    result.insert("machine".to_owned(), machine::facts());
    result.insert("seed".to_owned(), json!(line.seed));
    write(&line.out, Value::Object(result))
}

fn write(out: &Path, result: Value) -> Result<(), String> {
    std::fs::write(out, format!("{result:#}\n"))
        .map_err(|error| format!("{}: {error}", out.display()))
}
