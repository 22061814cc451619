//! Serials of bundles: each above the one before, also after a restart, a crash and a clock that
//! was set back. Touches the disk once for [`SERIALS_AHEAD`] of them; never reads the clock.
//!
//! Mechanics: the file holds a number that no serial given out has reached. A serial is the time in
//! milliseconds, or one more than the last if that is greater. Before a serial would reach the
//! number, a greater one is written and synced; after a restart the number itself is the last.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use control_types::UnixMillis;

use super::limits::SERIALS_AHEAD;
use crate::error::SteeringError;

/// Gives out serials, one after the other, for all ISPs.
#[derive(Debug)]
pub(crate) struct Serials {
    path: PathBuf,
    last: u64,
    /// As it stands in the file.
    reserved: u64,
}

impl Serials {
    /// Goes on from what the file says; at first start there is none.
    pub fn open(path: PathBuf) -> Result<Self, SteeringError> {
        let reserved = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| SteeringError::Serials {
                path: path.clone(),
                why: "it holds no number; write one above the newest bundle's serial".to_owned(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(SteeringError::Serials { path, why: error.to_string() }),
        };
        Ok(Self { path, last: reserved, reserved })
    }

    /// The next serial. An error gives none out, because it might be given out again.
    pub fn next(&mut self, now: UnixMillis) -> Result<u64, SteeringError> {
        let serial = now.0.max(self.last.saturating_add(1));
        if serial >= self.reserved {
            let reserved = serial.saturating_add(SERIALS_AHEAD);
            replace(&self.path, &reserved.to_string()).map_err(|error| SteeringError::Serials {
                path: self.path.clone(),
                why: error.to_string(),
            })?;
            self.reserved = reserved;
        }
        self.last = serial;
        Ok(serial)
    }
}

/// Either the old text or the new one is there, whatever happens.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(()),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_790_000_000_000);

    fn serial(serials: &mut Serials, ms: i64) -> u64 {
        serials.next(UnixMillis(NOON.0.saturating_add_signed(ms))).unwrap()
    }

    #[test]
    fn serials_rise_whatever_the_clock_does_and_whoever_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serial");
        let mut last = 0;
        let mut rises = |serials: &mut Serials, ms: i64| {
            let next = serial(serials, ms);
            assert!(next > last, "{next} after {last} at {ms}");
            last = next;
        };
        let mut serials = Serials::open(path.clone()).unwrap();
        for ms in [0, 0, 1, 500, -3_600_000, 2, 100_000, 99_000] {
            rises(&mut serials, ms);
        }
        // Without a word of farewell, and with a clock of last week.
        for ms in [-604_800_000, 0, 3_600_000, 3_600_000] {
            serials = Serials::open(path.clone()).unwrap();
            rises(&mut serials, ms);
        }
        // A clock of the next century, then back: one by one from there.
        rises(&mut serials, 3_000_000_000_000);
        rises(&mut serials, 0);
        serials = Serials::open(path).unwrap();
        rises(&mut serials, 0);
    }

    #[test]
    fn a_serial_is_the_time_while_that_rises_and_the_file_rests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serial");
        let mut serials = Serials::open(path.clone()).unwrap();
        assert_eq!(serial(&mut serials, 0), NOON.0);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(serial(&mut serials, 5_000), NOON.0 + 5_000);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    }

    #[test]
    fn without_its_file_no_serial_is_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/serial");
        let mut serials = Serials::open(path.clone()).unwrap();
        let error = serials.next(NOON).unwrap_err().to_string();
        assert!(error.contains("gone/serial"), "{error}");
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        assert_eq!(serials.next(NOON).unwrap(), NOON.0);
        std::fs::write(&path, "a few").unwrap();
        assert!(Serials::open(path).unwrap_err().to_string().contains("write one above"));
    }
}
