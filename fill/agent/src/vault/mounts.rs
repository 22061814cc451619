//! Which volumes were on disks of their own: remembered from run to run, so that the empty folder
//! below a disk that is not mounted is never taken for it and the system's own disk filled.
//!
//! Numbers of file systems change from boot to boot, so what is kept is how many of them are passed
//! on the way from `/` to the folder. Fewer than before: something is not mounted. An empty disk in
//! the place of a dead one passes as many and is taken into use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oca_store::StoreError;
use oca_store::disk::Disk;

use crate::state_dir::StateDir;

/// Its file in the state directory.
const NAME: &str = "mounts";

/// Why a folder that is there is not its disk.
pub(super) const NOT_MOUNTED: &str = "its disk is not mounted: the folder is on the file system \
    above, where it was on one of its own before; mount the disk, or, if it is to stay so, stop \
    fill-agent and remove mounts.json from its state directory";

/// By folder of the volume, how many file systems begin on the way to it; those with none are not
/// listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts(BTreeMap<PathBuf, u32>);

impl Mounts {
    /// What earlier runs saw, from the state directory, which need not be ours yet: whose volumes
    /// they are is asked first. A file that cannot be read is as good as none.
    pub(crate) fn load(state_dir: &Path, on: Option<&Arc<dyn Disk>>) -> Self {
        let kept = StateDir::peek(state_dir, on, NAME, "which disks were mounted");
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(error = error.in_full(), "not known which disks were mounted before");
            None
        });
        Self(kept.unwrap_or_default())
    }

    /// Keeps what this run saw, if it is news.
    pub(crate) fn keep(&self, state: &StateDir, seen: impl Iterator<Item = (PathBuf, u32)>) {
        let mut all = self.0.clone();
        all.extend(seen.filter(|(_, passed)| *passed > 0));
        if all != self.0
            && let Err(error) = state.store(NAME, &all)
        {
            tracing::warn!(error = error.in_full(), "which disks are mounted is not kept");
        }
    }

    /// How many file systems an earlier run passed on the way to `path`.
    pub(super) fn passed_before(&self, path: &Path) -> u32 {
        self.0.get(path).copied().unwrap_or(0)
    }
}

/// How many file systems begin on the way from `/` to `path`.
///
/// # Errors
/// A folder on the way cannot be looked at. Left out, it would make one too few of them: a disk
/// that is there would pass for one that is not, or what is remembered would be forgotten.
pub(super) fn passed(disk: &dyn Disk, path: &Path) -> Result<u32, StoreError> {
    let mut on = Vec::new();
    for above in path.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        let there = disk.look(above).map_err(|source| StoreError::Io {
            path: above.to_owned(),
            doing: "look at the folder",
            source,
        })?;
        on.push(there.identity.0);
    }
    let begins = on.windows(2).filter(|pair| pair[0] != pair[1]);
    Ok(u32::try_from(begins.count()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::small::Small;
    use super::*;
    use crate::limits::LOST_LOOK_MS;

    #[test]
    fn what_was_seen_is_known_at_the_next_start_and_a_spoilt_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path(), None).unwrap();
        let (hdd, ssd) = (PathBuf::from("/srv/hdd0"), PathBuf::from("/var/ssd"));
        Mounts::default().keep(&state, [(hdd.clone(), 2), (ssd.clone(), 0)].into_iter());
        let kept = Mounts::load(folder.path(), None);
        assert_eq!([kept.passed_before(&hdd), kept.passed_before(&ssd)], [2, 0]);
        // A disk that is away now is not forgotten.
        kept.keep(&state, std::iter::empty());
        assert_eq!(Mounts::load(folder.path(), None), kept);
        std::fs::write(folder.path().join("mounts.json"), "{").unwrap();
        assert_eq!(Mounts::load(folder.path(), None), Mounts::default());
    }

    /// Goal: an agent that starts before its disk is mounted leaves the folder alone, and takes the
    /// disk when it comes. Method: the folder is said to have passed one more before.
    #[test]
    fn the_folder_below_a_disk_that_is_not_mounted_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let on: Arc<dyn Disk> = Arc::new(Small::new(folder.path(), 1 << 30, false));
        let (here, away) = (folder.path().join("here"), folder.path().join("away"));
        std::fs::create_dir(&here).unwrap();
        std::fs::create_dir(&away).unwrap();
        let class = control_types::fleet::DiskClass::Hdd;
        let volumes = [(here, class), (away.clone(), class)];
        let now = passed(on.as_ref(), &away).unwrap();
        let before = Mounts([(away.clone(), now + 1)].into());
        let vault = super::super::Vault::open_at(&volumes, Some(&on), &before, 0).unwrap();
        assert_eq!(vault.writers().count(), 1);
        assert!(vault.troubles()[0].contains("not mounted"), "{:?}", vault.troubles());
        assert_eq!(std::fs::read_dir(&away).unwrap().count(), 0, "nothing is written there");
        let before = Mounts([(away, now)].into());
        drop(vault);
        let vault = super::super::Vault::open_at(&volumes, Some(&on), &before, 0).unwrap();
        assert_eq!(vault.writers().count(), 2);
    }

    /// Goal: one look that the disk refuses, whichever it is, neither passes for a disk that is not
    /// mounted nor shortens what is remembered. Method: each look of a start is refused in turn, on
    /// a folder that is on a file system of its own.
    #[test]
    fn one_look_that_is_refused_shortens_nothing_and_is_no_unmounted_disk() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state"), None).unwrap();
        let point = folder.path().join("disk");
        let own = Small { mount: Some(point.clone()), ..Small::new(folder.path(), 1 << 30, false) };
        let small = Arc::new(own);
        let on: Arc<dyn Disk> = small.clone();
        let (spare, volume) = (folder.path().join("spare"), point.join("volume"));
        for path in [&spare, &volume] {
            std::fs::create_dir_all(path).unwrap();
        }
        let count = passed(on.as_ref(), &volume).unwrap();
        assert_eq!(count, passed(on.as_ref(), &spare).unwrap() + 1);
        let class = control_types::fleet::DiskClass::Hdd;
        let volumes = [(volume.clone(), class), (spare, class)];
        Mounts::default().keep(&state, [(volume.clone(), count)].into_iter());
        let mut lost = 0;
        for at in 0.. {
            let before = Mounts::load(&folder.path().join("state"), None);
            assert_eq!(before.passed_before(&volume), count, "look {at}: forgotten");
            small.refuse_look(at);
            let vault = super::super::Vault::open_at(&volumes, Some(&on), &before, 1);
            let mut vault = vault.unwrap();
            before.keep(&state, vault.mounts());
            let is_over = !small.was_look_refused();
            let troubles = vault.troubles();
            let is_told = troubles.iter().any(|told| told.contains("not mounted"));
            assert!(!is_told, "look {at}: {troubles:?}");
            lost += u32::from(!troubles.is_empty());
            vault.look_after(1 + LOST_LOOK_MS);
            assert_eq!(vault.writers().count(), 2, "look {at}: {:?}", vault.troubles());
            assert!(vault.shelves(1).iter().all(|shelf| shelf.free_bytes > 0), "look {at}");
            if is_over {
                break;
            }
        }
        assert!(lost > 5, "{lost} looks mattered");
    }
}
