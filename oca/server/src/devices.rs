//! The block devices behind the volumes, as all workers see them: which are in rotation, and why
//! not. Never reads one: workers do, and a worker that finds a device silent or failing says so
//! here.
//!
//! A device is what `st_dev` says lies under a volume; several volumes may share one. A worker that
//! gets no answer from a device for its `silent_ms`, or an error that speaks of the device and not
//! of a file, takes it out of rotation for everybody at once. The worker that did so probes it, and
//! puts it back when it has answered well several times in a row (`worker/disk/probe.rs`).
//!
//! ```text
//! in rotation --(silent, failed)--> out --(probes answer well, in a row)--> in rotation
//! ```

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use control_types::fleet::DiskClass;
use oca_store::Volume;
use serde::Serialize;

use crate::limits::{HDD_OPERATIONS_MAX, HDD_SILENT_MS, SSD_OPERATIONS_MAX, SSD_SILENT_MS};

/// How long devices of each class may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Flash, milliseconds.
    pub ssd_ms: u64,
    /// Rotating, milliseconds.
    pub hdd_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { ssd_ms: SSD_SILENT_MS, hdd_ms: HDD_SILENT_MS }
    }
}

/// One device.
#[derive(Debug)]
pub struct Device {
    /// For people: the kernel's name, or major and minor number.
    pub name: String,
    /// Flash or rotating.
    pub class: DiskClass,
    /// With operations under way, it is taken out when none of them is answered for this long.
    pub silent_ms: u64,
    /// Operations that one worker may have under way on it.
    pub operations_max: usize,
    /// Set while it is out of rotation. Any worker sets it; the one that did clears it.
    is_out: AtomicBool,
    times_out: AtomicU64,
    probes: AtomicU64,
    probes_failed: AtomicU64,
}

/// What of a device changes, for metrics and people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceStanding {
    /// As in [`Device::name`].
    pub name: String,
    /// `ssd` or `hdd`.
    pub class: &'static str,
    /// Positions of its volumes in the configuration.
    pub volumes: Vec<usize>,
    /// Whether it is read from.
    pub in_rotation: bool,
    /// How often it was taken out since the start.
    pub times_out: u64,
    /// Reads that asked whether it is well again.
    pub probes: u64,
    /// Of those, the ones that failed or were not answered in time.
    pub probes_failed: u64,
    /// See [`Device::silent_ms`].
    pub silent_ms: u64,
}

/// All devices, and which volume is on which.
#[derive(Debug)]
pub struct Devices {
    list: Vec<Device>,
    /// Device of each volume, by the volume's position in the configuration.
    of_volume: Vec<usize>,
    /// Devices out of rotation: one load says that all is well.
    out_count: AtomicU64,
}

impl Device {
    /// A device in rotation.
    #[must_use]
    pub fn new(name: String, class: DiskClass, patience: Patience) -> Self {
        let (silent_ms, operations_max) = match class {
            DiskClass::Ssd => (patience.ssd_ms, SSD_OPERATIONS_MAX),
            DiskClass::Hdd => (patience.hdd_ms, HDD_OPERATIONS_MAX),
        };
        Self {
            name,
            class,
            silent_ms,
            operations_max,
            is_out: AtomicBool::new(false),
            times_out: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            probes_failed: AtomicU64::new(0),
        }
    }
}

impl Devices {
    /// The devices under `volumes`. Volumes of one device that are said to be of different classes
    /// count as two devices: the operator knows something that `st_dev` does not.
    #[must_use]
    pub fn under(volumes: &[Volume], patience: Patience) -> Self {
        let mut known: BTreeMap<(u64, DiskClass), usize> = BTreeMap::new();
        let mut devices = Self::none();
        for (number, volume) in volumes.iter().enumerate() {
            // A volume whose directory went away shares its fate with nobody.
            let device = std::fs::metadata(volume.path())
                .map_or(u64::MAX - number as u64, |metadata| metadata.dev());
            let at = *known.entry((device, volume.class())).or_insert_with(|| {
                devices.list.push(Device::new(name_of(device), volume.class(), patience));
                devices.list.len() - 1
            });
            devices.of_volume.push(at);
        }
        devices
    }

    /// Devices given one by one, and the device of each volume. Volumes without one are on the
    /// first.
    #[must_use]
    pub fn given(list: Vec<Device>, of_volume: Vec<usize>) -> Self {
        Self { list, of_volume, ..Self::none() }
    }

    fn none() -> Self {
        Self { list: Vec::new(), of_volume: Vec::new(), out_count: AtomicU64::new(0) }
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Device] {
        &self.list
    }

