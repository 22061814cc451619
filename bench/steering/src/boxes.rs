//! What reports cost control as boxes send them: the program `control`, certificates on both sides,
//! HTTP/1.1 on connections that are kept. Judges nothing.
//!
//! Method. A fleet of full size is written into the ledger, with a certificate for some of its
//! boxes. Those hold a connection each and report more often than in life, so that together they
//! send as many reports a second as the whole fleet would: what a report costs is measured at the
//! true rate, what a connection costs at rest (memory) is scaled. The storm is the rate of all
//! boxes coming back within a minute, for as long as those with a certificate last; then all of
//! these at once. Processor time is control's own: what the boxes take beside it does not count,
//! and a loaded machine does not lengthen it.
//!
//! A connection that ends before a byte of an answer came is what `oca` meets too, and like it a
//! box asks once more on a new one: such are counted as `again`, and only what fails then as
//! `failed`.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use control_gateway::FleetCa;
use control_store::ledger::{CertificateRow, RegistrationKeyRow};
use control_store::{Ports, open_embedded};
use control_types::UnixMillis;
use control_types::fleet::{ApplianceRecord, Site};
use control_types::registration::RegistrationScope;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::machine;
use crate::network::{record, report};
use crate::play::Control;
use crate::play::wire::read;

/// What a box promises, milliseconds.
const ROUND_MS: u64 = 10_000;
/// Within this all boxes come back in a storm, milliseconds.
const STORM_MS: u64 = 60_000;
/// Longest wait of a box.
const WAIT: Duration = Duration::from_secs(60);

/// How the part is run.
pub struct Options<'a> {
    pub bin_dir: &'a Path,
    /// The fleet.
    pub appliances: usize,
    /// Boxes of it that report.
    pub connections: usize,
    /// Of the steady state.
    pub seconds: f64,
}

/// A box that may report.
struct Caller {
    record: ApplianceRecord,
    tls: Arc<ClientConfig>,
    /// Number of its last report.
    sequence: AtomicU64,
}

/// Why a report was not taken.
enum Missed {
    /// The connection ended before a byte of an answer came.
    Broke(String),
    Other(String),
}

