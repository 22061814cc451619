//! The kernel that guests boot, and its modules: fetched from Debian once, never built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::quiet;
use crate::steps::{self, Stop};

/// Names another of Debian's packages instead, such as `linux-image-6.12-cloud-amd64`: a kernel
/// that can say what is in its page cache (6.5) sends pages where an older one sends buffers.
const OTHER_KERNEL: &str = "NIGHTFILL_VM_KERNEL";
/// Debian's package of its newest kernel for virtual machines; it depends on the one to boot.
const KERNEL: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
pub struct Kernel {
    /// What qemu boots.
    pub vmlinuz: PathBuf,
    /// `…/lib/modules/RELEASE`.
    pub modules: PathBuf,
}

/// The kernel's package, fetched once and kept in `folder`.
///
/// # Errors
/// When apt does not know it or cannot fetch it.
pub fn fetch(folder: &Path) -> Result<Kernel, Stop> {
    let wanted = std::env::var(OTHER_KERNEL).unwrap_or_else(|_| KERNEL.to_owned());
    let answer = Command::new("apt-cache").args(["depends", &wanted]).output()?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let package = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
        .map(|rest| format!("linux-image-{rest}"))
        .ok_or_else(|| {
            Stop(format!("apt knows no {wanted}: apt-get update, on Debian 12 or 13"))
        })?;
    let unpacked = folder.join(&package);
    if unpacked.join("boot").is_dir() {
        return unpacked_kernel(&unpacked);
    }
    let mut download = Command::new("apt-get");
    download.args(["download", "-q", &package]).current_dir(folder);
    steps::run(&format!("fetch {package}"), &mut download)?;
    let archive = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(&package) && name.ends_with(".deb")
        })
        .ok_or_else(|| Stop(format!("apt-get download left no {package}*.deb")))?;
    let mut unpack = Command::new("dpkg");
    unpack.arg("-x").arg(&archive).arg(&unpacked);
    steps::run("unpack it", &mut unpack)?;
    unpacked_kernel(&unpacked)
}

fn unpacked_kernel(package: &Path) -> Result<Kernel, Stop> {
    let there = |folder: &Path, name: &str| {
        let mut entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        };
        entries.find(is_it)
    };
    let vmlinuz = there(&package.join("boot"), "vmlinuz");
    let modules = ["lib/modules", "usr/lib/modules"]
        .into_iter()
        .find_map(|place| there(&package.join(place), ""));
    match (vmlinuz, modules) {
        (Some(vmlinuz), Some(modules)) => Ok(Kernel { vmlinuz, modules }),
        _ => Err(Stop(format!("no vmlinuz or no modules in {}", package.display()))),
    }
}

impl Kernel {
    /// Copies modules into `to`, unpacked; those that are built in are no files and left out.
    ///
    /// # Errors
    /// When a file cannot be copied or unpacked.
    pub fn copy_modules(&self, names: &[&str], to: &Path) -> Result<(), Stop> {
        for name in names {
            // Debian 13 compresses them; busybox's insmod wants them plain.
            let mut find = Command::new("find");
            find.arg(&self.modules).args(["-name", &format!("{name}.ko"), "-o", "-name"]);
            let listed = find.arg(format!("{name}.ko.xz")).output()?;
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let Some(file) = listed.lines().next() else { continue };
            if file.ends_with(".xz") {
                let packed = to.join(format!("{name}.ko.xz"));
                fs::copy(file, &packed)?;
                quiet("xz", Command::new("xz").args(["-d", "-f"]).arg(&packed))?;
            } else {
                fs::copy(file, to.join(format!("{name}.ko")))?;
            }
        }
        Ok(())
    }
}
