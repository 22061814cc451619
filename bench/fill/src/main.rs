//! Measures fill as `cargo xtask bench fill` prints it: simulated nights and the planner at scale.
//! Never a test: a figure here fails nothing.

#![forbid(unsafe_code)]

mod agent;
mod machine;
mod nights;
mod row;
mod scale;

use std::path::PathBuf;

use clap::Parser;
use row::Row;
use serde_json::json;

/// Planning and simulation rows, each beside what it should reach.
#[derive(Parser)]
struct Line {
    /// Where the release binaries are; for the parts that run them.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Seeds of the traces, one run each; the worst figure of a row is the one printed.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Parts to run.
    #[arg(long, value_delimiter = ',', default_value = "nights,scale,agent")]
    parts: Vec<String>,
    /// Objects and appliances of the scale part.
    #[arg(long, default_value = "1000000")]
    objects: usize,
    /// See `objects`.
    #[arg(long, default_value = "1000")]
    appliances: usize,
    /// Where the result is written.
    #[arg(long, default_value = "bench/results/fill.json")]
    out: PathBuf,
}

fn main() -> std::process::ExitCode {
    let line = Line::parse();
    let has = |part: &str| line.parts.iter().any(|one| one == part);
    let mut rows: Vec<Row> = Vec::new();
    let mut runs = Vec::new();
    if has("nights") {
        rows.extend(nights::measure(&line.seeds, &mut runs));
    }
    if has("scale") {
        rows.extend(scale::measure(line.objects, line.appliances));
    }
    if let (true, Some(bin_dir)) = (has("agent"), &line.bin_dir) {
        match agent::measure(bin_dir, line.seeds.len(), &mut runs) {
            Ok(measured) => rows.extend(measured),
            Err(error) => eprintln!("bench-fill: the agent was not measured: {error}"),
        }
    }
    println!("{}", row::table(&rows));
    let result = json!({
        "machine": machine::facts(),
        "seeds": line.seeds,
        "rows": rows.iter().map(Row::value).collect::<Vec<_>>(),
        "runs": runs,
    });
    let text = format!("{result:#}\n");
    if let Err(error) = std::fs::write(&line.out, text) {
        eprintln!("bench-fill: {}: {error}", line.out.display());
        return std::process::ExitCode::FAILURE;
    }
    std::process::ExitCode::SUCCESS
}
