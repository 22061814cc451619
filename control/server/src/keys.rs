//! The operator's bearer key and the fleet's authority, each in its file.
//! Never logs one; a key file that others may read is said to be so.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::rand;
use control_gateway::{AuthorityDesk, FleetCa};

use crate::trouble::Trouble;

/// Shortest operator key accepted, bytes: shorter ones are guessed.
const KEY_BYTES_MIN: usize = 20;

const WHAT: &str = "operator.key_file";

/// The operator's key, made with mode 0600 when the file does not exist.
pub(crate) fn operator_key(path: &Path) -> Result<String, Trouble> {
    let broken = |why: String| Trouble::KeyFile { what: WHAT, path: path.to_owned(), why };
    match control_types::config_file::read_text(path) {
        Ok(text) => {
            let key = text.trim().to_owned();
            if key.len() < KEY_BYTES_MIN || !key.bytes().all(|b| b.is_ascii_graphic()) {
                let why = format!(
                    "it holds no key: {KEY_BYTES_MIN} or more printable characters; \
                     remove it and control makes a new one"
                );
                return Err(broken(why));
            }
            operator_key_mode(path);
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => operator_key_make(path),
        Err(error) => {
            Err(broken(format!("{error}; make it readable for the user control runs as")))
        }
    }
}

fn operator_key_mode(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{:o}", mode & 0o777),
            "others can read the operator's key; chmod 600 it"
        );
    }
}

fn operator_key_make(path: &Path) -> Result<String, Trouble> {
    let broken = |why: String| Trouble::KeyFile { what: WHAT, path: path.to_owned(), why };
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| broken("the machine gives no randomness".to_owned()))?;
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("nfo_{key}");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| broken(format!("its folder cannot be made: {error}")))?;
    }
    // `create_new`: of two processes that start at once, one makes the key and the other fails and
    // reads it at its next start.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(key.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|error| {
        broken(format!("it cannot be made: {error}; make its folder writable for control"))
    })?;
    tracing::info!(path = %path.display(), "made the operator's key");
    Ok(key)
}

const AUTHORITY: &str = "the fleet's authority";
const AUTHORITY_FILE: &str = "fleet-ca.pem";

/// The fleet's authority, made with mode 0600 in the state directory when there is none. Whoever
/// loses the file loses every box's certificate with it, so it is never made over a broken one.
pub(crate) fn fleet_authority(state_dir: &Path) -> Result<FleetCa, Trouble> {
    let path = state_dir.join(AUTHORITY_FILE);
    let broken = |why: String| Trouble::KeyFile { what: AUTHORITY, path: path.clone(), why };
    match std::fs::read_to_string(&path) {
        Ok(kept) => FleetCa::from_pem(&kept)
            .map_err(|error| broken(format!("{error}; bring it back from your last copy"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (authority, kept) =
                FleetCa::generate().map_err(|error| broken(error.to_string()))?;
            fleet_authority_keep(state_dir, &path, &kept)
                .map_err(|error| broken(format!("it cannot be kept: {error}")))?;
            tracing::info!(path = %path.display(), digest = authority.digest(),
                "made the fleet's authority; keep a copy of this file");
            Ok(authority)
        }
        Err(error) => Err(broken(format!("{error}; make it readable for control"))),
    }
}

/// The desk of the fleet's authorities, which keeps what it changes in the same file.
pub(crate) fn authority_desk(state_dir: &Path) -> Result<AuthorityDesk, Trouble> {
    let authority = fleet_authority(state_dir)?;
    let state_dir = state_dir.to_owned();
    let keep =
        move |kept: &str| fleet_authority_keep(&state_dir, &state_dir.join(AUTHORITY_FILE), kept);
    Ok(AuthorityDesk::new(authority, Box::new(keep)))
}

/// Whole or not at all. The directory is locked: nobody else makes one at the same time.
fn fleet_authority_keep(state_dir: &Path, path: &Path, kept: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    // A file that was left there may be open to others, and its mode would stay.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(kept.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    std::fs::File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_private_and_never_over_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let made = fleet_authority(folder.path()).unwrap().digest();
        assert_eq!(fleet_authority(folder.path()).unwrap().digest(), made);
        let path = folder.path().join("fleet-ca.pem");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "torn").unwrap();
        let error = fleet_authority(folder.path()).unwrap_err().to_string();
        assert!(error.contains("fleet-ca.pem"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "torn");
    }

    #[test]
    fn a_successor_is_kept_private_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let desk = authority_desk(folder.path()).unwrap();
        let first = desk.current().digest();
        std::fs::write(folder.path().join("fleet-ca.new"), "left by a crash").unwrap();
        let second = desk.rotate().unwrap().digest();
        let path = folder.path().join("fleet-ca.pem");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = authority_desk(folder.path()).unwrap();
        assert_eq!(again.current().digest(), second);
        assert_eq!(again.current().hashes().count(), 2);
        again.retire(&first, |_| None).unwrap();
        let last = authority_desk(folder.path()).unwrap().current();
        assert!(last.hashes().eq([last.hash()]) && last.digest() == second);
        // What cannot be kept is not in force.
        drop(folder);
        assert!(again.rotate().is_err());
        assert_eq!(again.current().digest(), second);
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/operator.key");
        let made = operator_key(&path).unwrap();
        assert_eq!(operator_key(&path).unwrap(), made);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_without_a_key_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.key");
        std::fs::write(&path, "short\n").unwrap();
        let error = operator_key(&path).unwrap_err().to_string();
        assert!(error.contains("operator.key") && error.contains("remove it"), "{error}");
    }
}
