//! Plain files below a directory or several, for trying the server without objects, tickets or a
//! fleet. Never follows a link out of the directory and never looks at the disk while answering.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ahash::HashMap;
use arc_swap::ArcSwap;
use control_types::ObjectId;
use control_types::fleet::DiskClass;

use oca_store::Volume;

use super::{Found, View};
use crate::devices::{Devices, Patience};
use crate::limits::LAB_FILES_MAX;

/// A date is shown once it is this old, seconds: clocks of file systems tick coarsely.
const SETTLED_AFTER_S: u64 = 2;

/// The files of a directory as of the last scan.
pub struct Lab {
    /// Directories, and what kind of disk each stands for; a path is taken from the first.
    roots: Vec<(PathBuf, DiskClass)>,
    devices: Devices,
    files: ArcSwap<Files>,
}

#[derive(Default)]
struct Files {
    /// By URL path, `/` first.
    found: HashMap<String, Found>,
    paths: HashMap<ObjectId, PathBuf>,
    /// How many have a name that no request can spell, and one of them.
    unnamed: usize,
    unnamed_example: PathBuf,
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
        let lab = Self { roots, devices, files: ArcSwap::default() };
        lab.rescan()?;
        Ok(lab)
    }

    /// What is under the directories.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Lists the directory again, so that new files are served and changed ones have a new ETag.
    ///
    /// # Errors
    /// As `new`; the last good list stays.
    pub fn rescan(&self) -> Result<(), LabError> {
        let mut files = Files::default();
        for volume in 0..self.roots.len() {
            self.scan(volume, &mut files)?;
        }
        self.files.store(files.into());
        Ok(())
    }

    fn scan(&self, volume: usize, files: &mut Files) -> Result<(), LabError> {
        let (root, class) = &self.roots[volume];
        let mut pending = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            let unreadable = |source| LabError::Unreadable { path: directory.clone(), source };
            for entry in fs::read_dir(&directory).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                // Links are skipped: `file_type` does not follow them.
                let kind = entry.file_type().map_err(unreadable)?;
                if kind.is_dir() {
                    pending.push(entry.path());
                } else if kind.is_file()
                    && let Ok(metadata) = entry.metadata()
                {
                    files.add((root, volume, *class), entry.path(), &metadata);
                }
                if files.found.len() > LAB_FILES_MAX {
                    return Err(LabError::TooMany { path: root.clone() });
                }
            }
        }
        Ok(())
    }

    /// The file that URL path `path` names. Request paths have one spelling, without escapes, so a
    /// file whose name needs one cannot be asked for.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Found> {
        self.files.load().found.get(path).copied()
    }

    /// Number of files.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.load().found.len()
    }

    /// How many files have names that no request can spell, and one of them; none if all can.
    #[must_use]
    pub fn unnamed(&self) -> Option<(usize, String)> {
        let files = self.files.load();
        (files.unnamed > 0).then(|| (files.unnamed, files.unnamed_example.display().to_string()))
    }

    /// Where a file found earlier is.
    #[must_use]
    pub fn path(&self, object: &ObjectId) -> Option<PathBuf> {
        self.files.load().paths.get(object).cloned()
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
        if !is_spelt_plainly(below) {
            self.unnamed += 1;
            self.unnamed_example = path;
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
        self.paths.insert(object, path);
        self.found.insert(url, found);
    }
}

/// The second of a change that is over: within the same second a file may change once more and
/// keep its date, and then the date must not vouch for its bytes.
fn settled_second(modified: Option<Duration>) -> Option<u64> {
    let seconds = modified?.as_secs();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds + SETTLED_AFTER_S <= now).then_some(seconds)
}

/// Whether a request can name the path as it is: what RFC 3986 allows there without an escape.
fn is_spelt_plainly(path: &str) -> bool {
    !path.is_empty()
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b))
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
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_below_the_directory_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a-b.mp4"), b"abc").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        let lab = Lab::new(&[(dir.path().into(), DiskClass::Ssd)]).unwrap();
        let found = lab.find("/sub/a-b.mp4").unwrap();
        assert_eq!((found.bytes, found.media_type), (3, "video/mp4"));
        let outside = ["/out", "/root/etc/passwd", "/sub/../sub/a-b.mp4", "/sub", "sub/a-b.mp4"];
        for path in outside {
            assert_eq!(lab.find(path), None, "{path}");
        }
        fs::write(dir.path().join("sub/a-b.mp4"), b"longer").unwrap();
        lab.rescan().unwrap();
        assert_ne!(lab.find("/sub/a-b.mp4").unwrap().object, found.object, "a new version");
    }

    #[test]
    fn names_that_no_request_can_spell_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("plain_(1).mp4"), b"a").unwrap();
        let served = |dir: &Path| Lab::new(&[(dir.into(), DiskClass::Ssd)]).unwrap();
        assert_eq!(served(dir.path()).unnamed(), None);
        for name in ["two words.mp4", "ümläut.mp4", "50%.mp4", "why?.mp4"] {
            fs::write(dir.path().join(name), b"b").unwrap();
        }
        let lab = served(dir.path());
        assert_eq!((lab.count(), lab.unnamed().unwrap().0), (1, 4));
        let example = lab.unnamed().unwrap().1;
        assert!(example.starts_with(&*dir.path().canonicalize().unwrap().to_string_lossy()));
    }

    #[test]
    fn several_directories_are_several_disks_and_the_first_has_the_say() {
        let (flash, rotating) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(flash.path().join("both"), b"flash").unwrap();
        fs::write(rotating.path().join("both"), b"rotating").unwrap();
        fs::write(rotating.path().join("cold"), b"cold").unwrap();
        let roots =
            [(flash.path().into(), DiskClass::Ssd), (rotating.path().into(), DiskClass::Hdd)];
        let lab = Lab::new(&roots).unwrap();
        assert_eq!(lab.find("/both").unwrap().bytes, 5);
        let cold = lab.find("/cold").unwrap();
        assert_eq!((cold.volume, cold.class), (1, DiskClass::Hdd));
        assert_eq!(lab.devices().list().len(), 2);
        assert!(lab.path(&cold.object).unwrap().ends_with("cold"));
    }
}
