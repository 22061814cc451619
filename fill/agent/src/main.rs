//! `fill-agent run --config agent.toml`: parse, check, run until told to stop.
//! Holds no logic of its own.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fill_agent::{AgentError, Config, Ended};

/// Pulls tonight's objects onto this appliance, verifies and publishes them.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Work until SIGTERM.
    #[command(
        after_help = "Prints {\"ready\":true} on stdout when the volumes are locked and the \
        last orders are read.\n\nExample:\n  fill-agent run --config /etc/nightfill/agent.toml"
    )]
    Run {
        /// TOML file; every mistake in it is told at once.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// End when there is nothing left to do now: plan done, no open window, or stuck (exit 1).
        #[arg(long)]
        once: bool,
    },
    /// Say what is wrong with a configuration file, and end.
    CheckConfig {
        /// TOML file.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let ended = match Arguments::parse().verb {
        Verb::CheckConfig { file } => check(&file),
        Verb::Run { config, once } => run(&config, once),
    };
    ended.unwrap_or_else(|error| told(&error))
}

fn check(file: &Path) -> Result<ExitCode, AgentError> {
    Config::read(file)?;
    println!("{}: fine", file.display());
    Ok(ExitCode::SUCCESS)
}

fn run(config: &Path, once: bool) -> Result<ExitCode, AgentError> {
    let config = Config::read(config)?;
    tokio_uring::start(async move {
        let code = match fill_agent::run(config, once).await {
            Ok(Ended::Well) => 0,
            Ok(Ended::Stuck) => 1,
            Err(error) => {
                told(&error);
                1
            }
        };
        // Threads that wait for a disk are not waited for: it may never answer, and whatever they
        // were at is safe to be killed.
        std::process::exit(code)
    })
}

fn told(error: &AgentError) -> ExitCode {
    eprintln!("fill-agent: {}", error.in_full());
    ExitCode::FAILURE
}
