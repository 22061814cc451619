//! A slow disk beside a fast one, made of what any Linux has: a file behind a loop device with
//! direct I/O, and a control group that allows 120 reads a second of it and little page cache.
//! Needs root; takes down what it set up, and touches nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nightfill_harness::Trouble;
use nightfill_harness::process::output;

/// Reads per second that the slow disk gives: what one hard disk does at random.
pub const READS_PER_SECOND: u64 = 120;
/// How often, and how many times, a disk in use is tried to be unmounted.
const UMOUNT_EVERY: Duration = Duration::from_millis(100);
const UMOUNT_TRIES: usize = 50;
/// Bytes of the image behind the loop device.
const IMAGE_BYTES: u64 = 3 << 30;

/// A mounted slow disk. It goes with its value.
pub struct SlowDisk {
    /// Where it is mounted.
    pub path: PathBuf,
    device: String,
    number: String,
}

/// A control group that a server is started in. It goes with its value.
pub struct Pen {
    folders: Vec<PathBuf>,
}

impl SlowDisk {
    /// Makes and mounts one below `folder`.
    ///
    /// # Errors
    /// When this is not root, or the machine has no loop devices.
    pub fn mount(folder: &Path) -> Result<Self, Trouble> {
        let (image, path) = (folder.join("slow.img"), folder.join("slow"));
        fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        fs::create_dir_all(&path)?;
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show", "--direct-io=on"]).arg(&image);
        let device = output("losetup", &mut losetup)?.trim().to_owned();
        let name = device.rsplit('/').next().unwrap_or_default();
        let number = fs::read_to_string(format!("/sys/block/{name}/dev"))?.trim().to_owned();
        let disk = Self { path, device, number };
        let mut format = Command::new("mkfs.ext4");
        output("mkfs.ext4", format.args(["-q", "-O", "^has_journal", &disk.device]))?;
        output("mount", Command::new("mount").arg(&disk.device).arg(&disk.path))?;
        Ok(disk)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // A server that is gone may still have reads under way, which hold the disk.
        let gone = || output("umount", Command::new("umount").arg(&self.path)).is_ok();
        let _ = (0..UMOUNT_TRIES).any(|_| {
            let is_gone = gone();
            if !is_gone {
                std::thread::sleep(UMOUNT_EVERY);
            }
            is_gone
        });
        let _ = output("losetup", Command::new("losetup").args(["-d", &self.device]));
    }
}

impl Pen {
    /// A group with `memory_bytes` for a process and its page cache, in which `disk` is slow.
    ///
    /// # Errors
    /// When this is not root, or the kernel has no such groups.
    pub fn make(name: &str, memory_bytes: u64, disk: &SlowDisk) -> Result<Self, Trouble> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("nightfill-{name}-{}", std::process::id());
        let number = &disk.number;
        // The first hierarchy has a tree a controller, the second one tree for all.
        let settings = if root.join("blkio").is_dir() {
            vec![
                (root.join("memory"), "memory.limit_in_bytes", memory_bytes.to_string()),
                (
                    root.join("blkio"),
                    "blkio.throttle.read_iops_device",
                    format!("{number} {READS_PER_SECOND}"),
                ),
            ]
        } else {
            let reads = format!("{number} riops={READS_PER_SECOND}");
            vec![
                (root.to_path_buf(), "memory.max", memory_bytes.to_string()),
                (root.to_path_buf(), "io.max", reads),
            ]
        };
        let mut pen = Self { folders: Vec::new() };
        for (tree, setting, value) in settings {
            let folder = tree.join(&name);
            if !pen.folders.contains(&folder) {
                fs::create_dir_all(&folder)?;
                pen.folders.push(folder.clone());
            }
            let path = folder.join(setting);
            fs::write(&path, &value)
                .map_err(|error| Trouble(format!("{} = {value}: {error}", path.display())))?;
        }
        Ok(pen)
    }

    /// Moves `pid`, and with it what it starts, into the group.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn enclose(&self, pid: u32) -> Result<(), Trouble> {
        for folder in &self.folders {
            fs::write(folder.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        // A group can be removed once its processes are reaped.
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}
