//! The program as an operator meets it: ready line, refusals with their cure, restart, drain, TLS.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use control_client::{ControlClient, Credential};
use control_types::accounts::{SignIn, SignUp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running control; killed when dropped.
struct Control {
    child: Child,
    addr: String,
}

impl Control {
    fn start(folder: &Path, config: &str) -> Self {
        let mut child =
            command(folder, config).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, addr: ready["listening"].as_str().unwrap().to_owned() }
    }

    fn client(&self) -> ControlClient {
        ControlClient::new(&format!("http://{}", self.addr), Credential::Nobody, None).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, config: &str) -> Command {
    let path = folder.join("control.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_control"));
    command.args(["serve", "--config"]).arg(path);
    command
}

fn config(folder: &Path, addr: &str) -> String {
    format!(
        "state_dir = {:?}\n[listen]\naddr = {addr:?}\n[operator]\nkey_file = {:?}\n",
        folder.join("state"),
        folder.join("operator.key")
    )
}

/// Runs until it ends by itself and says what it said.
fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

fn sign_up() -> SignUp {
    SignUp {
        email: "ann@example.org".into(),
        password: "correct horse".into(),
        profile_name: "Ann".into(),
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "127.0.0.1:0");
    let control = Control::start(folder.path(), &config);
    control.client().sign_up(&sign_up()).await.unwrap();
    let keys = control.client().ticket_keys().await.unwrap();
    let operator = std::fs::read_to_string(folder.path().join("operator.key")).unwrap();
    control.signal(Signal::SIGKILL);
    drop(control);

    let control = Control::start(folder.path(), &config);
    let SignUp { email, password, .. } = sign_up();
    control.client().sign_in(&SignIn { email, password }).await.unwrap();
    assert_eq!(control.client().ticket_keys().await.unwrap(), keys, "tickets stay good");
    assert_eq!(std::fs::read_to_string(folder.path().join("operator.key")).unwrap(), operator);
}

#[tokio::test]
async fn sigterm_drains_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = Control::start(folder.path(), &config(folder.path(), "127.0.0.1:0"));
    // A kept-alive connection must not hold the process up.
    control.client().plans().await.unwrap();
    control.signal(Signal::SIGTERM);
    assert!(control.child.wait().unwrap().success());
}

/// What starts after control (`After=` in a unit) may rely on the files that it makes.
#[test]
fn systemd_is_told_once_the_operators_key_is_there_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = command(folder.path(), &config(folder.path(), "127.0.0.1:0"));
    command.env("NOTIFY_SOCKET", folder.path().join("notify"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut control = Control { child, addr: String::new() };
    let told = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert_eq!(told().trim(), "READY=1");
    assert!(folder.path().join("operator.key").exists());
    control.signal(Signal::SIGTERM);
    assert_eq!(told().trim(), "STOPPING=1");
    assert!(control.child.wait().unwrap().success());
}

#[test]
fn a_busy_port_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let said = refused(command(folder.path(), &config(folder.path(), &addr)));
    assert!(said.contains(&addr) && said.contains("listen.addr"), "{said}");
}

#[test]
fn a_state_directory_that_cannot_be_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    // A file where a directory should be stops root too, which permissions do not.
    std::fs::write(folder.path().join("state"), "").unwrap();
    let said = refused(command(folder.path(), &config(folder.path(), "127.0.0.1:0")));
    assert!(said.contains("state_dir") && said.contains("writable"), "{said}");
}

#[test]
fn a_geo_database_that_is_no_file_is_named_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "127.0.0.1:0");
    // It has no end, and is the text of no database.
    let config = format!("{config}[bgp]\ngeo_file = \"/dev/zero\"\n");
    let said = refused(command(folder.path(), &config));
    assert!(said.contains("/dev/zero") && said.contains("a device"), "{said}");
}

#[test]
fn one_state_directory_has_one_control() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "127.0.0.1:0");
    let _first = Control::start(folder.path(), &config);
    let said = refused(command(folder.path(), &config));
    assert!(said.contains("in use by another control"), "{said}");
}

#[test]
fn a_config_is_checked_without_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.toml");
    let check =
        || Command::new(env!("CARGO_BIN_EXE_control")).arg("check-config").arg(&path).output();
    std::fs::write(&path, config(folder.path(), "127.0.0.1:0")).unwrap();
    assert!(check().unwrap().status.success());
    assert!(!folder.path().join("state").exists(), "nothing was made");
    std::fs::write(&path, "colour = 1\n[listen]\nadr = \"x\"\n").unwrap();
    let Output { status, stderr, .. } = check().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success());
    for part in ["colour", "listen.adr", "listen.addr", "state_dir", "operator"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn it_speaks_tls_to_who_knows_its_root() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let config = config(folder.path(), "127.0.0.1:0") + &tls;
    let control = Control::start(folder.path(), &config);

    let port = control.addr.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    let pem = made.cert.pem();
    let client = ControlClient::new(&url, Credential::Nobody, Some(pem.as_bytes())).unwrap();
    assert_eq!(client.plans().await.unwrap().len(), 3);
    let stranger = ControlClient::new(&url, Credential::Nobody, None).unwrap();
    let error = stranger.plans().await.unwrap_err();
    assert!(error.is_away(), "an unknown root is not spoken to: {error}");
}
