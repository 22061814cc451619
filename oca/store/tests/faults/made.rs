//! A disk made of memory that behaves as badly as disks may: it forgets what was never made
//! durable, tears what was half written, and fails at the operation it is told to. Knows nothing of
//! objects and judges nobody.
//!
//! What it keeps apart, for names and for bytes: what a program sees now, and what a power cut
//! leaves. Between them lie the changes that were not made durable yet; a cut keeps any of them.
//! A rename is one change: both of its names or neither.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use oca_store::disk::{Disk, Look, Named, OpenFile, Opening, Room};

use super::bytes::Bytes;
use super::dice::Dice;
use super::fault::{Fault, Plan, Sort};
use super::handle::Handle;

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(u64),
}

/// How a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The program is killed: what the kernel was told stays.
    Kill,
    /// The power goes: any of the changes since the last syncs stay, in any order.
    Cut,
    /// The power goes on a disk that keeps names in order: all name changes up to some moment.
    CutInOrder,
}

/// One change of names: all of it happens or none.
#[derive(Clone, Debug)]
pub(super) struct Change {
    number: u64,
    names: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    now: BTreeMap<PathBuf, Node>,
    /// With the number of the last change, so that an older one kept by a cut cannot undo it.
    durable: BTreeMap<PathBuf, (u64, Option<Node>)>,
    pending: Vec<Change>,
    /// Changes up to here are durable on a disk that keeps them in order: a sync takes with it all
    /// that came before.
    pub(super) in_order_until: u64,
    pub(super) files: BTreeMap<u64, Bytes>,
    pub(super) locked: Vec<u64>,
    pub(super) next: u64,
    pub(super) plan: Plan,
    /// Hints to forget what is cached are not taken, as the kernel is free to.
    pub(super) is_deaf: bool,
    pub(super) dice: Dice,
}

/// A clone is the same disk.
#[derive(Clone, Debug)]
pub struct MadeDisk(Arc<Mutex<State>>);

impl MadeDisk {
    pub fn new(seed: u64) -> Self {
        let mut now = BTreeMap::new();
        now.insert(PathBuf::from("/"), Node::Dir);
        let durable = now.iter().map(|(path, node)| (path.clone(), (0, Some(*node)))).collect();
        Self(Arc::new(Mutex::new(State {
            now,
            durable,
            pending: Vec::new(),
            in_order_until: 0,
            files: BTreeMap::new(),
            locked: Vec::new(),
            next: 1,
            plan: Plan::default(),
            is_deaf: false,
            dice: Dice::new(seed),
        })))
    }

    /// Another disk with the same contents, its chances drawn from `seed`.
    pub fn copy(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.dice = Dice::new(seed);
        state.locked.clear();
        state.plan = Plan::default();
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the `at`-th operation on, `fault` waits for an operation that it can happen to.
    pub fn arm(&self, at: u64, fault: Fault) {
        self.state().plan = Plan::armed(at, fault);
    }

    /// From now on no hint is taken: what is cached stays so until the machine stops.
    #[allow(dead_code, reason = "asked for by the agent's tests, which share this disk")]
    pub fn deafen(&self) {
        self.state().is_deaf = true;
    }

    /// No faults any more; true when one had happened. A stopped machine stays stopped.
    pub fn heal(&self) -> bool {
        self.state().plan.heal()
    }

    /// Whether the machine stopped and waits for `start_again`.
    pub fn is_stopped(&self) -> bool {
        self.state().plan.stopped().is_some()
    }

    /// Stops the machine, if it has not, and starts it again: what is left is what the stop leaves.
    /// Answers how it stopped.
    pub fn start_again(&self, stop: Stop) -> Stop {
        let mut state = self.state();
        let stop = state.plan.stopped().unwrap_or(stop);
        state.plan = Plan::default();
        state.locked.clear();
        if stop != Stop::Kill {
            state.cut(stop);
        }
        stop
    }

    /// Flips one bit of the file at `path`, on the platter and in the cache. Other names of it go
    /// on naming what it was.
    pub fn rot(&self, path: &Path, at: usize) {
        let mut state = self.state();
        let Some(Node::File(file)) = state.now.get(path).copied() else { return };
        let mut rotten = state.files[&file].clone();
        rotten.flip(at);
        state.next += 1;
        let own = state.next;
        state.files.insert(own, rotten);
        state.now.insert(path.to_owned(), Node::File(own));
        if let Some((_, Some(node))) = state.durable.get_mut(path)
            && *node == Node::File(file)
        {
            *node = Node::File(own);
        }
    }

    /// The bytes at `path` as a program sees them.
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let Some(Node::File(file)) = state.now.get(path) else { return None };
        state.files.get(file).map(|bytes| bytes.seen().to_vec())
    }

    /// Every file, by path.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let files = state.now.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Puts a durable file at `path`, directories and all.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.make_dir(path.parent().unwrap()).unwrap();
        self.open(path, Opening::Anew).unwrap().write_at(bytes, 0).unwrap();
        let mut state = self.state();
        let Some(Node::File(file)) = state.now.get(path).copied() else { unreachable!() };
        state.files.get_mut(&file).unwrap().settle();
        let State { now, durable, pending, .. } = &mut *state;
        pending.clear();
        durable.extend(now.iter().map(|(path, node)| (path.clone(), (0, Some(*node)))));
    }
}

impl State {
    fn change(&mut self, names: Vec<(PathBuf, Option<Node>)>) {
        for (path, node) in &names {
            match node {
                Some(node) => self.now.insert(path.clone(), *node),
                None => self.now.remove(path),
            };
        }
        self.next += 1;
        self.pending.push(Change { number: self.next, names });
    }

