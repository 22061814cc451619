//! An appliance in a private directory: volumes with objects, keys, a config, the running program.
//! Stops what it started, by process id only.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control_token::{Claims, TicketSigner};
use control_types::fleet::{DiskClass, TicketKeys};
use control_types::{ObjectId, TitleId, UnixMillis};
use oca_store::{MediaType, Volume, Writer, seal_reader};
use tempfile::TempDir;

use crate::wire::{Connection, Reply};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is on disk before the program starts.
pub struct Setup {
    pub dir: TempDir,
    pub signer: TicketSigner,
    pub volumes: Vec<Volume>,
    config: Vec<(&'static str, String)>,
    drain_ms: u64,
}

/// A running appliance.
pub struct Appliance {
    pub setup: Setup,
    pub media: SocketAddr,
    pub admin: SocketAddr,
    pub child: Running,
}

impl Setup {
    /// One SSD volume, plain HTTP, tickets required.
    pub fn new() -> Self {
        Self::with_volumes(&[DiskClass::Ssd])
    }

    pub fn with_volumes(classes: &[DiskClass]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut volumes = Vec::new();
        for (number, class) in classes.iter().enumerate() {
            let path = dir.path().join(format!("disk{number}"));
            fs::create_dir(&path).unwrap();
            volumes.push(Volume::open(&path, *class).unwrap());
        }
        let signer = TicketSigner::generate().unwrap();
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        fs::write(dir.path().join("keys.json"), serde_json::to_vec(&keys).unwrap()).unwrap();
        let config = vec![
            ("tickets", "required = true\nkeys_file = \"keys.json\"\n".to_owned()),
            ("workers", "count = 1\nconnections = 256\n".to_owned()),
            ("memory", "hot_set_bytes = 16777216\n".to_owned()),
        ];
        Self { dir, signer, volumes, config, drain_ms: 15_000 }
    }

    /// Replaces a section of the config.
    pub fn section(mut self, name: &'static str, text: &str) -> Self {
        self.config.retain(|(known, _)| *known != name);
        self.config.push((name, text.to_owned()));
        self
    }

    pub fn drain_ms(mut self, drain_ms: u64) -> Self {
        self.drain_ms = drain_ms;
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Publishes `payload` on volume `volume` as the fill agent would.
    pub fn publish(&self, volume: usize, title: &str, payload: &[u8]) -> ObjectId {
        let writer = Writer::open(&self.volumes[volume], "test").unwrap();
        let title: TitleId = title.parse().unwrap();
        let seal = seal_reader(payload, title, MediaType::VideoMp4).unwrap();
        let object = seal.object();
        let file = self.path(&format!("import-{object}"));
        fs::write(&file, payload).unwrap();
        writer.import_file(&file, seal).unwrap();
        object
    }

    /// A ticket for one title, good for an hour.
    pub fn play(&self, title: &str) -> String {
        let now = wall();
        let claims = Claims::play("play-1".into(), &title.parse().unwrap(), now, hour_after(now));
        self.signer.sign(&claims).unwrap()
    }

    pub fn fill(&self) -> String {
        let now = wall();
        self.signer.sign(&Claims::fill(now, hour_after(now))).unwrap()
    }

    pub fn write_config(&self) -> PathBuf {
        let mut text = String::from("appliance = \"edge-a1\"\nstate_dir = \"state\"\n");
        text += &format!("drain_ms = {}\n", self.drain_ms);
        text += "[listen]\nmedia = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
        for volume in &self.volumes {
            let class = if volume.class() == DiskClass::Ssd { "ssd" } else { "hdd" };
            text += &format!("[[volume]]\npath = {:?}\nclass = {class:?}\n", volume.path());
        }
        for (name, body) in &self.config {
            text += &format!("[{name}]\n{body}");
        }
        let path = self.path("oca.toml");
        fs::write(&path, text).unwrap();
        path
    }

    pub fn start(self) -> Appliance {
        let (child, media, admin) = self.run();
        Appliance { media, admin, child, setup: self }
    }

    fn run(&self) -> (Running, SocketAddr, SocketAddr) {
        let config = self.write_config();
        let log = fs::File::options().create(true).append(true).open(self.path("oca.log")).unwrap();
        let mut command = program();
        command.args(["serve", "--config"]).arg(config).stderr(log);
        let (child, ready) = start(&mut command);
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        (child, address("listening"), address("admin"))
    }
}

impl Appliance {
    /// Starts the program again, after its end.
    pub fn restart(&mut self) {
        (self.child, self.media, self.admin) = self.setup.run();
    }

    pub fn connect(&self) -> Connection {
        Connection::plain(self.media)
    }

    /// One GET on a connection of its own.
    pub fn get(&self, path: &str) -> Reply {
        self.connect().get(path, "")
    }

    /// A counter of `/metrics`: the sum over its labels that contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = Connection::plain(self.admin).get("/metrics", "Connection: close\r\n");
        let text = String::from_utf8(page.body).unwrap();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or("?");
            (rest.starts_with(' ') || rest.starts_with('{')) && rest.contains(labels)
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits for a counter: an answer is counted a moment after its last byte is out.
    pub fn counts(&self, name: &str, labels: &str, wanted: f64) {
        let name = format!("nightfill_oca_{name}");
        let mut found = f64::NAN;
        eventually(&format!("{name}{{{labels}}} is {wanted}"), || {
            found = self.metric(&name, labels);
            (found - wanted).abs() < 0.5
        });
    }

    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.setup.path("oca.log")).unwrap()
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The program of this build, or the one that `NIGHTFILL_OCA` names, for measuring a release build.
pub fn program() -> Command {
    let built = env!("CARGO_BIN_EXE_oca").into();
    let mut command = Command::new(std::env::var_os("NIGHTFILL_OCA").unwrap_or(built));
    command.stdin(Stdio::null()).env("RUST_LOG", "info");
    command
}

/// A program that ends with the test, also with one that fails: it would keep the output of the
/// whole run open.
pub struct Running(Child);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that says it is ready in one JSON line.
pub fn start(command: &mut Command) -> (Running, serde_json::Value) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line);
    if ready.is_err() {
        let _ = child.kill();
        panic!("not ready, it said {line:?} and ended with {:?}", child.wait());
    }
    (Running(child), ready.unwrap())
}

/// Looks until `is_so` or the end of patience.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

pub fn hour_after(at: UnixMillis) -> UnixMillis {
    at.plus_millis(3_600_000)
}

/// Bytes that look like nothing, the same for the same seed.
pub fn payload(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// The object's file.
pub fn object_file(volume: &Volume, object: &ObjectId) -> PathBuf {
    volume.object_path(object)
}

/// Turns one bit of a file.
pub fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    file.sync_all().unwrap();
}
