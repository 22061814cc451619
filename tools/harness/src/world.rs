//! A whole network on this machine: control, an origin, edges in sites, the director, the real CLI.
//! Everything lives in one folder and dies with this value.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use control_client::{ControlClient, Credential};
use control_types::accounts::SignUp;
use control_types::fleet::{Role, Site};
use control_types::play::{PlayAnswer, PressPlay};
use control_types::{ProfileId, TitleId};
use tempfile::TempDir;

use crate::binaries::Binaries;
use crate::nodes::{ApplianceNode, ApplianceSpec, ControlNode, DirectorNode};
use crate::pki::DemoCa;
use crate::process::{self, eventually};
use crate::trouble::Trouble;

/// Longest a report takes to be seen by control, in a debug build on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// What to build.
#[derive(Clone, Debug)]
pub struct WorldPlan {
    /// Boxes of each site, in the order of how close they are to members on loopback.
    pub boxes: Vec<usize>,
    /// Port of control; 0 takes a free one.
    pub port: u16,
    /// Pages that control serves.
    pub pages: Option<PathBuf>,
    /// Port of all edges, each on an address of its own; 0 takes free ones.
    pub edge_port: u16,
    /// Sections that control's config has besides the usual ones.
    pub control_sections: &'static str,
    /// Life of appliances' certificates, minutes.
    pub certificate_minutes: u64,
}

impl Default for WorldPlan {
    fn default() -> Self {
        Self {
            boxes: vec![1, 1],
            port: 0,
            pages: None,
            edge_port: 0,
            control_sections: "",
            certificate_minutes: 60,
        }
    }
}

