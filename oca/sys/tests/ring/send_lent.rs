//! Sends that lend their memory: when it comes back, and what the kernel says became of it.

use std::io::Read;
use std::rc::Rc;

use oca_sys::{Buffer, Event, Kernel, Lending, Op, SocketId};

use crate::rig::{Rig, small};

/// Receive and send buffers of a connection that nobody reads stay far below this, bytes.
const MORE_THAN_FITS: usize = 64 << 20;

fn chunk(rig: &mut Rig, salt: u8) -> Rc<Buffer> {
    let mut chunk = rig.kernel.chunk_buffer().expect("a free chunk");
    for (at, byte) in chunk.iter_mut().enumerate() {
        *byte = (at.wrapping_mul(31) >> 3) as u8 ^ salt;
    }
    Rc::new(chunk)
}

fn lend(rig: &mut Rig, token: u64, socket: SocketId, from: &Rc<Buffer>) {
    let range = 0..from.len();
    rig.submit(token, Op::SendLent { socket, from: Rc::clone(from), range, more: false });
}

fn sent(rig: &mut Rig, token: u64) -> std::io::Result<usize> {
    match rig.finish(token) {
        Event::Sent(answer, _) => answer,
        other => panic!("not the end of a send: {other:?}"),
    }
}

fn returned(rig: &mut Rig, token: u64) -> Lending {
    match rig.finish(token) {
        Event::Returned(lending, _) => lending,
        other => panic!("not a return: {other:?}"),
    }
}

/// Lends until the socket takes no more; answers the token of the send that waits, and how much of
/// the buffer each of those before took.
fn fill(rig: &mut Rig, socket: SocketId, from: &Rc<Buffer>) -> (u64, Vec<usize>) {
    let mut took = Vec::new();
    for token in 1000.. {
        lend(rig, token, socket, from);
        // It ends at once, or waits for a reader that does not come.
        for _ in 0..20 {
            if rig.count(token) == 0 {
                rig.turn();
            }
        }
        if rig.count(token) == 0 {
            return (token, took);
        }
        took.push(sent(rig, token).expect("the socket is whole"));
        assert!(took.iter().sum::<usize>() < MORE_THAN_FITS, "a socket that takes everything");
    }
    unreachable!("tokens do not end")
}

/// Turns until the network has none of our memory.
fn until_returned(rig: &mut Rig) {
    let deadline = rig.kernel.now().plus_millis(10_000);
    while rig.kernel.tallies().lent > 0 {
        assert!(rig.kernel.now() < deadline, "{:?}", rig.kernel.tallies());
        rig.turn();
    }
}

#[test]
fn a_lent_buffer_arrives_whole_and_comes_back_once() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (mut client, socket) = rig.connect();
    let from = chunk(&mut rig, 1);
    let (mut at, mut got) = (0, vec![0; from.len()]);
    for token in 100.. {
        let (range, from) = (at..from.len(), Rc::clone(&from));
        rig.submit(token, Op::SendLent { socket, from, range, more: false });
        let went = sent(&mut rig, token).expect("sent");
        client.read_exact(&mut got[at..at + went]).expect("all that went");
        at += went;
        // The loopback hands the reader a copy, and says so.
        let wanted = if went > 65_536 { Lending::Copied } else { Lending::Unsure };
        assert_eq!(returned(&mut rig, token), wanted, "{went} bytes");
        if at == got.len() {
            break;
        }
    }
    assert!(got[..] == from[..], "other bytes");
    assert!(rig.kernel.tallies().zero_copy_copied > 0 && rig.kernel.tallies().zero_copy == 0);
    assert_eq!(rig.kernel.tallies().lent, 0);
    drop(from);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}

#[test]
fn what_is_lent_is_not_free_before_it_comes_back() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (client, socket) = rig.connect();
    let from = chunk(&mut rig, 2);
    // Nobody reads: the last send waits, and of those before some are still in the socket.
    let (waiting, _) = fill(&mut rig, socket, &from);
    drop(from);
    assert_eq!(rig.kernel.buffers().chunk.out(), 1, "lent");
    // Other work goes on meanwhile, also with a loan or more under way.
    let (_other, other) = rig.connect();
    rig.close_socket(other);
    // The peer is torn down with bytes unread: everything comes back.
    drop(client);
    // With an error, or with what went in while the peer was still there.
    let _ = sent(&mut rig, waiting);
    until_returned(&mut rig);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}

#[test]
fn a_closed_socket_does_not_take_its_loans_along() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (mut client, socket) = rig.connect();
    let from = chunk(&mut rig, 3);
    let (waiting, took) = fill(&mut rig, socket, &from);
    rig.close_socket(socket);
    let last = sent(&mut rig, waiting).unwrap_or(0);
    // Closed, and what went into the socket before is still on its way, from our memory.
    let mut got = Vec::new();
    client.read_to_end(&mut got).expect("up to the end, not a reset");
    let wanted: Vec<u8> =
        took.iter().chain([&last]).flat_map(|bytes| from[..*bytes].to_vec()).collect();
    assert!(got == wanted, "{} bytes of {}", got.len(), wanted.len());
    until_returned(&mut rig);
    drop(from);
    rig.assert_all_buffers_home();
}

#[test]
fn a_send_that_cannot_begin_gives_its_buffer_back() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    let from = chunk(&mut rig, 4);
    let range = 0..from.len() + 1;
    rig.submit(100, Op::SendLent { socket, from: Rc::clone(&from), range, more: false });
    assert!(sent(&mut rig, 100).is_err());
    assert_eq!(returned(&mut rig, 100), Lending::Nothing);
    rig.close_socket(socket);
    lend(&mut rig, 101, socket, &from);
    assert!(sent(&mut rig, 101).is_err(), "a stale socket");
    assert_eq!(returned(&mut rig, 101), Lending::Nothing);
    drop(from);
    rig.assert_all_buffers_home();
}
