//! `fill-director run --config director.toml`: parse, check, look until told to stop.
//! Holds no logic of its own.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fill_director::{Config, DirectorError, Looked};

/// Plans the night for the whole fleet and keeps the plan up to date.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Look, plan and post until SIGTERM.
    #[command(after_help = "Example:\n  fill-director run --config /etc/nightfill/director.toml")]
    Run {
        /// TOML file; every mistake in it is told at once.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Look once, print what came of it as one JSON line, and end.
        #[arg(long)]
        once: bool,
    },
    /// Say what is wrong with a configuration file, and end.
    CheckConfig {
        /// TOML file.
        file: PathBuf,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    match run(Arguments::parse().verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fill-director: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> Result<(), DirectorError> {
    match verb {
        Verb::CheckConfig { file } => {
            Config::read(&file)?;
            println!("{}: fine", file.display());
            Ok(())
        }
        Verb::Run { config, once } => {
            let config = Config::read(&config)?;
            fill_director::run(&config, once, |looked| say(looked, once)).await
        }
    }
}

fn say(looked: Looked, once: bool) {
    match looked {
        Looked::Posted { serial, pulls, appliances } => {
            tracing::info!(serial, pulls, appliances, "posted a plan");
            if once {
                println!(
                    "{{\"posted\":true,\"serial\":{serial},\"pulls\":{pulls},\
                     \"appliances\":{appliances}}}"
                );
            }
        }
        Looked::Settled { serial } => {
            tracing::debug!(serial, "the plan in force holds");
            if once {
                println!("{{\"posted\":false,\"serial\":{serial}}}");
            }
        }
    }
}
