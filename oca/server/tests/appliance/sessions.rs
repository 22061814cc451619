//! Sessions of one box resumed on another and after a restart; certificates by name; broken files.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use crate::encrypted::certificate;
use crate::kit::{PATIENCE, Setup, eventually};
use crate::wire::Connection;

const SECRET: &str = "a secret of one site, as long as it has to be\n";

fn boxed(client: Option<&Setup>) -> Setup {
    let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nticket_secret_file = \"secret\"\n";
    let setup = Setup::new().section("tls", tls);
    std::fs::write(setup.path("secret"), SECRET).unwrap();
    if let Some(other) = client {
        for name in ["edge.pem", "edge.key"] {
            std::fs::copy(other.path(name), setup.path(name)).unwrap();
        }
    }
    setup
}

/// Goal: a session opened on one box resumes on another of the site and on the same one after a
/// restart, in both versions. Method: one client's store of sessions, three programs.
fn check(version: &'static SupportedProtocolVersion) {
    let one = boxed(None);
    let client = certificate(one.dir.path(), version);
    let other = boxed(Some(&one)).start();
    let mut one = one.start();
    // An answer is read each time: in TLS 1.3 the tickets come before it.
    let ask = |to: SocketAddr| Connection::tls(to, &client).get("/v/none", "").status;
    assert_eq!(ask(one.media), 404);
    one.counts("tls_handshakes_total", "resumed=\"no\"", 1.0);
    assert_eq!(ask(other.media), 404);
    other.counts("tls_handshakes_total", "resumed=\"yes\"", 1.0);
    one.terminate();
    assert!(one.ended().success());
    one.restart();
    assert_eq!(ask(one.media), 404);
    one.counts("tls_handshakes_total", "resumed=\"yes\"", 1.0);
    one.counts("tls_handshakes_total", "resumed=\"no\"", 0.0);
}

#[test]
fn a_tls_1_3_session_resumes_on_another_box_and_after_a_restart() {
    check(&TLS13);
}

#[test]
fn a_tls_1_2_session_resumes_on_another_box_and_after_a_restart() {
    check(&TLS12);
}

/// Makes a certificate for `names` and answers it as the client sees it.
fn make(dir: &Path, file: &str, names: &[&str], roots: &mut RootCertStore) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(dir.join(format!("{file}.pem")), made.cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{file}.key")), made.signing_key.serialize_pem()).unwrap();
    roots.add(made.cert.der().clone()).unwrap();
    made.cert.der().to_vec()
}

/// The certificate shown to a client that asks for `name`.
fn shown(to: SocketAddr, name: &str, roots: &RootCertStore) -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    session.complete_io(&mut stream).ok()?;
    let leaf = session.peer_certificates()?.first()?.to_vec();
    session.send_close_notify();
    let _ = session.complete_io(&mut stream);
    Some(leaf)
}

#[test]
fn each_name_is_shown_its_own_certificate_and_a_broken_new_one_changes_nothing() {
    let setup = Setup::new().section(
        "tls",
        "cert = \"edge.pem\"\nkey = \"edge.key\"\n\
         [[tls.certificate]]\nnames = [\"a.example\", \"*.cdn.example\"]\n\
         cert = \"a.pem\"\nkey = \"a.key\"\n",
    );
    let mut roots = RootCertStore::empty();
    let dir = setup.dir.path().to_owned();
    let edge = make(&dir, "edge", &["edge.example", "b.example"], &mut roots);
    let a = make(&dir, "a", &["a.example", "*.cdn.example"], &mut roots);
    let appliance = setup.start();
    let check = |name: &str, wanted: &Vec<u8>| {
        assert_eq!(shown(appliance.media, name, &roots).as_ref(), Some(wanted), "{name}");
    };
    check("edge.example", &edge);
    check("b.example", &edge);
    check("a.example", &a);
    check("one.cdn.example", &a);
    // A key without its certificate: refused, said, and the old pair stays.
    let stranger = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    std::fs::write(dir.join("a.key"), stranger.signing_key.serialize_pem()).unwrap();
    appliance.counts("keys_refused_total", "", 1.0);
    assert!(appliance.log().contains("a.key"), "the log names the file");
    check("a.example", &a);
    // The certificate follows: both together are good.
    let renewed = make(&dir, "a", &["a.example", "*.cdn.example"], &mut roots);
    let check = |name: &str, wanted: &Vec<u8>| {
        eventually(name, || shown(appliance.media, name, &roots).as_ref() == Some(wanted));
    };
    check("a.example", &renewed);
    check("edge.example", &edge);
}

#[test]
fn a_certificate_for_another_name_is_refused_at_boot() {
    let setup = Setup::new().section(
        "tls",
        "cert = \"edge.pem\"\nkey = \"edge.key\"\n\
         [[tls.certificate]]\nnames = [\"a.example\"]\ncert = \"edge.pem\"\nkey = \"edge.key\"\n",
    );
    make(setup.dir.path(), "edge", &["edge.example"], &mut RootCertStore::empty());
    let config = setup.write_config();
    let mut program = crate::kit::program();
    let out = program.args(["serve", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("a.example"), "{said}");
}

#[test]
fn early_requests_are_not_taken() {
    // A replayed request would be answered twice; nothing is saved that a resumed session lacks.
    let one = boxed(None);
    let client = certificate(one.dir.path(), &TLS13);
    let one = one.start();
    assert_eq!(Connection::tls(one.media, &client).get("/v/none", "").status, 404);
    let mut eager = ClientConfig::clone(&client);
    eager.enable_early_data = true;
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(eager), name).unwrap();
    assert!(session.early_data().is_none(), "the ticket offers none");
    let mut stream = TcpStream::connect(one.media).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    session.complete_io(&mut stream).unwrap();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    tls.write_all(b"GET /v/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
