//! What every guest is made of: programs with their libraries, an initramfs, a boot. Knows nothing
//! of what is tested.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::kernel::Kernel;
use crate::steps::Stop;

/// The last line of a guest in which everything went well.
const ALL_WELL: &str = "VM-OK";

/// Copies what the loader would load for `program`.
///
/// # Errors
/// When a library cannot be copied.
pub fn copy_libraries(program: &Path, root: &Path) -> Result<(), Stop> {
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

/// An initramfs of `root`, beside it.
///
/// # Errors
/// When cpio fails.
pub fn pack(root: &Path) -> Result<PathBuf, Stop> {
    let image = root.with_extension("cpio");
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

/// Boots `initramfs`, with `more` of qemu's options, and reads what the guest says.
///
/// # Errors
/// When it does not say that all went well within `within_s` seconds.
pub fn boot(kernel: &Kernel, initramfs: &Path, more: &[String], within_s: u32) -> Result<(), Stop> {
    let mut qemu = Command::new("timeout");
    qemu.arg(within_s.to_string());
    qemu.args(["qemu-system-x86_64", "-M", "q35", "-accel", "tcg"]);
    // With these two a 6.12 kernel panics under qemu 7.2's emulation.
    qemu.args(["-cpu", "max,la57=off,cx16=off", "-smp", "2", "-m", "2048"]);
    qemu.args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-monitor", "none"]);
    qemu.args(more).arg("-kernel").arg(&kernel.vmlinuz).arg("-initrd").arg(initramfs);
    qemu.args(["-append", "console=ttyS0 panic=-1 quiet systemd.show_status=0"]);
    let mut guest = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut is_well = false;
    if let Some(console) = guest.stdout.take() {
        // A console is not bound to say UTF-8.
        for line in BufReader::new(console).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            is_well |= line.trim() == ALL_WELL;
            eprintln!("    {}", line.trim_end());
        }
    }
    guest.wait()?;
    if is_well {
        return Ok(());
    }
    Err(Stop(format!("the guest did not end with {ALL_WELL}; what it said is above")))
}

/// Runs a command whose output matters only when it fails.
///
/// # Errors
/// Its standard error, under `what`.
pub fn quiet(what: &str, command: &mut Command) -> Result<(), Stop> {
    let output = command.output().map_err(|error| Stop(format!("{what}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Stop(format!("{what}: {}", String::from_utf8_lossy(&output.stderr))))
}