/// What boxes met.
#[derive(Default)]
struct Met {
    answered: AtomicU64,
    again: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Met {
    fn note_failed(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}

/// The part's figures.
pub fn mtls(options: &Options<'_>) -> Result<Value, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    // In memory: the disk is not what is measured, and a fleet is many writes.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.map_err(|error| error.to_string())?;
    let callers = runtime.block_on(fleet(&folder.path().join("state"), options))?;
    let more = "[appliances]\nlisten = \"127.0.0.1:0\"\nrequire_certificate = true\n";
    let control = Control::start(&options.bin_dir.join("control"), &["serve"], folder, more)?;
    let addr = control.appliances.ok_or("control does not listen for boxes")?;
    let callers: Arc<[Caller]> = callers.into();
    println!("mtls: a fleet of {} is there", options.appliances);
    let (pid, rest) = (control.pid(), Duration::from_secs(5));
    let idle = cores(pid, || std::thread::sleep(rest));
    let resident_before = resident_kib(pid);
    let run = Run { addr, callers, met: Arc::default() };

    // Everybody comes, at the rate of a storm.
    let per_second = options.appliances as f64 / (STORM_MS as f64 / 1e3);
    let storm = runtime.block_on(run.storm(pid, per_second))?;
    let resident_each =
        (resident_kib(pid).saturating_sub(resident_before)) * 1024 / options.connections as u64;
    let steady = runtime.block_on(run.steady(pid, options))?;
    let burst = runtime.block_on(run.storm(pid, f64::INFINITY))?;
    let scale = options.appliances as f64 / options.connections as f64;
    Ok(json!({
        "appliances": options.appliances,
        "connections": options.connections,
        "idle_cores": idle,
        "bytes_a_connection": resident_each,
        "steady": steady,
        "storm_at_rate": { "measured": storm,
            "cpu_seconds_for_all": scale * storm["cpu_seconds"].as_f64().unwrap_or(0.0),
            "within_s": STORM_MS / 1_000 },
        "all_connections_at_once": burst,
        "with": "TLS 1.3, certificates on both sides, HTTP/1.1 kept alive, P-256",
        "goal": "half a core",
    }))
}

/// Cores that a process takes while something lasts.
fn cores(pid: u32, during: impl FnOnce()) -> f64 {
    let (began, before) = (Instant::now(), machine::cpu_seconds(pid));
    during();
    (machine::cpu_seconds(pid) - before) / began.elapsed().as_secs_f64()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

struct Run {
    addr: std::net::SocketAddr,
    callers: Arc<[Caller]>,
    met: Arc<Met>,
}

impl Run {
    /// Every caller connects and reports once, so many a second.
    async fn storm(&self, pid: u32, per_second: f64) -> Result<Value, String> {
        let (began, before) = (tokio::time::Instant::now(), machine::cpu_seconds(pid));
        let mut tasks = JoinSet::new();
        for number in 0..self.callers.len() {
            let (addr, callers) = (self.addr, Arc::clone(&self.callers));
            let due = began + Duration::from_secs_f64(number as f64 / per_second);
            tasks.spawn(async move {
                tokio::time::sleep_until(due).await;
                let caller = &callers[number];
                let asked = async {
                    let stream = connect(addr, caller).await?;
                    ask_twice(addr, stream, caller).await
                };
                let asked = tokio::time::timeout(WAIT, asked).await;
                let asked = asked.unwrap_or_else(|_| Err("no answer".to_owned()));
                // Kept open until all are there: so it is in life.
                (asked, due.elapsed())
            });
        }
        let (mut kept, mut late, mut failed, mut why) = (Vec::new(), Vec::new(), 0u64, None);
        let mut again = 0u64;
        while let Some(done) = tasks.join_next().await {
            match done.map_err(|error| error.to_string())? {
                (Ok((stream, is_second)), took) => {
                    kept.push(stream);
                    again += u64::from(is_second);
                    late.push(took.as_secs_f64() * 1e3);
                }
                (Err(error), _) => {
                    failed += 1;
                    why = Some(error);
                }
            }
        }
        let cpu_s = machine::cpu_seconds(pid) - before;
        late.sort_by(f64::total_cmp);
        let at = |share: f64| late.get((late.len() as f64 * share) as usize).copied();
        Ok(json!({
            "connections": self.callers.len(),
            "again": again, "failed": failed, "first_failure": why,
            "took_s": began.elapsed().as_secs_f64(),
            "cpu_seconds": cpu_s,
            "cpu_us_a_connection_and_report": cpu_s * 1e6 / self.callers.len() as f64,
            "cores": cpu_s / began.elapsed().as_secs_f64(),
            "p50_ms": at(0.5), "p99_ms": at(0.99),
        }))
    }

    /// Every caller reports on the connection it keeps, as often as makes the fleet's rate.
    async fn steady(&self, pid: u32, options: &Options<'_>) -> Result<Value, String> {
        let every = Duration::from_secs_f64(
            ROUND_MS as f64 / 1e3 * self.callers.len() as f64 / options.appliances as f64,
        );
        let begins = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..self.callers.len() {
            let (addr, callers) = (self.addr, Arc::clone(&self.callers));
            let met = Arc::clone(&self.met);
            let offset = every.mul_f64(number as f64 / self.callers.len() as f64);
            tasks.spawn(async move {
                let mut due = begins + every + offset;
                let caller = &callers[number];
                let mut stream = connect(addr, caller).await;
                loop {
                    tokio::time::sleep_until(due).await;
                    due += every;
                    let asked = async {
                        let stream = match stream {
                            Ok(stream) => stream,
                            Err(_) => connect(addr, caller).await?,
                        };
                        ask_twice(addr, stream, caller).await
                    };
                    let asked = tokio::time::timeout(WAIT, asked).await;
                    stream = match asked.unwrap_or_else(|_| Err("no answer".to_owned())) {
                        Ok((stream, is_second)) => {
                            met.answered.fetch_add(1, Ordering::Relaxed);
                            met.again.fetch_add(u64::from(is_second), Ordering::Relaxed);
                            Ok(stream)
                        }
                        Err(why) => {
                            met.note_failed(why.clone());
                            Err(why)
                        }
                    };
                }
            });
        }
        // Connections first; what they cost is the storm's.
        tokio::time::sleep(every * 2 + Duration::from_secs(15)).await;
        let answered = || self.met.answered.load(Ordering::Relaxed);
        let (began, before, cpu) = (Instant::now(), answered(), machine::cpu_seconds(pid));
        tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
        let (cpu_s, reports) = (machine::cpu_seconds(pid) - cpu, answered() - before);
        let seconds = began.elapsed().as_secs_f64();
        tasks.shutdown().await;
        Ok(json!({
            "seconds": seconds, "reports": reports, "per_second": reports as f64 / seconds,
            "wanted_per_second": options.appliances as f64 / (ROUND_MS as f64 / 1e3),
            "again": self.met.again.load(Ordering::Relaxed),
            "failed": self.met.failed.load(Ordering::Relaxed),
            "first_failure": *self.met.first_failure.lock().unwrap_or_else(PoisonError::into_inner),
            "cpu_us_a_report": cpu_s * 1e6 / reports as f64,
            "cores": cpu_s / seconds,
        }))
    }
}

async fn connect(
    addr: std::net::SocketAddr,
    caller: &Caller,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::clone(&caller.tls));
    let name = ServerName::from(addr.ip());
    connector.connect(name, stream).await.map_err(|error| error.to_string())
}

/// Asks, and once more on a new connection when the first broke; whether that was so.
async fn ask_twice(
    addr: std::net::SocketAddr,
    mut stream: TlsStream<TcpStream>,
    caller: &Caller,
) -> Result<(TlsStream<TcpStream>, bool), String> {
    match ask(&mut stream, caller).await {
        Ok(()) => return Ok((stream, false)),
        Err(Missed::Other(why)) => return Err(why),
        Err(Missed::Broke(_)) => {}
    }
    let mut stream = connect(addr, caller).await?;
    match ask(&mut stream, caller).await {
        Ok(()) => Ok((stream, true)),
        Err(Missed::Broke(why) | Missed::Other(why)) => Err(why),
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, caller: &Caller) -> Result<(), Missed> {
    // Numbered by the clock: later than every report before it, whatever connection that came by,
    // and though two of a box that is late go out in one millisecond.
    let number = now().0.max(caller.sequence.load(Ordering::Relaxed) + 1);
    caller.sequence.store(number, Ordering::Relaxed);
    let other = |error: &dyn std::fmt::Display| Missed::Other(error.to_string());
    let body = report(&caller.record, number, 4_000_000_000);
    let body = serde_json::to_string(&body).map_err(|error| other(&error))?;
    let text = format!(
        "POST /v1/appliance/report HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let broke = |error: std::io::Error| Missed::Broke(error.to_string());
    stream.write_all(text.as_bytes()).await.map_err(broke)?;
    let answer = read(stream).await.map_err(|error| match error.kind() {
        ErrorKind::Other | ErrorKind::InvalidData => other(&error),
        // One write of control's brings a whole answer: what ended came before it.
        _ => broke(error),
    })?;
    match answer.status {
        200 => Ok(()),
        status => Err(other(&format!("{status}: {}", String::from_utf8_lossy(&answer.body)))),
    }
}

/// The ledger of the fleet below `state`, and those of its boxes that have a certificate.
async fn fleet(state: &Path, options: &Options<'_>) -> Result<Vec<Caller>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let ports = open_embedded(state).await.map_err(|error| text(&error))?;
    let mut site_before = String::new();
    for number in 0..options.appliances {
        let record = record(number);
        if record.site.as_str() != site_before {
            site_before = record.site.to_string();
            ports.ledger.put_site(&site(&record)?).await.map_err(|error| text(&error))?;
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let put = ports.ledger.put_appliance(&record, &key, now()).await;
        put.map_err(|error| text(&error))?;
    }
    let (authority, kept) = FleetCa::generate().map_err(|error| text(&error))?;
    std::fs::write(state.join("fleet-ca.pem"), kept).map_err(|error| text(&error))?;
    let mut callers = Vec::new();
    for number in 0..options.connections.min(options.appliances) {
        callers.push(caller(&ports, &authority, number).await?);
    }
    Ok(callers)
}

fn site(record: &ApplianceRecord) -> Result<Site, String> {
    Ok(Site {
        id: record.site.clone(),
        isp: "isp".parse().map_err(|_| "a slug")?,
        name: record.site.to_string(),
        latitude: 0.0,
        longitude: 0.0,
        prefixes: Vec::new(),
        fails_as_one: false,
    })
}

/// A box with a certificate as control would have given it.
async fn caller(ports: &Ports, authority: &FleetCa, number: usize) -> Result<Caller, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let record = record(number);
    let key = KeyPair::generate().map_err(|error| text(&error))?;
    let request = CertificateParams::default().serialize_request(&key);
    let request = request.and_then(|request| request.pem()).map_err(|error| text(&error))?;
    let until = now().plus_millis(86_400_000);
    let issued = authority.issue(&request, &record.id, now(), until);
    let issued = issued.map_err(|error| text(&error))?;
    let mut hash = [1; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    let used = RegistrationKeyRow {
        id: format!("key-{number}").parse().map_err(|_| "a slug")?,
        scope: RegistrationScope::Appliance(record.id.clone()),
        isp: None,
        key_hash: hash,
        uses_left: 1,
        made_at: now(),
        expires_at: until,
    };
    ports.ledger.add_registration_key(&used).await.map_err(|error| text(&error))?;
    let certificate = CertificateRow {
        fingerprint: issued.fingerprint,
        appliance: record.id.clone(),
        made_at: now(),
        expires_at: until,
        authority: Some(authority.hash()),
    };
    let kept = ports.ledger.register_certificate(&used.id, &certificate, false).await;
    kept.map_err(|error| text(&error))?;
    let tls = Arc::new(tls(authority, &issued.pem, &key)?);
    Ok(Caller { record, tls, sequence: AtomicU64::new(0) })
}

fn tls(authority: &FleetCa, certificate: &str, key: &KeyPair) -> Result<ClientConfig, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut roots = rustls::RootCertStore::empty();
    for root in authority.roots() {
        roots.add(CertificateDer::from(root.to_vec())).map_err(|error| text(&error))?;
    }
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes());
    let chain = vec![chain.map_err(|error| text(&error))?];
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, private)
        .map_err(|error| text(&error))
}

fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
}
