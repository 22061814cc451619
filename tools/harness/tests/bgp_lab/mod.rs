//! A small internet for one test: control, a router that monitors, and an ISP's announcer, each in
//! a network namespace that ends with this value. Touches no interface and no address outside them.
//!
//! ```text
//! control 10.99.0.1 ── 10.99.0.2 router 10.99.1.1 ── 10.99.1.2 announcer (AS 65001)
//!    BMP listener <──── BMP ──── (AS 64512) <──── BGP ────┘
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nightfill_harness::process::{Program, eventually};
use nightfill_harness::{Binaries, Trouble};
use serde_json::Value;

/// BGP sessions come up within seconds; a busy machine and a router's back-off make it longer.
pub const WITHIN: Duration = Duration::from_secs(120);
/// How long control keeps the routes of a lost session in these tests, milliseconds: long enough to
/// be seen on a busy machine.
pub const STALE_MS: u64 = 8_000;

/// Which router monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterKind {
    GoBgp,
    Frr,
}

/// What is missing for these tests on this machine; `None` when they can run.
pub fn missing(kind: RouterKind) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("network namespaces need root: run the tests as root".to_owned());
    }
    let frr = ["/usr/lib/frr/bgpd"];
    let needed: [(&str, &[&str]); 3] = [
        ("iproute2", &["/usr/sbin/ip", "/sbin/ip", "/bin/ip"]),
        ("gobgpd", &["/usr/bin/gobgpd"]),
        ("frr", if kind == RouterKind::Frr { &frr } else { &["/"] }),
    ];
    let absent = needed.into_iter().find(|(_, paths)| !paths.iter().any(|p| Path::new(p).exists()));
    absent.map(|(package, _)| format!("{package} is not installed: apt-get install {package}"))
}

/// The running network.
pub struct BgpLab {
    // Programs end before the namespaces they live in.
    control: Option<Program>,
    router: Option<Child>,
    announcer: Option<Child>,
    kind: RouterKind,
    binaries: Binaries,
    address: String,
    folder: tempfile::TempDir,
    spaces: Namespaces,
}

