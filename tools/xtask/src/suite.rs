//! The workspace's tests in one run, and once more alone those that failed in it.
//! Forgives nothing silently: what passed only when alone is named in the run's last lines.

use std::io::{BufRead as _, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::steps::{self, Stop};

/// More failures than this are no accident of timing.
const ALONE_MAX: usize = 4;

/// Runs every test of the workspace; `seeds` of the simulator. Those that fail while two hundred
/// programs share the machine run once more, alone, one at a time: what then passes is returned by
/// name, for the caller to show.
///
/// # Errors
/// When tests do not compile, a test program dies, more than [`ALONE_MAX`] fail, or one fails
/// twice.
pub fn run(seeds: &str) -> Result<Vec<String>, Stop> {
    let purpose = "unit, simulation and integration tests";
    eprintln!("==> {purpose}");
    let began = Instant::now();
    let (status, failed) = told(suite(seeds), &mut std::io::stdout())?;
    let seconds = began.elapsed().as_secs_f64();
    if status.success() {
        eprintln!("    done in {seconds:.1} s");
        return Ok(failed);
    }
    eprintln!("    failed after {seconds:.1} s: {}", failed.join(", "));
    if failed.is_empty() || failed.len() > ALONE_MAX {
        return Err(Stop(format!("{purpose}: failed after {seconds:.1} s ({status})")));
    }
    let mut alone = suite(seeds);
    alone.args(["--", "--exact", "--test-threads", "1"]).args(&failed);
    steps::run("what failed, alone", &mut alone)?;
    Ok(failed)
}

fn suite(seeds: &str) -> Command {
    let mut tests = steps::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    tests.env("NIGHTFILL_SIM_SEEDS", seeds);
    tests
}

/// Runs `tests`, passes their output on to `shown` line by line, and returns the names of failed
/// tests.
fn told(mut tests: Command, shown: &mut dyn Write) -> Result<(ExitStatus, Vec<String>), Stop> {
    let mut child = tests.stdout(Stdio::piped()).spawn()?;
    let mut failed = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            shown.write_all(&line)?;
            shown.write_all(b"\n")?;
            failed.extend(failed_name(&String::from_utf8_lossy(&line)));
        }
    }
    Ok((child.wait()?, failed))
}

/// The name in a line such as `test tests::a_thing ... FAILED`.
fn failed_name(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(name.strip_suffix(" - should panic").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_failed_tests_name_one() {
        let name = failed_name("test world::a_night - should panic ... FAILED");
        assert_eq!(name.as_deref(), Some("world::a_night"));
        for line in ["test a ... ok", "test result: FAILED. 1 passed", "a test ... FAILED", ""] {
            assert_eq!(failed_name(line), None, "{line}");
        }
    }

    #[test]
    fn output_is_read_to_its_end_and_the_status_kept() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "printf 'test a ... FAILED\\ntest b ... ok\\ntest c ... FAILED'; exit 3"]);
        let mut shown = Vec::new();
        let (status, failed) = told(command, &mut shown).unwrap();
        assert_eq!(shown, b"test a ... FAILED\ntest b ... ok\ntest c ... FAILED\n");
        assert_eq!((status.code(), failed), (Some(3), vec!["a".to_owned(), "c".to_owned()]));
    }
}
