//! The same bytes under TLS 1.3 and 1.2, resumed sessions, strangers, a new certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::kit::{Appliance, Setup, eventually, payload};
use crate::wire::{Connection, request};

/// A fresh self-signed certificate; answers the client side that believes it.
pub fn certificate(dir: &Path, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("edge.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("edge.pem"), made.cert.pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

struct Rig {
    appliance: Appliance,
    client: Arc<ClientConfig>,
    bytes: Vec<u8>,
    path: String,
}

fn rig(version: &'static SupportedProtocolVersion) -> Rig {
    let setup = Setup::new().section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n");
    let client = certificate(setup.dir.path(), version);
    let bytes = payload(700_001, 5);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}.mp4", setup.play("night"));
    Rig { appliance: setup.start(), client, bytes, path }
}

fn check(version: &'static SupportedProtocolVersion) {
    let rig = rig(version);
    for _ in 0..2 {
        let mut connection = Connection::tls(rig.appliance.media, &rig.client);
        assert!(connection.get(&rig.path, "").body == rig.bytes, "whole");
        let part = connection.get(&rig.path, "Range: bytes=262000-600000\r\n");
        assert!(part.status == 206 && part.body == rig.bytes[262_000..=600_000], "part");
        let two = request("GET", &rig.path, "Range: bytes=0-9\r\n")
            + &request("GET", &rig.path, "Connection: close\r\n");
        connection.send(two.as_bytes());
        assert!(connection.reply("GET").body == rig.bytes[..10], "pipelined first");
        assert!(connection.reply("GET").body == rig.bytes, "pipelined second");
        assert!(connection.is_ended(), "close_notify after Connection: close");
    }
    rig.appliance.counts("tls_handshakes_total", "", 2.0);
    rig.appliance.counts("tls_handshakes_total", "resumed=\"yes\"", 1.0);
}

#[test]
fn tls_1_3_whole_parts_pipelined_resumed() {
    check(&TLS13);
}

#[test]
fn tls_1_2_whole_parts_pipelined_resumed() {
    check(&TLS12);
}

#[test]
fn who_does_not_speak_tls_is_let_go_and_the_next_is_served() {
    let rig = rig(&TLS13);
    let mut stranger = rig.appliance.connect();
    stranger.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.appliance.counts("closed_total", "handshake_failed", 1.0);
    let mut connection = Connection::tls(rig.appliance.media, &rig.client);
    assert_eq!(connection.get(&rig.path, "").status, 200);
}

#[test]
fn a_new_certificate_is_taken_up_without_a_restart() {
    let rig = rig(&TLS13);
    let newer = certificate(rig.appliance.setup.dir.path(), &TLS13);
    eventually("the new certificate is shown", || {
        Connection::believes(rig.appliance.media, &newer)
    });
    assert_eq!(Connection::tls(rig.appliance.media, &newer).get(&rig.path, "").status, 200);
}
