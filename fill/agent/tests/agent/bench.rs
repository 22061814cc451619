//! What a test needs around the agent: keys, a control plane of two endpoints, the process itself.
//! Everything ends with the value that holds it.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use control_token::OrdersSigner;
use control_types::UnixMillis;
use control_types::fill::{
    AppliancePlan, FillReport, FillStateWord, Orders, Pull, SignedOrders, Source as From,
    SourceKind, Window, WindowScope,
};
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use oca_store::{Index, ObjectReader, Volume};
use tokio::net::TcpListener;

use crate::source::{Mood, Sealed, Source};

/// Longest any single thing is waited for. Debug builds on busy cores are slow.
const SOON: Duration = Duration::from_secs(60);

/// Control as the agent sees it.
struct Control {
    orders: Mutex<Option<Orders>>,
    reports: Mutex<Vec<FillReport>>,
    /// Status that everybody is refused with; none when nobody is.
    refuses: Mutex<Option<StatusCode>>,
    /// The last one signs.
    signers: Mutex<Vec<OrdersSigner>>,
}

/// A folder with a volume, keys, control, and the agent's configuration.
pub struct Bench {
    pub folder: tempfile::TempDir,
    control: Arc<Control>,
    tls: Arc<rustls::ServerConfig>,
    control_url: String,
    serial: u64,
}

impl Bench {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tls, root) = identity("127.0.0.1");
        std::fs::write(folder.path().join("ca.pem"), root).unwrap();
        std::fs::write(folder.path().join("appliance.key"), "the-key\n").unwrap();
        std::fs::create_dir(folder.path().join("ssd")).unwrap();
        let control = Arc::new(Control {
            orders: Mutex::default(),
            reports: Mutex::default(),
            refuses: Mutex::default(),
            signers: Mutex::new(vec![OrdersSigner::generate().unwrap()]),
        });
        let control_url = serve(Arc::clone(&control)).await;
        let bench = Self { folder, control, tls, control_url, serial: 1 };
        bench.configure(&bench.volume(), "connections = 1\nstall_ms = 500\n");
        bench
    }

    pub fn volume(&self) -> PathBuf {
        self.folder.path().join("ssd")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    pub fn configure(&self, volume: &Path, limits: &str) {
        let folder = self.folder.path();
        let text = format!(
            "appliance = \"edge-a1\"\nstate_dir = {:?}\n[[volume]]\npath = {volume:?}\n\
             class = \"ssd\"\n[control]\nurl = \"{}\"\nkey_file = {:?}\npoll_ms = 100\n\
             [sources]\nca = {:?}\n[limits]\n{limits}",
            folder.join("state"),
            self.control_url,
            folder.join("appliance.key"),
            folder.join("ca.pem"),
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// An SSD and an HDD folder, and more keys at the end.
    pub fn configure_two(&self, more: &str) -> [PathBuf; 2] {
        let hdd = self.folder.path().join("hdd");
        std::fs::create_dir_all(&hdd).unwrap();
        self.configure(&self.volume(), "connections = 2\nstall_ms = 500\n");
        let text = std::fs::read_to_string(self.config()).unwrap();
        let second = format!("[[volume]]\npath = {hdd:?}\nclass = \"hdd\"\n[control]\n");
        let text = text.replacen("[control]\n", &second, 1) + more;
        std::fs::write(self.config(), text).unwrap();
        [self.volume(), hdd]
    }

    pub async fn source(&self, mood: Mood, objects: &[&Sealed]) -> Source {
        Source::start(Arc::clone(&self.tls), mood, objects).await
    }

    /// Gives orders: pull `pulls`, may remove `prunes`, in `windows`.
    pub fn order(&mut self, pulls: Vec<Pull>, prunes: Vec<ObjectId>, windows: Vec<Window>) {
        self.serial += 1;
        let work = AppliancePlan {
            appliance: "edge-a1".parse().unwrap(),
            pulls,
            prunes,
            moves: Vec::new(),
            rate: None,
            border: None,
        };
        *self.control.orders.lock().unwrap() = Some(Orders {
            appliance: "edge-a1".parse().unwrap(),
            now: now(),
            serial: self.serial,
            plan: Some("00000000-0000-4000-8000-000000000001".parse().unwrap()),
            windows,
            work: Some(work),
            fill_ticket: "the-ticket".to_owned(),
            next_key: None,
        });
    }

    /// Changes the orders given last, without a new serial.
    pub fn amend(&mut self, change: impl FnOnce(&mut Orders)) {
        change(self.control.orders.lock().unwrap().as_mut().unwrap());
    }

    /// Serial of the orders given last.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// From now on somebody else signs as control.
    pub fn usurp(&self) {
        self.control.signers.lock().unwrap().push(OrdersSigner::generate().unwrap());
    }

    /// The true control signs again.
    pub fn abdicate(&self) {
        self.control.signers.lock().unwrap().pop();
    }

    /// Waits for a new report that is as wanted.
    pub async fn report_where(
        &self,
        what: &str,
        wanted: impl Fn(&FillReport) -> bool,
    ) -> FillReport {
        self.control.reports.lock().unwrap().clear();
        until(what, || self.last_report().filter(|report| wanted(report))).await
    }

    /// From now on control answers 503.
    pub fn take_control_away(&self) {
        *self.control.orders.lock().unwrap() = None;
    }

    /// From now on control refuses this box with `status`.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub fn refuse(&self, status: StatusCode) {
        *self.control.refuses.lock().unwrap() = Some(status);
    }

    /// `fill-agent run --once` to its end: its exit code and what it said.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub fn once(&self) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fill-agent"));
        command.args(["run", "--once", "--config"]).arg(self.config()).env("RUST_LOG", "warn");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    pub fn start(&self) -> Agent {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fill-agent"));
        command.args(["run", "--config"]).arg(self.config());
        Agent::start(&mut command)
    }

    /// All reports since this was last asked.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub fn reports(&self) -> Vec<FillReport> {
        std::mem::take(&mut self.control.reports.lock().unwrap())
    }

    pub fn last_report(&self) -> Option<FillReport> {
        self.control.reports.lock().unwrap().last().cloned()
    }

    /// Waits for a report in `state`.
    pub async fn reported(&self, state: FillStateWord) -> FillReport {
        self.control.reports.lock().unwrap().clear();
        until(&format!("a report of {state:?}"), || {
            self.last_report().filter(|report| report.state == state)
        })
        .await
    }

    /// The published payload of `object`, every chunk checked; `None` when it is not there.
    pub fn published(&self, object: &ObjectId) -> Option<Vec<u8>> {
        Self::published_on(&self.volume(), object)
    }

    /// The same on another volume.
    pub fn published_on(volume: &Path, object: &ObjectId) -> Option<Vec<u8>> {
        let volume = Volume::open(volume, DiskClass::Ssd).ok()?;
        let index = Index::load(&[volume]).index;
        let reader = ObjectReader::open(&index.find(object)?.path()).unwrap();
        let mut payload = Vec::new();
        let mut chunk = Vec::new();
        for index in 0..reader.seal().chunks() {
            reader.read_chunk(index, &mut chunk).unwrap();
            payload.extend_from_slice(&chunk);
        }
        Some(payload)
    }
}

