//! The fill agent against `curl` and `b3sum` in the same run: the same `oca`, the same objects over
//! the same loopback TLS, onto the same disk. And a rate cap, seen from the wire.
//! Starts real programs and measures their CPU from outside; ends all of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use control_token::{Claims, OrdersSigner, TicketSigner};
use control_types::fill::{
    AppliancePlan, Orders, Pull, SignedOrders, Source, SourceKind, Window, WindowScope,
};
use control_types::fleet::{DiskClass, TicketKeys};
use control_types::limits::CHUNK_BYTES;
use control_types::{ObjectId, UnixMillis};
use nix::sys::resource::{UsageWho, getrusage};
use oca_store::{MediaType, Volume, Writer, seal_reader};
use serde_json::{Value, json};

use crate::row::{Reach, Row};

const OBJECTS: usize = 8;
const OBJECT_BYTES: usize = 128 << 20;
/// Objects pulled under the cap, and the cap.
const CAPPED_OBJECTS: usize = 2;
const CAP_BPS: u64 = 200_000_000;

type Failed = Box<dyn std::error::Error>;

/// The rows, one figure for each of `rounds` interleaved rounds; what was run goes to `runs`.
///
/// # Errors
/// When a program cannot be started or does not do its part.
pub fn measure(bin_dir: &Path, rounds: usize, runs: &mut Vec<Value>) -> Result<Vec<Row>, Failed> {
    let lab = Lab::start(bin_dir)?;
    let gigabytes = (OBJECTS * OBJECT_BYTES) as f64 / 1e9;
    let (mut cpu_ratios, mut rate_ratios) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (curl_s, curl_cpu) = lab.curl()?;
        let (hash_s, hash_cpu) = lab.b3sum()?;
        let (agent_s, agent_cpu) = lab.agent(OBJECTS, None, &lab.media)?;
        let per_gb = |cpu: f64| cpu / gigabytes;
        runs.push(json!({
            "part": "agent",
            "gigabytes": gigabytes,
            "curl": { "seconds": curl_s, "cpu_per_gb": per_gb(curl_cpu) },
            "b3sum": { "seconds": hash_s, "cpu_per_gb": per_gb(hash_cpu) },
            "agent": { "seconds": agent_s, "cpu_per_gb": per_gb(agent_cpu) },
        }));
        cpu_ratios.push(agent_cpu / (curl_cpu + hash_cpu));
        rate_ratios.push(curl_s / agent_s);
    }
    let (most, share) = lab.capped()?;
    runs.push(json!({ "part": "cap", "cap_bps": CAP_BPS, "busiest": most, "used": share }));
    Ok(vec![
        Row::new("agent: rate / curl's", Reach::AtLeast(0.70), rate_ratios),
        Row::new("agent: CPU per GB / (curl + b3sum)", Reach::AtMost(1.3), cpu_ratios),
        Row::new("busiest second of a cap, wherever it begins", Reach::AtMost(1.0), vec![most]),
        Row::new("share of a cap that is used", Reach::Shown, vec![share]),
    ])
}

/// One `oca` with objects, keys, and everything an agent needs.
struct Lab {
    folder: tempfile::TempDir,
    bin_dir: PathBuf,
    media: String,
    ticket: String,
    objects: Vec<ObjectId>,
    _server: Running,
}

