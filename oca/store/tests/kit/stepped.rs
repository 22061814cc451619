//! The kernel's file systems one deed at a time: what another thread does to a file or a name waits
//! until the test lets it. Fails at nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;

use oca_store::disk::{Disk, DiskFile, KernelDisk, Look, Named, OpenFile, Opening, Room};

/// Who waits for which deed. A clone is the same.
#[derive(Clone, Debug)]
pub struct Steps(Arc<(ThreadId, Mutex<Turns>, Condvar)>);

#[derive(Debug, Default)]
struct Turns {
    is_begun: bool,
    /// Only deeds of which this is a part wait.
    only: String,
    /// Deeds that wait, in the order in which they were asked for.
    waiting: VecDeque<String>,
    let_go: u64,
}

impl Steps {
    /// Deeds of the calling thread never wait.
    pub fn new() -> Self {
        Self(Arc::new((std::thread::current().id(), Mutex::default(), Condvar::new())))
    }

    /// From here on deeds wait, until what this answers with is dropped: a test that fails must not
    /// leave a thread behind.
    pub fn begin(&self) -> Stepping {
        self.begin_at("")
    }

    /// The same of deeds that `only` is a part of.
    pub fn begin_at(&self, only: &str) -> Stepping {
        let mut turns = self.0.1.lock().unwrap();
        (turns.is_begun, turns.only) = (true, only.to_owned());
        Stepping(self.clone())
    }

    /// The deed that waits longest.
    pub fn waiting(&self) -> Option<String> {
        self.0.1.lock().unwrap().waiting.front().cloned()
    }

    /// Lets that one be done.
    pub fn go(&self) {
        let mut turns = self.0.1.lock().unwrap();
        turns.waiting.pop_front();
        turns.let_go += 1;
        self.0.2.notify_all();
    }

    /// Lets everything be done from here on.
    fn end(&self) {
        let mut turns = self.0.1.lock().unwrap();
        turns.is_begun = false;
        turns.let_go = u64::MAX;
        self.0.2.notify_all();
    }

    fn wait(&self, deed: &str, path: &Path) {
        let (own, turns, changed) = &*self.0;
        let mut turns = turns.lock().unwrap();
        let deed = format!("{deed} {}", path.display());
        let is_ours = *own == std::thread::current().id();
        if !turns.is_begun || is_ours || !deed.contains(&turns.only) {
            return;
        }
        let number = turns.let_go + turns.waiting.len() as u64;
        turns.waiting.push_back(deed);
        while turns.let_go <= number {
            turns = changed.wait(turns).unwrap();
        }
    }
}

/// While this is, deeds wait.
pub struct Stepping(Steps);

impl Drop for Stepping {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Disk for Steps {
    fn open(&self, path: &Path, how: Opening) -> io::Result<OpenFile> {
        let OpenFile::Kernel(file) = KernelDisk.open(path, how)? else { unreachable!() };
        let (steps, path) = (self.clone(), path.to_owned());
        Ok(OpenFile::Made(Box::new(Stepped { file, path, steps })))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        KernelDisk.make_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait("rename", from);
        KernelDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait("link", from);
        KernelDisk.link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.wait("unlink", path);
        KernelDisk.unlink(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.wait("sync the folder", path);
        KernelDisk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Named>> {
        KernelDisk.list(path)
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        KernelDisk.look(path)
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        KernelDisk.room(path)
    }
}

#[derive(Debug)]
struct Stepped {
    file: File,
    path: PathBuf,
    steps: Steps,
}

impl DiskFile for Stepped {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.steps.wait("read", &self.path);
        DiskFile::read_at(&self.file, into, at)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        self.steps.wait("write", &self.path);
        DiskFile::write_at(&self.file, from, at)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        DiskFile::reserve(&self.file, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        DiskFile::set_len(&self.file, bytes)
    }

    fn length(&self) -> io::Result<u64> {
        DiskFile::length(&self.file)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.steps.wait("sync", &self.path);
        DiskFile::sync_all(&self.file)
    }

    fn sync_contents(&self) -> io::Result<()> {
        self.steps.wait("sync", &self.path);
        DiskFile::sync_contents(&self.file)
    }

    fn try_lock(&self) -> io::Result<bool> {
        DiskFile::try_lock(&self.file)
    }

    fn forget_cached(&self) {}
}
