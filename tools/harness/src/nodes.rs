//! The programs of the network as nodes: control, an appliance with its fill agent, the director.
//! Writes each one's config file the way an operator would; decides nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use control_client::{ControlClient, Credential};
use control_types::fleet::{ApplianceRecord, Link, Role};
use control_types::registration::{NewRegistrationKey, RegistrationScope};
use control_types::{ApplianceId, SiteId};

use crate::binaries::Binaries;
use crate::pki::{DemoCa, ServerFiles};
use crate::process::{Program, output};
use crate::trouble::Trouble;
use crate::world::WorldPlan;

/// How often appliances report in stories and the demo, milliseconds.
const REPORT_MS: u64 = 300;
/// Silence after which an appliance is not offered any more, milliseconds.
const SILENT_MS: u64 = 1_500;

/// The control plane, all roles in one process.
pub struct ControlNode {
    program: Option<Program>,
    folder: PathBuf,
    address: String,
    /// Of the port for appliances.
    boxes: String,
    binary: PathBuf,
    is_sovereign: bool,
    /// As the operator.
    pub client: ControlClient,
    /// File with the operator's key.
    pub operator_key: PathBuf,
}

impl ControlNode {
    /// Starts control in `folder`, on the port and with the pages and sections of `plan`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(binaries: &Binaries, folder: &Path, plan: &WorldPlan) -> Result<Self, Trouble> {
        std::fs::create_dir_all(folder)?;
        let operator_key = folder.join("operator.key");
        let mut config = format!(
            "state_dir = {:?}\n[listen]\naddr = \"127.0.0.1:PORT\"\nPUBLIC\n[operator]\n\
             key_file = {:?}\n[fleet]\nsilent_ms = {SILENT_MS}\ndrain_spread_ms = 5000\n\
             cpu_in_load = false\n\
             [plays]\nsteering_ttl_s = 5\nreport_ms = 2000\n[appliances]\n\
             listen = \"127.0.0.1:BOXES\"\nrequire_certificate = true\ncertificate_minutes = {}\n",
            folder.join("state"),
            operator_key,
            plan.certificate_minutes
        );
        if let Some(pages) = &plan.pages {
            config += &format!("[web]\ndir = {pages:?}\n");
        }
        config += plan.control_sections;
        std::fs::write(folder.join("control.template"), config)?;
        let binary = binaries.path("control")?;
        let program = run_control(&binary, folder, &plan.port.to_string(), "0")?;
        let address = program.ready_text("listening")?;
        let boxes = program.ready_text("appliances")?;
        let key = std::fs::read_to_string(&operator_key)?;
        let credential = Credential::Operator(key.trim().to_owned());
        let client = ControlClient::new(&format!("http://{address}"), credential, None)?;
        let folder = folder.to_path_buf();
        let program = Some(program);
        let is_sovereign = plan.control_sections.contains("served_by = \"appliances\"");
        Ok(Self { program, folder, address, boxes, binary, is_sovereign, client, operator_key })
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where appliances register and report, with certificates.
    #[must_use]
    pub fn appliances_url(&self) -> String {
        format!("https://{}", self.boxes)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// Whether players are sent to appliances for steering.
    #[must_use]
    pub fn is_sovereign(&self) -> bool {
        self.is_sovereign
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Starts it again on the address it had.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), Trouble> {
        self.kill();
        let [port, boxes] =
            [&self.address, &self.boxes].map(|of| of.rsplit(':').next().unwrap_or("0"));
        self.program = Some(run_control(&self.binary, &self.folder, port, boxes)?);
        Ok(())
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("control.log")).unwrap_or_default()
    }
}

fn run_control(binary: &Path, folder: &Path, port: &str, boxes: &str) -> Result<Program, Trouble> {
    let template = std::fs::read_to_string(folder.join("control.template"))?;
    let config = folder.join("control.toml");
    // Where members reach it is known from its second start on: its first takes any port.
    let public = match port {
        "0" => String::new(),
        port => format!("public_url = \"http://127.0.0.1:{port}\""),
    };
    let text = template.replace("PORT", port).replace("BOXES", boxes).replace("PUBLIC", &public);
    std::fs::write(&config, text)?;
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(&config);
    Program::start("control", &mut command, &folder.join("control.log"))
}