/// A child that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    fn start(bin_dir: &Path) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for name in ["origin", "state"] {
            std::fs::create_dir(at(name))?;
        }
        let objects = write_objects(&at("origin"), &at("payload"))?;
        let signer = TicketSigner::generate()?;
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        std::fs::write(at("keys.json"), serde_json::to_vec(&keys)?)?;
        let now = now();
        let ticket = signer.sign(&Claims::fill(now, now.plus_millis(3_600_000)))?;
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        std::fs::write(at("ca.pem"), key.cert.pem())?;
        std::fs::write(at("key.pem"), key.signing_key.serialize_pem())?;
        let config = format!(
            "appliance = \"origin-1\"\nstate_dir = {:?}\n[listen]\nmedia = \"127.0.0.1:0\"\n\
             admin = \"127.0.0.1:0\"\n[tls]\ncert = {:?}\nkey = {:?}\n[[volume]]\npath = {:?}\n\
             class = \"ssd\"\n[tickets]\nrequired = true\nkeys_file = {:?}\n[workers]\ncount = 1\n",
            at("state"),
            at("ca.pem"),
            at("key.pem"),
            at("origin"),
            at("keys.json"),
        );
        std::fs::write(at("oca.toml"), config)?;
        let mut command = Command::new(bin_dir.join("oca"));
        command.args(["serve", "--config"]).arg(at("oca.toml"));
        let log = std::fs::File::create(at("oca.log"))?;
        let mut server = Running(command.stdout(Stdio::piped()).stderr(log).spawn()?);
        let out = server.0.stdout.take().ok_or("oca has no stdout")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let media = ready["listening"].as_str().ok_or("oca said no address")?.to_owned();
        let bin_dir = bin_dir.to_owned();
        Ok(Self { folder, bin_dir, media, ticket, objects, _server: server })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Seconds and CPU seconds of fetching everything, one after the other, on one connection.
    fn curl(&self) -> Result<(f64, f64), Failed> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--http1.1", "--cacert"]);
        command.arg(self.at("ca.pem"));
        for (number, object) in self.objects.iter().enumerate() {
            command.arg("-o").arg(self.at(&format!("curl-{number}")));
            command.arg(format!("https://{}/t/{}/o/{object}", self.media, self.ticket));
        }
        timed(&mut command)
    }

    fn b3sum(&self) -> Result<(f64, f64), Failed> {
        let mut command = Command::new("b3sum");
        command.stdout(Stdio::null());
        command.args((0..self.objects.len()).map(|number| self.at(&format!("curl-{number}"))));
        timed(&mut command)
    }

    /// The same for an agent that pulls `count` objects from `media` into an empty volume.
    fn agent(&self, count: usize, bps_max: Option<u64>, media: &str) -> Result<(f64, f64), Failed> {
        for name in ["edge", "agent-state"] {
            let _ = std::fs::remove_dir_all(self.at(name));
            std::fs::create_dir(self.at(name))?;
        }
        std::fs::write(self.at("agent.key"), "bench-key\n")?;
        let control = answer_orders(&self.orders(count, bps_max, media))?;
        let config = format!(
            "appliance = \"edge-1\"\nstate_dir = {:?}\n[[volume]]\npath = {:?}\nclass = \"ssd\"\n\
             [control]\nurl = \"http://{control}\"\nkey_file = {:?}\npoll_ms = 1000\n\
             [sources]\nca = {:?}\n[limits]\nconnections = 4\n[store]\nscrub_bytes_per_s = 0\n",
            self.at("agent-state"),
            self.at("edge"),
            self.at("agent.key"),
            self.at("ca.pem"),
        );
        std::fs::write(self.at("agent.toml"), config)?;
        let mut command = Command::new(self.bin_dir.join("fill-agent"));
        command.args(["run", "--once", "--config"]).arg(self.at("agent.toml"));
        command.env("RUST_LOG", "warn").stdout(Stdio::null());
        let times = timed(&mut command)?;
        let held = Writer::open(&Volume::open(self.at("edge"), DiskClass::Ssd)?, "bench")?;
        if held.index().len() != count {
            return Err("the agent did not bring everything".into());
        }
        Ok(times)
    }

    fn orders(&self, count: usize, bps_max: Option<u64>, media: &str) -> Orders {
        let source = Source {
            kind: SourceKind::Origin,
            appliance: "origin-1".parse().expect("a slug"),
            media_url: format!("https://{media}"),
            pending: false,
        };
        let pull = |object: &ObjectId| Pull {
            object: *object,
            bytes: OBJECT_BYTES as u64,
            title: "bench".parse().expect("a slug"),
            class: DiskClass::Ssd,
            sources: vec![source.clone()],
            why: String::new(),
        };
        let now = now();
        Orders {
            appliance: "edge-1".parse().expect("a slug"),
            now,
            serial: 1,
            plan: None,
            windows: vec![Window {
                id: "bench".parse().expect("a slug"),
                scope: WindowScope::Everyone,
                opens_at: UnixMillis(0),
                closes_at: now.plus_millis(3_600_000),
                rate_bps_max: bps_max,
                bytes_max: None,
                closed: false,
            }],
            work: Some(AppliancePlan {
                appliance: "edge-1".parse().expect("a slug"),
                pulls: self.objects[..count].iter().map(pull).collect(),
                prunes: Vec::new(),
                moves: Vec::new(),
                rate: None,
                border: None,
            }),
            fill_ticket: self.ticket.clone(),
            next_key: None,
        }
    }

    /// Busiest second and mean use of a cap, as shares of it, seen by a relay on the wire.
    fn capped(&self) -> Result<(f64, f64), Failed> {
        let seen: Arc<Mutex<Vec<(Instant, u64)>>> = Arc::default();
        let relay = relay(&self.media, &seen)?;
        self.agent(CAPPED_OBJECTS, Some(CAP_BPS), &relay)?;
        let seen = seen.lock().map_err(|_| "the relay broke")?;
        let (mut start, mut sum, mut most) = (0, 0, 0);
        for (at, bytes) in seen.iter() {
            sum += bytes;
            while at.duration_since(seen[start].0).as_millis() >= 1000 {
                sum -= seen[start].1;
                start += 1;
            }
            most = most.max(sum);
        }
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
            return Err("nothing came through the relay".into());
        };
        let total: u64 = seen.iter().map(|(_, bytes)| bytes).sum();
        let per_second = CAP_BPS as f64 / 8.0;
        // The first second's worth may come at once: n seconds of a cap fit into n - 1 seconds.
        let mean = total as f64 / (last.0.duration_since(first.0).as_secs_f64() + 1.0);
        Ok((most as f64 / per_second, mean / per_second))
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Noise, so that nothing on the way can make it less.
fn write_objects(volume: &Path, payload: &Path) -> Result<Vec<ObjectId>, Failed> {
    let writer = Writer::open(&Volume::open(volume, DiskClass::Ssd)?, "bench")?;
    let mut objects = Vec::new();
    let mut chunk = vec![0u8; CHUNK_BYTES as usize];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..OBJECTS {
        let mut file = std::fs::File::create(payload)?;
        for _ in 0..OBJECT_BYTES / chunk.len() {
            for word in chunk.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.copy_from_slice(&(state ^ state >> 29).to_le_bytes());
            }
            file.write_all(&chunk)?;
        }
        let title = "bench".parse()?;
        let seal = seal_reader(std::fs::File::open(payload)?, title, MediaType::VideoMp4)?;
        objects.push(seal.object());
        writer.import_file(payload, seal)?;
    }
    Ok(objects)
}

