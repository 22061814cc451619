//! Why the agent cannot start or go on. What goes wrong with a source is not here: that is an
//! everyday event and ends in a report, not in an error.

use std::path::PathBuf;

/// The operator's to cure, all of them but [`AgentError::Broken`].
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration, with every mistake in it.
    #[error("{file}: {} to mend:\n  {}", count(mistakes.len()), mistakes.join("\n  "))]
    Config {
        /// Which file.
        file: PathBuf,
        /// One line each.
        mistakes: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{path}: cannot {doing}")]
    Io {
        /// Which.
        path: PathBuf,
        /// A verb with its object.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// None of the disks can be used.
    #[error("no disk can be used: {why}")]
    NoDisk {
        /// Each with its reason.
        why: String,
    },
    /// A state file is not ours.
    #[error("{path}: not readable as {what} ({why}); move it away to begin without it")]
    State {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What did not fit.
        why: String,
    },
    /// Another agent keeps its state there: both would spend the same window's bytes.
    #[error(
        "{path}: another fill-agent is using this state_dir; stop it, or give this one its own"
    )]
    StateLocked {
        /// Which.
        path: PathBuf,
    },
    /// `--once` only: control answered, and gave nothing to go by.
    #[error("no orders for this appliance: {why}")]
    NoOrders {
        /// What control said or did, and the cure.
        why: String,
    },
    /// A part of the agent panicked, which is a mistake of ours; without it the rest is not safe.
    #[error(
        "the {task} of the agent failed; what it said is above. Start fill-agent again: it goes on \
         where it was; and report this"
    )]
    Broken {
        /// Which.
        task: &'static str,
    },
    /// The address for metrics cannot be had.
    #[error("cannot listen on metrics.listen {at}; give a free port of this machine")]
    Listen {
        /// As configured.
        at: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A volume cannot be used; another agent may be running on it.
    #[error(transparent)]
    Store(#[from] oca_store::StoreError),
    /// Control's URL, CA or key is unusable.
    #[error(transparent)]
    Control(#[from] control_client::ClientError),
    /// The roots for sources are unusable.
    #[error("the CA file {path} for sources cannot be used: {why}")]
    Roots {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl AgentError {
    pub(crate) fn io(
        path: impl Into<PathBuf>,
        doing: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, doing, source }
    }

    /// The message with its causes, for a person.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text.push_str(&format!(": {next}"));
            cause = next.source();
        }
        text
    }
}

/// Whether `error` is the disk's own trouble: not a matter of room, of the caller or of this
/// process's own bounds.
pub(crate) fn is_of_the_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, Interrupted, OutOfMemory, QuotaExceeded, StorageFull};
    let ours = [nix::libc::EMFILE, nix::libc::ENFILE];
    let kinds = [FileTooLarge, Interrupted, OutOfMemory, QuotaExceeded, StorageFull];
    !kinds.contains(&error.kind()) && !error.raw_os_error().is_some_and(|no| ours.contains(&no))
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

#[cfg(test)]
mod tests {
    use nix::libc::{EACCES, EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENOMEM, ENOSPC, ENXIO, EROFS};

    use super::is_of_the_disk;

    #[test]
    fn an_error_of_the_disk_sets_it_aside_and_a_full_one_or_our_own_bounds_do_not() {
        let judged = |errno| is_of_the_disk(&std::io::Error::from_raw_os_error(errno));
        assert_eq!([EIO, EROFS, ENXIO, EACCES].map(judged), [true; 4]);
        assert_eq!([ENOSPC, EDQUOT, EFBIG, EMFILE, ENOMEM, EINTR].map(judged), [false; 6]);
    }
}
