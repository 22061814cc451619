//! One TOML file into one checked `Config`; every mistake of the file is reported in one run.
//! Never opens a socket or a volume; it looks whether what is named exists.

mod control;
mod operations;
mod section;
mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::ApplianceId;
use control_types::config_file;
use control_types::config_lines::with_lines;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;

use crate::devices::Patience;
use crate::engine::Preference;
use crate::limits::{
    Bounds, CHUNK_BUFFERS_MIN, CONNECTIONS_MAX, DRAIN_MS, GRACE_S, VOLUMES_MAX, WORKERS_MAX,
};
use control::check_control;
pub use control::{ControlConfig, ControlProof};
pub use operations::{LogConfig, NamedFiles, PacingConfig, TlsConfig, TlsFiles};
use operations::{check_limits, check_log, check_pacing, check_tls, check_upgrade};
use section::{Mistakes, Section};
use storage::{check_devices, check_peers};

/// Default bytes of the hot set, all workers together.
const HOT_SET_BYTES: u64 = 256 << 20;
/// Default connections of a worker.
const CONNECTIONS: u64 = 4096;

/// What `oca serve` runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of this box in the fleet.
    pub appliance: ApplianceId,
    /// Keeps `ticket-keys.json`.
    pub state_dir: PathBuf,
    /// Where members connect; port 0 for any free one.
    pub media: SocketAddr,
    /// Where `/metrics` is; never to be open to members.
    pub admin: SocketAddr,
    /// `scheme://host[:port]` that members use; absent: made from `media` and `tls`.
    pub advertise: Option<String>,
    /// Absent: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// At least one.
    pub volumes: Vec<VolumeConfig>,
    /// Absent: this appliance stands alone.
    pub control: Option<ControlConfig>,
    /// Who may have media.
    pub tickets: TicketsConfig,
    /// Public key that signs steering bundles, base64url; absent: the first that control shows.
    pub steering_key: Option<String>,
    /// Threads, one ring each.
    pub workers: usize,
    /// Most connections of each worker.
    pub connections: usize,
    /// How bodies go to clear sockets.
    pub engine: Preference,
    /// Chunk buffers of each worker.
    pub chunk_buffers: usize,
    /// How long disks may be silent.
    pub patience: Patience,
    /// Appliances that refusals name, nearest first, each `scheme://host[:port]`.
    pub peers: Vec<String>,
    /// What a client may take.
    pub bounds: Bounds,
    /// How fast answers go.
    pub pacing: PacingConfig,
    /// Access log.
    pub log: LogConfig,
    /// From an upgrade to the end of the old program, milliseconds.
    pub upgrade_drain_ms: u64,
    /// From SIGTERM to exit, milliseconds.
    pub drain_ms: u64,
}

/// `[[volume]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeConfig {
    /// An existing directory.
    pub path: PathBuf,
    /// `ssd` or `hdd`.
    pub class: DiskClass,
}

/// `[tickets]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketsConfig {
    /// Whether media needs a ticket.
    pub required: bool,
    /// `TicketKeys` JSON; absent: `state_dir/ticket-keys.json` as control last said.
    pub keys_file: Option<PathBuf>,
    /// Longest time without control in which tickets that ended meanwhile are good, milliseconds.
    pub grace_ms: u64,
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the config file {path}: give an existing file, such as systemd/etc/oca.toml"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{path} is not TOML: {message}")]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// It is TOML and not a config.
    #[error("{path} has {} mistake(s):\n  {}", mistakes.len(), mistakes.join("\n  "))]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// All of them, each with the key and the cure.
        mistakes: Vec<String>,
    },
}

impl Config {
    /// Reads and checks the file at `path`. Relative paths in it are relative to its own directory.
    ///
    /// # Errors
    /// Unreadable, not TOML, or all of its mistakes.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = config_file::read_text(path)
            .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError::NotToml { path: path.into(), message: error.to_string() }
        })?;
        let mistakes = Mistakes::default();
        let base = path.parent().unwrap_or(Path::new(""));
        let config = check(Section::root(table, base, &mistakes), &mistakes);
        let mistakes = with_lines(&text, mistakes.into_list());
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError::Mistakes { path: path.into(), mistakes }),
        }
    }
}