    /// The device of a volume.
    #[must_use]
    pub fn of(&self, volume: u16) -> usize {
        self.of_volume.get(usize::from(volume)).copied().unwrap_or(0)
    }

    /// Whether this device is read from.
    #[must_use]
    pub fn is_in(&self, device: usize) -> bool {
        self.list.get(device).is_none_or(|device| !device.is_out.load(Ordering::Relaxed))
    }

    /// Whether the device of this volume is read from. One load when all devices are well.
    #[must_use]
    pub fn may_read(&self, volume: u16) -> bool {
        self.out_count.load(Ordering::Relaxed) == 0 || self.is_in(self.of(volume))
    }

    /// Takes a device out of rotation. True for the one who did it: that one probes it.
    pub fn take_out(&self, device: usize) -> bool {
        let Some(device) = self.list.get(device) else { return false };
        let taken = !device.is_out.swap(true, Ordering::Relaxed);
        if taken {
            device.times_out.fetch_add(1, Ordering::Relaxed);
            self.out_count.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Puts a device back into rotation. Only whoever took it out may call it.
    pub fn put_back(&self, device: usize) {
        let Some(device) = self.list.get(device) else { return };
        if device.is_out.swap(false, Ordering::Relaxed) {
            self.out_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Counts a probe that began.
    pub fn count_probe(&self, device: usize) {
        if let Some(device) = self.list.get(device) {
            device.probes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a probe that failed.
    pub fn count_failed_probe(&self, device: usize) {
        if let Some(device) = self.list.get(device) {
            device.probes_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How all of them stand now.
    #[must_use]
    pub fn standings(&self) -> Vec<DeviceStanding> {
        let volumes = |at: usize| {
            let all = self.of_volume.iter().enumerate();
            all.filter(|(_, device)| **device == at).map(|(volume, _)| volume).collect()
        };
        let standing = |(at, device): (usize, &Device)| DeviceStanding {
            name: device.name.clone(),
            class: class_word(device.class),
            volumes: volumes(at),
            in_rotation: !device.is_out.load(Ordering::Relaxed),
            times_out: device.times_out.load(Ordering::Relaxed),
            probes: device.probes.load(Ordering::Relaxed),
            probes_failed: device.probes_failed.load(Ordering::Relaxed),
            silent_ms: device.silent_ms,
        };
        self.list.iter().enumerate().map(standing).collect()
    }
}

/// The word for a class in labels and files.
#[must_use]
pub const fn class_word(class: DiskClass) -> &'static str {
    match class {
        DiskClass::Ssd => "ssd",
        DiskClass::Hdd => "hdd",
    }
}

/// The kernel's name of a device number, such as `sda1`; its numbers where it has none.
fn name_of(device: u64) -> String {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let numbers = format!("{major}:{minor}");
    let link = std::fs::read_link(format!("/sys/dev/block/{numbers}")).ok();
    let name = link.and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
    name.unwrap_or(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_of_one_file_system_are_one_device_unless_their_classes_differ() {
        let dir = tempfile::tempdir().unwrap();
        let volume = |name: &str, class| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            Volume::open(dir.path().join(name), class).unwrap()
        };
        let volumes =
            [volume("a", DiskClass::Ssd), volume("b", DiskClass::Hdd), volume("c", DiskClass::Ssd)];
        let devices = Devices::under(&volumes, Patience::default());
        assert_eq!(devices.list().len(), 2);
        assert_eq!((devices.of(0), devices.of(1), devices.of(2)), (0, 1, 0));
        assert_eq!(devices.standings()[0].volumes, vec![0, 2]);
        assert_eq!(devices.list()[1].silent_ms, HDD_SILENT_MS);
    }

    #[test]
    fn a_device_is_taken_out_once_and_its_volumes_with_it() {
        let device = |name: &str| Device::new(name.into(), DiskClass::Ssd, Patience::default());
        let devices = Devices::given(vec![device("a"), device("b")], vec![0, 1, 1]);
        assert!((0..3).all(|volume| devices.may_read(volume)));
        assert!(devices.take_out(1), "the first to say so probes it");
        assert!(!devices.take_out(1));
        assert_eq!([0, 1, 2].map(|volume| devices.may_read(volume)), [true, false, false]);
        devices.put_back(1);
        devices.put_back(1);
        assert!((0..3).all(|volume| devices.may_read(volume)));
        let standing = &devices.standings()[1];
        assert_eq!((standing.in_rotation, standing.times_out), (true, 1));
    }
}
