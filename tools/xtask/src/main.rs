//! Every command of the project behind one door: `cargo xtask demo|test|tidy|bench`.
//! Runs tools and programs; contains nothing that ships on an appliance.

#![forbid(unsafe_code)]

mod bench;
mod demo;
mod setup;
mod steps;
mod suite;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, try, check and measure Nightfill.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Door {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up, build, ingest, fill overnight, and serve: the whole network on this machine.
    Demo(demo::DemoOptions),
    /// Set up and run every check and test, the same as CI.
    Test(test::TestOptions),
    /// Check the house rules only: layers, unsafe, file heads, names, sizes.
    Tidy,
    /// Measure against peers in the same run; writes bench/results/*.json.
    Bench(bench::BenchOptions),
}

fn main() -> ExitCode {
    let outcome = match Door::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("\nxtask: {stop}");
            ExitCode::FAILURE
        }
    }
}
