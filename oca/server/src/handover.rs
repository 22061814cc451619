//! One program takes over from another: the listening sockets, and nothing else.
//! The sockets stay the same, so no connection in their queues is lost; what is under way stays
//! with the old program until it is done.
//!
//! ```text
//! old: starts its own file anew, a socket pair as standard input   new: starts
//! old: sockets, "end"                                           -> new: takes them, sets up
//! old: stops accepting, finishes what is under way, ends        <- new: "ready" (or "failed: why")
//! ```
//! Whatever goes wrong before "ready" leaves the old program as it was: it never stopped accepting.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oca_sys::handover::{message_pair, receive_message, send_message, set_patience};

use crate::limits::{SOCKETS_PER_MESSAGE, TAKE_OVER_MS_MAX};

/// Tells a program that its standard input is a predecessor.
const MARK: &str = "NIGHTFILL_OCA_TAKES_OVER";
/// Longest message, bytes: a reason is cut to it.
const MESSAGE_BYTES_MAX: usize = 4096;
const END: &[u8] = b"end";
const READY: &[u8] = b"ready";

/// Why nobody took over. The old program goes on.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// No process.
    #[error("cannot start {program}: is it there, and executable?")]
    NotStarted {
        /// Which file.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The pair, or a message on it.
    #[error("cannot talk to the new program")]
    Silent(#[source] io::Error),
    /// It said why.
    #[error("the new program does not run: {0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the new program ended before it was ready ({0}); its own words are in the log")]
    Ended(String),
    /// It took too long.
    #[error("the new program was not ready within {} s", TAKE_OVER_MS_MAX / 1000)]
    TooLate,
}

/// How this program was started, so that it can be started again.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// As this process was started. A program named with a path is found by that path again, so
    /// that a link that points to another version by then is followed.
    ///
    /// # Errors
    /// The system does not say which file we are.
    pub fn own() -> io::Result<Self> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from);
        let program = match named.filter(|path| path.components().count() > 1) {
            Some(path) => std::path::absolute(path)?,
            None => std::env::current_exe()?,
        };
        Ok(Self { program, arguments: arguments.collect() })
    }

    /// Starts the program and gives it the sockets. Answers its process id once it is ready, and
    /// leaves it running; blocks for as long as that takes.
    ///
    /// # Errors
    /// It is not ready; it has been stopped.
    pub fn hand_over(&self, sockets: &Sockets) -> Result<u32, HandoverError> {
        let (ours, theirs) = message_pair().map_err(HandoverError::Silent)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(MARK, "1").stdin(Stdio::from(theirs));
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(|source| HandoverError::NotStarted {
            program: self.program.clone(),
            source,
        })?;
        // Ours alone holds their end: when they end, we hear of it.
        drop(command);
        let answer = converse(&ours, sockets);
        if answer.is_ok() {
            return Ok(child.id());
        }
        Err(end(&mut child, answer.err().unwrap_or(HandoverError::TooLate)))
    }
}

