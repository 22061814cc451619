//! Receives that hold no buffer until bytes are there.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use oca_sys::{Event, Kernel, KernelConfig, Op, SocketId};

use crate::rig::{Rig, small};

fn crowd(rig: &mut Rig, count: usize) -> Vec<(TcpStream, SocketId)> {
    rig.start_accepting();
    (0..count).map(|_| rig.connect()).collect()
}

#[test]
fn twelve_idle_sockets_share_two_buffers_and_lose_nothing() {
    let mut rig = Rig::new(KernelConfig { receive_buffers: 2, ..small() });
    let mut crowd = crowd(&mut rig, 12);
    for (number, (_, socket)) in crowd.iter().enumerate() {
        rig.submit(100 + number as u64, Op::ReceiveAny { socket: *socket });
    }
    rig.turn();
    assert_eq!(rig.kernel.buffers().receive.out(), 0, "idle sockets hold none");
    for round in 0..3u8 {
        // All at once: ten of them find no buffer and are served as buffers come back.
        for (number, (client, _)) in crowd.iter_mut().enumerate() {
            client.write_all(&[number as u8, round]).expect("sent");
        }
        let mut heard = [false; 12];
        let deadline = rig.kernel.now().plus_millis(10_000);
        while heard.contains(&false) {
            assert!(rig.kernel.now() < deadline, "round {round}: {heard:?}");
            rig.kernel.wait(Some(deadline));
            while let Some(completion) = rig.kernel.pop() {
                let number = (completion.token.0 - 100) as usize;
                let Event::Received(Ok(2), buffer) = completion.event else { panic!("two bytes") };
                assert_eq!(buffer[..2], [number as u8, round]);
                assert!(!std::mem::replace(&mut heard[number], true), "heard once");
            }
        }
        for (number, (_, socket)) in crowd.iter().enumerate() {
            rig.submit(100 + number as u64, Op::ReceiveAny { socket: *socket });
        }
    }
    for (number, (client, _)) in crowd.iter().enumerate() {
        client.shutdown(Shutdown::Write).expect("open");
        match rig.finish(100 + number as u64) {
            Event::ReceiveEnded(Ok(())) | Event::Received(Ok(0), _) => {}
            other => panic!("not the peer's end: {other:?}"),
        }
    }
    for (_, socket) in crowd {
        rig.close_socket(socket);
    }
    rig.assert_all_buffers_home();
}

#[test]
fn a_close_ends_a_receive_that_waits_and_one_that_is_parked() {
    let mut rig = Rig::new(KernelConfig { receive_buffers: 1, ..small() });
    let mut crowd = crowd(&mut rig, 2);
    for (number, (client, socket)) in crowd.iter_mut().enumerate() {
        rig.submit(100 + number as u64, Op::ReceiveAny { socket: *socket });
        client.write_all(b"x").expect("sent");
    }
    let Event::Received(Ok(1), kept) = rig.finish(100) else { panic!("one byte") };
    // The only buffer is ours: the second receive finds none, whenever it looks.
    for _ in 0..5 {
        rig.turn();
    }
    assert_eq!(rig.count(101), 0);
    rig.close_socket(crowd[1].1);
    drop(kept);
    match rig.finish(101) {
        Event::ReceiveEnded(Err(_)) => {}
        other => panic!("not an error: {other:?}"),
    }
    rig.submit(100, Op::ReceiveAny { socket: crowd[0].1 });
    rig.close_socket(crowd[0].1);
    assert!(matches!(rig.finish(100), Event::ReceiveEnded(Err(_))));
    rig.submit(102, Op::ReceiveAny { socket: crowd[0].1 });
    assert!(matches!(rig.finish(102), Event::ReceiveEnded(Err(_))), "a stale socket");
    rig.assert_all_buffers_home();
}
