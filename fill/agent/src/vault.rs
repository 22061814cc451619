//! The appliance's disks: which one takes an object, what goes to make room, what is being written,
//! which are lost. Fetches nothing and decides no order.
//!
//! Room is made only when a pull needs it: first unfinished pulls that nobody wants any more, then
//! the plan's prunes in the plan's order. When that is not enough the pull is refused and reported.
//!
//! ```text
//! in use --(directory gone, cannot be asked)--> lost --(there again, a minute on)--> in use
//!    `---(a write failed)--> resting: keeps what it has, takes nothing new for a while
//! ```
//!
//! A lost disk loses its own objects and no others: they count as not held, so the plan brings them
//! back to the disks that are left.

mod books;
mod disk;
mod mounts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use control_types::fill::Pull;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::{Incoming, Index, QuarantineBound, SEAL_ALIGN_BYTES, Seal, Writer};

use crate::error::AgentError;
use crate::pen::Pen;
use books::Books;
pub(crate) use books::Claim;
use disk::{Disk, State};
pub(crate) use mounts::Mounts;

/// An object on its way in.
pub(crate) struct Open {
    pub(crate) incoming: Incoming,
    pub(crate) seal: Rc<Seal>,
    /// For whole blocks, past the page cache; `None` where the file system cannot.
    pub(crate) direct: Option<Rc<Pen>>,
    pub(crate) file: Rc<Pen>,
    /// The room it still has to take.
    pub(crate) claim: Claim,
}

/// A disk with room for an object.
pub(crate) struct Placed {
    pub(crate) writer: Writer,
    /// To be kept until all of it is written.
    pub(crate) claim: Claim,
}

/// All disks and what is open on them.
pub(crate) struct Vault {
    disks: Vec<Disk>,
    /// How often disks went or came.
    changes: u64,
    open: HashMap<ObjectId, Open>,
}

/// A copy that somebody met a bad chunk of.
pub(crate) struct Suspect {
    writer: Writer,
    pub(crate) object: ObjectId,
    /// What has to be fetched again, without sources; none when another disk has a sound copy.
    pub(crate) repair: Option<Pull>,
}

/// What came of taking a suspect off its disk.
pub(crate) struct Quarantined {
    /// The disk had it and has it no more, whatever else it refuses.
    pub(crate) is_off: bool,
    /// What the disk refused.
    pub(crate) refused: Option<AgentError>,
}

/// A disk as moves see it.
pub(crate) struct Shelf {
    pub(crate) class: DiskClass,
    pub(crate) writer: Writer,
    pub(crate) index: Index,
    /// Bytes it may take, with the headroom left alone.
    pub(crate) free_bytes: u64,
}

impl Vault {
    /// Takes the writer's lock of every volume; all are on the disk `on`, or on the kernel's. A
    /// disk that cannot be read is lost, not fatal, as is one that was mounted `before` and is not.
    ///
    /// # Errors
    /// A volume that another process writes, or no disk at all.
    pub(crate) fn open_at(
        volumes: &[(PathBuf, DiskClass)],
        on: Option<&Arc<dyn oca_store::disk::Disk>>,
        before: &Mounts,
        now: u64,
    ) -> Result<Self, AgentError> {
        let mut disks = Vec::with_capacity(volumes.len());
        let books = Books::default();
        for (path, class) in volumes {
            let passed = before.passed_before(path);
            let mut disk = Disk::new(path, *class, on.cloned(), passed, books.clone());
            disk.open(now)?;
            disks.push(disk);
        }
        let vault = Self { disks, changes: 0, open: HashMap::new() };
        if vault.writers().next().is_none() {
            let why = vault.troubles().join("; ");
            return Err(AgentError::NoDisk { why });
        }
        Ok(vault)
    }

    /// As [`Self::open_at`] where nothing is known of earlier runs.
    #[cfg(test)]
    pub(crate) fn open(
        volumes: &[(PathBuf, DiskClass)],
        on: Option<&Arc<dyn oca_store::disk::Disk>>,
        now: u64,
    ) -> Result<Self, AgentError> {
        Self::open_at(volumes, on, &Mounts::default(), now)
    }

