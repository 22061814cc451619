//! One disk of the appliance: in use, resting or lost, and the room that can be made on it.
//! Knows no other disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::disk::{Disk as Kind, KernelDisk};
use oca_store::{StoreError, Volume, Writer};

use super::books::{Books, Claim};
use super::mounts::{NOT_MOUNTED, passed};
use crate::error::AgentError;
use crate::limits::{DISK_REST_MS, KEEP_FREE_ONE_IN, LOST_LOOK_MS, PRUNES_REFUSED_MAX};

/// Why a path that is there again is not its disk.
const ELSEWHERE: &str = "its folder is on another file system than before: mount the disk again, or \
    restart fill-agent to take what is there now";

/// One volume of the configuration.
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) class: DiskClass,
    pub(super) state: State,
    /// A made-up disk; none for the kernel's.
    on: Option<Arc<dyn Kind>>,
    /// Number of the file system it was in use on: an empty mount point is not the disk come back.
    device: Option<u64>,
    /// File systems that an earlier run passed on the way to it.
    passed_before: u32,
    /// The same when it was taken into use; 0 before.
    passed: u32,
    /// What is promised on all disks.
    books: Books,
}

pub(super) enum State {
    InUse {
        writer: Writer,
        /// Takes nothing new until then, and why.
        rests: Option<(u64, String)>,
    },
    Lost {
        why: String,
        look_at: u64,
    },
}

impl Disk {
    pub(super) fn new(
        path: &Path,
        class: DiskClass,
        on: Option<Arc<dyn Kind>>,
        passed_before: u32,
        books: Books,
    ) -> Self {
        let state = State::Lost { why: "not looked at yet".to_owned(), look_at: 0 };
        let (path, device, passed) = (path.to_owned(), None, 0);
        Self { path, class, state, on, device, passed_before, passed, books }
    }

    /// Takes the volume into use, or notes why it cannot be.
    ///
    /// # Errors
    /// Another writer has it: that is a mistake of the operator, not of the disk.
    pub(super) fn open(&mut self, now: u64) -> Result<(), AgentError> {
        let (device, passed) = match self.look() {
            Ok(looked) => looked,
            Err(error) => {
                // Nothing was learnt of where it is: asked again in a while.
                self.lose(AgentError::from(error).in_full(), now);
                return Ok(());
            }
        };
        if self.device.is_some_and(|before| before != device) {
            self.lose(ELSEWHERE.to_owned(), now);
            return Ok(());
        }
        if passed < self.passed_before {
            self.lose(NOT_MOUNTED.to_owned(), now);
            return Ok(());
        }
        let volume = match &self.on {
            None => Volume::open(&self.path, self.class),
            Some(on) => Volume::on(Arc::clone(on), &self.path, self.class),
        };
        let opened = volume.and_then(|volume| Writer::open(&volume, "fill-agent"));
        match opened {
            Ok(writer) => {
                self.state = State::InUse { writer, rests: None };
                (self.device, self.passed) = (Some(device), passed);
            }
            Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
            Err(error) => self.lose(AgentError::from(error).in_full(), now),
        }
        Ok(())
    }

