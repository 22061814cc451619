//! `agent.toml`: read whole, checked whole, every mistake told in one go.
//! Opens no volume and reaches nobody.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use control_types::ApplianceId;
use control_types::config_file;
use control_types::config_lines::with_lines;
use control_types::fleet::DiskClass;
use oca_store::QuarantineBound;
use serde::Deserialize;

use crate::error::AgentError;
use crate::limits::CONNECTIONS_MAX;

/// Roots believed when `sources.ca` is absent.
const MACHINE_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub appliance: ApplianceId,
    /// Where the last orders are kept.
    pub state_dir: PathBuf,
    /// Disks to write.
    pub volumes: Vec<(PathBuf, DiskClass)>,
    /// Control's URL.
    pub control_url: String,
    /// How control knows us.
    pub control_proof: ControlProof,
    /// How often orders are asked for outside windows, milliseconds.
    pub poll_ms: u64,
    /// PEM file with the roots believed of sources.
    pub sources_ca: PathBuf,
    /// Parallel range requests.
    pub connections: usize,
    /// How long a peer's own pull is waited for, milliseconds; six times as long while it answers.
    pub peer_wait_ms: u64,
    /// How long a source may send nothing, milliseconds.
    pub stall_ms: u64,
    /// Public key that signs orders, base64url; none to pin the first one seen.
    pub orders_key: Option<String>,
    /// Where the agent's own `/metrics` is; none for nowhere. Never to be open to members.
    pub metrics_listen: Option<SocketAddr>,
    /// `oca`'s `/metrics` on this box; none to never yield to members.
    pub foreground_metrics: Option<String>,
    /// Rate to members above which fill yields, bits per second.
    pub foreground_busy_bps: Option<u64>,
    /// A disk read that takes longer is slow, milliseconds.
    pub foreground_slow_read_ms: u64,
    /// `oca`'s `heat.json`; none to move objects by the plan alone.
    pub heat_file: Option<PathBuf>,
    /// Whether objects move between kinds of disk at all.
    pub moves: bool,
    /// Bytes per second that a scrub reads while disks are idle; 0 for no scrub.
    pub scrub_bytes_per_s: u64,
    /// How long bad objects stay in quarantine, and how many bytes of them a volume keeps.
    pub quarantine: QuarantineBound,
}

