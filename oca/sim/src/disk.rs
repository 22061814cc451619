//! Files in memory, and the ways a disk lets one down.
//! It serves bytes and faults; it knows no seal and repairs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;

use crate::agenda::Moment;
use crate::weather::{SECOND, Weather, happens, latency};

const EIO: i32 = 5;
const EMFILE: i32 = 24;

/// What is lastingly wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The byte there is not what was written.
    Flipped {
        /// Which byte of the file.
        at: u64,
    },
    /// The file ends here.
    Cut {
        /// Its length.
        at: u64,
    },
    /// The file is not there.
    Gone,
    /// Every read fails.
    Unreadable,
    /// Every read takes this much longer.
    Slow {
        /// By how much.
        nanos: Moment,
    },
}

/// A stretch of time in which a whole device is out of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Position of its volume.
    pub volume: usize,
    /// How.
    pub kind: OutageKind,
    /// Since when.
    pub from: Moment,
    /// Until when; `Moment::MAX` for ever.
    pub until: Moment,
}

/// How a device is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// It answers nothing; what was asked meanwhile is answered when it is over.
    Hangs,
    /// It answers everything with an error.
    Fails,
}

#[derive(Debug)]
struct File {
    bytes: Arc<[u8]>,
    flaw: Option<Flaw>,
    volume: usize,
}

/// All files of the machine, and which of them are open.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<PathBuf, File>,
    open: BTreeMap<u32, PathBuf>,
    opened: u32,
    /// Files that something was wrong with at least once, lastingly or not.
    blamed: BTreeSet<PathBuf>,
    outages: Vec<Outage>,
    /// Reads of each file so far.
    reads: BTreeMap<PathBuf, u32>,
    /// The page cache: what was read through it, wrong bytes and all, by file and first byte.
    cache: BTreeMap<(PathBuf, u64), Vec<u8>>,
}

impl Disk {
    /// Puts a file on a volume.
    pub fn put(&mut self, volume: usize, path: PathBuf, bytes: Arc<[u8]>) {
        self.files.insert(path, File { bytes, flaw: None, volume });
    }

    /// A device will be out of order for a while.
    pub fn plan(&mut self, outage: Outage) {
        self.outages.push(outage);
    }

    /// Whether the device of `volume` is, was or will be out of order.
    #[must_use]
    pub fn has_outage(&self, volume: usize) -> bool {
        self.outages.iter().any(|outage| outage.volume == volume)
    }

    /// What outages make of an operation on `path` that begins `now` and would take `takes`: how
    /// long it takes, or that it fails.
    pub(crate) fn outage(&self, path: &Path, now: Moment, takes: Moment) -> Option<Moment> {
        let Some(file) = self.files.get(path) else { return Some(takes) };
        let mut ends = now.saturating_add(takes);
        for outage in self.outages.iter().filter(|outage| outage.volume == file.volume) {
            let is_met = now < outage.until && ends >= outage.from;
            match outage.kind {
                _ if !is_met => {}
                OutageKind::Fails => return None,
                OutageKind::Hangs => ends = outage.until.saturating_add(takes),
            }
        }
        Some(ends - now)
    }

    /// The file that is open as `file`.
    pub(crate) fn path_of(&self, file: u32) -> PathBuf {
        self.open.get(&file).expect("the server read a file it had closed").clone()
    }

    /// Spoils a file for good. Panics when there is none: a test meant another one.
    pub fn spoil(&mut self, path: &Path, flaw: Flaw) {
        self.files.get_mut(path).expect("a file that was put there").flaw = Some(flaw);
        self.blamed.insert(path.to_owned());
    }

    /// Spoils some files, as the weather has it.
    pub fn spoil_some(&mut self, weather: &Weather, random: &mut Rng) {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        for path in paths {
            let bytes = self.files.get(&path).map_or(0, |file| file.bytes.len() as u64);
            if bytes == 0 || !happens(random, weather.bad_file) {
                continue;
            }
            let flaw = match random.u8(..5) {
                0 => Flaw::Gone,
                1 => Flaw::Unreadable,
                2 => Flaw::Cut { at: random.u64(..bytes) },
                // The seal is the first few pages: worth aiming at.
                3 => Flaw::Flipped { at: random.u64(..bytes.min(4096)) },
                _ => Flaw::Flipped { at: random.u64(..bytes) },
            };
            self.spoil(&path, flaw);
        }
    }

    /// Whether anything was ever wrong with `path`.
    #[must_use]
    pub fn is_blamed(&self, path: &Path) -> bool {
        self.blamed.contains(path)
    }

