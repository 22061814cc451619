//! Sessions of TLS while programs change under them: what one opened, the next resumes, and so does
//! the box beside it, and no request fails meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, StreamOwned, SupportedProtocolVersion,
};

use crate::encrypted::certificate;
use crate::kit::{PATIENCE, Setup, eventually, payload};
use crate::upgrade::Lineage;
use crate::wire::request;

const SECRET: &str = "a secret of one site, as long as it has to be\n";
const BYTES: usize = 40_000;
const UPGRADES: u64 = 3;
/// Connections of each client between two upgrades, at least.
const CONNECTIONS: u64 = 12;

fn setup() -> Setup {
    let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nticket_secret_file = \"secret\"\n";
    let setup = Setup::new().section("tls", tls);
    std::fs::write(setup.path("secret"), SECRET).unwrap();
    setup
}

/// Where to ask for what, and what comes.
#[derive(Clone)]
struct Target {
    to: SocketAddr,
    path: String,
    bytes: Arc<Vec<u8>>,
}

/// One connection with one request; how its handshake went.
fn ask(target: &Target, config: &Arc<ClientConfig>) -> HandshakeKind {
    let socket = TcpStream::connect(target.to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    let text = request("GET", &target.path, "Connection: close\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..40]));
    assert!(answer.ends_with(&target.bytes), "its bytes");
    stream.conn.handshake_kind().expect("the handshake is over")
}

/// Asks the two boxes in turn until told to stop; every session but the first is resumed.
fn watch(targets: [Target; 2], config: &Arc<ClientConfig>, asked: &AtomicU64, over: &AtomicBool) {
    assert_eq!(ask(&targets[0], config), HandshakeKind::Full, "nothing to resume yet");
    for round in 1.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let kind = ask(&targets[round % 2], config);
        assert_eq!(kind, HandshakeKind::Resumed, "connection {round}");
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// Goal: a session ticket outlives the program that gave it, and is good at the box beside it.
/// Method: clients with a store of sessions each dial two boxes in turn while one is upgraded again
/// and again; they stop at the first wrong answer and the first handshake that is not shortened.
fn check(version: &'static SupportedProtocolVersion) {
    let bytes = Arc::new(payload(BYTES, 88));
    let (one, other) = (setup(), setup());
    let config = certificate(one.dir.path(), version);
    for name in ["edge.pem", "edge.key"] {
        std::fs::copy(one.path(name), other.path(name)).unwrap();
    }
    let path = |setup: &Setup| {
        let object = setup.publish(0, "night", &bytes);
        format!("/t/{}/v/night/{object}", setup.play("night"))
    };
    let (one_path, other_path) = (path(&one), path(&other));
    let lineage = Lineage::start(one);
    let other = other.start();
    let target = |to, path| Target { to, path, bytes: Arc::clone(&bytes) };
    let targets = [target(lineage.appliance.media, one_path), target(other.media, other_path)];
    let (asked, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let viewers: Vec<_> = (0..3)
        .map(|_| {
            // A store of its own: nobody takes another's tickets.
            let mut own = (*config).clone();
            own.resumption = rustls::client::Resumption::in_memory_sessions(64);
            let (targets, own) = (targets.clone(), Arc::new(own));
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            std::thread::spawn(move || watch(targets, &own, &asked, &over))
        })
        .collect();
    let mut pids = vec![lineage.pid()];
    for round in 1..=UPGRADES + 1 {
        eventually("viewers go on", || {
            let wanted = CONNECTIONS * viewers.len() as u64 * round;
            asked.load(Ordering::Relaxed) >= wanted || viewers.iter().any(|v| v.is_finished())
        });
        if round <= UPGRADES {
            let (good, said) = lineage.upgrade();
            assert!(good, "{said}");
            pids.push(lineage.pid());
        }
    }
    over.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.join().expect("every session was resumed and no request failed");
    }
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len() as u64, UPGRADES + 1, "each upgrade is another process");
    other.counts("tls_handshakes_total", "resumed=\"no\"", 0.0);
}

#[test]
fn a_tls_1_3_session_resumes_across_upgrades_and_boxes() {
    check(&TLS13);
}

#[test]
fn a_tls_1_2_session_resumes_across_upgrades_and_boxes() {
    check(&TLS12);
}
