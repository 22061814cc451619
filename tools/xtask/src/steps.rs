//! Runs one outside command at a time, with a line that says what it is for and how long it took.
//! Never hides a failure: the first command that fails ends the run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Why xtask stopped. The text names the step and, where there is one, the cure.
#[derive(Debug)]
pub struct Stop(pub String);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The folder that holds the workspace's Cargo.toml.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// A command that starts in the workspace's root.
#[must_use]
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs us.
#[must_use]
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&program, arguments)
}

/// Runs `command` to its end, its output going where ours goes.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the text names `purpose`.
pub fn run(purpose: &str, command: &mut Command) -> Result<(), Stop> {
    eprintln!("==> {purpose}");
    let began = Instant::now();
    let status = command.status().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Stop(format!("{purpose}: cannot start `{program}`: {error}"))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(Stop(format!("{purpose}: failed after {seconds:.1} s ({status})")));
    }
    eprintln!("    done in {seconds:.1} s");
    Ok(())
}
