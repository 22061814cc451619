//! The appliance's disks: which one takes an object, what goes to make room, what is being written.
//! Fetches nothing and decides no order.
//!
//! Room is made only when a pull needs it: first unfinished pulls that nobody wants any more, then
//! the plan's prunes in the plan's order. When that is not enough the pull is refused and reported.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use control_types::fill::Pull;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::{Incoming, Seal, StoreError, Volume, Writer};
use tokio_uring::fs::File;

use crate::error::AgentError;
use crate::limits::KEEP_FREE_ONE_IN;

/// One volume that is ours to write.
struct Disk {
    class: DiskClass,
    writer: Writer,
}

/// An object on its way in.
pub(crate) struct Open {
    pub(crate) incoming: Incoming,
    pub(crate) seal: Rc<Seal>,
    pub(crate) file: Rc<File>,
}

/// All disks and what is open on them.
pub(crate) struct Vault {
    disks: Vec<Disk>,
    open: HashMap<ObjectId, Open>,
}

impl Vault {
    /// Takes the writer's lock of every volume.
    ///
    /// # Errors
    /// A volume that another process writes, or that cannot be read.
    pub(crate) fn open(volumes: &[(PathBuf, DiskClass)]) -> Result<Self, AgentError> {
        let mut disks = Vec::with_capacity(volumes.len());
        for (path, class) in volumes {
            let volume = Volume::open(path, *class)?;
            disks.push(Disk { class: *class, writer: Writer::open(&volume, "fill-agent")? });
        }
        Ok(Self { disks, open: HashMap::new() })
    }

    pub(crate) fn holds(&self, object: &ObjectId) -> bool {
        self.disks.iter().any(|disk| disk.writer.holds(object))
    }

    /// Finds or makes room for `pull` and answers with the writer to begin it on, or with the
    /// reason why there is none. `wanted` says whether an unfinished object is still to come.
    pub(crate) fn place(
        &self,
        pull: &Pull,
        prunes: &[ObjectId],
        wanted: impl Fn(&ObjectId) -> bool,
    ) -> Result<Writer, String> {
        let begun = self.disks.iter().find(|disk| {
            disk.writer.unfinished().is_ok_and(|unfinished| unfinished.contains(&pull.object))
        });
        if let Some(disk) = begun {
            return Ok(disk.writer.clone());
        }
        let need = Seal::region_bytes_for(pull.bytes) + pull.bytes;
        for class_wanted in [true, false] {
            let mut disks: Vec<&Disk> = self
                .disks
                .iter()
                .filter(|disk| (disk.class == pull.class) == class_wanted)
                .collect();
            disks.sort_by_key(|disk| std::cmp::Reverse(disk.free_bytes()));
            let found = disks
                .iter()
                .find(|disk| disk.free_bytes() >= need)
                .or_else(|| disks.iter().find(|disk| disk.clear_unfinished(need, &wanted)))
                .or_else(|| disks.iter().find(|disk| disk.prune(need, prunes, &wanted)));
            if let Some(disk) = found {
                return Ok(disk.writer.clone());
            }
        }
        let free = self.disks.iter().map(Disk::free_bytes).max().unwrap_or(0);
        Err(format!(
            "no room: {need} bytes needed, {free} free on the emptiest disk, and nothing left that \
             the plan lets go"
        ))
    }

    /// Keeps `incoming` with its file for the lanes.
    pub(crate) fn keep(&mut self, incoming: Incoming, file: File) {
        let seal = Rc::new(incoming.seal().clone());
        let object = seal.object();
        self.open.insert(object, Open { incoming, seal, file: Rc::new(file) });
    }

    pub(crate) fn opened(&mut self, object: &ObjectId) -> Option<&mut Open> {
        self.open.get_mut(object)
    }

    /// Hands an object out for good: to publish it, or to let its files be.
    pub(crate) fn take(&mut self, object: &ObjectId) -> Option<Open> {
        self.open.remove(object)
    }

    /// Quarantines everything readers left a marker for, and answers with what has to be fetched
    /// again: object, bytes, title and kind of disk, without sources.
    pub(crate) fn quarantine_suspects(&self) -> Vec<Pull> {
        let mut lost = Vec::new();
        for disk in &self.disks {
            for object in disk.writer.suspects().unwrap_or_default() {
                match disk.quarantine(&object) {
                    Ok(Some(pull)) => lost.push(pull),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%object, %error, "cannot quarantine"),
                }
            }
        }
        lost
    }
}

impl Disk {
    /// Bytes a new object may take; what cannot be asked counts as full.
    fn free_bytes(&self) -> u64 {
        self.writer
            .volume()
            .room()
            .map_or(0, |room| room.free_bytes.saturating_sub(room.total_bytes / KEEP_FREE_ONE_IN))
    }

    fn clear_unfinished(&self, need: u64, wanted: &impl Fn(&ObjectId) -> bool) -> bool {
        for object in self.writer.unfinished().unwrap_or_default() {
            if self.free_bytes() >= need {
                return true;
            }
            if !wanted(&object) && self.writer.discard_unfinished(&object).is_ok() {
                tracing::info!(%object, "discarded a pull that is no longer wanted");
            }
        }
        self.free_bytes() >= need
    }

    fn prune(&self, need: u64, prunes: &[ObjectId], wanted: &impl Fn(&ObjectId) -> bool) -> bool {
        let here: Vec<&ObjectId> =
            prunes.iter().filter(|object| self.writer.holds(object) && !wanted(object)).collect();
        // Nothing is thrown away for a pull that would not fit even then.
        let held: HashMap<ObjectId, u64> = self
            .writer
            .held()
            .into_iter()
            .map(|record| (record.object, Seal::region_bytes_for(record.bytes) + record.bytes))
            .collect();
        let mut coming: u64 = here.iter().filter_map(|object| held.get(object)).sum();
        for object in here {
            if self.free_bytes() >= need {
                return true;
            }
            if self.free_bytes().saturating_add(coming) < need {
                return false;
            }
            coming = coming.saturating_sub(held.get(object).copied().unwrap_or(0));
            match self.writer.remove(object) {
                Ok(()) => tracing::info!(%object, "pruned to make room"),
                Err(error) => tracing::error!(%object, %error, "cannot prune"),
            }
        }
        self.free_bytes() >= need
    }

    /// `None` when the marker was for something that is not here.
    fn quarantine(&self, object: &ObjectId) -> Result<Option<Pull>, StoreError> {
        let record = self.writer.held().into_iter().find(|record| record.object == *object);
        let Some(record) = record else {
            self.writer.clear_suspect(object)?;
            return Ok(None);
        };
        self.writer.quarantine(object)?;
        tracing::warn!(%object, "quarantined: a reader met a bad chunk");
        Ok(Some(Pull {
            object: *object,
            bytes: record.bytes,
            title: record.title,
            class: self.class,
            sources: Vec::new(),
            why: "repair".to_owned(),
        }))
    }
}