/// Raw to checked. `None` when something required is missing or wrong; the mistakes say what.
fn check(mut root: Section<'_>, mistakes: &Mistakes) -> Option<Config> {
    let appliance = root.parsed("appliance", "a name such as \"edge-a1\"");
    let state_dir = root.path("state_dir");
    let drain_ms = root.number("drain_ms", 0..=600_000, DRAIN_MS);
    let (media, admin, advertise) = check_listen(root.section("listen"));
    let tls = root.optional_section("tls").map(check_tls);
    let volumes = check_volumes(&mut root, mistakes);
    let control = root.optional_section("control").map(check_control);
    let tickets = check_tickets(root.section("tickets"));
    let steering_key = check_steering(root.section("steering"));
    let mut workers_section = root.section("workers");
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let workers = workers_section.number("count", 1..=WORKERS_MAX as u64, cores) as usize;
    let connections =
        workers_section.number("connections", 1..=CONNECTIONS_MAX as u64, CONNECTIONS) as usize;
    let engine = match workers_section.optional_text("engine").as_deref().map(str::parse) {
        None => Preference::default(),
        Some(Ok(engine)) => engine,
        Some(Err(why)) => {
            mistakes.add(format!("workers.engine: {why}"));
            Preference::default()
        }
    };
    workers_section.end();
    let mut memory = root.section("memory");
    let least = workers as u64 * CHUNK_BUFFERS_MIN as u64 * CHUNK_BYTES;
    let hot_set_bytes = memory.number("hot_set_bytes", least..=1 << 44, HOT_SET_BYTES.max(least));
    memory.end();
    let patience = check_devices(root.section("devices"));
    let peers = check_peers(root.section("peers"));
    let bounds = check_limits(root.section("limits"));
    let pacing = check_pacing(root.section("pacing"));
    let log = check_log(root.section("log"));
    let upgrade_drain_ms = check_upgrade(root.section("upgrade"));
    root.end();
    Some(Config {
        appliance: appliance?,
        state_dir: state_dir?,
        media: media?,
        admin: admin?,
        advertise,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        volumes: volumes?,
        control: match control {
            Some(control) => Some(control?),
            None => None,
        },
        tickets,
        steering_key,
        workers,
        connections,
        engine,
        chunk_buffers: usize::try_from(hot_set_bytes / CHUNK_BYTES / workers as u64).ok()?,
        patience,
        peers,
        bounds,
        pacing,
        log,
        upgrade_drain_ms,
        drain_ms,
    })
}

fn check_listen(
    mut listen: Section<'_>,
) -> (Option<SocketAddr>, Option<SocketAddr>, Option<String>) {
    let media = listen.parsed("media", "an address such as \"0.0.0.0:443\"");
    let admin = listen.parsed("admin", "an address such as \"127.0.0.1:9443\"");
    let advertise = listen.optional_text("advertise").map(|url| {
        let trimmed = url.trim_end_matches('/').to_owned();
        let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
        if rest.is_none_or(|host| host.is_empty() || host.contains('/')) {
            listen.mistake(
                "advertise",
                &url,
                "scheme://host[:port] such as \"https://edge.example\"",
            );
        }
        trimmed
    });
    listen.end();
    (media, admin, advertise)
}

fn check_volumes(root: &mut Section<'_>, mistakes: &Mistakes) -> Option<Vec<VolumeConfig>> {
    let sections = root.list("volume");
    if sections.is_empty() || sections.len() > VOLUMES_MAX {
        mistakes.add(format!(
            "[[volume]] is given {} times: give 1 to {VOLUMES_MAX}, each with path and class",
            sections.len()
        ));
    }
    let mut volumes = Vec::with_capacity(sections.len());
    for mut section in sections {
        let path = section.directory("path");
        let class = section.one_of("class", &[("ssd", DiskClass::Ssd), ("hdd", DiskClass::Hdd)]);
        section.end();
        volumes.push(path.zip(class).map(|(path, class)| VolumeConfig { path, class }));
    }
    let volumes: Vec<VolumeConfig> = volumes.into_iter().collect::<Option<_>>()?;
    for (number, volume) in volumes.iter().enumerate() {
        if volumes[..number].iter().any(|earlier| earlier.path == volume.path) {
            mistakes.add(format!(
                "two volumes have the path {}: name each disk once",
                volume.path.display()
            ));
        }
    }
    Some(volumes)
}

fn check_tickets(mut tickets: Section<'_>) -> TicketsConfig {
    let required = tickets.boolean("required", true);
    let keys_file = tickets.optional_file("keys_file");
    let grace_s = tickets.number("grace_without_control_s", 0..=30 * 86_400, GRACE_S);
    tickets.end();
    TicketsConfig { required, keys_file, grace_ms: grace_s * 1_000 }
}

