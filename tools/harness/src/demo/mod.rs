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
    #[arg(long, default_value_t = 60)]
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
    let dir = std::path::absolute(&options.dir)?;
    let steps = Progress::begin();
    let run = fresh_folder(&dir)?;
    let binaries = Binaries::in_folder(&std::path::absolute(&options.bin_dir)?);
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
    stay::run(&world, &dir).await
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
    if run.exists() {
        std::fs::remove_dir_all(&run)?;
    }
    std::fs::create_dir_all(&run)?;
    Ok(run)
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
