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

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use control_types::fill::Pull;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::{Incoming, Index, QuarantineBound, Seal, StoreError, Volume, Writer};
use tokio_uring::fs::File;

use crate::error::AgentError;
use crate::limits::{DISK_REST_MS, KEEP_FREE_ONE_IN, LOST_LOOK_MS};

/// Why a path that is there again is not its disk.
const ELSEWHERE: &str = "its folder is on another file system than before: mount the disk again, or \
    restart fill-agent to take what is there now";

/// One volume of the configuration.
struct Disk {
    path: PathBuf,
    class: DiskClass,
    state: State,
    /// Number of the file system it was in use on: an empty mount point is not the disk come back.
    device: Option<u64>,
}

enum State {
    InUse {
        writer: Writer,
        /// Takes nothing new until then.
        rests_until: u64,
    },
    Lost {
        why: String,
        look_at: u64,
    },
}

/// An object on its way in.
pub(crate) struct Open {
    pub(crate) incoming: Incoming,
    pub(crate) seal: Rc<Seal>,
    /// For whole blocks, past the page cache; `None` where the file system cannot.
    pub(crate) direct: Option<Rc<File>>,
    pub(crate) file: Rc<File>,
}

/// All disks and what is open on them.
pub(crate) struct Vault {
    disks: Vec<Disk>,
    open: HashMap<ObjectId, Open>,
}

/// A copy that somebody met a bad chunk of.
pub(crate) struct Suspect {
    writer: Writer,
    pub(crate) object: ObjectId,
    /// What has to be fetched again, without sources; none when another disk has a sound copy.
    pub(crate) repair: Option<Pull>,
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
    /// Takes the writer's lock of every volume. A disk that cannot be read is lost, not fatal.
    ///
    /// # Errors
    /// A volume that another process writes, or no disk at all.
    pub(crate) fn open(volumes: &[(PathBuf, DiskClass)], now: u64) -> Result<Self, AgentError> {
        let mut disks = Vec::with_capacity(volumes.len());
        for (path, class) in volumes {
            let mut disk = Disk::new(path, *class);
            disk.open(now)?;
            disks.push(disk);
        }
        let vault = Self { disks, open: HashMap::new() };
        if vault.writers().next().is_none() {
            let why = vault.troubles().join("; ");
            return Err(AgentError::NoDisk { why });
        }
        Ok(vault)
    }

    /// Looks whether disks went or came; true when one did, and the work must be laid out anew.
    pub(crate) fn look_after(&mut self, now: u64) -> bool {
        let mut changed = false;
        for disk in &mut self.disks {
            changed |= disk.look_after(now);
        }
        if changed {
            let paths: Vec<PathBuf> =
                self.writers().map(|writer| writer.volume().path().to_owned()).collect();
            let is_here = |open: &Open| paths.iter().any(|p| open.incoming.path().starts_with(p));
            self.open.retain(|_, open| is_here(open));
        }
        changed
    }

