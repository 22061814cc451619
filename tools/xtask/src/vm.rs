//! `cargo xtask test --vm`: boots a stock Debian kernel in qemu with the real `oca` inside, because
//! what the kernel does for TLS can only be tested where the kernel does it. Measures nothing: an
//! emulated machine's speed says nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::demo::target_dir;
use crate::setup;
use crate::steps::{self, Stop};

/// What the guest's first process does.
const INIT: &str = include_str!("vm/init.sh");
/// Names another of Debian's packages instead, such as `linux-image-6.12-cloud-amd64`: a kernel
/// that can say what is in its page cache (6.5) sends pages where an older one sends buffers.
const OTHER_KERNEL: &str = "NIGHTFILL_VM_KERNEL";
/// Debian's package of its newest kernel for virtual machines; it depends on the one to boot.
const KERNEL: &str = "linux-image-cloud-amd64";
/// The engine that TLS sockets are expected to have once the kernel has its module.
const EXPECTED_ENGINE: &str = "kernel-tls";
/// The module that does TLS, and those of AES-GCM, which a guest without modprobe has to load
/// itself, each behind what it needs. ChaCha20 is left out on purpose: that it stays in user space
/// is tested.
const MODULES: [&str; 6] = ["crypto_null", "gf128mul", "ghash-generic", "ctr", "gcm", "tls"];
/// The modules of its network cards, each behind what it needs: two on one wire, because what
/// becomes of memory that is lent to a card can only be seen with one.
const CARDS: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];
/// The last line of a guest in which everything went well.
const ALL_WELL: &str = "VM-OK";
/// Longest the guest may take, seconds; it needs about two minutes on two cores.
const WITHIN_S: &str = "600";
const FILM_BYTES: usize = 3 << 20;

/// Builds the guest, boots it, and reads what it says.
///
/// # Errors
/// When a tool is missing and cannot be installed, or the guest says that something failed.
pub fn run() -> Result<(), Stop> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Stop("the test machine is an x86-64 one; leave --vm out here".to_owned()));
    }
    setup::ensure_vm()?;
    let folder = target_dir().join("vm");
    fs::create_dir_all(&folder)?;
    let kernel = fetch_kernel(&folder)?;
    steps::run("build oca for the guest", &mut steps::cargo(&["build", "-p", "oca", "--locked"]))?;
    eprintln!("==> build the guest");
    let root = build_root(&folder, &kernel)?;
    let image = pack(&folder, &root)?;
    boot(&kernel, &image)
}

/// The unpacked kernel package, fetched once.
fn fetch_kernel(folder: &Path) -> Result<PathBuf, Stop> {
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
        return Ok(unpacked);
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
    Ok(unpacked)
}

fn build_root(folder: &Path, kernel: &Path) -> Result<PathBuf, Stop> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for name in ["bin", "proc", "sys", "dev", "tmp", "media", "etc"] {
        fs::create_dir_all(root.join(name))?;
    }
    let oca = root.join("bin/oca");
    let mut strip = Command::new("strip");
    let built = target_dir().join("debug/oca");
    quiet("strip", strip.arg("-o").arg(&oca).arg(built))?;
    let mut programs = vec![oca];
    for name in ["curl", "openssl", "busybox"] {
        let from = setup::find(name).ok_or_else(|| Stop(format!("{name} is not on PATH")))?;
        let to = root.join("bin").join(name);
        fs::copy(from, &to)?;
        programs.push(to);
    }
    programs.iter().try_for_each(|program| copy_libraries(program, &root))?;
    copy_modules(kernel, &root)?;
    let mut certify = Command::new("openssl");
    certify.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    certify.args(["-nodes", "-days", "3650", "-subj", "/CN=localhost"]);
    certify.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    certify.arg("-keyout").arg(root.join("key.pem")).arg("-out").arg(root.join("cert.pem"));
    quiet("openssl req", &mut certify)?;
    fs::write(root.join("media/film.mp4"), noise(FILM_BYTES))?;
    fs::write(root.join("media/small.txt"), "small but whole\n")?;
    fs::write(root.join("expected-engine"), EXPECTED_ENGINE)?;
    let init = root.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    Ok(root)
}