/// What a box called `name` shows to its clients, and what they need to believe it, as PEM.
pub fn identity(name: &str) -> (Arc<rustls::ServerConfig>, String) {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private.unwrap())
        .unwrap();
    (Arc::new(tls), key.cert.pem())
}

/// A pull of `object` from `sources` in order; a name that begins with `peer` is pending.
pub fn pull(object: &Sealed, sources: &[(&str, &Source)]) -> Pull {
    let sources = sources.iter().map(|(name, source)| From {
        kind: if name.starts_with("peer") { SourceKind::Peer } else { SourceKind::Origin },
        appliance: name.parse().unwrap(),
        media_url: source.url.clone(),
        pending: name.starts_with("peer"),
    });
    Pull {
        object: object.seal.object(),
        bytes: object.seal.bytes(),
        title: "harbour".parse().unwrap(),
        class: DiskClass::Ssd,
        sources: sources.collect(),
        why: "test".to_owned(),
    }
}

pub fn now() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// A window open from now for `length_ms`.
pub fn window(id: &str, length_ms: u64, rate_bps_max: Option<u64>) -> Window {
    Window {
        id: id.parse().unwrap(),
        scope: WindowScope::Everyone,
        opens_at: UnixMillis(now().0 - 1000),
        closes_at: now().plus_millis(length_ms),
        rate_bps_max,
        bytes_max: None,
        closed: false,
    }
}

pub fn wide_open() -> Vec<Window> {
    vec![window("wide", 3_600_000, None)]
}

/// Asks every few milliseconds until there is an answer, within a bound.
pub async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The agent's process; killed when dropped.
pub struct Agent {
    child: Child,
    /// Where its metrics are, if it was told to have any.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub metrics: Option<String>,
}

impl Agent {
    fn start(command: &mut Command) -> Self {
        command.env("RUST_LOG", "warn").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        let metrics = ready["metrics"].as_str().map(str::to_owned);
        Self { child, metrics }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        until("the agent's end", || self.child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(control: Arc<Control>) -> String {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            // One connection that cannot be had is not the end of control.
            let Ok((tcp, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let control = Arc::clone(&control);
            let service = hyper::service::service_fn(move |request| {
                let control = Arc::clone(&control);
                async move { Ok::<_, Infallible>(answer(&control, request).await) }
            });
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(tcp), service).await;
            });
        }
    });
    url
}

async fn answer(
    control: &Control,
    request: Request<hyper::body::Incoming>,
) -> Response<Full<Bytes>> {
    assert_eq!(request.headers()["authorization"], "Bearer the-key");
    let reply = |status, body: Vec<u8>| {
        let mut answer = Response::new(Full::new(body.into()));
        *answer.status_mut() = status;
        answer
    };
    if let Some(status) = *control.refuses.lock().unwrap() {
        let body =
            r#"{"error":"unauthenticated","message":"this key is nobody's","request_id":"r1"}"#;
        return reply(status, body.as_bytes().to_vec());
    }
    match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/v1/appliance/orders") => {
            let orders = control.orders.lock().unwrap().clone();
            match orders {
                None => reply(StatusCode::SERVICE_UNAVAILABLE, b"away".to_vec()),
                Some(mut orders) => {
                    orders.now = now();
                    let signers = control.signers.lock().unwrap();
                    let signer = signers.last().unwrap();
                    let orders = serde_json::to_string(&orders).unwrap();
                    let signature = signer.sign(&orders);
                    let signed = SignedOrders { orders, signature, key: signer.public_key() };
                    reply(StatusCode::OK, serde_json::to_vec(&signed).unwrap())
                }
            }
        }
        (Method::POST, "/v1/appliance/fill-report") => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            control.reports.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            reply(StatusCode::NO_CONTENT, Vec::new())
        }
        other => panic!("the agent asked control for {other:?}"),
    }
}
