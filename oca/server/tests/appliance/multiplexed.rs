//! HTTP/2 as its own testers and a stranger's client see it: the conformance suite, streams that do
//! not wait for one another, peers that give no window, and a drain in the middle of an answer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::TLS13;
use tokio_rustls::TlsConnector;

use crate::encrypted::certificate;
use crate::h2_wire::{self, RawClient};
use crate::kit::{Appliance, PATIENCE, Setup, payload, program, start};

const INSTALL: &str = "GOFLAGS=-mod=mod go install github.com/summerwind/h2spec/cmd/h2spec@latest";
const BYTES: usize = 3_000_001;

/// An appliance that prefers HTTP/2, a client's settings for it, and one object.
pub struct Rig {
    pub appliance: Appliance,
    pub client: Arc<rustls::ClientConfig>,
    pub bytes: Vec<u8>,
    pub path: String,
}

fn rig() -> Rig {
    rig_with("")
}

/// The same with these limits.
pub fn rig_with(limits: &str) -> Rig {
    let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nalpn = [\"h2\", \"http/1.1\"]\n";
    let setup = Setup::new().section("tls", tls).section("limits", limits);
    let mut client = (*certificate(setup.dir.path(), &TLS13)).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let bytes = payload(BYTES, 5);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}.mp4", setup.play("night"));
    Rig { appliance: setup.start(), client: Arc::new(client), bytes, path }
}

type Client = SendRequest<Empty<Bytes>>;

impl Rig {
    async fn connect(&self) -> Client {
        let stream = tokio::net::TcpStream::connect(self.appliance.media).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    fn request(&self, range: Option<&str>) -> hyper::Request<Empty<Bytes>> {
        let request = hyper::Request::get(format!("https://localhost{}", self.path));
        let request = range.into_iter().fold(request, |made, range| made.header("range", range));
        request.body(Empty::new()).unwrap()
    }
}

/// One GET on a connection of its own: its status and its body.
pub fn get(to: SocketAddr, client: &Arc<rustls::ClientConfig>, url: &str) -> (u16, Vec<u8>) {
    block_on(async {
        let stream = tokio::net::TcpStream::connect(to).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(client));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(url).body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    })
}

fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 2, what).await.unwrap() })
}

/// A stream whose window is shut holds nobody else up, and is none the worse for having waited.
#[test]
fn a_stream_that_is_not_read_does_not_hold_up_another() {
    let rig = rig();
    block_on(async {
        let connection = rig.connect().await;
        let mut slow = connection.clone().send_request(rig.request(None)).await.unwrap();
        for start in [0, 262_100, 1_000_000] {
            let range = format!("bytes={start}-{}", start + 99);
            let reply = connection.clone().send_request(rig.request(Some(&range))).await.unwrap();
            assert_eq!(reply.status(), 206);
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            assert!(body == rig.bytes[start..start + 100], "{range}");
        }
        let body = slow.body_mut().collect().await.unwrap().to_bytes();
        assert!(body == rig.bytes, "all of the one that waited");
    });
    rig.appliance.counts("answers_total", "ending=\"complete\"", 4.0);
    rig.appliance.counts("media_bytes_total", "", (BYTES + 300) as f64);
    rig.appliance.counts("engine_bytes_total", "", (BYTES + 300) as f64);
}

/// SIGTERM in the middle of an answer: it ends whole, the client is told, the program ends well.
#[test]
fn a_drain_finishes_the_streams_under_way() {
    let mut rig = rig();
    let body = block_on(async {
        let connection = rig.connect().await;
        let mut reply = connection.clone().send_request(rig.request(None)).await.unwrap();
        let first = reply.body_mut().frame().await.unwrap().unwrap();
        let mut body = first.into_data().unwrap().to_vec();
        rig.appliance.terminate();
        while let Some(frame) = reply.body_mut().frame().await {
            body.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert!(reply.body().is_end_stream());
        body
    });
    assert!(body == rig.bytes, "cut by a drain");
    assert!(rig.appliance.ended().success());
}

/// A client that gives no window has its stream taken away, and nobody else notices.
#[test]
fn a_window_that_stays_shut_ends_its_stream() {
    let rig = rig_with("send_progress_ms = 1000\n");
    let mut client = RawClient::tls(rig.appliance.media, &rig.client);
    // A window of nothing, then a request.
    client.hello(&[(4, 0)]);
    client.get(1, &rig.path, &[]);
    let reset = client.until(|frame| {
        assert_ne!(frame.kind, h2_wire::DATA, "bytes past a window of nothing");
        frame.kind == h2_wire::RST_STREAM
    });
    assert_eq!((reset.stream, reset.code()), (1, h2_wire::CANCEL));
    rig.appliance.counts("h2_resets_total", "\"stalled\"", 1.0);
    rig.appliance.counts("h2_window_stalls_total", "\"stream\"", 1.0);
    rig.appliance.counts("answers_total", "ending=\"stalled\"", 1.0);
}

/// The suite that other servers are held to: every case of it, under TLS and in the clear.
#[test]
fn the_conformance_suite_finds_nothing() {
    let Some(h2spec) = h2spec() else {
        eprintln!(
            "SKIPPED: h2spec is not here and could not be installed. Install it by\n  {INSTALL}"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), &TLS13);
    std::fs::write(dir.path().join("a.txt"), payload(5_000, 3)).unwrap();
    let (cert, key) = (dir.path().join("edge.pem"), dir.path().join("edge.key"));
    let tls = [Path::new("--tls"), &cert, &key, Path::new("--alpn"), Path::new("h2")];
    for (tls, arguments) in [(&tls[..], &["--tls", "--insecure"][..]), (&[], &[])] {
        let lab = Lab::start(dir.path(), tls);
        let mut command = Command::new(&h2spec);
        command.args(["--host", "127.0.0.1", "--path", "/a.txt", "--timeout", "5"]);
        command.args(arguments).arg("--port").arg(lab.port.to_string());
        // In the clear, what is no HTTP/2 is HTTP/1.1, and the answer to a wrong preface is a 400.
        if arguments.is_empty() {
            command
                .args(["generic", "http2/4", "http2/5", "http2/6", "http2/7", "http2/8", "hpack"]);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(" 0 failed"), "{text}");
    }
}

/// `oca lab`, ended when dropped.
struct Lab {
    child: crate::kit::Running,
    port: u16,
}

impl Lab {
    fn start(dir: &Path, arguments: &[&Path]) -> Self {
        let mut command = program();
        command.args(["lab", "--json", "--listen", "127.0.0.1:0"]).arg(dir).args(arguments);
        let (child, ready) = start(command.stderr(std::process::Stdio::null()));
        let listening: std::net::SocketAddr = ready["listening"].as_str().unwrap().parse().unwrap();
        Self { child, port: listening.port() }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where h2spec is; installed beside the test's program when there is a Go to do it.
fn h2spec() -> Option<PathBuf> {
    let answers = |path: &Path| Command::new(path).arg("--version").output().is_ok();
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    let places = [PathBuf::from("h2spec"), own.join("h2spec")];
    if let Some(path) = places.iter().find(|path| answers(path)) {
        return Some(path.clone());
    }
    let mut words = INSTALL.split(' ').skip(1);
    let mut go = Command::new(words.next()?);
    go.args(words).env("GOFLAGS", "-mod=mod").env("GOBIN", &own);
    let mut child = go.stderr(std::process::Stdio::null()).spawn().ok()?;
    let until = std::time::Instant::now() + Duration::from_secs(90);
    while child.try_wait().ok()?.is_none() {
        if std::time::Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(own.join("h2spec")).filter(|path| answers(path))
}
