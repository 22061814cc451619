//! `cargo xtask bench NAME`: builds release binaries and runs one program of `bench/`.
//! Speed is never judged in a test; these print ratios against a peer measured in the same run.

use clap::{Args, ValueEnum};

use crate::demo::target_dir;
use crate::steps::{self, Stop};

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub struct BenchOptions {
    /// What to measure.
    what: Bench,
    /// Passed on to the bench program.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// `oca` against nginx on loopback: CPU seconds per GB.
    Appliance,
    /// Plans, simulated nights and the fill agent against curl.
    Fill,
    /// Decisions, routes and tickets of steering.
    Steering,
}

/// Runs one bench.
///
/// # Errors
/// When it cannot be built or run.
pub fn run(options: &BenchOptions) -> Result<(), Stop> {
    let (program, others): (&str, &[&str]) = match options.what {
        Bench::Appliance => ("bench-appliance", &["oca"]),
        Bench::Fill => ("bench-fill", &["oca", "fill-agent", "control"]),
        Bench::Steering => ("bench-steering", &["oca", "control"]),
    };
    let mut build = steps::cargo(&["build", "--release", "--bins", "-p", program]);
    others.iter().for_each(|other| {
        build.args(["-p", other]);
    });
    steps::run("build release binaries", &mut build)?;
    let bins = target_dir().join("release");
    let mut bench = steps::command(&bins.join(program).to_string_lossy(), &[]);
    bench.arg("--bin-dir").arg(&bins).args(&options.rest);
    if matches!(options.what, Bench::Steering) {
        // As control's unit has it: its tables are read here and there, on large pages.
        bench.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    }
    steps::run("measure", &mut bench)
}
