//! The `control` program: parse, check, serve, drain.
//! Decides nothing; see `control::serve`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use control::{Config, Trouble, serve, start_logs};

/// Nightfill's control plane.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves until SIGTERM or SIGINT. Says one JSON line on stdout once it is ready.
    Serve {
        /// TOML file; see systemd/etc/control.toml.
        #[arg(long)]
        config: PathBuf,
    },
    /// Says every mistake of a config file, or that there is none.
    CheckConfig {
        /// TOML file.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("control: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Trouble> {
    match arguments.verb {
        Verb::CheckConfig { file } => {
            Config::read(&file)?;
            println!("{} is fine", file.display());
            Ok(())
        }
        Verb::Serve { config } => {
            let config = Config::read(&config)?;
            start_logs(&config.log_filter);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(|source| Trouble::Runtime { source })?;
            runtime.block_on(serve(config))
        }
    }
}
