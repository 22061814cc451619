//! `cargo xtask test --vm`: boots stock Debian kernels in qemu, because what the kernel does for
//! TLS can only be tested where the kernel does it, and what systemd makes of our units only under
//! systemd. Measures nothing: an emulated machine's speed says nothing.

mod guest;
mod kernel;
mod tls;
mod walk;

use std::fs;

use crate::demo::target_dir;
use crate::setup;
use crate::steps::Stop;

/// Boots each guest in turn and reads what it says.
///
/// # Errors
/// When a tool is missing and cannot be installed, or a guest says that something failed.
pub fn run() -> Result<(), Stop> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Stop("the test machine is an x86-64 one; leave --vm out here".to_owned()));
    }
    setup::ensure_vm()?;
    let folder = target_dir().join("vm");
    fs::create_dir_all(&folder)?;
    let kernel = kernel::fetch(&folder)?;
    tls::run(&folder, &kernel)?;
    walk::run(&folder, &kernel)
}
