//! Where the access log ends up: standard error, or a file that is opened anew when it was moved
//! away or has grown too long. Never stops the server: what a disk refuses is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the writer looks whether it was asked to open its file anew.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks the writer to open its file anew, after `logrotate` or a person moved it.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Before the next line that is written.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// What batches are written to.
pub(super) enum Target {
    /// The service manager keeps it.
    StandardError,
    /// Ours to keep.
    File(LogFile),
}

/// A file that is appended to, also by another program while it takes over.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// 0: no bound.
    bytes_max: u64,
}

impl Target {
    /// `-` or a path.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(target: &str, bytes_max: u64) -> io::Result<Self> {
        if target == "-" {
            return Ok(Self::StandardError);
        }
        let path = PathBuf::from(target);
        Ok(Self::File(LogFile { file: append(&path)?, path, bytes_max }))
    }

    /// Writes batches until the last sender is gone.
    pub(super) fn run(mut self, batches: &Receiver<Vec<u8>>, reopen: &Reopen) {
        loop {
            let batch = match batches.recv_timeout(LOOK_EVERY) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Self::File(file) = &mut self {
                file.look(reopen.take(), batch.len() as u64);
            }
            // A full disk must not stop the appliance; what is lost here is lost.
            let _ = match &mut self {
                Self::StandardError => io::stderr().write_all(&batch),
                Self::File(file) => file.file.write_all(&batch),
            };
        }
    }
}

impl LogFile {
    /// Begins a new file if it was asked for, or if `more` bytes would make this one too long.
    fn look(&mut self, asked: bool, more: u64) {
        // Asked of the file itself: another program may write to it too.
        let bytes = self.file.metadata().map_or(0, |file| file.len());
        let is_long = self.bytes_max > 0 && bytes > 0 && bytes + more > self.bytes_max;
        if is_long {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            if let Err(error) = fs::rename(&self.path, old) {
                tracing::warn!(%error, "the access log is not moved aside");
            }
        }
        if asked || is_long {
            match append(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => tracing::error!(%error, "the access log goes on in its old file"),
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_long_file_is_moved_aside_and_one_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.json");
        let (send, batches) = sync_channel(8);
        for line in ["first\n", "second\n", "third\n"] {
            send.send(line.as_bytes().to_vec()).unwrap();
        }
        drop(send);
        let target = Target::open(path.to_str().unwrap(), 8).unwrap();
        target.run(&batches, &Reopen::default());
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(dir.path().join("access.json.1")).unwrap(), "second\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_was_moved_is_opened_anew_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.json"), dir.path().join("moved"));
        let target = Target::open(path.to_str().unwrap(), 0).unwrap();
        let (send, batches) = sync_channel(8);
        fs::rename(&path, &moved).unwrap();
        let reopen = Reopen::default();
        reopen.ask();
        send.send(b"after\n".to_vec()).unwrap();
        drop(send);
        target.run(&batches, &reopen);
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "");
    }
}