    /// Number of the file system that the folder is on now, and how many begin on the way to it.
    fn look(&self) -> Result<(u64, u32), StoreError> {
        let kind: &dyn Kind = self.on.as_deref().unwrap_or(&KernelDisk);
        let there = kind.look(&self.path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => StoreError::NoVolume { path: self.path.clone() },
            _ => StoreError::Io { path: self.path.clone(), doing: "look at the volume", source },
        })?;
        Ok((there.identity.0, passed(kind, &self.path)?))
    }

    /// File systems that begin on the way to it, by the look that brought it into use.
    pub(super) fn passed(&self) -> u32 {
        self.passed
    }

    fn lose(&mut self, why: String, now: u64) {
        if matches!(self.state, State::InUse { .. }) || now == 0 {
            tracing::error!(disk = %self.path.display(), why, "disk lost");
        }
        self.state = State::Lost { why, look_at: now + LOST_LOOK_MS };
    }

    /// Takes nothing new for a while.
    pub(super) fn rest(&mut self, why: &str, now: u64) {
        let State::InUse { rests, .. } = &mut self.state else { return };
        if rests.is_none() {
            tracing::error!(disk = %self.path.display(), why, "disk set aside");
        }
        *rests = Some((now + DISK_REST_MS, why.to_owned()));
    }

    /// True when the disk went or came back.
    pub(super) fn look_after(&mut self, now: u64) -> bool {
        match &mut self.state {
            State::InUse { writer, rests } => {
                if rests.as_ref().is_some_and(|(until, _)| *until <= now) {
                    *rests = None;
                }
                if let Err(error) = writer.is_there() {
                    self.lose(AgentError::from(error).in_full(), now);
                    return true;
                }
                // A journal that is in doubt is written anew as soon as the disk lets it be.
                if let Err(error) = writer.settle() {
                    self.rest(&AgentError::from(error).in_full(), now);
                }
                false
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

    pub(super) fn writer(&self) -> Option<&Writer> {
        match &self.state {
            State::InUse { writer, .. } => Some(writer),
            State::Lost { .. } => None,
        }
    }

    pub(super) fn is_resting(&self, now: u64) -> bool {
        matches!(&self.state, State::InUse { rests: Some((until, _)), .. } if *until > now)
    }

    /// Whether an unfinished pull of `object` lies here.
    pub(super) fn has_begun(&self, object: &ObjectId) -> bool {
        let unfinished = self.writer().and_then(|writer| writer.unfinished().ok());
        unfinished.is_some_and(|unfinished| unfinished.contains(object))
    }

    /// Bytes a new object may take: above the headroom, and promised to nobody. What cannot be
    /// asked counts as full.
    pub(super) fn free_bytes(&self) -> u64 {
        self.device.map_or(0, |device| self.books.unpromised(device, || self.above_headroom()))
    }

    fn above_headroom(&self) -> u64 {
        let (free, headroom) = self.free_and_headroom();
        free.saturating_sub(headroom)
    }

    /// Bytes of the headroom that something takes.
    fn headroom_used(&self) -> u64 {
        let (free, headroom) = self.free_and_headroom();
        headroom.saturating_sub(free)
    }

    fn free_and_headroom(&self) -> (u64, u64) {
        let room = self.writer().and_then(|writer| writer.volume().room().ok());
        room.map_or((0, 0), |room| (room.free_bytes, room.total_bytes / KEEP_FREE_ONE_IN))
    }

    /// Bytes that `object` still has to take here, of the `need` that it takes in all.
    pub(super) fn left_of(&self, object: &ObjectId, need: u64) -> u64 {
        let taken = self.writer().map_or(0, |writer| writer.volume().unfinished_bytes(object));
        need.saturating_sub(taken)
    }

    /// Promises `object` the `need` bytes that it takes in all.
    pub(super) fn claim(&self, object: ObjectId, need: u64) -> Option<(Writer, Claim)> {
        let (writer, device) = (self.writer()?, self.device?);
        let claim = self.books.claim(device, writer.volume(), object, need);
        Some((writer.clone(), claim))
    }

    /// Whether the room of `claim`, which is on this disk, is there by now.
    pub(super) fn has_room_of(&self, claim: &Claim) -> bool {
        claim.has_come(|| self.above_headroom())
    }

    pub(super) fn clear_unfinished(&self, need: u64, wanted: &impl Fn(&ObjectId) -> bool) -> bool {
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

    /// Lets go of what the plan does, in its order, until `need` bytes are free or will be: a file
    /// that a reader has open gives its room back with the last read, so what went is counted and
    /// not looked for, or all of the list would go for one object.
    pub(super) fn prune(
        &self,
        need: u64,
        prunes: &[ObjectId],
        wanted: &impl Fn(&ObjectId) -> bool,
    ) -> bool {
        let Some(writer) = self.writer() else { return false };
        let index = writer.index();
        let mut here = prunes.iter().filter(|object| !wanted(object));
        let here: Vec<(ObjectId, u64)> = here
            .by_ref()
            .filter_map(|object| index.find(object).map(|entry| (*object, entry.file_bytes())))
            .collect();
        // Whoever else writes to this file system may have used some of the headroom.
        let need = need.saturating_add(self.headroom_used());
        let mut free = self.free_bytes();
        // Nothing is thrown away for a pull that would not fit even then.
        let mut coming: u64 = here.iter().map(|(_, bytes)| bytes).sum();
        let mut refused = 0;
        for (object, bytes) in here {
            if free >= need || free.saturating_add(coming) < need {
                break;
            }
            coming -= bytes;
            match writer.remove(&object) {
                Ok(()) => {
                    tracing::info!(%object, "pruned to make room");
                    free = free.saturating_add(bytes);
                }
                Err(error) => {
                    tracing::error!(%object, %error, "cannot prune");
                    refused += 1;
                    if refused >= PRUNES_REFUSED_MAX {
                        // A disk that turned read-only says so of the whole list, in the log too.
                        break;
                    }
                }
            }
        }
        free >= need
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
        let mut disk = Disk::new(folder.path(), DiskClass::Hdd, None, 0, Books::default());
        disk.open(1).unwrap();
        assert!(disk.writer().is_some());
        disk.lose("pulled out".to_owned(), 2);
        disk.device = disk.device.map(|number| number + 1);
        assert!(!disk.look_after(2 + LOST_LOOK_MS) && disk.writer().is_none());
        disk.device = disk.device.map(|number| number - 1);
        assert!(disk.look_after(2 + 2 * LOST_LOOK_MS) && disk.writer().is_some());
    }
}
