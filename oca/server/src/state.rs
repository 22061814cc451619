//! The little that an appliance remembers between runs: the ticket keys control named last.
//! Written whole and renamed into place, so that a crash leaves the old ones.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use control_token::KeyError;
use control_types::fleet::TicketKeys;

const KEYS_NAME: &str = "ticket-keys.json";

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

/// Stores `keys` for the next start.
///
/// # Errors
/// The disk's own; the old file stays.
pub fn store_keys(state_dir: &Path, keys: &TicketKeys) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(keys)?;
    let new = state_dir.join(format!("{KEYS_NAME}.new"));
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, state_dir.join(KEYS_NAME))?;
    File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use control_types::fleet::TicketKey;

    use super::*;

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
