//! One JSON file that is either the old or the new one after a crash, never half of each.
//! Knows nothing of what is in it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::AgentError;

/// Reads `path`; `None` when there is no such file.
pub(crate) fn load<T: DeserializeOwned>(
    path: &Path,
    what: &'static str,
) -> Result<Option<T>, AgentError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(AgentError::io(path, "read the state"))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| AgentError::State {
        path: path.to_owned(),
        what,
        why: error.to_string(),
    })
}

/// Writes `value` beside `path`, makes it durable and gives it the name.
pub(crate) fn store<T: Serialize>(path: &Path, value: &T) -> Result<(), AgentError> {
    let beside = path.with_extension("new");
    let json = serde_json::to_vec(value).map_err(std::io::Error::other);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(&json?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(AgentError::io(path, "keep the state"))
}