/// Wall and CPU seconds of a child and its children.
fn timed(command: &mut Command) -> Result<(f64, f64), Failed> {
    let cpu = || -> Result<f64, Failed> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let seconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
    };
    let (before, began) = (cpu()?, Instant::now());
    let status = command.status()?;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok((began.elapsed().as_secs_f64(), cpu()? - before))
}

/// A control plane of two answers: these orders, and thanks for reports.
fn answer_orders(orders: &Orders) -> Result<String, Failed> {
    let signer = OrdersSigner::generate()?;
    let orders = serde_json::to_string(orders)?;
    let signature = signer.sign(&orders);
    let body =
        serde_json::to_string(&SignedOrders { orders, signature, key: signer.public_key() })?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let body = body.clone();
            std::thread::spawn(move || answer_one(&stream, &body));
        }
    });
    Ok(address)
}

fn answer_one(mut stream: &TcpStream, body: &str) -> Option<()> {
    let mut from = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut is_get) = (String::new(), 0usize, None);
        loop {
            line.clear();
            from.read_line(&mut line).ok().filter(|read| *read > 0)?;
            is_get.get_or_insert(line.starts_with("GET"));
            let head = line.to_ascii_lowercase();
            if let Some(said) = head.strip_prefix("content-length:") {
                length = said.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        from.read_exact(&mut vec![0; length]).ok()?;
        let answer = if is_get == Some(true) {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        } else {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// Passes connections on to `to` and notes when how many bytes came back.
fn relay(to: &str, seen: &Arc<Mutex<Vec<(Instant, u64)>>>) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (to, seen) = (to.to_owned(), Arc::clone(seen));
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&to) else { continue };
            let (Ok(near_in), Ok(far_out)) = (near.try_clone(), far.try_clone()) else { continue };
            std::thread::spawn(move || pass(near_in, far_out, |_| {}));
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                pass(far, near, |bytes| {
                    if let Ok(mut seen) = seen.lock() {
                        seen.push((Instant::now(), bytes));
                    }
                });
            });
        }
    });
    Ok(address)
}

fn pass(mut from: TcpStream, mut to: TcpStream, note: impl Fn(u64)) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(got @ 1..) = from.read(&mut bytes) {
        note(got as u64);
        if to.write_all(&bytes[..got]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
