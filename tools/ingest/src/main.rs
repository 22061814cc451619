//! The `ingest` program: parse, do, print. Holds no logic of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use ingest::cli::{Cli, perform};

fn main() -> ExitCode {
    match perform(Cli::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ingest: {error}");
            ExitCode::FAILURE
        }
    }
}