impl BgpLab {
    /// Control with an ISP's site and a listener, the router, and the announcer, all up.
    pub async fn start(kind: RouterKind) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new().prefix("nightfill-bgp-").tempdir()?;
        let spaces = Namespaces::make()?;
        let binaries = Binaries::find()?;
        let mut lab = Self {
            control: None,
            router: None,
            announcer: None,
            kind,
            binaries,
            address: String::new(),
            folder,
            spaces,
        };
        lab.start_control()?;
        lab.ocactl(&["site", "put", "lisbon", "--isp", "tejo"])?;
        lab.ocactl(&["site", "put", "braga", "--isp", "douro", "--prefix", "12.0.0.0/8"])?;
        let own = ["--network", "11.0.0.0/8", "--network", "2a00:1::/32", "--asn", "65001"];
        lab.ocactl(&[&["routes", "register", "tejo"][..], &own].concat())?;
        lab.start_router()?;
        lab.start_announcer()?;
        Ok(lab)
    }

    fn start_control(&mut self) -> Result<(), Trouble> {
        let key_file = self.path("operator.key");
        let config = format!(
            "state_dir = {:?}\n[listen]\naddr = \"127.0.0.1:0\"\n[operator]\n\
             key_file = {key_file:?}\n\
             [bgp]\nbmp_listen = \"10.99.0.1:11019\"\nstale_ms = {STALE_MS}\n\
             [[bgp.router]]\naddress = \"10.99.0.2\"\nsite = \"lisbon\"\n",
            self.path("state")
        );
        std::fs::write(self.path("control.toml"), config)?;
        let mut command = self.spaces.command("c", &self.binaries.path("control")?);
        command.args(["serve", "--config"]).arg(self.path("control.toml"));
        let program = Program::start("control", &mut command, &self.path("control.log"))?;
        self.address = program.ready_text("listening")?;
        self.control = Some(program);
        Ok(())
    }

    /// Starts the router that monitors.
    pub fn start_router(&mut self) -> Result<(), Trouble> {
        let mut command;
        if self.kind == RouterKind::GoBgp {
            let bmp = "[[bmp-servers]]\n[bmp-servers.config]\naddress = \"10.99.0.1\"\n\
                       port = 11019\nroute-monitoring-policy = \"pre-policy\"\n";
            let config = gobgp_config(64_512, "10.99.1.1", 65_001, "10.99.1.2") + bmp;
            std::fs::write(self.path("router.toml"), config)?;
            command = self.spaces.command("r", Path::new("gobgpd"));
            command.arg("-f").arg(self.path("router.toml"));
        } else {
            std::fs::write(self.path("frr.conf"), FRR_CONFIG)?;
            command = self.spaces.command("r", Path::new("/usr/lib/frr/bgpd"));
            command.args(["-M", "bmp", "-Z", "-S", "-P", "0", "-f"]).arg(self.path("frr.conf"));
            command.arg("-i").arg(self.path("bgpd.pid"));
            command.arg("--vty_socket").arg(self.folder.path());
        }
        self.router = Some(self.spawn(command, "router.log")?);
        Ok(())
    }

    /// Starts the ISP's announcer, which has nothing to say yet.
    pub fn start_announcer(&mut self) -> Result<(), Trouble> {
        let config = gobgp_config(65_001, "10.99.1.2", 64_512, "10.99.1.1");
        std::fs::write(self.path("announcer.toml"), config)?;
        let mut command = self.spaces.command("p", Path::new("gobgpd"));
        command.arg("-f").arg(self.path("announcer.toml"));
        self.announcer = Some(self.spawn(command, "announcer.log")?);
        Ok(())
    }

    /// SIGKILL: its BGP session ends with it.
    pub fn kill_announcer(&mut self) {
        end(&mut self.announcer);
    }

    /// SIGKILL: its BMP session ends with it.
    pub fn kill_router(&mut self) {
        end(&mut self.router);
    }

    fn spawn(&self, mut command: Command, log: &str) -> Result<Child, Trouble> {
        let log = File::options().create(true).append(true).open(self.path(log))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command.spawn()?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Tells the announcer; tries again while it is still coming up.
    pub async fn announcer(&self, line: &str) -> Result<(), Trouble> {
        eventually(line, WITHIN, async || {
            let mut command = self.spaces.command("p", Path::new("gobgp"));
            ran(command.args(["global", "rib"]).args(line.split(' '))).map(|_| ())
        })
        .await
    }

    /// Runs the operator's tool inside control's namespace; its answer as JSON, whatever its exit
    /// code says.
    pub fn ocactl(&self, args: &[&str]) -> Result<Value, Trouble> {
        let mut command = self.spaces.command("c", &self.binaries.path("ocactl")?);
        command.args(["--json", "--control", &format!("http://{}", self.address), "--key-file"]);
        let output = command.arg(self.path("operator.key")).args(args).output()?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            Trouble(format!("ocactl {args:?}: {why}; control's log:\n{}", self.log("control.log")))
        })
    }

    /// `prefix site/path length[~]` of what holds an address, longest first.
    pub fn sees(&self, ip: &str) -> Result<Vec<String>, Trouble> {
        let covers = self.ocactl(&["routes", "lookup", ip])?;
        let mut seen = Vec::new();
        for cover in covers.as_array().into_iter().flatten() {
            for offer in cover["choices"].as_array().into_iter().flatten() {
                let stale = if offer["stale"] == true { "~" } else { "" };
                let (prefix, site) = (text(&cover["prefix"]), text(&offer["site"]));
                seen.push(format!("{prefix} {site}/{}{stale}", offer["as_path_len"]));
            }
        }
        Ok(seen)
    }

    /// Waits until decisions see exactly that.
    pub async fn will_see(&self, ip: &str, wanted: &[&str]) -> Result<(), Trouble> {
        eventually(&format!("{ip} is in {wanted:?}"), WITHIN, async || {
            let seen = self.sees(ip)?;
            if seen == wanted {
                return Ok(());
            }
            let (router, control) = (self.log("router.log"), self.log("control.log"));
            Err(Trouble(format!("seen {seen:?}\nrouter: {router}\ncontrol: {control}")))
        })
        .await
    }

    /// `prefix reason` of what is held and not honoured.
    pub fn refused(&self) -> Result<Vec<String>, Trouble> {
        let refused = self.ocactl(&["routes", "refused"])?;
        let lines = refused.as_array().into_iter().flatten();
        Ok(lines
            .map(|line| format!("{} {}", text(&line["prefix"]), text(&line["reason"])))
            .collect())
    }

    /// Sends bytes to the BMP listener from a namespace of this network.
    pub fn send_bmp(&self, from: &str, bytes: &str) -> Result<(), Trouble> {
        let script =
            format!("exec 3<>/dev/tcp/10.99.0.1/11019; printf '{bytes}' >&3; cat <&3 || true");
        ran(self.spaces.command(from, Path::new("bash")).args(["-c", &script])).map(|_| ())
    }

    /// Waits until a line of control's metrics has that value.
    pub async fn will_count(&self, line: &str, wanted: u64) -> Result<(), Trouble> {
        eventually(line, WITHIN, async || match self.metric(line)? {
            value if value == wanted => Ok(()),
            value => Err(Trouble(format!("it is {value}"))),
        })
        .await
    }

    /// The value of a line of control's metrics.
    pub fn metric(&self, line: &str) -> Result<u64, Trouble> {
        let (host, port) = self.address.split_once(':').unwrap_or_default();
        let script = format!(
            "exec 3<>/dev/tcp/{host}/{port}; printf 'GET /metrics HTTP/1.1\\r\\nHost: {host}\\r\\n\
             Connection: close\\r\\n\\r\\n' >&3; cat <&3"
        );
        let page = ran(self.spaces.command("c", Path::new("bash")).args(["-c", &script]))?;
        let found = page.lines().find_map(|of| of.strip_prefix(line)?.trim().parse().ok());
        found.ok_or_else(|| Trouble(format!("no metric {line} in:\n{page}")))
    }

    fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for BgpLab {
    fn drop(&mut self) {
        end(&mut self.announcer);
        end(&mut self.router);
        self.control = None;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn ran(command: &mut Command) -> Result<String, Trouble> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Trouble(format!("{command:?}: {why}")))
}

