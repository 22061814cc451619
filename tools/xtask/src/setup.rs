//! What the machine must have, and how it gets there: apt when root, else the exact command to
//! type. Never removes or upgrades anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::{self, Stop};

/// An outside program and the Debian or Ubuntu package that brings it.
struct Tool {
    /// Any one of these on PATH will do.
    programs: &'static [&'static str],
    package: &'static str,
    purpose: &'static str,
}

const COMPILE: &[Tool] = &[Tool {
    programs: &["cc"],
    package: "build-essential",
    purpose: "compiles aws-lc and SQLite",
}];
const MEDIA: &[Tool] = &[Tool {
    programs: &["ffmpeg"],
    package: "ffmpeg",
    purpose: "renders, encodes and inspects video",
}];
const CHROMIUM: &str = "chromium";
/// A snap cannot be installed by apt in a container, and cannot see folders of ours below /tmp.
const UBUNTU_CHROMIUM: &str = "Ubuntu has Chromium as a snap only, which the browser tests cannot \
    use: install Google Chrome's .deb (or any Chromium that is not a snap), set \
    NIGHTFILL_CHROMIUM to its path, then again";
const BROWSER: &[Tool] = &[
    Tool {
        programs: &["chromium", "chromium-browser"],
        package: CHROMIUM,
        purpose: "drives the member page as a member would",
    },
    // Without one font Chromium draws no text at all on a bare machine.
    Tool { programs: &["fc-list"], package: "fontconfig", purpose: "finds fonts for Chromium" },
];

/// Real routers, for the tests of routes: they run in network namespaces, which need root.
const ROUTERS: &[Tool] = &[
    Tool { programs: &["ip"], package: "iproute2", purpose: "makes network namespaces" },
    Tool { programs: &["gobgpd"], package: "gobgpd", purpose: "announces routes, speaks BMP" },
    Tool { programs: &["vtysh"], package: "frr", purpose: "speaks BMP in another way" },
];

/// For the test in a machine of its own.
const EMULATOR: &[Tool] = &[
    Tool {
        programs: &["qemu-system-x86_64"],
        package: "qemu-system-x86",
        purpose: "boots a kernel that does TLS",
    },
    Tool { programs: &["busybox"], package: "busybox-static", purpose: "is the guest's userland" },
    Tool { programs: &["cpio"], package: "cpio", purpose: "packs the guest" },
    Tool { programs: &["curl"], package: "curl", purpose: "is the guest's player" },
    Tool { programs: &["openssl"], package: "openssl", purpose: "makes the guest's certificate" },
    Tool { programs: &["strip"], package: "binutils", purpose: "makes the guest smaller" },
    Tool {
        programs: &["debootstrap", "/usr/sbin/debootstrap"],
        package: "debootstrap",
        purpose: "makes a fresh Debian",
    },
    Tool {
        programs: &["mkfs.ext4", "/usr/sbin/mkfs.ext4"],
        package: "e2fsprogs",
        purpose: "makes its disk",
    },
];

/// Whether the web workspace builds with this Node.js, as `node --version` names it: what Vite asks
/// for, because what is older fails late and says little.
fn is_node_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return false };
    (major == 20 && minor >= 19) || (major == 22 && minor >= 12) || major > 22
}

/// Which parts of the machine a command needs beyond the compiler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// ffmpeg and Node.js.
    Pages,
    /// The same and a browser.
    PagesAndBrowser,
}

/// Checks what `need` takes and installs what is missing.
///
/// # Errors
/// When something is missing and cannot be installed; the text is the exact command to type.
pub fn ensure(need: Need) -> Result<(), Stop> {
    let mut wanted: Vec<&Tool> = COMPILE.iter().chain(MEDIA).collect();
    if need == Need::PagesAndBrowser {
        wanted.extend(BROWSER);
    }
    // The browser tests take this one instead of the distribution's.
    let own_browser = std::env::var_os("NIGHTFILL_CHROMIUM").is_some();
    let there = |tool: &Tool| {
        let given = own_browser && tool.package == CHROMIUM;
        given || tool.programs.iter().any(|name| on_path(name))
    };
    let missing: Vec<&Tool> = wanted.into_iter().filter(|tool| !there(tool)).collect();
    if missing.iter().any(|tool| tool.package == CHROMIUM) && is_ubuntu() {
        return Err(Stop(UBUNTU_CHROMIUM.to_owned()));
    }
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    if need == Need::PagesAndBrowser && !has_fonts() {
        packages.push("fonts-dejavu-core");
    }
    if !packages.is_empty() {
        for tool in &missing {
            eprintln!("    missing {} ({}): {}", tool.package, tool.programs[0], tool.purpose);
        }
        install(&packages)?;
    }
    ensure_node()
}

