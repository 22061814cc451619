//! Plain files below a directory or several, for trying the server without objects, tickets or a
//! fleet. Never follows a link out of the directory and never looks at the disk while answering: a
//! request can only name what the last scan found.
//!
//! Names are any UTF-8 without control characters, and are asked for percent-encoded. What is left
//! out (other names, folders that cannot be read) is said when it changes.

mod watch;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ahash::HashMap;
use arc_swap::ArcSwap;
use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca_http::decode_path;
use oca_store::Volume;

use super::{Found, View};
use crate::devices::{Devices, Patience};
use crate::limits::LAB_FILES_MAX;
use watch::Watch;

/// A date is shown once it is this old, seconds: clocks of file systems tick coarsely.
const SETTLED_AFTER_S: u64 = 2;

/// The files of a directory as of the last scan.
pub struct Lab {
    /// Directories, and what kind of disk each stands for; a path is taken from the first.
    roots: Vec<(PathBuf, DiskClass)>,
    devices: Devices,
    files: ArcSwap<Files>,
    watch: Watch,
}

#[derive(Default)]
struct Files {
    /// By URL path as decoded, `/` first.
    found: HashMap<String, Found>,
    paths: HashMap<ObjectId, PathBuf>,
    /// Files whose name is not UTF-8 or has a control character.
    unnamed: LeftOut,
    /// Folders that could not be listed to their end, and files that this user may not read.
    unreadable: LeftOut,
    /// Files that changed so lately that their date is not shown yet.
    unsettled: usize,
}

/// What a scan did not take, for a person to hear of.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
struct LeftOut {
    count: usize,
    /// The last one met, and what the system said of it; empty when there is none.
    example: String,
}

impl LeftOut {
    fn add(&mut self, example: String) {
        self.count += 1;
        self.example = example;
    }
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// It cannot be listed.
    #[error("cannot list {path}: give a directory that this user may read")]
    Unreadable {
        /// Which directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too many files.
    #[error("{path} holds more than {LAB_FILES_MAX} files: give a smaller directory")]
    TooMany {
        /// Which directory.
        path: PathBuf,
    },
}

impl Lab {
    /// Lists `roots`, each as a disk of its class. Files are found by their path below their root.
    ///
    /// # Errors
    /// One of them is not a directory that can be read.
    pub fn new(roots: &[(PathBuf, DiskClass)]) -> Result<Self, LabError> {
        let mut volumes = Vec::with_capacity(roots.len());
        for (path, class) in roots {
            let unreadable = |source| LabError::Unreadable { path: path.clone(), source };
            let root = path.canonicalize().map_err(unreadable)?;
            let not_one = |error| LabError::Unreadable {
                path: path.clone(),
                source: io::Error::other(error),
            };
            volumes.push(Volume::open(root, *class).map_err(not_one)?);
        }
        let devices = Devices::under(&volumes, Patience::default());
        let roots = volumes.iter().map(|volume| (volume.path().into(), volume.class())).collect();
        let lab = Self { roots, devices, files: ArcSwap::default(), watch: Watch::new() };
        lab.rescan()?;
        Ok(lab)
    }

    /// What is under the directories.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Whether something below the directories changed since the last call, or a date can be shown
    /// by the next list; none where the kernel cannot tell for all of them.
    #[must_use]
    pub fn changed(&self) -> Option<bool> {
        let heard = self.watch.heard() || self.files.load().unsettled > 0;
        self.watch.hears().then_some(heard)
    }

    /// Lists the directory again, so that new files are served and changed ones have a new ETag.
    ///
    /// # Errors
    /// A root cannot be listed, or there are too many files; the last good list stays.
    pub fn rescan(&self) -> Result<(), LabError> {
        let mut files = Files::default();
        for volume in 0..self.roots.len() {
            self.scan(volume, &mut files)?;
        }
        let before = self.files.swap(files.into());
        say_what_is_left_out(&before, &self.files.load());
        Ok(())
    }

