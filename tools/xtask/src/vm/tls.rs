//! The guest that has TLS in its kernel, and two network cards on one wire: the real `oca`, asked
//! in every way that a player may ask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{boot, copy_libraries, pack, quiet};
use super::kernel::Kernel;
use crate::demo::target_dir;
use crate::setup;
use crate::steps::{self, Stop};

/// What the guest's first process does.
const INIT: &str = include_str!("tls.sh");
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
/// Longest the guest may take, seconds; it needs about two minutes on two cores.
const WITHIN_S: u32 = 600;
const FILM_BYTES: usize = 3 << 20;

/// Builds the guest, boots it, and reads what it says.
///
/// # Errors
/// When it cannot be built, or says that something failed.
pub fn run(folder: &Path, kernel: &Kernel) -> Result<(), Stop> {
    steps::run("build oca for the guest", &mut steps::cargo(&["build", "-p", "oca", "--locked"]))?;
    eprintln!("==> build a guest with TLS in its kernel");
    let root = build_root(folder, kernel)?;
    let image = pack(&root)?;
    eprintln!("==> boot it (software emulation, about two minutes)");
    let mut cards = Vec::new();
    for card in ["a", "b"] {
        cards.extend(["-netdev".to_owned(), format!("hubport,hubid=0,id={card}")]);
        cards.extend(["-device".to_owned(), format!("virtio-net-pci,netdev={card},romfile=")]);
    }
    boot(kernel, &image, &cards, WITHIN_S)
}

fn build_root(folder: &Path, kernel: &Kernel) -> Result<PathBuf, Stop> {
    let root = folder.join("tls");
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
    kernel.copy_modules(&MODULES, &root)?;
    kernel.copy_modules(&CARDS, &root)?;
    if !root.join("tls.ko").exists() {
        return Err(Stop(format!("no tls module in {}", kernel.modules.display())));
    }
    fs::write(root.join("modules"), MODULES.join("\n") + "\n")?;
    fs::write(root.join("cards"), CARDS.join("\n") + "\n")?;
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