    /// What is wrong with disks, for reports.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let lost = self.disks.iter().filter_map(|disk| match &disk.state {
            State::Lost { why, .. } => Some(format!(
                "disk {} is lost: {why}; its objects are brought back to the other disks",
                disk.path.display()
            )),
            State::InUse { rests_until, .. } if *rests_until > 0 => Some(format!(
                "a write to disk {} failed: it takes nothing new",
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

    /// The disks as moves see them.
    pub(crate) fn shelves(&self, now: u64) -> Vec<Shelf> {
        let shelf = |disk: &Disk| {
            let writer = disk.writer()?.clone();
            let free_bytes = if disk.is_resting(now) { 0 } else { disk.free_bytes() };
            Some(Shelf { class: disk.class, index: writer.index(), writer, free_bytes })
        };
        self.disks.iter().filter_map(shelf).collect()
    }

    /// Finds or makes room for `pull` and answers with the writer to begin it on, or with the
    /// reason why there is none. `wanted` says whether an unfinished object is still to come.
    pub(crate) fn place(
        &self,
        pull: &Pull,
        prunes: &[ObjectId],
        wanted: impl Fn(&ObjectId) -> bool,
        now: u64,
    ) -> Result<Writer, String> {
        let usable = || self.disks.iter().filter(|disk| !disk.is_resting(now));
        let begun = usable().filter_map(Disk::writer).find(|writer| {
            writer.unfinished().is_ok_and(|unfinished| unfinished.contains(&pull.object))
        });
        if let Some(writer) = begun {
            return Ok(writer.clone());
        }
        let need = Seal::region_bytes_for(pull.bytes) + pull.bytes;
        for class_wanted in [true, false] {
            let mut disks: Vec<&Disk> =
                usable().filter(|disk| (disk.class == pull.class) == class_wanted).collect();
            disks.sort_by_key(|disk| std::cmp::Reverse(disk.free_bytes()));
            let found = disks
                .iter()
                .find(|disk| disk.free_bytes() >= need)
                .or_else(|| disks.iter().find(|disk| disk.clear_unfinished(need, &wanted)))
                .or_else(|| disks.iter().find(|disk| disk.prune(need, prunes, &wanted)));
            if let Some(writer) = found.and_then(|disk| disk.writer()) {
                return Ok(writer.clone());
            }
        }
        let free = usable().map(Disk::free_bytes).max().unwrap_or(0);
        Err(format!(
            "no room: {need} bytes needed, {free} free on the emptiest disk, and nothing left that \
             the plan lets go"
        ))
    }

    /// A write to the disk that holds `file` failed: it takes nothing new for a while.
    pub(crate) fn rest(&mut self, file: &Path, now: u64) {
        for disk in &mut self.disks {
            if let State::InUse { rests_until, .. } = &mut disk.state
                && file.starts_with(&disk.path)
            {
                *rests_until = now + DISK_REST_MS;
            }
        }
    }

    /// Keeps `incoming` with its files for the lanes.
    pub(crate) fn keep(&mut self, incoming: Incoming, direct: Option<File>, file: File) {
        let seal = Rc::new(incoming.seal().clone());
        let object = seal.object();
        let open = Open { incoming, seal, direct: direct.map(Rc::new), file: Rc::new(file) };
        self.open.insert(object, open);
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

impl Disk {
    fn new(path: &Path, class: DiskClass) -> Self {
        let state = State::Lost { why: "not looked at yet".to_owned(), look_at: 0 };
        Self { path: path.to_owned(), class, state, device: None }
    }

    /// Takes the volume into use, or notes why it cannot be.
    ///
    /// # Errors
    /// Another writer has it: that is a mistake of the operator, not of the disk.
    fn open(&mut self, now: u64) -> Result<(), AgentError> {
        let device = std::fs::metadata(&self.path).ok().map(|there| there.dev());
        if self.device.is_some() && device.is_some() && device != self.device {
            self.lose(ELSEWHERE.to_owned(), now);
            return Ok(());
        }
        let opened = Volume::open(&self.path, self.class)
            .and_then(|volume| Writer::open(&volume, "fill-agent"));
        match opened {
            Ok(writer) => {
                self.state = State::InUse { writer, rests_until: 0 };
                self.device = device;
            }
            Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
            Err(error) => self.lose(AgentError::from(error).in_full(), now),
        }
        Ok(())
    }

    fn lose(&mut self, why: String, now: u64) {
        if matches!(self.state, State::InUse { .. }) || now == 0 {
            tracing::error!(disk = %self.path.display(), why, "disk lost");
        }
        self.state = State::Lost { why, look_at: now + LOST_LOOK_MS };
    }

    /// True when the disk went or came back.
    fn look_after(&mut self, now: u64) -> bool {
        match &mut self.state {
            State::InUse { writer, rests_until } => {
                if *rests_until <= now {
                    *rests_until = 0;
                }
                let Err(error) = writer.is_there() else { return false };
                self.lose(AgentError::from(error).in_full(), now);
                true
            }
            State::Lost { look_at, .. } if *look_at <= now => {
                match self.open(now) {
                    Ok(()) => {}
                    Err(error) => self.lose(error.in_full(), now),
                }
                let is_back = self.writer().is_some();
                if is_back {
                    tracing::info!(disk = %self.path.display(), "disk is back in use");
                }
                is_back
            }
            State::Lost { .. } => false,
        }
    }

    fn writer(&self) -> Option<&Writer> {
        match &self.state {
            State::InUse { writer, .. } => Some(writer),
            State::Lost { .. } => None,
        }
    }

    fn is_resting(&self, now: u64) -> bool {
        matches!(&self.state, State::InUse { rests_until, .. } if *rests_until > now)
    }

    /// Bytes a new object may take; what cannot be asked counts as full.
    fn free_bytes(&self) -> u64 {
        let room = self.writer().and_then(|writer| writer.volume().room().ok());
        room.map_or(0, |room| room.free_bytes.saturating_sub(room.total_bytes / KEEP_FREE_ONE_IN))
    }

    fn clear_unfinished(&self, need: u64, wanted: &impl Fn(&ObjectId) -> bool) -> bool {
        let Some(writer) = self.writer() else { return false };
        for object in writer.unfinished().unwrap_or_default() {
            if self.free_bytes() >= need {
                return true;
            }
            if !wanted(&object) && writer.discard_unfinished(&object).is_ok() {
                tracing::info!(%object, "discarded a pull that is no longer wanted");
            }
        }
        self.free_bytes() >= need
    }

    fn prune(&self, need: u64, prunes: &[ObjectId], wanted: &impl Fn(&ObjectId) -> bool) -> bool {
        let Some(writer) = self.writer() else { return false };
        let index = writer.index();
        let mut here = prunes.iter().filter(|object| !wanted(object));
        let here: Vec<(ObjectId, u64)> = here
            .by_ref()
            .filter_map(|object| index.find(object).map(|entry| (*object, entry.file_bytes())))
            .collect();
        // Nothing is thrown away for a pull that would not fit even then.
        let mut coming: u64 = here.iter().map(|(_, bytes)| bytes).sum();
        for (object, bytes) in here {
            if self.free_bytes() >= need {
                return true;
            }
            if self.free_bytes().saturating_add(coming) < need {
                return false;
            }
            coming -= bytes;
            match writer.remove(&object) {
                Ok(()) => tracing::info!(%object, "pruned to make room"),
                Err(error) => tracing::error!(%object, %error, "cannot prune"),
            }
        }
        self.free_bytes() >= need
    }
}

impl Suspect {
    /// Takes it off its disk; a marker for something that is not there is taken away.
    pub(crate) fn quarantine(&self) {
        let object = &self.object;
        let quarantined = if self.writer.holds(object) {
            tracing::warn!(%object, "goes to quarantine: its bytes are not the object's");
            self.writer.quarantine(object)
        } else {
            self.writer.clear_suspect(object)
        };
        if let Err(error) = quarantined {
            tracing::error!(%object, %error, "cannot quarantine");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: fill never goes to the disk below an unmounted one. Method: what a path was on is made
    /// another file system's number, as an unmount makes it.
    #[test]
    fn an_empty_mount_point_is_not_the_disk_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(folder.path(), DiskClass::Hdd);
        disk.open(1).unwrap();
        assert!(disk.writer().is_some());
        disk.lose("pulled out".to_owned(), 2);
        disk.device = disk.device.map(|number| number + 1);
        assert!(!disk.look_after(2 + LOST_LOOK_MS) && disk.writer().is_none());
        disk.device = disk.device.map(|number| number - 1);
        assert!(disk.look_after(2 + 2 * LOST_LOOK_MS) && disk.writer().is_some());
    }
}
