//! Why control cannot start or go on; each message names the thing and the likely cure.
//! Not for callers over HTTP: they get an `ErrorBody` from the gateway.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What stops the process.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The config file cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The config file has mistakes: all of them.
    #[error(
        "{} has {} mistake(s):\n  - {}",
        path.display(), mistakes.len(), mistakes.join("\n  - ")
    )]
    Config {
        /// Which.
        path: PathBuf,
        /// One line each.
        mistakes: Vec<String>,
    },
    /// The state directory cannot be used.
    #[error(
        "cannot use state_dir {}: {why}; make it writable for the user control runs as, \
         or set another state_dir", path.display()
    )]
    StateDir {
        /// Which.
        path: PathBuf,
        /// What failed.
        why: String,
    },
    /// Another control uses the state directory.
    #[error(
        "state_dir {} is in use by another control; stop that one, or set another state_dir",
        path.display()
    )]
    StateDirTaken {
        /// Which.
        path: PathBuf,
    },
    /// A key or certificate file cannot be used.
    #[error("cannot use {what} {}: {why}", path.display())]
    KeyFile {
        /// `operator.key_file`, `tls.cert`, `tls.key`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What failed, with the cure.
        why: String,
    },
    /// The port is somebody else's.
    #[error(
        "cannot listen on {addr}: the port is in use; stop what uses it (`ss -ltnp`), \
         or set another listen.addr"
    )]
    Busy {
        /// As configured.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {addr}: {source}; ports below 1024 need CAP_NET_BIND_SERVICE, \
         and the address must be this machine's"
    )]
    Listen {
        /// As configured.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A service could not be opened.
    #[error("{service} could not start: {why}")]
    Service {
        /// Which.
        service: &'static str,
        /// The chain of causes.
        why: String,
    },
    /// The machine gives no threads.
    #[error("the runtime could not start: {source}")]
    Runtime {
        /// Why.
        source: io::Error,
    },
}

impl Trouble {
    /// A service's error with all it stands on, because nobody else will print it.
    pub(crate) fn service(
        service: &'static str,
    ) -> impl Fn(&(dyn std::error::Error + 'static)) -> Self {
        move |error| {
            let mut why = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                why.push_str(": ");
                why.push_str(&next.to_string());
                cause = next.source();
            }
            Self::Service { service, why }
        }
    }
}