    fn settle(durable: &mut BTreeMap<PathBuf, (u64, Option<Node>)>, change: &Change) {
        for (path, node) in &change.names {
            let there = durable.entry(path.clone()).or_insert((0, None));
            if there.0 < change.number {
                *there = (change.number, *node);
            }
        }
    }

    fn cut(&mut self, stop: Stop) {
        let pending = std::mem::take(&mut self.pending);
        let synced = pending.iter().filter(|change| change.number <= self.in_order_until).count();
        let whole = synced + self.dice.below((pending.len() - synced) as u64 + 1) as usize;
        for (at, change) in pending.iter().enumerate() {
            let is_kept = if stop == Stop::CutInOrder { at < whole } else { self.dice.coin() };
            if is_kept {
                Self::settle(&mut self.durable, change);
            }
        }
        for bytes in self.files.values_mut() {
            bytes.cut(&mut self.dice);
        }
        // What lies below a directory that is gone is gone with it.
        let durable = &self.durable;
        let is_dir = |path: &Path| matches!(durable.get(path), Some((_, Some(Node::Dir))));
        let is_reached = |path: &Path| path.ancestors().skip(1).all(is_dir);
        let left = durable.iter().filter_map(|(path, (_, node))| Some((path, (*node)?)));
        self.now = left
            .filter(|(path, _)| is_reached(path))
            .map(|(path, node)| (path.clone(), node))
            .collect();
        self.durable =
            self.now.iter().map(|(path, node)| (path.clone(), (0, Some(*node)))).collect();
        let named: Vec<u64> = self.now.values().filter_map(Node::file).collect();
        self.files.retain(|file, _| named.contains(file));
    }

    fn file_at(&self, path: &Path) -> io::Result<u64> {
        match self.now.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Dir) => Err(Errno::EISDIR.into()),
            None => Err(Errno::ENOENT.into()),
        }
    }

    fn parent_of(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.now.get(parent) == Some(&Node::Dir) { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }
}

impl Node {
    fn file(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(*file),
            Self::Dir => None,
        }
    }
}

impl Disk for MadeDisk {
    fn open(&self, path: &Path, how: Opening) -> io::Result<OpenFile> {
        let mut state = self.state();
        let sort = if how == Opening::Read { Sort::Look } else { Sort::Change };
        let makes = matches!(how, Opening::Keep | Opening::Anew) && !state.now.contains_key(path);
        state.plan.next(if makes { Sort::Take } else { sort })?;
        let file = if makes {
            state.parent_of(path)?;
            state.next += 1;
            let file = state.next;
            state.files.insert(file, Bytes::default());
            state.change(vec![(path.to_owned(), Some(Node::File(file)))]);
            file
        } else {
            state.file_at(path)?
        };
        if how == Opening::Anew {
            state.files.get_mut(&file).unwrap().set_len(0);
        }
        Ok(OpenFile::Made(Box::new(Handle::new(self.clone(), file))))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for dir in above {
            let mut state = self.state();
            match state.now.get(dir) {
                Some(Node::Dir) => continue,
                Some(Node::File(_)) => return Err(Errno::ENOTDIR.into()),
                None => {}
            }
            state.plan.next(Sort::Take)?;
            state.change(vec![(dir.to_owned(), Some(Node::Dir))]);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plan.next(Sort::Take)?;
        let file = state.file_at(from)?;
        state.parent_of(to)?;
        state.change(vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(file)))]);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plan.next(Sort::Take)?;
        let file = state.file_at(from)?;
        state.parent_of(to)?;
        if state.now.contains_key(to) {
            return Err(Errno::EEXIST.into());
        }
        state.change(vec![(to.to_owned(), Some(Node::File(file)))]);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plan.next(Sort::Change)?;
        state.file_at(path)?;
        state.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plan.next(Sort::Sync)?;
        let State { durable, pending, .. } = &mut *state;
        let touches =
            |change: &Change| change.names.iter().any(|(name, _)| name.parent() == Some(path));
        pending.iter().filter(|change| touches(change)).for_each(|c| State::settle(durable, c));
        pending.retain(|change| !touches(change));
        state.in_order_until = state.next;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Named>> {
        let mut state = self.state();
        state.plan.next(Sort::Look)?;
        if state.now.get(path) != Some(&Node::Dir) {
            return Err(Errno::ENOENT.into());
        }
        let below = state.now.iter().filter(|(name, _)| name.parent() == Some(path));
        let named = below.map(|(name, node)| Named {
            name: name.file_name().unwrap().to_owned(),
            is_dir: *node == Node::Dir,
        });
        Ok(named.collect())
    }

    fn look(&self, path: &Path) -> io::Result<Look> {
        let mut state = self.state();
        state.plan.next(Sort::Look)?;
        let node = *state.now.get(path).ok_or(Errno::ENOENT)?;
        let file = node.file().unwrap_or(0);
        let bytes = state.files.get(&file).map_or(0, |bytes| bytes.seen().len() as u64);
        Ok(Look {
            is_dir: node == Node::Dir,
            bytes,
            room_bytes: bytes,
            since: UNIX_EPOCH + Duration::from_secs(1),
            identity: (1, file),
        })
    }

    fn room(&self, _: &Path) -> io::Result<Room> {
        Ok(Room { total_bytes: 1 << 40, free_bytes: 1 << 39 })
    }
}
