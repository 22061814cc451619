//! One running program: started, heard to be ready, killed or asked to stop, never left behind.
//! Stops by process id only, and only what it started.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::trouble::Trouble;

/// Longest a program may take to say it is ready. Debug builds on two busy cores are slow.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 25;

/// A program that runs until it is killed, asked to stop, or dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    ready: serde_json::Value,
}

impl Program {
    /// Starts `command`, its errors going to `log`, and waits for its one JSON line on stdout.
    ///
    /// # Errors
    /// When it cannot be started, ends early, or says nothing in time; the text has the log's tail.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, Trouble> {
        let errors = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        // `oca upgrade` makes it start its own successor, which is then no child of ours.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| Trouble(format!("cannot start {name}: {error}")))?;
        let stdout = child.stdout.take();
        let mut program = Self {
            name: name.to_owned(),
            child,
            log: log.to_path_buf(),
            ready: serde_json::Value::Null,
        };
        let (say, hear) = mpsc::channel();
        std::thread::spawn(move || {
            // Keeps reading after the first line, so that the program never blocks on a full pipe.
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()) {
                let Ok(line) = line else { return };
                let _ = say.send(line);
            }
        });
        let line =
            hear.recv_timeout(READY_WITHIN).map_err(|_| program.did_not("say it is ready"))?;
        program.ready = serde_json::from_str(&line)
            .map_err(|error| program.did_not(&format!("say so in JSON ({error}): {line}")))?;
        Ok(program)
    }

    fn did_not(&self, what: &str) -> Trouble {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n    ");
        Trouble(format!("{} did not {what}; its log ends:\n    {tail}", self.name))
    }

    /// What it said when it was ready.
    #[must_use]
    pub fn ready(&self) -> &serde_json::Value {
        &self.ready
    }

    /// A text field of what it said when it was ready.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn ready_text(&self, field: &str) -> Result<String, Trouble> {
        let value = self.ready.get(field).and_then(serde_json::Value::as_str);
        value.map(str::to_owned).ok_or_else(|| self.did_not(&format!("name its {field}")))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL to it and to what it started, and waits until it is gone.
    pub fn kill(&mut self) {
        // The group has the number of its first process. Nobody else gets that number while one of
        // the group lives, or before the `wait`; after it, only when all others were handed out.
        let _ = signal::killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    fn group(&self) -> Pid {
        let pid = i32::try_from(self.child.id()).expect("Linux process ids are below 2^22");
        Pid::from_raw(pid)
    }

    /// Sends SIGTERM and returns at once.
    pub fn ask_to_stop(&self) {
        let _ = signal::kill(self.group(), Signal::SIGTERM);
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it has not ended within `bound`.
    pub fn ended_within(&mut self, bound: Duration) -> Result<ExitStatus, Trouble> {
        let until = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                return Err(self.did_not(&format!("end within {} s", bound.as_secs_f32())));
            }
            std::thread::sleep(POLL_EVERY);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end and returns its stdout.
///
/// # Errors
/// When it does not exit with 0; the text has its stderr.
pub fn output(name: &str, command: &mut Command) -> Result<String, Trouble> {
    let answer = command.stdin(Stdio::null()).output();
    let answer = answer.map_err(|error| Trouble(format!("cannot start {name}: {error}")))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(Trouble(format!("{name} ended with {}: {}", answer.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Asks `what` again and again until it gives an answer.
///
/// # Errors
/// When `bound` has passed; the text names `purpose` and the last refusal.
pub async fn eventually<T, F, W>(purpose: &str, bound: Duration, mut what: W) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
    W: FnMut() -> F,
{
    let until = Instant::now() + bound;
    loop {
        match what().await {
            Ok(answer) => return Ok(answer),
            Err(refusal) if Instant::now() >= until => {
                let seconds = bound.as_secs();
                return Err(Trouble(format!("{purpose}: not within {seconds} s, last: {refusal}")));
            }
            Err(_) => tokio::time::sleep(POLL_EVERY * 5).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pid: u64) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie waits for nobody but its parent.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    #[test]
    fn what_a_program_started_goes_with_it_even_after_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo \"{\\\"successor\\\":$!}\""]);
        let mut program =
            Program::start("parent", &mut command, &folder.path().join("log")).unwrap();
        let successor = program.ready()["successor"].as_u64().unwrap();
        program.ended_within(READY_WITHIN).unwrap();
        assert!(runs(successor), "it outlives its parent");
        drop(program);
        let until = Instant::now() + READY_WITHIN;
        while runs(successor) {
            assert!(Instant::now() < until, "{successor} was left behind");
            std::thread::sleep(POLL_EVERY);
        }
    }
}
