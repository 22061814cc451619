//! Why a title was not ingested. Every message names the file or tool and the cure.

use std::io;
use std::path::{Path, PathBuf};

use control_client::ClientError;
use oca_store::StoreError;

/// Any failure of an ingest. Nothing is published when one is returned before registration.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The machine's: a program we call is not installed.
    #[error("{tool} is not installed: apt-get install ffmpeg")]
    MissingTool {
        /// `ffmpeg` or `ffprobe`.
        tool: &'static str,
    },
    /// The source's: it cannot become a title as it is.
    #[error("{path}: {wrong}; {cure}")]
    Source {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// A tool failed on a source that was found sound.
    #[error("{tool} failed to {doing}: {said}; check free room and memory, then run again")]
    Tool {
        /// Which program.
        tool: &'static str,
        /// What for.
        doing: &'static str,
        /// Its last words.
        said: String,
    },
    /// An encode is not what it must be. Ours or the tool's fault; another ffmpeg may do better.
    #[error("{path}: {wrong}; this ffmpeg writes what we cannot package: use Debian's ffmpeg 5.1")]
    Encode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// The operating system's.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// A verb with its object.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The volume's.
    #[error("{}", with_cause(.0))]
    Store(#[from] StoreError),
    /// The control plane's. The objects are in place; running again only registers.
    #[error("{0}")]
    Control(#[from] ClientError),
    /// The control plane's, asked before anything was encoded. What an earlier run made is kept.
    #[error(
        "{source}; nothing was encoded: {cure}, or leave --control out to encode and publish now \
         and run again to register"
    )]
    TooEarly {
        /// What control said, or that it is away.
        source: ClientError,
        /// What to do about it.
        cure: String,
    },
    /// The caller's.
    #[error("{0}")]
    Arguments(String),
}

impl IngestError {
    /// Wraps an I/O error with the path and the deed, for `map_err`.
    pub(crate) fn io<'a>(
        path: &'a Path,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }

    pub(crate) fn encode(path: &Path, wrong: impl Into<String>) -> Self {
        Self::Encode { path: path.to_owned(), wrong: wrong.into() }
    }
}

/// The store keeps causes in `source`; one line for people holds both.
fn with_cause(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
