//! The press of play under load: `control` as it is built, members who arrive without waiting for
//! each other, and one dependency after the other made slow. Judges nothing.
//!
//! Method. First what the machine can do: as many presses as 32 members manage who press again as
//! soon as they are answered. Then an open loop at 70 % of that: presses arrive by a Poisson
//! process from a seed, whether or not earlier ones were answered, and a press takes as long as
//! from the moment at which it was to arrive. Each press is followed by the player's `stopped`, as
//! in life, which is load and not measured. Control and the members share the machine's cores.
//!
//! The undisturbed run is of the program `control`. A port is slowed by wrapping its adapter
//! (`slowed.rs`): that run is of the same library, built into this program, because nothing that
//! ships has a switch to make it slow. The slowness begins while members are pressing, and every
//! press from that moment on is counted.

mod crowd;
mod figures;
mod load;
mod slowed;
pub mod wire;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use self::crowd::Crowd;
use self::load::{Load, Presses};
pub use self::slowed::serve_slowed;

/// What is made slow, one at a time.
const PORTS: [&str; 3] = ["members", "activity", "events"];
/// How slow, milliseconds.
const SLOW_MS: u64 = 5_000;
/// Members who press as fast as they are answered.
const CLOSED_LOOP: usize = 32;
/// Share of what the machine can do.
const SHARE: f64 = 0.7;
/// Members press this long before anything is counted or slow.
const WARM_S: f64 = 3.0;

/// How the part is run.
pub struct Options<'a> {
    pub bin_dir: &'a Path,
    pub seed: u64,
    /// Of each counted run.
    pub seconds: f64,
    /// Presses a second; absent: 70 % of what is found.
    pub rate: Option<f64>,
}

/// The part's figures.
pub fn play(options: &Options<'_>) -> Result<Value, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut real = Control::start(&options.bin_dir.join("control"), &["serve"], folder()?, "")?;
    let crowd = Crowd::of(&real, options.seed)?;
    println!("play: the fleet reports and {} accounts are signed in", crowd.members.len());
    let found = load::closed(&crowd, CLOSED_LOOP, Duration::from_secs(8))?;
    let capacity = found.per_second();
    let rate = options.rate.unwrap_or(capacity * SHARE);
    println!("play: capacity {capacity:.0}/s; each run at {rate:.0}/s");
    let mut runs = serde_json::Map::new();
    let load = Load { rate, warm_s: WARM_S, seconds: options.seconds, seed: options.seed };
    let plain = run(&mut real, &crowd, &load, None)?;
    println!("play: undisturbed: {plain}");
    runs.insert("undisturbed".to_owned(), plain);
    crowd.leave();
    drop(real);

    let mut slowed = Control::start(&own, &["--serve"], folder()?, "")?;
    let crowd = Crowd::of(&slowed, options.seed)?;
    for port in PORTS {
        let figures = run(&mut slowed, &crowd, &load, Some(port))?;
        println!("play: {port} answers after {SLOW_MS} ms: {figures}");
        runs.insert(format!("{port}_slow"), figures);
    }
    crowd.leave();
    Ok(json!({
        "capacity_per_second": capacity as u64,
        "capacity_by": format!("{CLOSED_LOOP} members who press again as soon as answered"),
        "rate_per_second": rate as u64,
        "slow_ms": SLOW_MS,
        "accounts": crowd.members.len(),
        "titles": crowd.titles.len(),
        "appliances": crowd::APPLIANCES,
        "runs": runs,
        "goal": "p50 < 5 ms, p99 < 50 ms, 0 failed",
        "without": "TLS",
        "found_at_capacity": found.figures(),
    }))
}

/// One open loop; `port` turns slow once it is under way, and well again behind it.
fn run(
    control: &mut Control,
    crowd: &Crowd,
    load: &Load,
    port: Option<&str>,
) -> Result<Value, String> {
    let mut slow = |ms: u64| match port {
        Some(port) => control.say(&format!("{port} {ms}")),
        None => Ok(()),
    };
    let presses: Presses = load::open(crowd, load, || slow(SLOW_MS))?;
    slow(0)?;
    // What was begun while it was slow ends before the next run begins.
    std::thread::sleep(Duration::from_millis(SLOW_MS + 1_000));
    Ok(presses.figures())
}

/// A running control with a state of its own.
pub struct Control {
    child: Child,
    ears: Option<ChildStdin>,
    pub addr: SocketAddr,
    /// Where boxes report, if it was told to listen there.
    pub appliances: Option<SocketAddr>,
    pub operator_key: String,
    folder: tempfile::TempDir,
}

/// Where a control keeps its state.
fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}

impl Control {
    /// Starts it over `folder`, with `more` in its config.
    pub fn start(
        program: &Path,
        verb: &[&str],
        folder: tempfile::TempDir,
        more: &str,
    ) -> Result<Self, String> {
        let path = folder.path().join("control.toml");
        let text = format!("{}{more}", config(folder.path()));
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let log = std::fs::File::create(folder.path().join("log")).map_err(|e| e.to_string())?;
        let mut child = Command::new(program)
            .args(verb)
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let ears = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let at = |name: &str| said[name].as_str().and_then(|text| text.parse().ok());
        let (addr, appliances) = (at("listening"), at("appliances"));
        let key = std::fs::read_to_string(folder.path().join("operator.key"));
        let Some(addr) = addr else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            return Err(format!("control did not start: {log}"));
        };
        let operator_key = key.map_err(|error| error.to_string())?.trim().to_owned();
        Ok(Self { child, ears, addr, appliances, operator_key, folder })
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        let ears = self.ears.as_mut().ok_or("control has no ears")?;
        writeln!(ears, "{line}").map_err(|error| error.to_string())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(keep) = std::env::var("BENCH_KEEP_LOG") {
            let _ = std::fs::copy(self.folder.path().join("log"), keep);
        }
    }
}

/// Nothing is turned off but what holds one address back: all members come from here.
fn config(folder: &Path) -> String {
    let state = folder.display();
    format!(
        "state_dir = \"{state}/state\"\n\
         [listen]\naddr = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [operator]\nkey_file = \"{state}/operator.key\"\n\
         [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n\
         sign_ins_per_second = 1000000\nsign_ins_burst = 1000000\n\
         [fleet]\nsilent_ms = 30000\nlate_ms = 20000\n\
         [log]\nfilter = \"warn\"\n"
    )
}