/// How control knows an appliance.
#[derive(Clone, Debug)]
pub enum ControlProof {
    /// By the certificate in `oca`'s identity file, which need not be there yet.
    Identity(PathBuf),
    /// By its bearer key.
    Key {
        /// The key.
        key: String,
        /// PEM of control's CA; none for the machine's own.
        ca: Option<Vec<u8>>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    appliance: ApplianceId,
    state_dir: PathBuf,
    #[serde(default)]
    volume: Vec<RawVolume>,
    control: RawControl,
    #[serde(default)]
    sources: RawSources,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    metrics: RawMetrics,
    #[serde(default)]
    foreground: RawForeground,
    #[serde(default)]
    store: RawStore,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    listen: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawForeground {
    metrics: Option<String>,
    busy_bps: Option<u64>,
    slow_read_ms: u64,
}

impl Default for RawForeground {
    fn default() -> Self {
        Self { metrics: None, busy_bps: None, slow_read_ms: 100 }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawStore {
    heat_file: Option<PathBuf>,
    moves: bool,
    scrub_bytes_per_s: u64,
    quarantine_days: u64,
    quarantine_bytes: u64,
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            heat_file: None,
            moves: true,
            scrub_bytes_per_s: 20_000_000,
            quarantine_days: 14,
            quarantine_bytes: 10 << 30,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVolume {
    path: PathBuf,
    class: DiskClass,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    url: String,
    identity: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    orders_key: Option<String>,
    #[serde(default = "five_seconds")]
    poll_ms: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSources {
    ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawLimits {
    connections: usize,
    peer_wait_ms: u64,
    stall_ms: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { connections: 4, peer_wait_ms: 600_000, stall_ms: 10_000 }
    }
}

fn five_seconds() -> u64 {
    5_000
}

impl Config {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// [`AgentError::Config`] with every mistake; [`AgentError::Io`] when `file` cannot be read.
    pub fn read(file: &Path) -> Result<Self, AgentError> {
        let text =
            config_file::read_text(file).map_err(AgentError::io(file, "read the configuration"))?;
        let refused = |mistakes| AgentError::Config {
            file: file.to_owned(),
            mistakes: with_lines(&text, mistakes),
        };
        let raw = raw(&text).map_err(refused)?;
        check(raw).map_err(refused)
    }
}

/// The text as fields. Unknown keys are gathered from all tables before anything else is said, so
/// that a typing error does not hide the next one.
fn raw(text: &str) -> Result<Raw, Vec<String>> {
    let table: toml::Table = text.parse().map_err(|error| vec![told(&error)])?;
    let mut mistakes = Vec::new();
    let mut known = |table: Option<&toml::Table>, at: &str, keys: &[&str]| {
        let unknown = table.into_iter().flat_map(toml::Table::keys);
        for key in unknown.filter(|key| !keys.contains(&key.as_str())) {
            mistakes.push(format!("{at}{key} is not a key: use one of {}", keys.join(", ")));
        }
    };
    let sub = |name: &str| table.get(name).and_then(toml::Value::as_table);
    let top = [
        "appliance",
        "state_dir",
        "volume",
        "control",
        "sources",
        "limits",
        "metrics",
        "foreground",
        "store",
    ];
    known(Some(&table), "", &top);
    let control = ["url", "identity", "key_file", "ca", "poll_ms", "orders_key"];
    known(sub("control"), "control.", &control);
    known(sub("sources"), "sources.", &["ca"]);
    known(sub("limits"), "limits.", &["connections", "peer_wait_ms", "stall_ms"]);
    known(sub("metrics"), "metrics.", &["listen"]);
    known(sub("foreground"), "foreground.", &["metrics", "busy_bps", "slow_read_ms"]);
    let store = ["heat_file", "moves", "scrub_bytes_per_s", "quarantine_days", "quarantine_bytes"];
    known(sub("store"), "store.", &store);
    let volumes = table.get("volume").and_then(toml::Value::as_array).into_iter().flatten();
    for (at, volume) in volumes.enumerate() {
        known(volume.as_table(), &format!("volume[{at}]."), &["path", "class"]);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    toml::from_str(text).map_err(|error| vec![told(&error)])
}

fn told(error: &toml::de::Error) -> String {
    error.to_string().trim().replace('\n', "\n  ")
}

fn check(raw: Raw) -> Result<Config, Vec<String>> {
    let Raw { appliance, state_dir, volume, control, sources, limits, metrics, foreground, store } =
        raw;
    let RawControl { url, identity, key_file, ca, orders_key, poll_ms } = control;
    let RawLimits { connections, peer_wait_ms, stall_ms } = limits;
    let mut mistakes = Vec::new();
    if volume.is_empty() {
        mistakes.push("no [[volume]]: name at least one directory with its class".to_owned());
    }
    for (at, RawVolume { path, .. }) in volume.iter().enumerate() {
        // One disk that is gone must not keep the others from their night; all of them must.
        if !volume.iter().any(|volume| volume.path.is_dir()) {
            mistakes
                .push(format!("volume[{at}].path {}: not a directory; create it", path.display()));
        }
        if volume[..at].iter().any(|other| other.path == *path) {
            mistakes.push(format!("volume[{at}].path {}: named twice", path.display()));
        }
    }
    let control_proof = check_proof(identity, key_file, ca, &mut mistakes);
    if let Some(path) = sources.ca.as_ref().filter(|path| !path.is_file()) {
        mistakes.push(format!(
            "sources.ca {}: not a file; give one with authorities in PEM",
            path.display()
        ));
    }
    let mut within = |name: &str, value: u64, low: u64, high: u64| {
        if !(low..=high).contains(&value) {
            mistakes.push(format!("{name} is {value}: use a number from {low} to {high}"));
        }
    };
    within("control.poll_ms", poll_ms, 100, 600_000);
    within("limits.connections", connections as u64, 1, CONNECTIONS_MAX as u64);
    within("limits.peer_wait_ms", peer_wait_ms, 0, 86_400_000);
    within("limits.stall_ms", stall_ms, 100, 600_000);
    within("foreground.slow_read_ms", foreground.slow_read_ms, 1, 10_000);
    within("store.scrub_bytes_per_s", store.scrub_bytes_per_s, 0, 10_000_000_000);
    within("store.quarantine_days", store.quarantine_days, 0, 3_650);
    let needs_tls = matches!(control_proof, ControlProof::Identity(_));
    if !url.starts_with("https://") && (needs_tls || !url.starts_with("http://")) {
        mistakes.push(format!("control.url {url:?}: write it as https://host[:port]"));
    }
    mistakes.extend(foreground.metrics.as_deref().and_then(foreground_mistake));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(Config {
        appliance,
        state_dir,
        volumes: volume.into_iter().map(|volume| (volume.path, volume.class)).collect(),
        control_url: url,
        control_proof,
        poll_ms,
        sources_ca: sources.ca.unwrap_or_else(|| MACHINE_ROOTS.into()),
        connections,
        peer_wait_ms,
        stall_ms,
        orders_key,
        metrics_listen: metrics.listen,
        foreground_metrics: foreground.metrics,
        foreground_busy_bps: foreground.busy_bps,
        foreground_slow_read_ms: foreground.slow_read_ms,
        heat_file: store.heat_file,
        moves: store.moves,
        scrub_bytes_per_s: store.scrub_bytes_per_s,
        quarantine: QuarantineBound {
            age_max: Duration::from_secs(store.quarantine_days * 86_400),
            bytes_max: store.quarantine_bytes,
        },
    })
}

/// What is wrong with the address of `oca`'s counters. Taken as it is nobody would be asked there,
/// and fill would yield to nobody.
fn foreground_mistake(url: &str) -> Option<String> {
    let is_one = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    let told = || format!("foreground.metrics {url:?}: write it as http://host[:port]/metrics");
    (!is_one).then(told)
}

/// Exactly one of the two ways; what is wrong with it is noted.
fn check_proof(
    identity: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    mistakes: &mut Vec<String>,
) -> ControlProof {
    match (identity, key_file) {
        (Some(identity), None) if ca.is_none() => ControlProof::Identity(identity),
        (None, Some(key_file)) => {
            let mut read = |name: &str, path: &Path| {
                config_file::read(path).unwrap_or_else(|error| {
                    mistakes.push(format!(
                        "control.{name} {}: give a file that this user may read ({error})",
                        path.display()
                    ));
                    Vec::new()
                })
            };
            let key = read("key_file", &key_file);
            let key = String::from_utf8_lossy(&key).trim().to_owned();
            ControlProof::Key { key, ca: ca.map(|path| read("ca", &path)) }
        }
        _ => {
            let wanted = "give either control.key_file (with control.ca, if control's authority is \
                          not a public one) or control.identity, the file that `oca register` makes";
            mistakes.push(wanted.to_owned());
            ControlProof::Identity(PathBuf::new())
        }
    }
}
