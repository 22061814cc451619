//! What a connection that has been served and waits for its next request costs the server: its own
//! memory, measured from outside. `NIGHTFILL_IDLE=50000` measures the figure we promise; without
//! it, fewer connections are held to the same bounds.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, socket,
};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection};

use crate::encrypted::certificate;
use crate::kit::{Appliance, PATIENCE, Setup, payload};
use crate::wire::request;

/// Our promise, bytes a connection.
const PLAIN_BYTES_MAX: u64 = 4096;
const TLS_BYTES_MAX: u64 = 16 * 1024;
/// Connections from one address of the loopback network: below the number of its ports.
const PER_ADDRESS: usize = 20_000;

fn connections() -> usize {
    let wanted = std::env::var("NIGHTFILL_IDLE").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(1_500)
}

/// Resident memory of the program, bytes.
fn resident(appliance: &Appliance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", appliance.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A connection whose own address is the `number`-th of the loopback network.
fn dial(to: SocketAddr, number: usize) -> TcpStream {
    let host = u8::try_from(1 + number / PER_ADDRESS).unwrap();
    let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, host)), 0);
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, SockProtocol::Tcp).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from)).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn setup(count: usize) -> (Setup, String) {
    let files = oca_sys::raise_open_files(count as u64 + 1024).unwrap();
    assert!(files > count as u64 + 512, "this test needs `ulimit -n {}`", count + 1024);
    let workers = format!("count = 1\nconnections = {}\n", count + 512);
    let setup = Setup::new().section("workers", &workers);
    let setup = setup.section("limits", "client_connections = 0\nidle_ms = 3600000\n");
    let object = setup.publish(0, "night", &payload(100_000, 71));
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    (setup, path)
}

/// The answer to a request for ten bytes, which may come in pieces.
fn read_answer(from: &mut impl Read) {
    let mut got = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let bytes = from.read(&mut piece).unwrap();
        assert!(bytes > 0, "an answer");
        got.extend_from_slice(&piece[..bytes]);
        let head = got.windows(4).position(|four| four == b"\r\n\r\n");
        if head.is_some_and(|at| got.len() >= at + 4 + 10) {
            return;
        }
    }
}

fn check(what: &str, count: usize, before: u64, after: u64, bytes_max: u64) {
    let each = after.saturating_sub(before) / count as u64;
    eprintln!("{what}: {count} idle connections, {each} bytes each, {after} resident");
    assert!(each <= bytes_max, "{what}: {each} bytes a connection, {bytes_max} promised");
}

#[test]
fn an_idle_plain_connection_is_small() {
    let count = connections();
    let (setup, path) = setup(count);
    let appliance = setup.start();
    let ask = request("GET", &path, "Range: bytes=0-9\r\n");
    // What is taken once, whoever comes, is no part of a connection.
    let mut first = dial(appliance.media, 0);
    first.write_all(ask.as_bytes()).unwrap();
    read_answer(&mut first);
    let before = resident(&appliance);
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = dial(appliance.media, number);
        stream.write_all(ask.as_bytes()).unwrap();
        read_answer(&mut stream);
        held.push(stream);
    }
    appliance.counts("connections", "", count as f64 + 1.0);
    check("plain", count, before, resident(&appliance), PLAIN_BYTES_MAX);
    let mut again = held.swap_remove(count / 2);
    again.write_all(ask.as_bytes()).unwrap();
    read_answer(&mut again);
}

struct Member {
    session: ClientConnection,
    stream: TcpStream,
}

impl Member {
    fn new(to: SocketAddr, number: usize, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { session, stream: dial(to, number) }
    }

    fn ask(&mut self, request: &str) {
        let mut tls = rustls::Stream::new(&mut self.session, &mut self.stream);
        tls.write_all(request.as_bytes()).unwrap();
        read_answer(&mut tls);
    }
}

#[test]
fn an_idle_tls_connection_is_small() {
    let count = connections();
    let (setup, path) = setup(count);
    let setup = setup.section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n");
    let client = certificate(setup.dir.path(), &TLS13);
    let appliance = setup.start();
    let ask = request("GET", &path, "Range: bytes=0-9\r\n");
    let mut first = Member::new(appliance.media, 0, &client);
    first.ask(&ask);
    let before = resident(&appliance);
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let mut member = Member::new(appliance.media, number, &client);
        member.ask(&ask);
        held.push(member);
    }
    appliance.counts("connections", "", count as f64 + 1.0);
    check("TLS", count, before, resident(&appliance), TLS_BYTES_MAX);
    held.swap_remove(count / 2).ask(&ask);
}
