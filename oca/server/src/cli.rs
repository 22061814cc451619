//! The command line: what can be asked of the program. Decides nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use oca::engine::Preference;
use oca::limits::{CONNECTIONS_MAX, WORKERS_MAX};

/// The segment server of a Nightfill appliance.
#[derive(Debug, Parser)]
#[command(name = "oca", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve the objects of the configured volumes.
    Serve {
        /// The config file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Serve the plain files of a directory: no tickets, no seals, no control.
    Lab(LabArgs),
    /// Start the running program's file anew: the new one takes the sockets over, the old one
    /// finishes what is under way. The same as SIGUSR2, with an answer.
    Upgrade {
        /// The config file of the running program.
        #[arg(long)]
        config: PathBuf,
    },
    /// Make this box the appliance of its config: sends control the registration key that the box's
    /// owner was given, and keeps the certificate that comes back at control.identity. A running
    /// `oca` and fill agent take it up by themselves.
    Register {
        /// The config file.
        #[arg(long)]
        config: PathBuf,
        /// The key, as `ocactl appliance key-for` printed it; `-` reads it from standard input,
        /// where no list of processes shows it.
        #[arg(long, default_value = "-")]
        key: String,
    },
    /// Check a config file and say what this machine can do.
    CheckConfig {
        /// The config file.
        file: PathBuf,
    },
}

/// `oca lab`
#[derive(Debug, Args)]
pub struct LabArgs {
    /// The directory; links in it are not followed.
    pub dir: PathBuf,
    /// Another directory, read as flash; its files are served below `/` as well. May be repeated.
    #[arg(long, value_name = "DIR")]
    pub ssd: Vec<PathBuf>,
    /// Another directory, read as a rotating disk is: by the megabyte. May be repeated.
    #[arg(long, value_name = "DIR")]
    pub hdd: Vec<PathBuf>,
    /// Where to listen; port 0 for any free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where `/metrics` is.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub admin: SocketAddr,
    /// Certificate chain and private key, both PEM.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    pub tls: Option<Vec<PathBuf>>,
    /// Protocols offered under TLS, the best first: `h2,http/1.1` puts HTTP/2 first.
    #[arg(long, value_delimiter = ',', default_value = "http/1.1,h2")]
    #[arg(value_parser = ["h2", "http/1.1"])]
    pub alpn: Vec<String>,
    /// Threads, one ring each.
    #[arg(long, default_value_t = 1, value_parser = up_to(WORKERS_MAX))]
    pub workers: usize,
    /// How bodies go: auto, owned, owned-zc, page-cache, kernel-tls or user-tls.
    #[arg(long, default_value = "auto")]
    pub engine: Preference,
    /// Memory for hot chunks, bytes, all threads together.
    #[arg(long, default_value_t = 256 << 20)]
    pub hot_set_bytes: u64,
    /// Most connections of each thread.
    #[arg(long, default_value_t = 4096, value_parser = up_to(CONNECTIONS_MAX))]
    pub connections: usize,
    /// Say where it listens as one JSON line.
    #[arg(long)]
    pub json: bool,
}

/// 1 to `most`: what is more would be cut down in silence.
fn up_to(most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most as u64)
}
