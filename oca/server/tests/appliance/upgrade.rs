//! One program takes over from another under load, and nobody who asks for anything notices; and
//! what happens when the other program is not fit to.
//!
//! `NIGHTFILL_UPGRADES=20 NIGHTFILL_REQUESTS=100000` runs the figures that we promise.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::ClientConfig;
use rustls::version::TLS13;

use crate::encrypted::certificate;
use crate::kit::{Appliance, Setup, eventually, payload, program, start, wall};
use crate::wire::{Connection, Reply};

/// An appliance whose process changes: stops whichever runs at the end.
pub struct Lineage {
    pub appliance: Appliance,
    note: PathBuf,
}

impl Lineage {
    pub fn start(setup: Setup) -> Self {
        let note = setup.path("state/running.json");
        Self { appliance: setup.start(), note }
    }

    pub fn pid(&self) -> i32 {
        let text = std::fs::read(&self.note).unwrap_or_default();
        let note: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        note["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0)
    }

    /// What `oca upgrade` says and whether it succeeded.
    pub fn upgrade(&self) -> (bool, String) {
        let config = self.appliance.setup.path("oca.toml");
        let out = program().args(["upgrade", "--config"]).arg(config).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        (out.status.success(), said.into_owned())
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        let pid = self.pid();
        // Only what came of our own start: the first process ends with the appliance.
        if pid > 1 && u32::try_from(pid) != Ok(self.appliance.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// One client that asks again and again, on a connection as long as the server keeps it.
struct Viewer {
    to: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    path: String,
    bytes: Arc<Vec<u8>>,
    /// Requests on one connection, at most; a short life keeps the accept queue busy.
    requests_max: u32,
}

impl Viewer {
    fn dial(&self) -> Connection {
        match &self.tls {
            Some(config) => Connection::tls(self.to, config),
            None => Connection::plain(self.to),
        }
    }

    /// Panics at anything but the right answer.
    fn watch(&self, answered: &AtomicU64, over: &AtomicBool) {
        let mut connection = None;
        let mut asked = 0u32;
        let mut seed = self.requests_max as usize;
        while !over.load(Ordering::Relaxed) {
            let open: &mut Connection = connection.get_or_insert_with(|| self.dial());
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let start = (seed >> 33) % (self.bytes.len() - 5000);
            let range = format!("Range: bytes={start}-{}\r\n", start + 4999);
            let reply: Reply = open.get(&self.path, &range);
            assert_eq!(reply.status, 206);
            assert!(reply.is_whole && reply.body == self.bytes[start..start + 5000], "its bytes");
            answered.fetch_add(1, Ordering::Relaxed);
            asked += 1;
            let closes = reply.headers.iter().any(|h| h.0 == "connection" && h.1 == "close");
            if closes || asked >= self.requests_max {
                (connection, asked) = (None, 0);
            }
        }
    }
}

/// Goal: no request fails, whatever moment of an upgrade it falls into. Method: clients with short
/// and long connections ask without pause, and stop at the first wrong or missing answer.
fn check(tls: bool) {
    let upgrades = number("NIGHTFILL_UPGRADES", 6);
    let requests = number("NIGHTFILL_REQUESTS", 10_000);
    let mut setup = Setup::new().section("workers", "count = 2\nconnections = 256\n");
    setup = setup.section("memory", "hot_set_bytes = 33554432\n");
    if tls {
        setup = setup.section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n");
    }
    let client = certificate(setup.dir.path(), &TLS13);
    let bytes = Arc::new(payload(700_000, 81));
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let lineage = Lineage::start(setup);
    let to = lineage.appliance.media;
    let (answered, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let viewers: Vec<_> = [1, 3, 40, 1000, u32::MAX, u32::MAX]
        .into_iter()
        .map(|requests_max| {
            let tls = tls.then(|| Arc::clone(&client));
            let (path, bytes) = (path.clone(), Arc::clone(&bytes));
            let viewer = Viewer { to, tls, path, bytes, requests_max };
            let (answered, over) = (Arc::clone(&answered), Arc::clone(&over));
            std::thread::spawn(move || viewer.watch(&answered, &over))
        })
        .collect();
    let busy = |wanted: u64| {
        // Nobody can be waited for who has failed.
        eventually("viewers go on", || {
            answered.load(Ordering::Relaxed) >= wanted || viewers.iter().any(|v| v.is_finished())
        });
    };
    let mut pids = vec![lineage.pid()];
    for round in 1..=upgrades {
        busy(requests / (upgrades + 1) * round);
        if round % 2 == 0 {
            let old = *pids.last().unwrap();
            kill(Pid::from_raw(old), Signal::SIGUSR2).unwrap();
            eventually("another process says that it runs", || ![0, old].contains(&lineage.pid()));
        } else {
            let (good, said) = lineage.upgrade();
            assert!(good, "{said}");
        }
        pids.push(lineage.pid());
    }
    let until = wall().plus_millis(120_000);
    while answered.load(Ordering::Relaxed) < requests && wall() < until {
        busy((answered.load(Ordering::Relaxed) + 500).min(requests));
        if viewers.iter().any(|viewer| viewer.is_finished()) {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.join().expect("no request failed");
    }
    let count = answered.load(Ordering::Relaxed);
    assert!(count >= requests, "{count} answers");
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len() as u64, upgrades + 1, "each upgrade is another process");
    eprintln!("{count} requests over {upgrades} upgrades (TLS: {tls}), none failed");
}

#[test]
fn nobody_notices_upgrades() {
    check(false);
}

#[test]
fn nobody_notices_upgrades_under_tls() {
    check(true);
}

#[test]
fn a_program_that_is_not_fit_changes_nothing_and_says_why() {
    let setup = Setup::new();
    let bytes = payload(30_000, 82);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let lineage = Lineage::start(setup);
    let mut kept = lineage.appliance.connect();
    assert!(kept.get(&path, "").body == bytes);
    let first = lineage.pid();
    let config = lineage.appliance.setup.path("oca.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    // The file that the running program was started with is not one any more.
    std::fs::write(&config, good.replace("[tickets]", "[tickets]\nrequierd = 1")).unwrap();
    let mut admin = Connection::plain(lineage.appliance.admin);
    let refused = admin.ask("POST", "/upgrade", "Content-Length: 0\r\n");
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("requierd"), "{}", refused.text());
    lineage.appliance.counts("upgrades_failed_total", "", 1.0);
    assert_eq!(lineage.pid(), first);
    assert!(kept.get(&path, "").body == bytes, "the connection is kept");
    assert!(lineage.appliance.get(&path).body == bytes, "new ones are taken");
    std::fs::write(&config, good).unwrap();
    let (done, said) = lineage.upgrade();
    assert!(done && said.contains("\"was\""), "{said}");
    assert_ne!(lineage.pid(), first);
    // The old program still answers on what it accepted, and says that it is for the last time.
    let last = kept.get(&path, "");
    assert!(last.body == bytes && last.header("connection") == Some("close"));
    assert!(kept.is_ended());
    assert!(lineage.appliance.get(&path).body == bytes);
}

/// Goal: who is told to end while another program is about to take over leaves it an open door.
/// Method: the program is started through a link, which then leads to one that takes its time.
#[test]
fn an_end_in_the_middle_of_an_upgrade_leaves_the_door_open() {
    let setup = Setup::new();
    let bytes = payload(30_000, 84);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let config = setup.write_config();
    let (link, slow) = (setup.path("oca"), setup.path("slow"));
    let (begun, go) = (setup.path("begun"), setup.path("go"));
    let real = PathBuf::from(program().get_program());
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let log = std::fs::File::create(setup.path("oca.log")).unwrap();
    let mut command = Command::new(&link);
    command.args(["serve", "--config"]).arg(config).stderr(log).stdin(Stdio::null());
    let (child, ready) = start(&mut command);
    let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
    let (media, admin) = (address("listening"), address("admin"));
    let note = setup.path("state/running.json");
    let mut lineage = Lineage { appliance: Appliance { setup, media, admin, child }, note };
    let first = lineage.pid();
    let script = format!(
        "#!/bin/sh\n: > {begun:?}\nwhile [ -e {begun:?} -a ! -e {go:?} ]; do sleep 0.02; done\n\
         exec {real:?} \"$@\"\n"
    );
    std::fs::write(&slow, script).unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::rename(&slow, &link).unwrap();
    kill(Pid::from_raw(first), Signal::SIGUSR2).unwrap();
    eventually("another program is started", || begun.exists());
    lineage.appliance.terminate();
    assert!(lineage.appliance.ended().success());
    std::fs::write(&go, b"").unwrap();
    eventually("it says that it runs", || ![0, first].contains(&lineage.pid()));
    assert!(lineage.appliance.get(&path).body == bytes);
}

/// Goal: sockets that systemd opened are used, and stay open for the next program. Method: a shell
/// does what systemd does: it passes descriptors from 3 on and names them.
#[test]
fn sockets_of_systemd_are_served_and_outlive_the_program() {
    let setup = Setup::new();
    let bytes = payload(30_000, 83);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let config = setup.write_config();
    let media = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [media.local_addr().unwrap(), admin.local_addr().unwrap()];
    let start = || {
        let script = "exec 3<&0 4<&2 2>/dev/null 0</dev/null; \
                      LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=media:admin exec \"$@\"";
        let mut command = Command::new("/bin/sh");
        let named = program();
        command.args(["-c", script, "sh"]).arg(named.get_program());
        command.args(["serve", "--config"]).arg(&config);
        let lend = |socket: &TcpListener| Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        command.stdin(lend(&media)).stderr(lend(&admin)).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["listening"], addresses[0].to_string());
        assert_eq!(ready["admin"], addresses[1].to_string());
        child
    };
    let end = |mut child: std::process::Child| {
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    };
    let first = start();
    assert!(Connection::plain(addresses[0]).get(&path, "").body == bytes);
    assert_eq!(Connection::plain(addresses[1]).get("/healthz", "").status, 200);
    end(first);
    // Nobody serves, and nobody is refused: the next program finds the connection waiting.
    let mut waiting = Connection::plain(addresses[0]);
    let second = start();
    assert!(waiting.get(&path, "").body == bytes);
    drop(waiting);
    end(second);
}