/// The running network. Field order is drop order: programs end before their folder goes.
pub struct World {
    director: Option<DirectorNode>,
    /// The library.
    pub origin: ApplianceNode,
    /// Site by site, box by box.
    pub edges: Vec<ApplianceNode>,
    /// The control plane.
    pub control: ControlNode,
    /// Who signed the appliances' certificates.
    pub ca: DemoCa,
    /// Where the programs are.
    pub binaries: Binaries,
    /// Everything is below here.
    pub folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl World {
    /// Builds `plan` in a temporary folder.
    ///
    /// # Errors
    /// When a program does not come up.
    pub async fn start(plan: WorldPlan) -> Result<Self, Trouble> {
        let temporary = tempfile::Builder::new().prefix("nightfill-").tempdir()?;
        let folder = temporary.path().to_path_buf();
        let mut world = Self::start_in(plan, Binaries::find()?, &folder).await?;
        world._temporary = Some(temporary);
        Ok(world)
    }

    /// Builds `plan` in `folder`, which stays.
    ///
    /// # Errors
    /// When a program does not come up.
    pub async fn start_in(
        plan: WorldPlan,
        binaries: Binaries,
        folder: &Path,
    ) -> Result<Self, Trouble> {
        let ca = DemoCa::make(folder)?;
        let control = ControlNode::start(&binaries, &folder.join("control"), &plan)?;
        put_site(&control, "core", "nightfill", &[]).await?;
        let start = async |id: &str, site: &str, role| {
            let port = if role == Role::Edge { plan.edge_port } else { 0 };
            let spec = ApplianceSpec { id: id.parse()?, site: site.parse()?, role, port };
            ApplianceNode::start(&binaries, &folder.join(id), spec, &control, &ca).await
        };
        let origin = start("origin-1", "core", Role::Origin).await?;
        let mut edges = Vec::new();
        for (index, boxes) in plan.boxes.iter().enumerate() {
            let letter = char::from(b'a' + u8::try_from(index).unwrap_or(0));
            let site = format!("site-{letter}");
            // The first site's prefix is the longest, so it is the closest to a member on loopback.
            let prefix = format!("127.0.0.0/{}", 16 - index.min(8));
            put_site(&control, &site, "isp-one", &[&prefix]).await?;
            for number in 1..=*boxes {
                edges.push(start(&format!("edge-{letter}{number}"), &site, Role::Edge).await?);
            }
        }
        let folder = folder.to_path_buf();
        let world =
            Self { director: None, origin, edges, control, ca, binaries, folder, _temporary: None };
        world.heard_of_all().await?;
        Ok(world)
    }

    async fn heard_of_all(&self) -> Result<(), Trouble> {
        eventually("control hears of every appliance", SEEN_WITHIN, async || {
            let fleet = self.control.client.appliances().await?;
            match fleet.iter().find(|status| status.report.is_none()) {
                Some(status) => Err(Trouble(format!("{} has not reported", status.record.id))),
                None => Ok(()),
            }
        })
        .await
    }

    /// Ingests `video` as `title` into the origin, and waits until control knows the origin has it.
    ///
    /// # Errors
    /// When `ingest` refuses or fails.
    pub async fn ingest(&self, title: &str, name: &str, video: &Path) -> Result<(), Trouble> {
        self.run_ingest(title, name, video, &[])?;
        self.origin_has(title).await
    }

    /// Runs `ingest` to its end and returns its JSON line.
    ///
    /// # Errors
    /// When it does not exit with 0; the text is what it said.
    pub fn run_ingest(
        &self,
        title: &str,
        name: &str,
        video: &Path,
        more: &[&str],
    ) -> Result<String, Trouble> {
        let mut command = Command::new(self.binaries.path("ingest")?);
        let work = self.folder.join("ingest").join(title);
        std::fs::create_dir_all(&work)?;
        command.args(["run", "--title", title, "--name", name, "--video"]).arg(video);
        command.args(["--json", "--work"]).arg(work).args(more);
        let [ssd, hdd] = self.origin.volumes();
        command.arg("--volume").arg(format!("{}:ssd", ssd.display()));
        command.arg("--volume").arg(format!("{}:hdd", hdd.display()));
        self.as_operator(&mut command);
        process::output("ingest", &mut command)
    }

    /// Waits until control knows that the origin holds every object of `title`.
    ///
    /// # Errors
    /// When it does not learn that in time.
    pub async fn origin_has(&self, title: &str) -> Result<(), Trouble> {
        let title: TitleId = title.parse()?;
        self.holds("origin-1", &title).await
    }

    /// Waits until control knows that `appliance` holds every object of `title`.
    ///
    /// # Errors
    /// When it does not learn that in time.
    pub async fn holds(&self, appliance: &str, title: &TitleId) -> Result<(), Trouble> {
        eventually(&format!("{appliance} holds {title}"), SEEN_WITHIN, async || {
            let state = self.control.client.fill_state().await?;
            let found = state.appliances.iter().find(|box_| box_.appliance.as_str() == appliance);
            let holds = &found.ok_or_else(|| Trouble("not registered".to_owned()))?.holds;
            let mut wanted =
                state.objects.iter().filter(|object| object.title == *title).peekable();
            if wanted.peek().is_none() {
                return Err(Trouble("the catalog has no such object".to_owned()));
            }
            match wanted.find(|object| holds.iter().all(|held| held.object != object.object)) {
                Some(lacking) => Err(Trouble(format!("lacks {}", lacking.object))),
                None => Ok(()),
            }
        })
        .await
    }

    /// Runs `ocactl` as the operator and returns its stdout.
    ///
    /// # Errors
    /// When it does not exit with 0; the text is what it said.
    pub fn ocactl(&self, arguments: &[&str]) -> Result<String, Trouble> {
        let mut command = Command::new(self.binaries.path("ocactl")?);
        self.as_operator(&mut command);
        process::output("ocactl", command.args(arguments))
    }

    fn as_operator(&self, command: &mut Command) {
        command.env("NIGHTFILL_CONTROL", self.control.url());
        command.env("NIGHTFILL_KEY_FILE", &self.control.operator_key);
    }

    /// Starts the director and every edge's agent.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn start_night_shift(&mut self) -> Result<(), Trouble> {
        let folder = self.folder.join("director");
        self.director = Some(DirectorNode::start(&self.binaries, &folder, &self.control)?);
        self.edges.iter_mut().try_for_each(ApplianceNode::start_agent)
    }

