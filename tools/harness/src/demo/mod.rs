//! The demo's steps, in order: titles, programs, night, then either stay up or one evening in a
//! browser. Everything it starts is a real program with a real config file below `--dir`.

mod evening;
mod players;
mod progress;
mod stay;
mod titles;

use std::path::{Path, PathBuf};

use clap::Parser;
use nightfill_harness::nodes::free_port;
use nightfill_harness::{Binaries, Trouble, World, WorldPlan};

use players::Programme;
use progress::Progress;

/// One night and one evening of a video network, on this machine.
#[derive(Parser)]
#[command(name = "nightfill-demo", version)]
pub struct Options {
    /// Where the built programs are.
    #[arg(long, value_name = "DIR")]
    bin_dir: PathBuf,
    /// Where titles, certificates, disks and logs go; the run before is cleared away.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A video of your own instead of the two rendered ones; may be given several times.
    #[arg(long, value_name = "FILE")]
    video: Vec<PathBuf>,
    /// Length of the rendered videos, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..=600))]
    seconds: u32,
    /// Port of the member page; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Drive the member page in headless Chromium, kill an appliance in mid-play, print one JSON
    /// line.
    #[arg(long)]
    once: bool,
    /// Play in hls.js, dash.js and Shaka Player in headless Chromium while appliances are drained,
    /// killed, brought back and added; print one JSON line.
    #[arg(long, conflicts_with = "once")]
    players: bool,
    /// With `players`: hls.js and dash.js only, who lose control, then the box they stream from;
    /// then one drains. A minute or two.
    #[arg(long, requires = "players", requires = "sovereign")]
    brief: bool,
    /// Let appliances answer players' steering questions, each from its bundle.
    #[arg(long)]
    sovereign: bool,
}

impl Options {
    fn control_sections(&self) -> &'static str {
        if self.sovereign { SOVEREIGN } else { "" }
    }
}

/// Bundles come as fast as reports do: a person looks on.
const SOVEREIGN: &str = "[steering]\nserved_by = \"appliances\"\nbundle_ms = 500\n\
                         bundle_content_ms = 1000\n";

/// Runs the demo.
///
/// # Errors
/// The first step that failed; its logs stay below `--dir`.
pub async fn run(options: &Options) -> Result<(), Trouble> {
    // What would stop a later step is said before minutes of rendering.
    readable(&options.video)?;
    port_is_free(options.port)?;
    let dir = std::path::absolute(&options.dir)?;
    let steps = Progress::begin();
    let run = fresh_folder(&dir)?;
    let programs = std::path::absolute(&options.bin_dir)?;
    let binaries = Binaries::in_folder(&programs);
    let pages = pages()?;
    if options.players {
        return standard_players(options, binaries, &run, &pages, &steps).await;
    }
    let titles = steps.step("videos", titles::choose(options, &binaries, &dir))?;
    let plan = WorldPlan {
        port: options.port,
        pages: Some(pages.clone()),
        control_sections: options.control_sections(),
        ..WorldPlan::default()
    };
    let started = World::start_in(plan, binaries, &run).await;
    let mut world = steps.step("control, an origin and two edges in two sites", started)?;
    for title in &titles {
        let what =
            format!("ingest {:?}: probe, encode, package, seal, publish, register", title.name);
        steps.step(&what, titles::ingest(&world, title).await)?;
    }
    steps.step("one night: window, plan, pull, verify, publish", world.night().await)?;
    println!("{}", world.ocactl(&["fill", "status"])?);
    if options.once {
        return evening::run(&world_parts(&mut world), &pages, &dir, &titles[0], &steps).await;
    }
    stay::run(&world, &dir, &programs).await
}

async fn standard_players(
    options: &Options,
    binaries: Binaries,
    run: &Path,
    pages: &Path,
    steps: &Progress,
) -> Result<(), Trouble> {
    // One port, as in a real network: a clone's HOST is a name without a port to some players.
    let edge_port = free_port()?;
    let control_sections = options.control_sections();
    let (boxes, port) = (vec![4], options.port);
    let plan = WorldPlan { boxes, port, edge_port, control_sections, ..WorldPlan::default() };
    let started = World::start_in(plan, binaries, run).await;
    let mut world = steps.step("control, an origin and four edges in one site", started)?;
    let programme = if options.brief { Programme::BRIEF } else { Programme::WHOLE };
    players::run(&mut world, pages, steps, &programme).await
}

fn world_parts(world: &mut World) -> std::cell::RefCell<&mut World> {
    std::cell::RefCell::new(world)
}

/// Clears the run before: its programs are gone, and a port or certificate of theirs would only
/// confuse.
fn fresh_folder(dir: &Path) -> Result<PathBuf, Trouble> {
    let run = dir.join("run");
    let emptied = if run.exists() { std::fs::remove_dir_all(&run) } else { Ok(()) };
    emptied.and_then(|()| std::fs::create_dir_all(&run)).map_err(|error| {
        let shown = run.display();
        Trouble(format!("cannot empty or make {shown}: {error}; give another --dir"))
    })?;
    Ok(run)
}

fn readable(videos: &[PathBuf]) -> Result<(), Trouble> {
    for video in videos {
        std::fs::File::open(video).map_err(|error| {
            Trouble(format!("--video {}: {error}; check the path and its rights", video.display()))
        })?;
    }
    Ok(())
}

fn port_is_free(port: u16) -> Result<(), Trouble> {
    std::net::TcpListener::bind(("127.0.0.1", port)).map(drop).map_err(|error| {
        Trouble(format!(
            "the member page cannot be at 127.0.0.1:{port}: {error}; stop what uses the port \
             (`ss -ltnp`), or give another --port, 0 for any free one"
        ))
    })
}

/// The built member and operator pages.
fn pages() -> Result<PathBuf, Trouble> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(here);
    let pages = root.join("control/web/dist");
    if pages.join("index.html").is_file() {
        return Ok(pages);
    }
    let shown = pages.display();
    Err(Trouble(format!("{shown} is not built: run `npm ci && npm run build` in control/web")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_demo_is_said_before_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.mp4");
        let said = readable(&[absent]).unwrap_err().to_string();
        assert!(said.contains("absent.mp4") && said.contains("--video"), "{said}");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let said = port_is_free(port).unwrap_err().to_string();
        assert!(said.contains(&port.to_string()) && said.contains("--port"), "{said}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let said = fresh_folder(&file).unwrap_err().to_string();
        assert!(said.contains("file/run") && said.contains("--dir"), "{said}");
    }
}