/// Sends everything and waits for the word.
fn converse(ours: &OwnedFd, sockets: &Sockets) -> Result<(), HandoverError> {
    set_patience(ours, u32::try_from(TAKE_OVER_MS_MAX / 1000).unwrap_or(u32::MAX))
        .map_err(HandoverError::Silent)?;
    // A program that ends at once closes its end while we send: its word is worth more.
    let _ = sockets.send(ours);
    match receive_message(ours, MESSAGE_BYTES_MAX) {
        Ok((text, _)) if text == READY => Ok(()),
        Ok((text, _)) if text.is_empty() => Err(HandoverError::Ended(String::new())),
        Ok((text, _)) => Err(HandoverError::Failed(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(HandoverError::TooLate),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ECONNRESET as i32) => {
            Err(HandoverError::Ended(String::new()))
        }
        Err(error) => Err(HandoverError::Silent(error)),
    }
}

/// Stops a program that is not wanted, and says how it ended if that is all there is to say.
fn end(child: &mut Child, error: HandoverError) -> HandoverError {
    let until = Instant::now() + Duration::from_millis(500);
    // One that has ended, or is about to, says more by its status than by our signal.
    while matches!(error, HandoverError::Ended(_) | HandoverError::Failed(_))
        && Instant::now() < until
    {
        if let Ok(Some(status)) = child.try_wait() {
            return match error {
                HandoverError::Ended(_) => HandoverError::Ended(status.to_string()),
                other => other,
            };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    error
}

/// Listening sockets by what they are for.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Where members connect.
    pub media: Vec<TcpListener>,
    /// Where `/metrics` is.
    pub admin: Vec<TcpListener>,
}

impl Sockets {
    fn send(&self, to: impl AsFd) -> io::Result<()> {
        for (role, listeners) in [("media", &self.media), ("admin", &self.admin)] {
            for some in listeners.chunks(SOCKETS_PER_MESSAGE) {
                send_message(to.as_fd(), role.as_bytes(), some)?;
            }
        }
        send_message(to.as_fd(), END, &[])
    }

    fn receive(from: impl AsFd) -> io::Result<Self> {
        let mut sockets = Self::default();
        loop {
            let (text, listeners) = receive_message(from.as_fd(), MESSAGE_BYTES_MAX)?;
            match text.as_slice() {
                b"media" => sockets.media.extend(listeners),
                b"admin" => sockets.admin.extend(listeners),
                END => return Ok(sockets),
                b"" => return Err(io::Error::other("the old program is gone")),
                // Of a version that hands over more than we know of.
                _ => {}
            }
        }
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.media.is_empty() && self.admin.is_empty()
    }
}

/// Where this program's sockets come from.
#[derive(Debug, Default)]
pub struct Origin {
    /// Empty: it opens its own.
    pub sockets: Sockets,
    /// Absent: nobody waits for us.
    pub predecessor: Option<Predecessor>,
}

/// The program that waits for our word.
#[derive(Debug)]
pub struct Predecessor(OwnedFd);

impl Origin {
    /// Takes what a predecessor or systemd has for us.
    ///
    /// # Errors
    /// What was passed is not what it should be.
    pub fn find() -> io::Result<Self> {
        if std::env::var_os(MARK).is_some() {
            let predecessor = io::stdin().as_fd().try_clone_to_owned()?;
            set_patience(&predecessor, 10)?;
            let sockets = Sockets::receive(&predecessor)?;
            return Ok(Self { sockets, predecessor: Some(Predecessor(predecessor)) });
        }
        let mut sockets = Sockets::default();
        for (name, listener) in oca_sys::handover::passed_listeners()? {
            match name.as_str() {
                "media" => sockets.media.push(listener),
                "admin" => sockets.admin.push(listener),
                other => {
                    let why = format!(
                        "systemd passes a socket named {other:?}: FileDescriptorName= is to be \
                         \"media\" or \"admin\""
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
            }
        }
        Ok(Self { sockets, predecessor: None })
    }
}

impl Predecessor {
    /// A second hold on it.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// We serve: the old program may stop accepting. It may be gone; then nobody minds.
    pub fn say_ready(&self) {
        let _ = send_message(&self.0, READY, &[]);
    }

    /// We do not run, and why.
    pub fn say_failed(&self, why: &str) {
        let text = why.as_bytes();
        let _ = send_message(&self.0, &text[..text.len().min(MESSAGE_BYTES_MAX)], &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(program: &str, arguments: &[&str]) -> Invocation {
        Invocation {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    #[test]
    fn a_program_that_does_not_take_over_is_named_with_its_reason() {
        let sockets = || Sockets {
            media: vec![TcpListener::bind("127.0.0.1:0").unwrap()],
            admin: Vec::new(),
        };
        let said =
            |invocation: Invocation| invocation.hand_over(&sockets()).unwrap_err().to_string();
        assert!(said(invocation("/nowhere/oca", &[])).contains("/nowhere/oca"));
        let ended = said(invocation("/bin/sh", &["-c", "exit 7"]));
        assert!(ended.contains("exit status: 7"), "{ended}");
    }

    #[test]
    fn many_sockets_arrive_in_order() {
        let (here, there) = message_pair().unwrap();
        let media: Vec<TcpListener> =
            (0..150).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = media.iter().map(|l| l.local_addr().unwrap().port()).collect();
        let sender = std::thread::spawn(move || {
            Sockets { media, admin: Vec::new() }.send(&here).unwrap();
            here
        });
        let got = Sockets::receive(&there).unwrap();
        let arrived: Vec<u16> = got.media.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_eq!(arrived, ports);
        drop(sender.join().unwrap());
        assert!(Sockets::receive(&there).is_err(), "the other end is gone");
    }
}