    /// One night: opens a window by the real CLI, starts the night shift, waits until all is done.
    ///
    /// # Errors
    /// When the fill does not finish in time.
    pub async fn night(&mut self) -> Result<(), Trouble> {
        self.ocactl(&["window", "open", "tonight", "--everyone", "--for", "1h"])?;
        self.start_night_shift()?;
        self.ocactl(&["fill", "wait", "--timeout", "120s"])?;
        let state = self.control.client.fill_state().await?;
        for edge in &self.edges {
            for object in &state.objects {
                self.holds(edge.spec.id.as_str(), &object.title).await?;
            }
        }
        Ok(())
    }

    /// Signs a new member up.
    ///
    /// # Errors
    /// When control refuses.
    pub async fn member(&self, email: &str) -> Result<Member, Trouble> {
        let nobody = self.control.client.with_credential(Credential::Nobody);
        let body = SignUp {
            email: email.to_owned(),
            password: "correct horse battery".to_owned(),
            profile_name: "Ada".to_owned(),
        };
        let session = nobody.sign_up(&body).await?;
        let first = session.account.profiles.first();
        let profile = first.ok_or_else(|| Trouble("the account has no profile".to_owned()))?.id;
        let client = nobody.with_credential(Credential::Member(session.access_token));
        Ok(Member { client, profile })
    }

    /// Racks one more box at a site that is there, with its agent at work.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn add_edge(&mut self, id: &str, site: &str) -> Result<(), Trouble> {
        let port = self.edges.first().map_or(0, |edge| edge.spec.port);
        let (name, site, role) = (id.parse()?, site.parse()?, Role::Edge);
        let spec = ApplianceSpec { id: name, site, role, port };
        let folder = self.folder.join(id);
        let node =
            ApplianceNode::start(&self.binaries, &folder, spec, &self.control, &self.ca).await?;
        self.edges.push(node);
        let node = self.edges.last_mut().expect("pushed on the line above");
        node.start_agent()
    }

    /// Takes a box away for good, with what it holds; nothing happens when there is none.
    ///
    /// # Errors
    /// When control does not forget it.
    pub fn remove_edge(&mut self, id: &str) -> Result<(), Trouble> {
        let Some(at) = self.edges.iter().position(|edge| edge.spec.id.as_str() == id) else {
            return Ok(());
        };
        self.edges.remove(at);
        self.ocactl(&["appliance", "rm", id])?;
        Ok(std::fs::remove_dir_all(self.folder.join(id))?)
    }

    /// Names of the edges whose server runs.
    pub fn running_edges(&mut self) -> Vec<String> {
        let running = self.edges.iter_mut().filter_map(|edge| {
            let id = edge.spec.id.to_string();
            edge.server().is_ok().then_some(id)
        });
        running.collect()
    }

    /// The box of that name among the edges.
    ///
    /// # Errors
    /// When there is none.
    pub fn edge(&mut self, id: &str) -> Result<&mut ApplianceNode, Trouble> {
        let found = self.edges.iter_mut().find(|edge| edge.spec.id.as_str() == id);
        found.ok_or_else(|| Trouble(format!("no edge is called {id}")))
    }
}

/// A signed-in member.
pub struct Member {
    /// As the member.
    pub client: ControlClient,
    /// The account's first profile.
    pub profile: ProfileId,
}

impl Member {
    /// Presses play.
    ///
    /// # Errors
    /// When control refuses.
    pub async fn press(&self, title: &str) -> Result<PlayAnswer, Trouble> {
        let press = PressPlay { profile: self.profile, title: title.parse()? };
        Ok(self.client.press_play(&press).await?)
    }
}

async fn put_site(
    control: &ControlNode,
    id: &str,
    isp: &str,
    prefixes: &[&str],
) -> Result<(), Trouble> {
    let site = Site {
        id: id.parse()?,
        isp: isp.parse()?,
        name: id.to_owned(),
        latitude: 52.0,
        longitude: 4.0,
        prefixes: prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
        fails_as_one: false,
    };
    Ok(control.client.put_site(&site).await?)
}
