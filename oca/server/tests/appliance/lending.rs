//! Zero-copy sends of the real program on the real kernel: asked for on the loopback, where the
//! kernel copies and says so; and by itself to a peer in another network, over a veth, which copies
//! too. The networks are the test's own; without the right to make them that part is skipped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;
use oca::limits::{COPY_DOUBTS, DOUBTS_BY_WAY_MAX};
use serde_json::Value;

use crate::kit;
use crate::wire::Connection;

const HERE: &str = "10.78.0.1";
const THERE: &str = "10.78.0.2";
/// Chunks of the film, of which the last is worth lending too.
const FILM_BYTES: usize = 3 * 256 * 1024 + 40_000;

struct Lab {
    child: kit::Running,
    media: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    fn start(dir: &Path, listen: &str, engine: &str) -> Self {
        let mut command = kit::program();
        command.arg("lab").arg(dir).args(["--listen", listen, "--admin", "127.0.0.1:0"]);
        command.args(["--workers", "1", "--engine", engine, "--json"]);
        let (child, ready) = kit::start(&mut command);
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        Self { child, media: address("listening"), admin: address("admin") }
    }

    fn datapath(&self) -> Value {
        let page = Connection::plain(self.admin).get("/debug/datapath", "Connection: close\r\n");
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        page["datapath"].clone()
    }

    fn zero_copy(&self, what: &str) -> u64 {
        self.datapath()["zero_copy"][what].as_u64().unwrap()
    }

    /// Sockets so far that have, or had, this engine for this reason.
    fn sockets(&self, engine: &str, reason: &str) -> u64 {
        let page = self.datapath();
        let lines = page["reasons"].as_array().unwrap().clone();
        let mut of =
            lines.iter().filter(|line| line["engine"] == engine && line["reason"] == reason);
        of.next().map_or(0, |line| line["sockets"].as_u64().unwrap())
    }
}

fn film(dir: &Path) -> Vec<u8> {
    let bytes = kit::payload(FILM_BYTES, 17);
    std::fs::write(dir.join("film.mp4"), &bytes).unwrap();
    bytes
}

#[test]
fn what_is_asked_for_is_lent_on_the_loopback_and_reported_as_copied() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = film(dir.path());
    let lab = Lab::start(dir.path(), "127.0.0.1:0", "owned-zc");
    let mut connection = Connection::plain(lab.media);
    for _ in 0..3 {
        assert!(connection.get("/film.mp4", "").body == bytes);
    }
    let part = connection.get("/film.mp4", "Range: bytes=1000-299999\r\n");
    assert!(part.body == bytes[1000..300_000]);
    kit::eventually("all that was lent is back", || lab.zero_copy("lent_bytes") == 0);
    assert!(lab.zero_copy("sends") >= 13, "{}", lab.datapath());
    let copied = lab.zero_copy("copied") + lab.zero_copy("unsure");
    assert!(copied >= 13 && lab.zero_copy("used") == 0, "{}", lab.datapath());
    assert_eq!(lab.sockets("owned-zc", "configured"), 1);
}

#[test]
fn nothing_is_lent_on_the_loopback_by_itself_nor_where_copies_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = film(dir.path());
    for (engine, chosen, reason) in
        [("auto", "page-cache", "local_peer"), ("owned", "owned", "configured")]
    {
        let lab = Lab::start(dir.path(), "127.0.0.1:0", engine);
        assert!(Connection::plain(lab.media).get("/film.mp4", "").body == bytes);
        assert_eq!(lab.zero_copy("sends"), 0, "{engine}: {}", lab.datapath());
        assert_eq!(lab.sockets(chosen, reason), 1, "{engine}: {}", lab.datapath());
    }
}

/// Runs `ip` in the network of the calling thread.
fn ip(words: &str) -> Result<(), String> {
    let ran = Command::new("ip").args(words.split(' ')).output();
    let ran = ran.map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}

/// A member in a network of its own fetches the film, on a connection for each.
fn fetch(media: SocketAddr, film: &[u8]) {
    let mut connection = Connection::plain(media);
    for _ in 0..3 {
        assert!(connection.get("/film.mp4", "").body == film, "other bytes");
    }
}

fn in_two_networks(dir: &Path) {
    if let Err(why) = unshare(CloneFlags::CLONE_NEWNET) {
        return println!("skipped: a network namespace needs root: {why}");
    }
    let bytes = film(dir);
    let (orders, ordered) = channel::<SocketAddr>();
    let (ready, made) = channel();
    let (done, finished) = channel();
    let there = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("allowed a moment ago");
        ready.send(gettid()).unwrap();
        for (number, media) in ordered.iter().enumerate() {
            if number == 0 {
                // Its end of the cable is there before the first order.
                ip(&format!("addr add {THERE}/24 dev there1")).unwrap();
                ip("link set there1 up").unwrap();
            }
            fetch(media, &bytes);
            done.send(()).unwrap();
        }
    });
    let tid = made.recv().unwrap();
    if let Err(why) = ip(&format!("link add here1 type veth peer name there1 netns {tid}")) {
        return println!("skipped: this machine has no veth: {why}");
    }
    ip("link set lo up").unwrap();
    ip(&format!("addr add {HERE}/24 dev here1")).unwrap();
    ip("link set here1 up").unwrap();
    let lab = Lab::start(dir, &format!("{HERE}:0"), "auto");
    // Each finds it out for itself, until there were enough reports for all.
    let mut members = 0;
    while lab.sockets("owned", "way_out_copies") == 0 {
        members += 1;
        assert!(members <= DOUBTS_BY_WAY_MAX, "{}", lab.datapath());
        orders.send(lab.media).unwrap();
        finished.recv().expect("the member has the film");
        kit::eventually("what was lent is back", || lab.zero_copy("lent_bytes") == 0);
    }
    let page = lab.datapath();
    assert!(lab.sockets("owned-zc", "remote_peer") >= 1, "{page}");
    let doubts = u64::from(COPY_DOUBTS) * lab.zero_copy("copied") + lab.zero_copy("unsure");
    assert!(doubts >= u64::from(DOUBTS_BY_WAY_MAX), "{page}");
    assert_eq!(lab.zero_copy("used"), 0, "{page}");
    let before = lab.zero_copy("sends");
    orders.send(lab.media).unwrap();
    finished.recv().expect("the member has the film");
    assert_eq!(lab.zero_copy("sends"), before, "not tried again so soon");
    drop(orders);
    there.join().unwrap();
}

#[test]
fn a_peer_behind_a_veth_is_lent_to_until_the_kernel_says_that_it_copies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    // The namespace ends with its thread.
    thread::spawn(move || in_two_networks(&path)).join().expect("the test's thread");
}
