//! One disk of the appliance: in use, resting or lost, and the room that can be made on it.
//! Knows no other disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::disk::{Disk as Kind, KernelDisk};
use oca_store::{StoreError, Volume, Writer};

use crate::error::AgentError;
use crate::limits::{DISK_REST_MS, KEEP_FREE_ONE_IN, LOST_LOOK_MS};

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
    pub(super) fn new(path: &Path, class: DiskClass, on: Option<Arc<dyn Kind>>) -> Self {
        let state = State::Lost { why: "not looked at yet".to_owned(), look_at: 0 };
        Self { path: path.to_owned(), class, state, on, device: None }
    }

    /// Takes the volume into use, or notes why it cannot be.
    ///
    /// # Errors
    /// Another writer has it: that is a mistake of the operator, not of the disk.
    pub(super) fn open(&mut self, now: u64) -> Result<(), AgentError> {
        let kind: &dyn Kind = self.on.as_deref().unwrap_or(&KernelDisk);
        let device = kind.look(&self.path).ok().map(|there| there.identity.0);
        if self.device.is_some() && device.is_some() && device != self.device {
            self.lose(ELSEWHERE.to_owned(), now);
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

    /// Bytes a new object may take; what cannot be asked counts as full.
    pub(super) fn free_bytes(&self) -> u64 {
        let room = self.writer().and_then(|writer| writer.volume().room().ok());
        room.map_or(0, |room| room.free_bytes.saturating_sub(room.total_bytes / KEEP_FREE_ONE_IN))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: fill never goes to the disk below an unmounted one. Method: what a path was on is made
    /// another file system's number, as an unmount makes it.
    #[test]
    fn an_empty_mount_point_is_not_the_disk_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(folder.path(), DiskClass::Hdd, None);
        disk.open(1).unwrap();
        assert!(disk.writer().is_some());
        disk.lose("pulled out".to_owned(), 2);
        disk.device = disk.device.map(|number| number + 1);
        assert!(!disk.look_after(2 + LOST_LOOK_MS) && disk.writer().is_none());
        disk.device = disk.device.map(|number| number - 1);
        assert!(disk.look_after(2 + 2 * LOST_LOOK_MS) && disk.writer().is_some());
    }
}
