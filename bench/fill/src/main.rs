//! Measures fill as `cargo xtask bench fill` prints it: simulated nights, the planner at scale, the
//! agent. Never a test: a figure here fails nothing.
//!
//! ```text
//! cargo xtask bench fill                                   all cases, about a quarter of an hour
//! cargo xtask bench fill -- --case site10,plan --seeds 7   some of them
//! ```
//!
//! The result file keeps each case's last run, so that cases may be run one by one.

#![forbid(unsafe_code)]

mod agent;
mod machine;
mod named;
mod nights;
mod result;
mod row;
mod scale;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use nights::Nights;
use row::Row;
use serde_json::{Value, json};

/// Planning, simulation and agent rows, each beside its goal and what could be reached at all.
#[derive(Parser)]
struct Line {
    /// Where the release binaries are; for the cases that run them.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Cases to run; all without it.
    #[arg(long, value_delimiter = ',')]
    case: Vec<Case>,
    /// Seeds of the traces, one run each; of a row the figure furthest from its goal is printed.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Policies replayed at a time; as many as there are cores without it.
    #[arg(long)]
    threads: Option<usize>,
    /// Objects and appliances of the plan case.
    #[arg(long, default_value = "1000000")]
    objects: usize,
    /// See `objects`.
    #[arg(long, default_value = "1000")]
    appliances: usize,
    /// Where the result is written.
    #[arg(long, default_value = "bench/results/fill.json")]
    out: PathBuf,
}

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// A site of 40 Gb/s with a tenth of the catalog, under every policy.
    Site40,
    /// The same at 10 Gb/s.
    Site10,
    /// Four boxes at 40 Gb/s, some dying at night.
    Boxes4,
    /// A small ISP of 0.5 Gb/s.
    Small,
    /// Other skews, and twice the churn.
    Sensitivity,
    /// The planner with a million objects and a thousand boxes.
    Plan,
    /// The planner as the director asks it, a fleet by names; a tenth of `objects`.
    Director,
    /// The agent against `curl` and `b3sum`, and its rate cap.
    Agent,
}

impl Case {
    fn word(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Measures; whole reports go to `runs`.
    fn measure(self, line: &Line, runs: &mut Vec<Value>) -> Result<Vec<Row>, String> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = line.threads.unwrap_or_else(cores);
        let mut nights = Nights { seeds: &line.seeds, threads, runs };
        Ok(match self {
            Self::Site40 => nights.compare("40 Gb/s", 40e9),
            Self::Site10 => nights.compare("10 Gb/s", 10e9),
            Self::Boxes4 => nights.four_boxes(),
            Self::Small => nights.small(),
            Self::Sensitivity => nights.sensitivity(),
            Self::Plan => scale::measure(line.objects, line.appliances),
            Self::Director => named::measure(line.objects / 10, line.appliances),
            Self::Agent => {
                let bin_dir = line.bin_dir.as_ref().ok_or("name the binaries with --bin-dir")?;
                let rounds = line.seeds.len();
                agent::measure(bin_dir, rounds, runs).map_err(|error| error.to_string())?
            }
        })
    }
}

fn main() -> std::process::ExitCode {
    let line = Line::parse();
    let cases = if line.case.is_empty() { Case::value_variants() } else { line.case.as_slice() };
    let (mut rows, mut is_whole) = (Vec::new(), true);
    for case in cases {
        let (begun, cpu, load) = (Instant::now(), machine::cpu_seconds(), machine::load());
        let mut runs = Vec::new();
        match case.measure(&line, &mut runs) {
            Ok(measured) => {
                let result = json!({
                    "seeds": line.seeds,
                    "load_before": load,
                    "load_after": machine::load(),
                    "seconds": begun.elapsed().as_secs(),
                    "cpu_seconds": machine::cpu_seconds() - cpu,
                    "machine": machine::facts(),
                    "rows": measured.iter().map(Row::value).collect::<Vec<_>>(),
                    "runs": runs,
                });
                if let Err(error) = result::keep(&line.out, &case.word(), result) {
                    eprintln!("bench-fill: {}: {error}", line.out.display());
                    is_whole = false;
                }
                rows.extend(measured);
            }
            Err(error) => {
                eprintln!("bench-fill: {} was not measured: {error}", case.word());
                is_whole = false;
            }
        }
    }
    println!("{}", row::table(&rows));
    if is_whole { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