    /// The disks in use, with how many file systems begin on the way to each.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = (PathBuf, u32)> {
        let in_use = self.disks.iter().filter(|disk| disk.writer().is_some());
        in_use.map(|disk| (disk.path.clone(), disk.passed()))
    }

    /// Looks whether disks went or came; true when one did, and the work must be laid out anew.
    pub(crate) fn look_after(&mut self, now: u64) -> bool {
        let mut changed = false;
        for disk in &mut self.disks {
            changed |= disk.look_after(now);
        }
        if changed {
            self.changes += 1;
            let paths: Vec<PathBuf> =
                self.writers().map(|writer| writer.volume().path().to_owned()).collect();
            let is_here = |open: &Open| paths.iter().any(|p| open.incoming.path().starts_with(p));
            self.open.retain(|_, open| is_here(open));
        }
        changed
    }

    /// How often disks went or came since the start.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is wrong with disks, for reports.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let lost = self.disks.iter().filter_map(|disk| match &disk.state {
            State::Lost { why, .. } => Some(format!(
                "disk {} is lost: {why}; its objects are brought back to the other disks",
                disk.path.display()
            )),
            State::InUse { rests: Some((_, why)), .. } => Some(format!(
                "disk {} is set aside, it takes nothing new: {why}; look at the kernel's log \
                 (dmesg), mount it again or replace it",
                disk.path.display()
            )),
            State::InUse { .. } => None,
        });
        lost.collect()
    }

    pub(crate) fn writers(&self) -> impl Iterator<Item = &Writer> {
        self.disks.iter().filter_map(Disk::writer)
    }

    pub(crate) fn holds(&self, object: &ObjectId) -> bool {
        self.writers().any(|writer| writer.holds(object))
    }

    /// Whether any disk has a copy that nobody doubts.
    pub(crate) fn holds_sound(&self, object: &ObjectId) -> bool {
        self.writers().any(|writer| writer.holds(object) && !writer.is_suspect(object))
    }

    /// The disks as moves see them.
    pub(crate) fn shelves(&self, now: u64) -> Vec<Shelf> {
        let shelf = |disk: &Disk| {
            let writer = disk.writer()?.clone();
            let free_bytes = if disk.is_resting(now) { 0 } else { disk.free_bytes() };
            Some(Shelf { class: disk.class, index: writer.index(), writer, free_bytes })
        };
        self.disks.iter().filter_map(shelf).collect()
    }

    /// Finds or makes room for `pull` and promises it: answers with the writer to begin it on, or
    /// with the reason why there is none. `wanted` says whether an unfinished object is still to
    /// come. What was let go for it may take a moment: see [`Self::has_room_of`].
    pub(crate) fn place(
        &self,
        pull: &Pull,
        prunes: &[ObjectId],
        wanted: impl Fn(&ObjectId) -> bool,
        now: u64,
    ) -> Result<Placed, String> {
        let usable = || self.disks.iter().filter(|disk| !disk.is_resting(now));
        let need = room_bytes(Seal::region_bytes_for(pull.bytes) + pull.bytes);
        let fitting = |disks: &[&Disk]| {
            let left: Vec<(&Disk, u64)> =
                disks.iter().map(|disk| (*disk, disk.left_of(&pull.object, need))).collect();
            let fits = |(disk, left): &&(&Disk, u64)| disk.free_bytes() >= *left;
            let cleared = |(disk, left): &&(&Disk, u64)| disk.clear_unfinished(*left, &wanted);
            let pruned = |(disk, left): &&(&Disk, u64)| disk.prune(*left, prunes, &wanted);
            let found = left.iter().find(fits).or_else(|| left.iter().find(cleared));
            let found = found.or_else(|| left.iter().find(pruned));
            found.and_then(|(disk, _)| disk.claim(pull.object, need))
        };
        let is_begun = |disk: &&Disk| disk.has_begun(&pull.object);
        let begun: Vec<&Disk> = usable().filter(is_begun).collect();
        let of_class = |wanted| {
            let of_class = |disk: &&Disk| (disk.class == pull.class) == wanted;
            let mut disks: Vec<&Disk> = usable().filter(of_class).collect();
            disks.sort_by_cached_key(|disk| std::cmp::Reverse(disk.free_bytes()));
            disks
        };
        let placed = fitting(&begun)
            .or_else(|| fitting(&of_class(true)))
            .or_else(|| fitting(&of_class(false)));
        if let Some((writer, claim)) = placed {
            return Ok(Placed { writer, claim });
        }
        if !self.takes_any(now) {
            return Err(format!("no disk takes anything new: {}", self.troubles().join("; ")));
        }
        let free = usable().map(Disk::free_bytes).max().unwrap_or(0);
        Err(format!(
            "no room: {need} bytes needed, {free} free on the emptiest disk, and nothing left that \
             the plan lets go"
        ))
    }

    /// As [`Self::place`] for a copy of `file_bytes` that is to go to a disk of `class`; makes no
    /// room. `None` when no such disk has it.
    pub(crate) fn place_copy(
        &self,
        object: ObjectId,
        file_bytes: u64,
        class: DiskClass,
        now: u64,
    ) -> Option<Placed> {
        let need = room_bytes(file_bytes);
        let usable = |disk: &&Disk| disk.class == class && !disk.is_resting(now);
        let mut disks: Vec<&Disk> = self.disks.iter().filter(usable).collect();
        // One that has some of it first.
        disks.sort_by_cached_key(|disk| {
            (disk.left_of(&object, need), std::cmp::Reverse(disk.free_bytes()))
        });
        let fits = |disk: &&&Disk| disk.free_bytes() >= disk.left_of(&object, need);
        let (writer, claim) = disks.iter().find(fits)?.claim(object, need)?;
        Some(Placed { writer, claim })
    }

    /// Whether the room that was promised is there: a reader may still have had open what was let
    /// go for it.
    pub(crate) fn has_room_of(&self, placed: &Placed) -> bool {
        let path = placed.writer.volume().path();
        let disk = self.disks.iter().find(|disk| disk.path == path);
        disk.is_some_and(|disk| disk.has_room_of(&placed.claim))
    }

    /// The disk that holds `file` refused what is not a matter of room: it takes nothing new for a
    /// while, and the night goes on with the others.
    pub(crate) fn rest(&mut self, file: &Path, why: &str, now: u64) {
        for disk in self.disks.iter_mut().filter(|disk| file.starts_with(&disk.path)) {
            disk.rest(why, now);
        }
    }

    /// Whether any disk is set aside.
    pub(crate) fn is_resting_any(&self, now: u64) -> bool {
        self.disks.iter().any(|disk| disk.is_resting(now))
    }

    /// Whether any disk takes something new.
    pub(crate) fn takes_any(&self, now: u64) -> bool {
        self.disks.iter().any(|disk| disk.writer().is_some() && !disk.is_resting(now))
    }

    /// Keeps `incoming` with its files and its room for the lanes.
    pub(crate) fn keep(
        &mut self,
        incoming: Incoming,
        direct: Option<Pen>,
        file: Pen,
        claim: Claim,
    ) {
        let seal = Rc::new(incoming.seal().clone());
        let object = seal.object();
        let (direct, file) = (direct.map(Rc::new), Rc::new(file));
        self.open.insert(object, Open { incoming, seal, direct, file, claim });
    }

    pub(crate) fn opened(&mut self, object: &ObjectId) -> Option<&mut Open> {
        self.open.get_mut(object)
    }

    /// Hands an object out for good: to publish it, or to let its files be.
    pub(crate) fn take(&mut self, object: &ObjectId) -> Option<Open> {
        self.open.remove(object)
    }

    /// Lets go the files of everything that `is_begun` does not name: what stays open is busy, and
    /// can neither be begun again nor thrown away.
    pub(crate) fn let_go(&mut self, is_begun: impl Fn(&ObjectId) -> bool) {
        self.open.retain(|object, _| is_begun(object));
    }

    /// Everything readers left a marker for, with what has to be fetched again if it goes.
    pub(crate) fn suspects(&self) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        for disk in &self.disks {
            let Some(writer) = disk.writer() else { continue };
            for object in writer.suspects().unwrap_or_default() {
                // A copy that another disk still has, and nobody doubts, is not fetched.
                let is_sound = |other: &&Writer| {
                    other.volume().path() != writer.volume().path()
                        && other.holds(&object)
                        && !other.is_suspect(&object)
                };
                let record =
                    writer.record(&object).filter(|_| !self.writers().any(|w| is_sound(&w)));
                let repair = record.map(|record| Pull {
                    object,
                    bytes: record.bytes,
                    title: record.title,
                    class: disk.class,
                    sources: Vec::new(),
                    why: "repair".to_owned(),
                });
                suspects.push(Suspect { writer: writer.clone(), object, repair });
            }
        }
        suspects
    }

    /// Empties quarantines beyond `bound`.
    pub(crate) fn empty_quarantines(&self, bound: &QuarantineBound) {
        for writer in self.writers() {
            match writer.empty_quarantine(bound, std::time::SystemTime::now()) {
                Ok(emptied) if emptied.objects > 0 => {
                    let (objects, bytes) = (emptied.objects, emptied.bytes);
                    tracing::info!(objects, bytes, "threw away what was long in quarantine");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "cannot empty a quarantine"),
            }
        }
    }
}

/// Room that a file of so many bytes takes.
fn room_bytes(file_bytes: u64) -> u64 {
    file_bytes.next_multiple_of(SEAL_ALIGN_BYTES)
}

impl Suspect {
    /// Whether its disk lists it.
    pub(crate) fn is_held(&self) -> bool {
        self.writer.holds(&self.object)
    }

    /// Takes it off its disk; a marker for something that is not there is taken away.
    pub(crate) fn quarantine(&self) -> Quarantined {
        let (object, was_held) = (&self.object, self.is_held());
        let quarantined = if was_held {
            self.writer.quarantine(object)
        } else {
            self.writer.clear_suspect(object)
        };
        let refused = quarantined.err().map(AgentError::from);
        Quarantined { is_off: was_held && !self.is_held(), refused }
    }
}

#[cfg(test)]
#[path = "vault/small.rs"]
mod small;
#[cfg(test)]
#[path = "vault/tests.rs"]
mod tests;