/// Where an appliance stands and what for.
#[derive(Clone, Debug)]
pub struct ApplianceSpec {
    /// Its name.
    pub id: ApplianceId,
    /// Where it stands; registered before.
    pub site: SiteId,
    /// What it is for.
    pub role: Role,
    /// Port of its media; 0 takes a free one.
    pub port: u16,
}

/// One box: `oca`, its fill agent, one SSD and one HDD folder.
pub struct ApplianceNode {
    /// Where it stands and what for.
    pub spec: ApplianceSpec,
    /// Everything it owns.
    pub folder: PathBuf,
    /// The loopback address that is this box's alone: players that lose patience with a box lose it
    /// with its address, and boxes of a real network do not share one.
    pub host: String,
    /// `https://host:port`.
    pub media_url: String,
    /// `127.0.0.1:port` of `/metrics` and `/healthz`.
    pub admin: String,
    /// Its certificate.
    pub tls: ServerFiles,
    server: Option<Program>,
    agent: Option<Program>,
    server_binary: PathBuf,
    agent_binary: PathBuf,
}

impl ApplianceNode {
    /// Registers the appliance with control and starts its server (not yet its agent).
    ///
    /// # Errors
    /// When control refuses it or the server does not come up.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        spec: ApplianceSpec,
        control: &ControlNode,
        ca: &DemoCa,
    ) -> Result<Self, Trouble> {
        for name in ["ssd", "hdd", "state", "agent-state"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let link = if spec.role == Role::Edge { Link::Embedded } else { Link::Transit };
        let record = ApplianceRecord {
            id: spec.id.clone(),
            site: spec.site.clone(),
            role: spec.role,
            link,
            capacity_bps: 1_000_000_000,
            detail: control_types::fleet::ApplianceDetail::default(),
        };
        control.client.put_appliance(&record).await?;
        let host = next_host();
        let tls = ca.server_at(spec.id.as_str(), &host, folder)?;
        let mut node = Self {
            host,
            server_binary: binaries.path("oca")?,
            agent_binary: binaries.path("fill-agent")?,
            folder: folder.to_path_buf(),
            media_url: String::new(),
            admin: String::new(),
            server: None,
            agent: None,
            tls,
            spec,
        };
        node.write_configs(&control.appliances_url(), ca)?;
        node.register(control).await?;
        node.start_server()?;
        Ok(node)
    }

    /// Makes the box an appliance the way its owner does: with a key that it was given for this
    /// one. Done again, it gets another certificate and the earlier one is void.
    ///
    /// # Errors
    /// When control or the box refuses.
    pub async fn register(&self, control: &ControlNode) -> Result<(), Trouble> {
        let new = NewRegistrationKey {
            scope: RegistrationScope::Appliance(self.spec.id.clone()),
            uses: 1,
            life_ms: 600_000,
        };
        let key = control.client.make_registration_key(&new).await?.key;
        let mut command = Command::new(&self.server_binary);
        command.args(["register", "--key", &key, "--config"]).arg(self.folder.join("oca.toml"));
        let name = format!("oca register of {}", self.spec.id);
        output(&name, &mut command).map(drop)
    }

    /// The file with its key and certificate.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity.pem")
    }

    fn write_configs(&self, control: &str, ca: &DemoCa) -> Result<(), Trouble> {
        let identity = self.identity();
        let (folder, id, host) = (&self.folder, &self.spec.id, &self.host);
        let port = self.spec.port;
        let volumes = format!(
            "[[volume]]\npath = {:?}\nclass = \"ssd\"\n[[volume]]\npath = {:?}\nclass = \"hdd\"\n",
            folder.join("ssd"),
            folder.join("hdd")
        );
        let server = format!(
            "appliance = \"{id}\"\nstate_dir = {:?}\n[listen]\nmedia = \"{host}:{port}\"\n\
             admin = \"127.0.0.1:0\"\nadvertise = \"https://{host}\"\n\
             [tls]\ncert = {:?}\nkey = {:?}\n{volumes}[control]\nurl = \"{control}\"\n\
             identity = {identity:?}\nreport_ms = {REPORT_MS}\n[tickets]\nrequired = true\n\
             [workers]\ncount = 1\n[memory]\nhot_set_bytes = 67108864\n[log]\naccess = {:?}\n",
            folder.join("state"),
            self.tls.certificate,
            self.tls.key,
            folder.join("access.log")
        );
        std::fs::write(folder.join("oca.toml"), server)?;
        let agent = format!(
            "appliance = \"{id}\"\nstate_dir = {:?}\n{volumes}[control]\nurl = \"{control}\"\n\
             identity = {identity:?}\npoll_ms = {REPORT_MS}\n[sources]\nca = {:?}\n\
             [limits]\nconnections = 4\npeer_wait_ms = 20000\n",
            folder.join("agent-state"),
            ca.certificate
        );
        std::fs::write(folder.join("agent.toml"), agent)?;
        Ok(())
    }

    /// Starts the server; on the ports it had, when it ran before.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_server(&mut self) -> Result<(), Trouble> {
        let config = self.folder.join("oca.toml");
        let mut command = Command::new(&self.server_binary);
        command.args(["serve", "--config"]).arg(&config);
        let log = self.folder.join("oca.log");
        let program = Program::start(self.spec.id.as_str(), &mut command, &log)?;
        let listening = program.ready_text("listening")?;
        self.admin = program.ready_text("admin")?;
        self.media_url = format!("https://{listening}");
        // A restart must come back where players and peers look for it.
        let text = std::fs::read_to_string(&config)?;
        let asked = format!("media = \"{}:0\"", self.host);
        let text = text.replace(&asked, &format!("media = \"{listening}\""));
        std::fs::write(&config, text)?;
        self.server = Some(program);
        Ok(())
    }

    /// Starts the fill agent.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_agent(&mut self) -> Result<(), Trouble> {
        let mut command = Command::new(&self.agent_binary);
        command.args(["run", "--config"]).arg(self.folder.join("agent.toml"));
        let name = format!("fill-agent of {}", self.spec.id);
        let log = self.folder.join("agent.log");
        self.agent = Some(Program::start(&name, &mut command, &log)?);
        Ok(())
    }

    /// SIGKILL of the server.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// SIGKILL of the agent.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// Whether a server was started and has not ended.
    pub fn is_serving(&mut self) -> bool {
        self.server.as_mut().is_some_and(Program::is_running)
    }

    /// The running server.
    ///
    /// # Errors
    /// When it was killed.
    pub fn server(&mut self) -> Result<&mut Program, Trouble> {
        let id = &self.spec.id;
        self.server.as_mut().ok_or_else(|| Trouble(format!("the server of {id} is not running")))
    }

    /// SIGTERM of the server, and waits for its end.
    ///
    /// # Errors
    /// When it does not end within `bound`, or not with 0.
    pub fn stop_server(&mut self, bound: Duration) -> Result<(), Trouble> {
        let server = self.server()?;
        server.ask_to_stop();
        let status = server.ended_within(bound)?;
        self.server = None;
        if status.success() { Ok(()) } else { Err(Trouble(format!("drain ended with {status}"))) }
    }

    /// Folders of its two volumes, SSD first.
    #[must_use]
    pub fn volumes(&self) -> [PathBuf; 2] {
        [self.folder.join("ssd"), self.folder.join("hdd")]
    }

    /// Its counters, as Prometheus text.
    ///
    /// # Errors
    /// When the admin listener does not answer.
    pub async fn metrics(&self) -> Result<String, Trouble> {
        let url = format!("http://{}/metrics", self.admin);
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
        Ok(client.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Everything its two programs have written to their logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("oca.log") + &read("agent.log")
    }
}

/// The director: looks at the fleet and plans.
pub struct DirectorNode {
    _program: Program,
}

impl DirectorNode {
    /// Starts it in `folder`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        binaries: &Binaries,
        folder: &Path,
        control: &ControlNode,
    ) -> Result<Self, Trouble> {
        std::fs::create_dir_all(folder)?;
        let config = folder.join("director.toml");
        let text = format!(
            "every_ms = 500\n[control]\nurl = \"{}\"\nkey_file = {:?}\n",
            control.url(),
            control.operator_key
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(binaries.path("fill-director")?);
        command.args(["run", "--config"]).arg(&config);
        let log = folder.join("director.log");
        Ok(Self { _program: Program::start("fill-director", &mut command, &log)? })
    }
}

/// 127.0.1.1 to 127.0.1.250, each once a process and then again: ports tell boxes apart as well.
fn next_host() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("127.0.1.{}", 1 + MADE.fetch_add(1, Ordering::Relaxed) % 250)
}

/// A port that was free a moment ago, for programs that cannot take 0.
///
/// # Errors
/// When loopback has none.
pub fn free_port() -> Result<u16, Trouble> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
