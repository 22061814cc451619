//! The little that an appliance remembers between runs: what control said of tickets last.
//! Written whole and renamed into place, so that a crash leaves the old ones.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use control_token::KeyError;
use control_types::fleet::{Revocations, TicketKeys};

const KEYS_NAME: &str = "ticket-keys.json";
const REVOKED_NAME: &str = "revoked-tickets.json";
const RUN_NAME: &str = "running.json";
const SECRET_NAME: &str = "session-secret";

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory cannot be made.
    #[error(
        "cannot create the state directory {path}: give this user the right, or change state_dir"
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The session secret cannot be made.
    #[error("cannot make the session secret {path}: give tls.ticket_secret_file instead")]
    Secret {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of keys cannot be read.
    #[error("cannot read the ticket keys {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error(
        "{path} is not a list of ticket keys (GET /v1/keys/tickets of control gives one): {why}"
    )]
    NotKeys {
        /// Which.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// A key in it is not one.
    #[error(transparent)]
    Keys(KeyError),
}

/// The keys to begin with: `pinned` if given, else those stored in `state_dir`, else none.
///
/// # Errors
/// `state_dir` cannot be made, or a file is not what it should be.
pub fn load_keys(state_dir: &Path, pinned: Option<&Path>) -> Result<TicketKeys, StateError> {
    fs::create_dir_all(state_dir)
        .map_err(|source| StateError::Directory { path: state_dir.into(), source })?;
    let stored = state_dir.join(KEYS_NAME);
    let path = pinned.unwrap_or(&stored);
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if pinned.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(TicketKeys::default());
        }
        Err(source) => return Err(StateError::Unreadable { path: path.into(), source }),
    };
    match serde_json::from_slice(&text) {
        Ok(keys) => Ok(keys),
        Err(error) => Err(StateError::NotKeys { path: path.into(), why: error.to_string() }),
    }
}

/// Who runs, for `oca upgrade` and for people: `running.json` in the state directory.
#[derive(Clone, Debug)]
pub struct RunNote {
    path: PathBuf,
    text: String,
}

impl RunNote {
    /// Of this process.
    #[must_use]
    pub fn new(state_dir: &Path, listening: SocketAddr, admin: SocketAddr) -> Self {
        let pid = std::process::id();
        let text = serde_json::json!({
            "pid": pid,
            "listening": listening.to_string(),
            "admin": admin.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        Self { path: state_dir.join(RUN_NAME), text: format!("{text}\n") }
    }

    /// Writes it, over that of the program before.
    ///
    /// # Errors
    /// The disk's own.
    pub fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension(format!("{}", std::process::id()));
        fs::write(&new, &self.text)?;
        fs::rename(&new, &self.path)
    }

    /// Takes it away, unless another program has written its own by now.
    pub fn remove(&self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // Left behind it does no harm: nobody listens there.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Where the running program's admin port is.
    ///
    /// # Errors
    /// Nobody runs with this state directory, or the file is not ours.
    pub fn admin_of(state_dir: &Path) -> io::Result<SocketAddr> {
        let text = fs::read(state_dir.join(RUN_NAME))?;
        let note: serde_json::Value = serde_json::from_slice(&text)?;
        let admin = note.get("admin").and_then(|value| value.as_str()).unwrap_or_default();
        admin.parse().map_err(|_| io::Error::other("it does not say where the admin port is"))
    }
}

/// The file with this appliance's own session secret, made at the first start.
///
/// # Errors
/// The directory or the file cannot be made.
pub fn session_secret(state_dir: &Path) -> Result<PathBuf, StateError> {
    let path = state_dir.join(SECRET_NAME);
    let made = fs::create_dir_all(state_dir).and_then(|()| make_secret(state_dir, &path));
    made.map_err(|source| StateError::Secret { path: path.clone(), source })?;
    Ok(path)
}

/// Whole or not at all, and of two programs that start at once one makes it.
fn make_secret(state_dir: &Path, path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let new = state_dir.join(format!("{SECRET_NAME}.{}", std::process::id()));
    let mut secret = [0u8; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(io::Error::other)?;
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(hex.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Stores `keys` for the next start.
///
/// # Errors
/// The disk's own; the old file stays.
pub fn store_keys(state_dir: &Path, keys: &TicketKeys) -> io::Result<()> {
    store(state_dir, KEYS_NAME, &serde_json::to_vec_pretty(keys)?)
}

/// The tickets taken back that were stored last, or none. Control sends the list again whenever it
/// is not this one, so a file that cannot be read costs no more than that.
#[must_use]
pub fn load_revocations(state_dir: &Path) -> Revocations {
    let text = fs::read(state_dir.join(REVOKED_NAME)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Stores the tickets taken back for the next start.
///
/// # Errors
/// The disk's own; the old file stays.
pub fn store_revocations(state_dir: &Path, revoked: &Revocations) -> io::Result<()> {
    store(state_dir, REVOKED_NAME, &serde_json::to_vec(revoked)?)
}

fn store(state_dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let new = state_dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, state_dir.join(name))?;
    File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use control_types::fleet::TicketKey;

    use super::*;

    #[test]
    fn what_was_taken_back_stays_so_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_revocations(dir.path()), Revocations::default());
        let revoked = Revocations::of(vec!["one".to_owned()]);
        store_revocations(dir.path(), &revoked).unwrap();
        assert_eq!(load_revocations(dir.path()), revoked);
        fs::write(dir.path().join(REVOKED_NAME), b"{").unwrap();
        assert_eq!(load_revocations(dir.path()), Revocations::default());
    }

    #[test]
    fn keys_survive_a_restart_and_a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        assert_eq!(load_keys(&state, None).unwrap(), TicketKeys::default());
        let key = TicketKey { kid: "k".into(), public: "p".into() };
        let keys = TicketKeys { keys: vec![key] };
        store_keys(&state, &keys).unwrap();
        assert_eq!(load_keys(&state, None).unwrap(), keys);
        fs::write(state.join(KEYS_NAME), "{").unwrap();
        let error = load_keys(&state, None).unwrap_err().to_string();
        assert!(error.contains(KEYS_NAME), "{error}");
        assert!(load_keys(&state, Some(&state.join("absent.json"))).is_err());
    }
}
