//! `ocactl`: what operators and ISPs do with the network, one verb a subject.
//! Talks to control, or reads local volumes; keeps no state of its own.

#![forbid(unsafe_code)]

mod connect;
mod failure;
mod quantities;
mod shown;
mod verbs;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use connect::Connection;
use failure::{Failure, tell};
use shown::Shown;

/// Runs the network: titles, sites, appliances, fill windows, plans, steering, tickets, stores.
#[derive(Parser)]
#[command(name = "ocactl", version, after_help = EXAMPLES)]
struct Line {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON instead of tables.
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  ocactl appliance ls
  ocactl window open tonight --site lisbon --for 5h --rate 500Mbit --max-bytes 2TB
  ocactl window add nightly --site lisbon --start 02:00 --length 5h --days daily \
    --tz Europe/Lisbon
  ocactl fill wait --timeout 6h
  ocactl routes doctor tejo
  ocactl steer explain --ip 192.0.2.7 --title harbour
  ocactl store check /srv/nightfill/hdd0 --deep

The control plane is found by --control and --key-file, or by NIGHTFILL_CONTROL and
NIGHTFILL_KEY_FILE.
Exit code: 0 done, 1 refused or failed, 2 the line itself is wrong.";

#[derive(Subcommand)]
enum Verb {
    /// What members see: list, show, register, remove.
    #[command(subcommand)]
    Title(verbs::title::Title),
    /// Where appliances stand: list, register.
    #[command(subcommand)]
    Site(verbs::site::Site),
    /// The boxes: list, register, drain, bring back.
    #[command(subcommand)]
    Appliance(verbs::appliance::Appliance),
    /// Keys with which an ISP acts for its own sites.
    #[command(subcommand)]
    Isp(verbs::isp::Isp),
    /// What all boxes share: the authority that signs their certificates.
    #[command(subcommand)]
    Fleet(verbs::fleet::Fleet),
    /// When fill may run, how fast and how much.
    #[command(subcommand)]
    Window(verbs::window::WindowVerb),
    /// What the director decided for the night, and why.
    #[command(subcommand)]
    Plan(verbs::plan::Plan),
    /// How far the night is.
    #[command(subcommand)]
    Fill(verbs::fill::Fill),
    /// What ISPs announce, what they may, and what is wrong with it.
    #[command(subcommand)]
    Routes(verbs::routes::Routes),
    /// Who would serve a member, and why.
    #[command(subcommand)]
    Steer(verbs::steer::Steer),
    /// Play and fill tickets: make one, look into one.
    #[command(subcommand)]
    Ticket(verbs::ticket::Ticket),
    /// Objects in local volumes; needs no control plane.
    #[command(subcommand)]
    Store(verbs::store::Store),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let line = Line::parse();
    match run(&line).await {
        Ok(shown) => {
            let text = if line.json { shown.json_text() } else { shown.text };
            match writeln!(std::io::stdout(), "{}", text.trim_end()) {
                // A closed pipe (`ocactl … | head`) is not an error.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    let what = "it is done, but the answer cannot be written";
                    tell(format_args!("ocactl: {what}: {error}"));
                    ExitCode::FAILURE
                }
                _ => ExitCode::from(shown.exit),
            }
        }
        Err(failure) => {
            tell(format_args!("ocactl: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(line: &Line) -> Result<Shown, Failure> {
    let at = &line.connection;
    match &line.verb {
        Verb::Title(verb) => verbs::title::run(verb, &at.operator()?).await,
        Verb::Site(verb) => verbs::site::run(verb, &at.operator()?).await,
        Verb::Appliance(verb) => verbs::appliance::run(verb, &at.operator()?).await,
        Verb::Isp(verb) => verbs::isp::run(verb, &at.operator()?).await,
        Verb::Fleet(verb) => verbs::fleet::run(verb, &at.operator()?).await,
        Verb::Window(verb) => verbs::window::run(verb, at).await,
        Verb::Plan(verb) => verbs::plan::run(verb, &at.operator()?).await,
        Verb::Fill(verb) => verbs::fill::run(verb, at).await,
        Verb::Routes(verb) => verbs::routes::run(verb, &at.operator()?).await,
        Verb::Steer(verb) => verbs::steer::run(verb, &at.operator()?).await,
        Verb::Ticket(verb) => verbs::ticket::run(verb, at).await,
        Verb::Store(verb) => verbs::store::run(verb),
        Verb::Completions { shell } => Ok(completions(*shell)),
    }
}

fn completions(shell: Shell) -> Shown {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "ocactl", &mut script);
    Shown::text(String::from_utf8_lossy(&script).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }
}
