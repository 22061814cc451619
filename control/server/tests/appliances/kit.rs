//! A real control with an appliances' port, and boxes as `oca register` makes them. Asserts nothing
//! but that what must work works.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use control_client::{ClientError, ControlClient, Credential, fleet_authority, store_identity};
use control_types::ApplianceId;
use control_types::fleet::{ApplianceDetail, ApplianceRecord, Link, Role, Site};
use control_types::registration::{NewRegistrationKey, Registration, RegistrationScope};
use rcgen::{CertificateParams, Issuer, KeyPair};

/// A running control with one registered appliance; killed when dropped.
pub struct Control {
    child: Child,
    pub members: String,
    boxes: String,
    folder: tempfile::TempDir,
}

impl Control {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("control.toml");
        let text = format!(
            "state_dir = {:?}\n[listen]\naddr = \"127.0.0.1:0\"\n[operator]\nkey_file = {:?}\n\
             [appliances]\nlisten = \"127.0.0.1:0\"\nrequire_certificate = true\n",
            folder.path().join("state"),
            folder.path().join("operator.key")
        );
        std::fs::write(&config, text).unwrap();
        let (child, members, boxes) = spawn(&folder);
        let control = Self { child, members, boxes, folder };
        let site = Site {
            id: "here".parse().unwrap(),
            isp: "isp".parse().unwrap(),
            name: "Here".to_owned(),
            latitude: 0.0,
            longitude: 0.0,
            prefixes: Vec::new(),
            fails_as_one: false,
        };
        let record = ApplianceRecord {
            id: edge(),
            site: site.id.clone(),
            role: Role::Edge,
            link: Link::Embedded,
            capacity_bps: 1_000,
            detail: ApplianceDetail::default(),
        };
        control.operator().put_site(&site).await.unwrap();
        control.operator().put_appliance(&record).await.unwrap();
        control
    }

    /// Kills it and starts another one on the same state, on other ports.
    pub fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        (self.child, self.members, self.boxes) = spawn(&self.folder);
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.boxes)
    }

    pub fn operator(&self) -> ControlClient {
        let key = std::fs::read_to_string(self.folder.path().join("operator.key")).unwrap();
        let credential = Credential::Operator(key.trim().to_owned());
        ControlClient::new(&format!("http://{}", self.members), credential, None).unwrap()
    }

    pub async fn key(&self) -> String {
        let scope = RegistrationScope::Appliance(edge());
        let new = NewRegistrationKey { scope, uses: 1, life_ms: 600_000 };
        self.operator().make_registration_key(&new).await.unwrap().key
    }

    /// Registers as a box does; its identity is then in the file.
    pub async fn register(&self, identity: &Path) -> Result<(), ClientError> {
        let key = self.key().await;
        let authority = fleet_authority(&self.url(), &key).await?;
        let ca = Some(authority.as_bytes());
        let nobody = ControlClient::new(&self.url(), Credential::Nobody, ca)?;
        let (private, csr) = request();
        let issued = nobody.register(&Registration { appliance: edge(), key, csr }).await?;
        store_identity(identity, &private, &issued).unwrap();
        Ok(())
    }

    pub fn as_box(&self, identity: &Path) -> ControlClient {
        ControlClient::with_identity(&self.url(), identity).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The fleet's authority, as somebody with control's disk in hand has it.
    pub fn issuer(&self) -> (Issuer<'static, KeyPair>, String) {
        let kept = std::fs::read_to_string(self.path("state/fleet-ca.pem")).unwrap();
        let at = kept.find("-----BEGIN CERTIFICATE-----").unwrap();
        let key = KeyPair::from_pem(&kept[..at]).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Nightfill fleet");
        (Issuer::new(params, key), kept[at..].to_owned())
    }
}

/// The process, its members' port and its appliances' port.
fn spawn(folder: &tempfile::TempDir) -> (Child, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_control"));
    command.args(["serve", "--config"]).arg(folder.path().join("control.toml"));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let at = |name: &str| ready[name].as_str().unwrap().to_owned();
    (child, at("listening"), at("appliances"))
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn edge() -> ApplianceId {
    "edge-a1".parse().unwrap()
}

pub fn request() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    (key.serialize_pem(), csr)
}