/// Bytes without a pattern that a cipher or a copy could hide behind (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Copies the modules that the kernel has as files; the others are built in.
fn copy_modules(kernel: &Path, root: &Path) -> Result<(), Stop> {
    let releases = kernel.join("lib/modules");
    let releases = if releases.is_dir() { releases } else { kernel.join("usr/lib/modules") };
    for name in MODULES.into_iter().chain(CARDS) {
        // Debian 13 compresses them; busybox's insmod wants them plain.
        let mut find = Command::new("find");
        find.arg(&releases).args(["-name", &format!("{name}.ko"), "-o", "-name"]);
        let listed = find.arg(format!("{name}.ko.xz")).output()?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        match listed.lines().next() {
            Some(packed) if packed.ends_with(".xz") => {
                let to = root.join(format!("{name}.ko.xz"));
                fs::copy(packed, &to)?;
                quiet("xz", Command::new("xz").args(["-d", "-f"]).arg(&to))?;
            }
            Some(plain) => {
                fs::copy(plain, root.join(format!("{name}.ko")))?;
            }
            None if name == "tls" => {
                return Err(Stop(format!("no tls module in {}", releases.display())));
            }
            None => {}
        }
    }
    fs::write(root.join("modules"), MODULES.join("\n") + "\n")?;
    fs::write(root.join("cards"), CARDS.join("\n") + "\n")?;
    Ok(())
}

/// Copies what the loader would load for `program`.
fn copy_libraries(program: &Path, root: &Path) -> Result<(), Stop> {
    let answer = Command::new("ldd").arg(program).output()?;
    for word in String::from_utf8_lossy(&answer.stdout).split_whitespace() {
        if let Some(inside) = word.strip_prefix('/') {
            let to = root.join(inside);
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::copy(word, to)?;
        }
    }
    Ok(())
}

/// An initramfs of `root`.
fn pack(folder: &Path, root: &Path) -> Result<PathBuf, Stop> {
    let image = folder.join("guest.cpio");
    let listed = Command::new("find").arg(".").current_dir(root).output()?;
    let mut cpio = Command::new("cpio");
    cpio.args(["-o", "-H", "newc", "--quiet"]).current_dir(root);
    cpio.stdin(Stdio::piped()).stdout(fs::File::create(&image)?);
    let mut child = cpio.spawn()?;
    if let Some(mut names) = child.stdin.take() {
        names.write_all(&listed.stdout)?;
    }
    if child.wait()?.success() { Ok(image) } else { Err(Stop("cpio failed".to_owned())) }
}

fn boot(kernel: &Path, image: &Path) -> Result<(), Stop> {
    let vmlinuz = fs::read_dir(kernel.join("boot"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz")))
        .ok_or_else(|| Stop(format!("no vmlinuz in {}", kernel.display())))?;
    eprintln!("==> boot it (software emulation, about two minutes)");
    let mut qemu = Command::new("timeout");
    qemu.args([WITHIN_S, "qemu-system-x86_64", "-M", "q35", "-accel", "tcg"]);
    // With these two a 6.12 kernel panics under qemu 7.2's emulation.
    qemu.args(["-cpu", "max,la57=off,cx16=off", "-smp", "2", "-m", "2048"]);
    qemu.args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-monitor", "none"]);
    for card in ["a", "b"] {
        qemu.args(["-netdev", &format!("hubport,hubid=0,id={card}")]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev={card},romfile=")]);
    }
    qemu.arg("-kernel").arg(vmlinuz).arg("-initrd").arg(image);
    qemu.args(["-append", "console=ttyS0 panic=-1 quiet"]).stdin(Stdio::null());
    let output = qemu.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().for_each(|line| eprintln!("    {line}"));
    if text.lines().any(|line| line.trim() == ALL_WELL) {
        return Ok(());
    }
    Err(Stop(format!("the guest did not end with {ALL_WELL}; what it said is above")))
}

fn quiet(what: &str, command: &mut Command) -> Result<(), Stop> {
    let output = command.output().map_err(|error| Stop(format!("{what}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Stop(format!("{what}: {}", String::from_utf8_lossy(&output.stderr))))
}
