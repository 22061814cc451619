//! One running program: started, heard to be ready, killed or asked to stop, never left behind.
//! Stops by process id only, and only what it started.

use std::fs::File;
use std::io::{BufRead, BufReader};
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

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and returns at once.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id()).expect("Linux process ids are below 2^22");
        let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
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
