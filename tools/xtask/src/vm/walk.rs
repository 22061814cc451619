//! The guest that is a fresh Debian: systemd/README.md is followed there line by line, under a real
//! systemd, and then looked at. What it says is never repeated here: the lines are read from it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{boot, copy_libraries, pack, quiet};
use super::kernel::Kernel;
use crate::demo::target_dir;
use crate::setup;
use crate::steps::{self, Stop};

/// Mounts the disk and hands over to systemd.
const INIT: &str = include_str!("walk-init.sh");
/// Follows the document and looks at what became of it.
const WALK: &str = include_str!("walk.sh");
/// Starts the walk once everything else is up, on the console.
const UNIT: &str = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/walk.sh\n\
                    StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/ttyS0\n";
/// What the document's reader is taken to have beside Debian's smallest system.
const PACKAGES: &str = "systemd-sysv,dbus,kmod,procps,iproute2,curl,openssl,ca-certificates";
/// Programs that the document installs, by the names of their packages here.
const PROGRAMS: [&str; 5] = ["control", "fill-agent", "fill-director", "oca", "ocactl"];
/// Modules of the disk, each behind what it needs.
const DISK: [&str; 6] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
];
/// Modules that the document has loaded, and what they need.
const LOADED: [&str; 8] =
    ["crypto_null", "gf128mul", "ghash-generic", "ctr", "gcm", "tls", "tcp_bbr", "sch_fq"];
const DISK_BYTES: u64 = 2 << 30;
/// Longest the guest may take, seconds; it needs three to five minutes on two cores.
const WITHIN_S: u32 = 900;

/// Builds the guest, boots it, and reads what it says. Without root only says what is left out.
///
/// # Errors
/// When it cannot be built, or says that something failed.
pub fn run(folder: &Path, kernel: &Kernel) -> Result<(), Stop> {
    if !setup::is_root() {
        eprintln!("    not root: systemd/README.md is not walked (debootstrap needs root)");
        return Ok(());
    }
    let mut build = vec!["build", "--locked", "--bins", "-p", "ingest"];
    build.extend(PROGRAMS.iter().flat_map(|program| ["-p", program]));
    steps::run("build the programs for the guest", &mut steps::cargo(&build))?;
    setup::build_pages()?;
    let debian = debian(folder)?;
    eprintln!("==> build a guest with systemd");
    let disk = build_disk(folder, kernel, &debian)?;
    let initramfs = pack(&build_initramfs(folder, kernel)?)?;
    eprintln!("==> walk systemd/README.md there (software emulation, about four minutes)");
    let drive = format!("file={},format=raw,if=none,id=disk,cache=unsafe", disk.display());
    let more = ["-drive", &drive, "-device", "virtio-blk-pci,drive=disk,romfile="];
    let ended = boot(kernel, &initramfs, &more.map(str::to_owned), WITHIN_S);
    fs::remove_file(&disk)?;
    ended
}

/// A fresh system of this machine's own release, made once.
fn debian(folder: &Path) -> Result<PathBuf, Stop> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .ok_or_else(|| Stop("/etc/os-release has no VERSION_CODENAME: use Debian".to_owned()))?;
    let system = folder.join(format!("debian-{codename}"));
    if system.is_dir() {
        return Ok(system);
    }
    let unfinished = folder.join("debian-unfinished");
    clear(&unfinished)?;
    let mut make = Command::new("debootstrap");
    make.arg("--variant=minbase").arg(format!("--include={PACKAGES}")).arg(codename);
    make.arg(&unfinished).stdout(std::process::Stdio::null());
    steps::run(&format!("fetch a fresh {codename}"), &mut make)?;
    fs::rename(&unfinished, &system)?;
    Ok(system)
}

/// An ext4 disk with that system, and with this repository as its reader has it, built.
fn build_disk(folder: &Path, kernel: &Kernel, debian: &Path) -> Result<PathBuf, Stop> {
    let root = folder.join("walk-root");
    clear(&root)?;
    quiet("cp", Command::new("cp").arg("-a").arg(debian).arg(&root))?;
    let modules = root.join("lib/modules").join(kernel.modules.file_name().unwrap_or_default());
    fs::create_dir_all(&modules)?;
    kernel.copy_modules(&LOADED, &modules)?;
    for name in ["modules.builtin", "modules.order"] {
        fs::copy(kernel.modules.join(name), modules.join(name))?;
    }
    let release = kernel.modules.file_name().unwrap_or_default();
    quiet("depmod", Command::new("chroot").arg(&root).arg("depmod").arg(release))?;
    let release = root.join("src/target/release");
    fs::create_dir_all(&release)?;
    for program in PROGRAMS.into_iter().chain(["ingest"]) {
        let built = target_dir().join("debug").join(program);
        quiet("strip", Command::new("strip").arg("-o").arg(release.join(program)).arg(built))?;
    }
    fs::create_dir_all(root.join("src/control/web"))?;
    for (from, to) in [("systemd", "src"), ("control/web/dist", "src/control/web")] {
        let from = steps::root().join(from);
        quiet("cp", Command::new("cp").arg("-r").arg(from).arg(root.join(to)))?;
    }
    write_program(&root.join("walk.sh"), WALK)?;
    fs::write(root.join("etc/systemd/system/walk.service"), UNIT)?;
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    symlink("/etc/systemd/system/walk.service", wants.join("walk.service"))?;
    fs::write(root.join("etc/hostname"), "guest\n")?;
    let disk = folder.join("walk.ext4");
    fs::File::create(&disk)?.set_len(DISK_BYTES)?;
    quiet("mkfs.ext4", Command::new("mkfs.ext4").args(["-q", "-d"]).arg(&root).arg(&disk))?;
    fs::remove_dir_all(&root)?;
    Ok(disk)
}

fn build_initramfs(folder: &Path, kernel: &Kernel) -> Result<PathBuf, Stop> {
    let root = folder.join("walk-initramfs");
    clear(&root)?;
    for name in ["bin", "proc", "sys", "dev", "disk"] {
        fs::create_dir_all(root.join(name))?;
    }
    let busybox = setup::find("busybox").ok_or_else(|| Stop("no busybox on PATH".to_owned()))?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    copy_libraries(&busybox, &root)?;
    kernel.copy_modules(&DISK, &root)?;
    fs::write(root.join("modules"), DISK.join("\n") + "\n")?;
    write_program(&root.join("init"), INIT)?;
    Ok(root)
}

fn write_program(path: &Path, text: &str) -> Result<(), Stop> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn clear(folder: &Path) -> Result<(), Stop> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
