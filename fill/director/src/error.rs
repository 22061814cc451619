//! Why the director cannot start, or could not look this time.
//! Control being away is in here too: the loop goes on, `--once` ends with it.

use std::path::PathBuf;

/// The operator's to cure, but for control being away.
#[derive(Debug, thiserror::Error)]
pub enum DirectorError {
    /// The configuration, with every mistake in it.
    #[error("{file}: {} to mend:\n  {}", mistakes.len(), mistakes.join("\n  "))]
    Config {
        /// Which file.
        file: PathBuf,
        /// One line each.
        mistakes: Vec<String>,
    },
    /// A file could not be read.
    #[error("{path}: cannot read it: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a file of ingress samples.
    #[error("{path}: line {line}: {why}")]
    Sample {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Control is away or refused.
    #[error(transparent)]
    Control(#[from] control_client::ClientError),
    /// The process could not be set up.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}
