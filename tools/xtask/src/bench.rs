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
}

/// Runs one bench.
///
/// # Errors
/// When it cannot be built or run.
pub fn run(options: &BenchOptions) -> Result<(), Stop> {
    let Bench::Appliance = options.what;
    let mut build = steps::cargo(&["build", "--release", "--bins", "-p", "oca"]);
    steps::run("build release binaries", build.args(["-p", "bench-appliance"]))?;
    let bins = target_dir().join("release");
    let mut bench = steps::command(&bins.join("bench-appliance").to_string_lossy(), &[]);
    bench.arg("--bin-dir").arg(&bins).args(&options.rest);
    steps::run("measure", &mut bench)
}
