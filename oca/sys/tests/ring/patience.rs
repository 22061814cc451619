//! Waiting while completions gather: what that waits for, and what ends it. And what is told by the
//! ring meanwhile: paces.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use oca_sys::{Event, Kernel, Op};

use crate::rig::{Rig, small};

/// Far longer than a machine takes, and far shorter than the test would otherwise last.
const SOON: Duration = Duration::from_secs(30);
const LONG_NS: u64 = 6_000_000_000;

#[test]
fn completions_gather_for_as_long_as_is_said() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (mut client, socket) = rig.connect();
    rig.submit(10, Op::ReceiveAny { socket });
    rig.turn();
    client.write_all(b"hello").expect("sent");
    let began = Instant::now();
    let until = rig.kernel.now().plus_millis(120_000);
    rig.kernel.wait_patiently(Some(until), 80_000_000);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(75) && took < SOON, "{took:?}");
    assert!(matches!(rig.finish(10), Event::Received(Ok(5), _)));
}

#[test]
fn without_a_completion_the_deadline_ends_it() {
    let mut rig = Rig::new(small());
    let began = Instant::now();
    let until = rig.kernel.now().plus_millis(60);
    // A kernel that cannot gather may return earlier, with nothing: then it waits again.
    while rig.kernel.now() < until {
        rig.kernel.wait_patiently(Some(until), 20_000_000);
        assert!(rig.kernel.pop().is_none());
    }
    assert!(began.elapsed() >= Duration::from_millis(55), "{:?}", began.elapsed());
}

/// Goal: a new connection waits for nobody. Method: waits that would last for seconds, each with a
/// client that connects; the watch for it begins anew each time. A machine that holds the thread up
/// at the very moment may make one of them last: most of them are enough.
#[test]
fn a_connection_that_comes_in_ends_it() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    rig.turn();
    let mut at_once = 0;
    for _ in 0..5 {
        let addr = rig.addr;
        let client = std::thread::spawn(move || TcpStream::connect(addr).expect("a backlog"));
        let began = Instant::now();
        let until = rig.kernel.now().plus_millis(60_000);
        loop {
            rig.kernel.wait_patiently(Some(until), LONG_NS);
            assert!(began.elapsed() < 2 * SOON, "nobody came");
            if let Some(completion) = rig.kernel.pop() {
                assert!(matches!(completion.event, Event::Accepted(Ok(_))), "{completion:?}");
                break;
            }
        }
        at_once += usize::from(began.elapsed() < Duration::from_nanos(LONG_NS) / 2);
        drop(client.join().expect("connected"));
    }
    assert!(at_once >= 3, "{at_once} of 5");
    // What watches for the next one does not keep the ring from ending.
}

/// Goal: a pace holds whichever way the kernel was told: the first socket's by a system call, the
/// others' by the ring. Method: what is paced takes at least about as long as it should (the first
/// ten packets go at once, and on the loopback they are large); nothing is said of how long at
/// most.
#[test]
fn a_pace_holds_for_the_first_socket_and_for_those_after_it() {
    const CHUNK: usize = 256 * 1024;
    const CHUNKS: usize = 10;
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let from = Rc::new(rig.kernel.chunk_buffer().expect("a free chunk"));
    for _ in 0..2 {
        let (mut client, socket) = rig.connect();
        rig.kernel.pace(socket, Some(2_000_000)).expect("this machine paces");
        let began = Instant::now();
        let reader = std::thread::spawn(move || {
            client.read_exact(&mut vec![0; CHUNK * CHUNKS]).expect("all of it");
            client
        });
        let (mut sent, token) = (0, 20);
        while sent < CHUNK * CHUNKS {
            let range = sent % CHUNK..CHUNK;
            rig.submit(token, Op::Send { socket, from: Rc::clone(&from), range, more: false });
            let Event::Sent(Ok(bytes), _) = rig.finish(token) else { panic!("it is open") };
            sent += bytes;
        }
        drop(reader.join().expect("read"));
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
        rig.close_socket(socket);
    }
    drop(from);
    rig.assert_all_buffers_home();
}