fn gobgp_config(own_as: u32, own: &str, peer_as: u32, peer: &str) -> String {
    let family = |name: &str| {
        format!(
            "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{name}\"\n"
        )
    };
    format!(
        "[global.config]\nas = {own_as}\nrouter-id = \"{own}\"\nport = 179\n\
         local-address-list = [\"{own}\"]\n[[neighbors]]\n[neighbors.config]\n\
         neighbor-address = \"{peer}\"\npeer-as = {peer_as}\n[neighbors.timers.config]\n\
         connect-retry = 1\nidle-hold-time-after-reset = 1\n{}{}",
        family("ipv4-unicast"),
        family("ipv6-unicast")
    )
}

const FRR_CONFIG: &str = "router bgp 64512
 bgp router-id 10.99.1.1
 no bgp ebgp-requires-policy
 neighbor 10.99.1.2 remote-as 65001
 neighbor 10.99.1.2 timers connect 1
 address-family ipv6 unicast
  neighbor 10.99.1.2 activate
 exit-address-family
 bmp targets control
  bmp connect 10.99.0.1 port 11019 min-retry 100 max-retry 1000
  bmp monitor ipv4 unicast post-policy
  bmp monitor ipv6 unicast post-policy
 exit
";

/// Three namespaces and the two links between them, all of this value.
struct Namespaces {
    prefix: String,
}

impl Namespaces {
    fn make() -> Result<Self, Trouble> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Dropped, and so cleaned up, when a step below fails.
        let made = Self { prefix: format!("nf-{}-{count}", std::process::id()) };
        for space in ["c", "r", "p"] {
            ip(&format!("netns add {}", made.name(space)))?;
            ip(&format!("-n {} link set lo up", made.name(space)))?;
        }
        let (c, r, p) = (made.name("c"), made.name("r"), made.name("p"));
        ip(&format!("-n {c} link add r0 type veth peer name c0 netns {r}"))?;
        ip(&format!("-n {r} link add p0 type veth peer name r0 netns {p}"))?;
        for (space, interface, addresses) in [
            (&c, "r0", ["10.99.0.1/30", "fd99::1/64 nodad"]),
            (&r, "c0", ["10.99.0.2/30", "fd99::2/64 nodad"]),
            (&r, "p0", ["10.99.1.1/30", "fd98::1/64 nodad"]),
            (&p, "r0", ["10.99.1.2/30", "fd98::2/64 nodad"]),
        ] {
            for address in addresses {
                ip(&format!("-n {space} addr add {address} dev {interface}"))?;
            }
            ip(&format!("-n {space} link set {interface} up"))?;
        }
        Ok(made)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.prefix)
    }

    /// A program inside; `ip netns exec` becomes it, so its id is the program's.
    fn command(&self, space: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(space)]).arg(program);
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for space in ["c", "r", "p"] {
            // One that was never made is no trouble now.
            let _ = Command::new("ip")
                .args(["netns", "del", &self.name(space)])
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn ip(line: &str) -> Result<String, Trouble> {
    ran(Command::new("ip").args(line.split(' ')))
}
