//! Many at once: clients that ask for nothing take no more than their seats.

use std::net::TcpStream;

use crate::kit::{Setup, payload};

/// Above the 4096 operations that a ring was once given whatever the connections were.
const IDLE: usize = 4_300;

#[test]
fn a_full_house_of_idle_clients_leaves_room_for_a_request() {
    // Ours and, inherited, the program's.
    let files = oca_sys::raise_open_files(IDLE as u64 + 512).unwrap();
    assert!(files > IDLE as u64 + 256, "this test needs `ulimit -n 5000`, and has {files}");
    let setup = Setup::new().section("workers", "count = 1\nconnections = 8192\n");
    let setup = setup.section("limits", "client_connections = 0\n");
    let bytes = payload(300_000, 41);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let appliance = setup.start();
    let crowd: Vec<TcpStream> =
        (0..IDLE).map(|_| TcpStream::connect(appliance.media).unwrap()).collect();
    appliance.counts("accepted_total", "", IDLE as f64);
    let reply = appliance.get(&path);
    assert!(reply.status == 200 && reply.body == bytes, "{}", reply.status);
    drop(crowd);
}