/// Installs real routers when this is root; otherwise says what is then not tested.
///
/// # Errors
/// When they cannot be installed.
pub fn ensure_routers() -> Result<(), Stop> {
    if !is_root() {
        eprintln!("    not root: the tests of routes with real routers (bgp_*) will not run");
        return Ok(());
    }
    let missing = ROUTERS.iter().filter(|tool| !tool.programs.iter().any(|name| on_path(name)));
    let packages: Vec<&str> = missing.map(|tool| tool.package).collect();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Installs what boots a test machine.
///
/// # Errors
/// When something is missing and cannot be installed; the text is the exact command to type.
pub fn ensure_vm() -> Result<(), Stop> {
    let missing = EMULATOR.iter().filter(|tool| !tool.programs.iter().any(|name| on_path(name)));
    let packages: Vec<&str> = missing.map(|tool| tool.package).collect();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

fn install(packages: &[&str]) -> Result<(), Stop> {
    let list = packages.join(" ");
    if !on_path("apt-get") {
        return Err(Stop(format!("install these with your package manager, then again: {list}")));
    }
    if !is_root() {
        let line = format!("sudo apt-get install -y --no-install-recommends {list}");
        return Err(Stop(format!(
            "some tools are missing; type this, then run it again:\n  {line}"
        )));
    }
    let mut update = steps::command("apt-get", &["update", "-qq"]);
    steps::run("apt-get update", &mut update)?;
    let mut add = steps::command("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
    add.args(packages).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    steps::run(&format!("apt-get install {list}"), &mut add)
}

fn ensure_node() -> Result<(), Stop> {
    let cure = "Node.js 20.19, or 22.12 or newer, with npm is needed for the web pages: install it \
                from your distribution or nodejs.org, then again";
    let answer = Command::new("node").arg("--version").output();
    let text = answer.map_err(|_| Stop(cure.to_owned()))?.stdout;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    if !is_node_new_enough(&text) || !on_path("npm") {
        return Err(Stop(format!("{cure} (found node {text:?})")));
    }
    Ok(())
}

/// Whether PATH has an executable of that name.
#[must_use]
pub fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// The first executable of that name on PATH.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn has_fonts() -> bool {
    Command::new("fc-list").output().is_ok_and(|answer| !answer.stdout.is_empty())
}

fn is_ubuntu() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=ubuntu")
}

/// Whether this may install packages and make network namespaces.
#[must_use]
pub fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").output();
    answer.is_ok_and(|answer| answer.stdout.trim_ascii() == b"0")
}

/// Installs the web workspace's packages when the lock file is newer than what is there, and builds
/// the pages.
///
/// # Errors
/// When npm fails.
pub fn build_pages() -> Result<(), Stop> {
    let web = steps::root().join("control/web");
    install_pages(&web)?;
    let mut build = steps::command("npm", &["run", "--silent", "build"]);
    steps::run("build the web pages", build.current_dir(&web))
}

fn install_pages(web: &Path) -> Result<(), Stop> {
    let stamp = web.join("node_modules/.package-lock.json");
    let modified = |path: &Path| std::fs::metadata(path).and_then(|entry| entry.modified()).ok();
    let lock = modified(&web.join("package-lock.json"));
    if modified(&stamp).is_some_and(|there| Some(there) >= lock) {
        return Ok(());
    }
    let mut ci = steps::command("npm", &["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
    steps::run("npm ci in control/web", ci.current_dir(web))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_new_enough_where_vite_takes_it() {
        for good in ["v20.19.0", "v20.20.1", "v22.12.0", "v23.0.0", "v24.3.1"] {
            assert!(is_node_new_enough(good), "{good}");
        }
        for bad in ["v18.19.1", "v20.18.9", "v21.7.3", "v22.11.0", "v20", "", "node"] {
            assert!(!is_node_new_enough(bad), "{bad}");
        }
    }
}