    fn scan(&self, volume: usize, files: &mut Files) -> Result<(), LabError> {
        let (root, class) = &self.roots[volume];
        let mut pending = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            self.watch.add(&directory);
            let listed = list(&directory, |entry, kind| {
                if kind.is_dir() {
                    pending.push(entry.path());
                } else if kind.is_file()
                    && let Ok(metadata) = entry.metadata()
                {
                    files.add((root, volume, *class), entry.path(), &metadata);
                }
                files.found.len() <= LAB_FILES_MAX
            });
            if files.found.len() > LAB_FILES_MAX {
                return Err(LabError::TooMany { path: root.clone() });
            }
            match listed {
                Ok(()) => {}
                Err(source) if directory == *root => {
                    return Err(LabError::Unreadable { path: directory, source });
                }
                // Removed since its parent was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => files.unreadable.add(format!("{}: {error}", directory.display())),
            }
        }
        Ok(())
    }

    /// The file that URL path `path` names, percent-encoded or not. Decoded once: what is then not
    /// in the list to the letter is not here.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Found> {
        self.files.load().found.get(&*decode_path(path)?).copied()
    }

    /// Number of files.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.load().found.len()
    }

    /// Where a file found earlier is.
    #[must_use]
    pub fn path(&self, object: &ObjectId) -> Option<PathBuf> {
        self.files.load().paths.get(object).cloned()
    }
}

/// Shows each entry of `directory` to `see`, with its kind, until that has seen enough.
fn list(
    directory: &Path,
    mut see: impl FnMut(&fs::DirEntry, fs::FileType) -> bool,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Links are skipped: `file_type` does not follow them.
        if !see(&entry, entry.file_type()?) {
            break;
        }
    }
    Ok(())
}

/// Once for each change, not once a scan: a lab is listed again every few seconds.
fn say_what_is_left_out(before: &Files, now: &Files) {
    if now.unnamed.count > 0 && now.unnamed != before.unnamed {
        let LeftOut { count: files, example } = &now.unnamed;
        tracing::warn!(
            files,
            example,
            "not served: their names are not UTF-8 or have control characters; rename them"
        );
    }
    if now.unreadable.count > 0 && now.unreadable != before.unreadable {
        let LeftOut { count, example } = &now.unreadable;
        tracing::warn!(
            count,
            example,
            "not served: these cannot be read; give this user the right to"
        );
    }
}

impl Files {
    /// Adds one file, if its name can be part of a URL.
    fn add(
        &mut self,
        (root, volume, class): (&Path, usize, DiskClass),
        path: PathBuf,
        metadata: &fs::Metadata,
    ) {
        let below = path.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default();
        if below.is_empty() || below.contains(char::is_control) {
            self.unnamed.add(path.to_string_lossy().escape_debug().to_string());
            return;
        }
        if let Err(error) = may_be_read(&path, metadata) {
            self.unreadable.add(format!("{}: {error}", path.display()));
            return;
        }
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let url = format!("/{below}");
        let mut hasher = blake3::Hasher::new();
        hasher.update(url.as_bytes());
        hasher.update(&metadata.len().to_le_bytes());
        hasher.update(&modified.unwrap_or_default().as_nanos().to_le_bytes());
        let object = ObjectId(*hasher.finalize().as_bytes());
        if self.found.contains_key(&url) {
            return;
        }
        let found = Found {
            object,
            view: View::Payload,
            bytes: metadata.len(),
            offset: 0,
            volume: u16::try_from(volume).unwrap_or(u16::MAX),
            class,
            media_type: media_type(&path),
            sealed: None,
            modified: settled_second(modified),
        };
        self.unsettled += usize::from(modified.is_some() && found.modified.is_none());
        self.paths.insert(object, path);
        self.found.insert(url, found);
    }
}

/// Tries only where somebody is shut out: a scan opens no file without need.
fn may_be_read(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.mode() & 0o444 {
        0o444 => Ok(()),
        _ => fs::File::open(path).map(drop),
    }
}

/// The second of a change that is over: within the same second a file may change once more and
/// keep its date, and then the date must not vouch for its bytes.
fn settled_second(modified: Option<Duration>) -> Option<u64> {
    let seconds = modified?.as_secs();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds + SETTLED_AFTER_S <= now).then_some(seconds)
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "mp4" | "m4s" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => "audio/mp4",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "webm" => "video/webm",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript",
        "css" => "text/css",
        "json" => "application/json",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "vtt" => "text/vtt; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