fn check_steering(mut steering: Section<'_>) -> Option<String> {
    let key = steering.optional_text("key");
    let is_key = |text: &String| URL_SAFE_NO_PAD.decode(text).is_ok_and(|key| key.len() == 32);
    if let Some(text) = key.as_ref().filter(|text| !is_key(text)) {
        steering.mistake("key", text, "the 32 bytes of control's public key as base64url");
    }
    steering.end();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ssd0")).unwrap();
        for name in ["edge.pem", "edge.key", "appliance.key"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let path = dir.path().join("oca.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    const GOOD: &str = r#"
        appliance = "edge-a1"
        state_dir = "state"
        [listen]
        media = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        advertise = "https://edge.example/"
        [tls]
        cert = "edge.pem"
        key = "edge.key"
        [[volume]]
        path = "ssd0"
        class = "ssd"
        [control]
        url = "http://127.0.0.1:9000"
        key_file = "appliance.key"
        [workers]
        count = 2
        [memory]
        hot_set_bytes = 67108864
        [log]
        access = "-"
    "#;

    #[test]
    fn a_good_file_is_taken() {
        let config = load(GOOD).unwrap();
        assert_eq!((config.workers, config.chunk_buffers), (2, 128));
        assert_eq!(config.advertise.as_deref(), Some("https://edge.example"));
        assert!(config.tickets.required);
        assert!(config.volumes[0].path.ends_with("ssd0") && config.volumes[0].path.is_absolute());
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let text = GOOD
            .replace("\"edge-a1\"", "\"Edge A1\"")
            .replace("media = \"127.0.0.1:0\"", "media = \"everywhere\"\nmedai = 1")
            .replace("\"ssd0\"", "\"nowhere\"")
            .replace("class = \"ssd\"", "class = \"tape\"")
            .replace("cert = \"edge.pem\"", "cert = \"absent.pem\"")
            .replace("count = 2", "count = 0")
            .replace("access = \"-\"", "access = 7");
        let error = load(&text).unwrap_err().to_string();
        let wanted = [
            "Edge A1",
            "everywhere",
            "line 6: listen.medai",
            "nowhere",
            "tape",
            "absent.pem",
            "workers.count",
            "log.access",
        ];
        for word in wanted {
            assert!(error.contains(word), "{word} is named: {error}");
        }
        assert!(error.contains("8 mistake(s)"), "{error}");
    }

    #[test]
    fn what_an_operator_may_turn_is_bounded() {
        let text = GOOD.to_owned()
            + "sample = 0.25\nbytes_max = 1000\n[limits]\nidle_ms = 9000\nclient_connections = 7\n"
            + "[pacing]\ncmcd = false\n[upgrade]\ndrain_ms = 5\n";
        let text = text.replace(
            "key = \"edge.key\"\n",
            "key = \"edge.key\"\nalpn = [\"h2\", \"http/1.1\"]\n[[tls.certificate]]\n\
             names = [\"a.example\"]\ncert = \"edge.pem\"\nkey = \"edge.key\"\n",
        );
        let config = load(&text).unwrap();
        assert_eq!((config.bounds.idle_ms, config.bounds.client_connections), (9000, 7));
        assert_eq!((config.log.sample, config.log.bytes_max), (0.25, 1000));
        assert!(!config.pacing.cmcd && config.upgrade_drain_ms == 5);
        let tls = config.tls.unwrap();
        assert_eq!((tls.alpn.len(), tls.certificates[0].names.len()), (2, 1));
        let wrong = text
            .replace("sample = 0.25", "sample = 1.5")
            .replace("\"h2\"", "\"spdy\"")
            .replace("[\"a.example\"]", "[]")
            .replace("idle_ms = 9000", "idle_ms = 0")
            .replace("cmcd = false", "buffer_low_ms = 10\nbuffer_full_ms = 10");
        let error = load(&wrong).unwrap_err().to_string();
        for key in ["log.sample", "spdy", "names", "limits.idle_ms", "pacing.buffer_full_ms"] {
            assert!(error.contains(key), "{key} is named: {error}");
        }
    }

    #[test]
    fn an_empty_file_names_all_that_is_required() {
        let error = load("").unwrap_err().to_string();
        for key in ["appliance", "state_dir", "listen.media", "listen.admin", "[[volume]]"] {
            assert!(error.contains(key), "{key} is named: {error}");
        }
    }
}
