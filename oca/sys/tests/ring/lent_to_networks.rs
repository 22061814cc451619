//! What the kernel reports of lent memory on network devices other than the loopback. Two threads
//! with a network namespace each, which end with them; without the right to make one it is skipped.
//!
//! ```text
//! server thread: here0 10.77.0.1 ---- veth ---- there0 10.77.0.2 :client thread
//!                sink0, a bridge that nothing is plugged into
//! ```
//! A packet for a receiver on this machine is copied on its way in, whatever device it takes, so a
//! veth copies. A device that passes a packet to nobody here leaves the memory where it lies, as a
//! network card does, and of those that any machine can make a bridge without ports is one. Nobody
//! answers behind it, so the peer of that test answers over the veth: with a reset.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;
use oca_sys::{Event, Kernel, Lending, Op};

use crate::rig::{Rig, small};

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";
const PATIENCE: Duration = Duration::from_secs(20);

/// What the client's thread is told to do with its connection.
enum Order {
    Connect(SocketAddr),
    Read(usize),
    /// Ends with a reset: bytes were not read.
    Reset,
}

/// A peer in a network of its own.
struct Peer {
    orders: Sender<Order>,
    read: Receiver<Vec<u8>>,
    thread: thread::JoinHandle<()>,
}

/// Runs `ip` in the network of the calling thread.
fn try_ip(words: &str) -> Result<(), String> {
    let ran = Command::new("ip").args(words.split(' ')).output();
    let ran = ran.map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}

fn ip(words: &str) {
    try_ip(words).expect("a network of our own can be changed");
}

fn quiet(setting: &str) {
    // Absent where the kernel was built without it.
    let _ = std::fs::write(format!("/proc/sys/net/{setting}"), "0");
}

/// Puts the calling thread into a network of its own, and a peer into another; `None`: not allowed.
fn two_networks() -> Option<Peer> {
    if let Err(why) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("skipped: a network namespace needs root: {why}");
        return None;
    }
    let (orders, ordered) = channel();
    let (told, read) = channel();
    let (ready, made) = channel();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("allowed a moment ago");
        ready.send(gettid()).expect("the other thread waits");
        be_peer(&ordered, &told);
    });
    let there = made.recv().expect("the peer's thread is in its network");
    let joined = try_ip(&format!("link add here0 type veth peer name there0 netns {there}"));
    let made = joined.and_then(|()| try_ip("link add sink0 type bridge"));
    if let Err(why) = made {
        println!("skipped: this machine has not the devices: {why}");
        return None;
    }
    ip("link set lo up");
    quiet("ipv4/conf/all/rp_filter");
    quiet("ipv4/conf/here0/rp_filter");
    ip(&format!("addr add {HERE}/24 dev here0"));
    ip("link set here0 up");
    ip("link set sink0 up");
    ip(&format!("neigh add {THERE} lladdr 02:00:00:00:00:02 dev sink0 nud permanent"));
    Some(Peer { orders, read, thread })
}

fn be_peer(ordered: &Receiver<Order>, told: &Sender<Vec<u8>>) {
    let mut stream: Option<TcpStream> = None;
    for order in ordered {
        match order {
            Order::Connect(address) => {
                ip(&format!("addr add {THERE}/24 dev there0"));
                ip("link set there0 up");
                let made = TcpStream::connect_timeout(&address, PATIENCE).expect("connected");
                made.set_read_timeout(Some(PATIENCE)).expect("not zero");
                stream = Some(made);
            }
            Order::Read(bytes) => {
                let mut got = vec![0; bytes];
                stream.as_mut().expect("connected").read_exact(&mut got).expect("they come");
                told.send(got).expect("the other thread waits");
            }
            Order::Reset => {
                let stream = stream.take().expect("connected");
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger)
                    .expect("a TCP socket");
            }
        }
    }
}

/// Lends one chunk's first `bytes` on a connection that came over the veth; `between` runs when it
/// stands, `after` when the send ended. Answers what was reported.
fn lend_once(peer: &Peer, bytes: usize, between: impl FnOnce(), after: impl FnOnce()) -> Lending {
    let mut rig = Rig::at(small(), HERE);
    rig.start_accepting();
    peer.orders.send(Order::Connect(rig.addr)).expect("the peer listens");
    let socket = rig.accepted().expect("accepted").socket;
    let own = rig.kernel.local_address(socket).expect("a live socket");
    assert_eq!(own.to_string(), HERE);
    between();
    let mut from = rig.kernel.chunk_buffer().expect("a free chunk");
    from.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8);
    let from = Rc::new(from);
    rig.submit(7, Op::SendLent { socket, from: Rc::clone(&from), range: 0..bytes, more: false });
    match rig.finish(7) {
        Event::Sent(Ok(went), _) => assert_eq!(went, bytes, "an empty socket has room"),
        other => panic!("not sent: {other:?}"),
    }
    after();
    let lending = match rig.finish(7) {
        Event::Returned(lending, _) => lending,
        other => panic!("not returned: {other:?}"),
    };
    rig.close_socket(socket);
    drop(from);
    rig.assert_all_buffers_home();
    lending
}

/// Each in a thread of its own, which the namespace ends with.
fn in_networks(test: fn(&Peer)) {
    let tested = thread::spawn(move || {
        let Some(peer) = two_networks() else { return };
        test(&peer);
        let Peer { orders, thread, .. } = peer;
        drop(orders);
        thread.join().expect("the peer is content");
    });
    tested.join().expect("the test's thread");
}

#[test]
fn a_veth_copies_what_is_lent_and_says_so() {
    in_networks(|peer| {
        let reads = || {
            peer.orders.send(Order::Read(16_000)).expect("the peer listens");
            let got = peer.read.recv().expect("read");
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
        };
        // One packet, which might have been joined to another: of that the kernel's word is not
        // taken, but a send that was not copied would be told of.
        assert_eq!(lend_once(peer, 16_000, || {}, reads), Lending::Unsure);
    });
}

#[test]
fn a_device_that_reads_memory_where_it_lies_is_reported_so() {
    in_networks(|peer| {
        let away = || ip(&format!("route add {THERE}/32 dev sink0"));
        let reset = || peer.orders.send(Order::Reset).expect("the peer listens");
        assert_eq!(lend_once(peer, 16_000, away, reset), Lending::Used);
    });
}