    /// How often a file was read, seal and all.
    #[must_use]
    pub fn reads_of(&self, path: &Path) -> u32 {
        self.reads.get(path).copied().unwrap_or(0)
    }

    /// Files open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn open(
        &mut self,
        path: &Path,
        weather: &Weather,
        random: &mut Rng,
    ) -> io::Result<u32> {
        let file = self.files.get(path).filter(|file| file.flaw != Some(Flaw::Gone));
        if file.is_none() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        if happens(random, weather.bad_open) {
            self.blamed.insert(path.to_owned());
            return Err(io::Error::from_raw_os_error(if random.bool() { EIO } else { EMFILE }));
        }
        self.opened += 1;
        self.open.insert(self.opened, path.to_owned());
        Ok(self.opened)
    }

    pub(crate) fn close(&mut self, file: u32) {
        assert!(self.open.remove(&file).is_some(), "the server closed file {file} twice");
    }

    /// One read through the page cache, which keeps what the disk gave.
    pub(crate) fn read_cached(
        &mut self,
        file: u32,
        at: u64,
        into: &mut [u8],
        weather: &Weather,
        random: &mut Rng,
    ) -> (io::Result<usize>, Moment) {
        let path = self.open.get(&file).expect("the server read a file it had closed").clone();
        if let Some(bytes) = self.cache.get(&(path.clone(), at)) {
            let got = bytes.len().min(into.len());
            into[..got].copy_from_slice(&bytes[..got]);
            return (Ok(got), latency(random, weather.latency_max));
        }
        let (answer, takes) = self.read(file, at, into, weather, random);
        if let Ok(got) = answer {
            self.cache.insert((path, at), into[..got].to_vec());
        }
        (answer, takes)
    }

    /// What the page cache has from `at` on. It forgets, as the weather has it.
    pub(crate) fn cached(
        &mut self,
        file: u32,
        at: u64,
        bytes: usize,
        weather: &Weather,
        random: &mut Rng,
    ) -> Vec<u8> {
        let path = self.open.get(&file).expect("the server sent a file it had closed").clone();
        let before = self.cache.range(..=(path.clone(), at)).next_back();
        let Some(((name, start), kept)) = before else { return Vec::new() };
        let (name, start) = (name.clone(), *start);
        // The entry before may be another file's, and start anywhere.
        let from = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        if name != path || from >= kept.len() {
            return Vec::new();
        }
        let found = kept[from..kept.len().min(from.saturating_add(bytes))].to_vec();
        if happens(random, weather.forgets) {
            self.cache.remove(&(name, start));
            return Vec::new();
        }
        found
    }

    /// One read into `into`: the answer, and how long it takes.
    pub(crate) fn read(
        &mut self,
        file: u32,
        at: u64,
        into: &mut [u8],
        weather: &Weather,
        random: &mut Rng,
    ) -> (io::Result<usize>, Moment) {
        let mut takes = latency(random, weather.disk_latency_max);
        if !at.is_multiple_of(4096) {
            return (Err(io::Error::from(io::ErrorKind::InvalidInput)), takes);
        }
        let path = self.open.get(&file).expect("the server read a file it had closed").clone();
        *self.reads.entry(path.clone()).or_default() += 1;
        let file = self.files.get(&path).expect("files stay");
        let failed = (Err(io::Error::from_raw_os_error(EIO)), takes);
        let end = match file.flaw {
            Some(Flaw::Unreadable) => return failed,
            Some(Flaw::Cut { at }) => at,
            Some(Flaw::Slow { nanos }) => {
                takes += nanos;
                file.bytes.len() as u64
            }
            _ => file.bytes.len() as u64,
        };
        let start = at.min(end) as usize;
        let got = into.len().min(end as usize - start);
        into[..got].copy_from_slice(&file.bytes[start..start + got]);
        if let Some(Flaw::Flipped { at: flipped }) = file.flaw
            && let Some(byte) = flipped.checked_sub(at).and_then(|at| into.get_mut(at as usize))
        {
            *byte ^= 0x20;
        }
        if happens(random, weather.bad_read) {
            self.blamed.insert(path);
            match random.u8(..4) {
                0 => return failed,
                1 if got > 0 => into[random.usize(..got)] ^= 1,
                2 => takes += random.u64(..10 * SECOND),
                _ => takes += random.u64(..60 * SECOND),
            }
        }
        (Ok(got), takes)
    }
}
