//! Runs ffmpeg and ffprobe as children and keeps what they say. Knows nothing of what they are
//! asked. What they write to stderr is bounded; a child that outlives its bound is killed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::error::IngestError;

/// Longest run of one child, milliseconds: 12 h of video at twice real time.
const RUN_MS_MAX: u64 = 24 * 3_600_000;
/// Lines of stderr kept; more are counted.
const LINES_MAX: usize = 20;
/// Characters of one line kept.
const LINE_CHARS_MAX: usize = 300;

/// A program from the ffmpeg package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Ffmpeg,
    Ffprobe,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Ffprobe => "ffprobe",
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it said that all went well.
    pub success: bool,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Lines on stderr in all.
    pub stderr_lines: u64,
    /// The first line of stderr, empty if none.
    pub first_line: String,
    /// The last lines of stderr.
    pub last_lines: VecDeque<String>,
}

impl Ended {
    /// Its last words on one line.
    pub(crate) fn said(&self) -> String {
        let mut lines: Vec<&str> = self.last_lines.iter().rev().take(3).map(|l| l.trim()).collect();
        lines.reverse();
        if lines.is_empty() { "it said nothing".to_owned() } else { lines.join(" / ") }
    }
}

/// Arguments of a child, built piece by piece; `"a b".split_whitespace()` where no path is inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(Vec<OsString>);

impl Arguments {
    /// Adds the words of `text`, split at white space.
    pub(crate) fn words(mut self, text: &str) -> Self {
        self.0.extend(text.split_whitespace().map(OsString::from));
        self
    }

    /// Adds one argument as it is.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.0.push(arg.into());
        self
    }
}

/// Runs `tool` to its end.
///
/// # Errors
/// [`IngestError::MissingTool`], or [`IngestError::Tool`] when it cannot be run at all or is killed
/// for running over its bound. A child that ends with an error is an answer, not an error.
pub(crate) fn run(
    tool: Tool,
    arguments: Arguments,
    doing: &'static str,
) -> Result<Ended, IngestError> {
    let failed = |said: String| IngestError::Tool { tool: tool.name(), doing, said };
    let mut child = Command::new(tool.name())
        .args(arguments.0)
        // Its words are matched in places, and must not follow the caller's language.
        .env("LC_ALL", "C")
        .env("AV_LOG_FORCE_NOCOLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => IngestError::MissingTool { tool: tool.name() },
            _ => failed(e.to_string()),
        })?;
    run_to_end(&mut child).map_err(|e| {
        // Not to be left behind, whatever went wrong with listening to it.
        let _ = child.kill();
        let _ = child.wait();
        failed(e.to_string())
    })
}

fn run_to_end(child: &mut Child) -> io::Result<Ended> {
    let mut stdout = child.stdout.take().expect("stdout was piped at spawn");
    let stderr = child.stderr.take().expect("stderr was piped at spawn");
    let (send, receive) = channel();
    let listener = thread::spawn(move || {
        let heard = listen(stderr);
        // The other side may have given up waiting; there is nobody left to tell.
        let _ = send.send(());
        heard
    });
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    // stderr closes when the child ends, so waiting for the listener is waiting for the child.
    if let Err(RecvTimeoutError::Timeout) = receive.recv_timeout(Duration::from_millis(RUN_MS_MAX))
    {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it ran for a day and was ended"));
    }
    let (stderr_lines, first_line, last_lines) =
        listener.join().map_err(|_| io::Error::other("the reader of its stderr failed"))??;
    let stdout =
        reader.join().map_err(|_| io::Error::other("the reader of its stdout failed"))??;
    let success = child.wait()?.success();
    Ok(Ended { success, stdout, stderr_lines, first_line, last_lines })
}

fn listen(stderr: impl Read) -> io::Result<(u64, String, VecDeque<String>)> {
    let (mut lines, mut first, mut last) = (0u64, String::new(), VecDeque::new());
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).chars().take(LINE_CHARS_MAX).collect::<String>();
        if line.trim().is_empty() {
            continue;
        }
        lines += 1;
        if lines == 1 {
            first.clone_from(&line);
        }
        if last.len() == LINES_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }
    Ok((lines, first, last))
}
