//! `cargo xtask demo`: sets the machine up, builds release binaries and pages, hands over to
//! `nightfill-demo`. Holds none of the demo's own steps.

use std::path::PathBuf;

use clap::Args;

use crate::setup::{self, Need};
use crate::steps::{self, Stop};

/// Options of `cargo xtask demo`.
#[derive(Args)]
pub struct DemoOptions {
    /// A video of your own instead of the two rendered ones; may be given several times.
    #[arg(long, value_name = "FILE")]
    video: Vec<PathBuf>,
    /// Do everything without staying up: drive the member page in headless Chromium, kill an
    /// appliance in mid-play, print one JSON line last.
    #[arg(long)]
    once: bool,
    /// Where titles, certificates and logs go.
    #[arg(long, default_value = "target/demo", value_name = "DIR")]
    dir: PathBuf,
    /// Port of the member page: 8080 if not given, or any free one with --once.
    #[arg(long)]
    port: Option<u16>,
}

/// Where a person looks for the member page.
const MEMBER_PORT: u16 = 8080;

/// The programs that the demo starts, as `-p PACKAGE`.
pub const PROGRAMS: &[&str] = &[
    "-p",
    "oca",
    "-p",
    "control",
    "-p",
    "fill-agent",
    "-p",
    "fill-director",
    "-p",
    "ocactl",
    "-p",
    "ingest",
    "-p",
    "nightfill-harness",
];

/// Runs the demo.
///
/// # Errors
/// When the machine lacks something, a build fails, or the demo itself does.
pub fn run(options: &DemoOptions) -> Result<(), Stop> {
    let port = options.port.unwrap_or(if options.once { 0 } else { MEMBER_PORT });
    check(&options.video, port)?;
    let need = if options.once { Need::PagesAndBrowser } else { Need::Pages };
    setup::ensure(need)?;
    let mut build = steps::cargo(&["build", "--release", "--bins"]);
    steps::run("build release binaries", build.args(PROGRAMS))?;
    setup::build_pages()?;
    let target = target_dir();
    let mut demo = steps::command(&target.join("release/nightfill-demo").to_string_lossy(), &[]);
    demo.arg("--bin-dir").arg(target.join("release")).arg("--dir").arg(&options.dir);
    demo.arg("--port").arg(port.to_string());
    for video in &options.video {
        demo.arg("--video").arg(std::path::absolute(video)?);
    }
    if options.once {
        demo.arg("--once");
    }
    // The demo reports its own progress and its own errors; xtask adds only the exit code.
    let status = demo.status()?;
    if status.success() { Ok(()) } else { Err(Stop(format!("the demo ended with {status}"))) }
}

/// What would stop the demo is said before minutes of building.
fn check(videos: &[PathBuf], port: u16) -> Result<(), Stop> {
    for video in videos {
        std::fs::File::open(video).map_err(|error| {
            Stop(format!("--video {}: {error}; check the path and its rights", video.display()))
        })?;
    }
    std::net::TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        Stop(format!(
            "the member page cannot be at 127.0.0.1:{port}: {error}; stop what uses the port \
             (`ss -ltnp`), or give another --port, 0 for any free one"
        ))
    })
}

/// Cargo's target folder, wherever the environment put it.
#[must_use]
pub fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    steps::root().join(set.unwrap_or_else(|| PathBuf::from("target")))
}
