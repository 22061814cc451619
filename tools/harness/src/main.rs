//! `nightfill-demo`: the whole network on this machine, from two videos to a member watching one.
//! Started by `cargo xtask demo`, which builds what this runs; it builds nothing itself.

#![forbid(unsafe_code)]

mod demo;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match demo::run(&demo::Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("\nnightfill-demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}
