//! Accepting, receiving, sending, closing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;

use oca_sys::{Event, Kernel, KernelConfig, Op, SocketId};

use crate::rig::{LISTENER, Rig, small};

fn receive(rig: &mut Rig, socket: SocketId, token: u64) {
    let into = rig.kernel.receive_buffer().expect("a free buffer");
    rig.submit(token, Op::Receive { socket, into });
}

#[test]
fn what_a_client_sends_comes_back() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (mut client, socket) = rig.connect();
    client.write_all(b"hello").expect("sent");
    receive(&mut rig, socket, 10);
    let Event::Received(Ok(5), buffer) = rig.finish(10) else { panic!("five bytes were sent") };
    assert_eq!(&buffer[..5], b"hello");
    drop(buffer);

    let mut head = rig.kernel.send_buffer().expect("a free buffer");
    head[..6].copy_from_slice(b"olleh!");
    let from = Rc::new(head);
    rig.submit(11, Op::Send { socket, from: Rc::clone(&from), range: 0..5, more: true });
    rig.submit(12, Op::Send { socket, from, range: 5..6, more: false });
    assert!(matches!(rig.finish(11), Event::Sent(Ok(5), _)));
    assert!(matches!(rig.finish(12), Event::Sent(Ok(1), _)));
    rig.submit(13, Op::Shutdown { socket });
    assert!(matches!(rig.finish(13), Event::ShutDown(Ok(()))));
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("until the end");
    assert_eq!(answer, "olleh!");

    drop(client);
    receive(&mut rig, socket, 14);
    assert!(matches!(rig.finish(14), Event::Received(Ok(0), _)));
    rig.close_socket(socket);
    assert_eq!(rig.kernel.sockets_open(), 0);
    rig.assert_all_buffers_home();
}

/// A large send to a reader that does not read is short or waits; nothing is lost either way.
#[test]
fn a_slow_reader_gets_every_byte() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (client, socket) = rig.connect();
    let mut chunk = rig.kernel.chunk_buffer().expect("a free chunk");
    for (at, byte) in chunk.iter_mut().enumerate() {
        *byte = (at >> 4) as u8;
    }
    let (from, total) = (Rc::new(chunk), 16 * 256 * 1024);
    let reader = std::thread::spawn(move || {
        let (mut client, mut taken) = (client, Vec::new());
        let mut piece = [0u8; 10_000];
        while taken.len() < total {
            let bytes = client.read(&mut piece).expect("readable");
            assert!(bytes > 0, "the end came after {} bytes", taken.len());
            taken.extend_from_slice(&piece[..bytes]);
        }
        taken
    });
    let mut sent = 0;
    while sent < total {
        let start = sent % from.len();
        let range = start..from.len();
        rig.submit(20, Op::Send { socket, from: Rc::clone(&from), range, more: false });
        let Event::Sent(Ok(bytes), _) = rig.finish(20) else { panic!("the reader is there") };
        assert!(bytes > 0);
        sent += bytes;
    }
    let taken = reader.join().expect("every byte");
    assert!(taken.chunks(from.len()).all(|piece| piece == &from[..]));
    drop(from);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}

#[test]
fn closing_ends_a_receive_that_would_wait_for_ever() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    receive(&mut rig, socket, 30);
    rig.turn();
    rig.submit(31, Op::CloseSocket { socket });
    let Event::Received(Err(error), buffer) = rig.finish(30) else { panic!("nothing was sent") };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    drop(buffer);
    assert!(matches!(rig.finish(31), Event::SocketClosed));
    rig.assert_all_buffers_home();
}

#[test]
fn closing_in_the_same_turn_ends_a_receive_too() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    receive(&mut rig, socket, 40);
    rig.submit(41, Op::CloseSocket { socket });
    assert!(matches!(rig.finish(40), Event::Received(Err(_), _)));
    assert!(matches!(rig.finish(41), Event::SocketClosed));
    rig.assert_all_buffers_home();
}

#[test]
fn closing_ends_a_send_to_a_reader_that_stopped() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    let from = Rc::new(rig.kernel.chunk_buffer().expect("a free chunk"));
    let mut stuck = false;
    for _ in 0..64 {
        let range = 0..from.len();
        rig.submit(50, Op::Send { socket, from: Rc::clone(&from), range, more: false });
        rig.turn();
        if rig.count(50) == 0 {
            stuck = true;
            break;
        }
        assert!(matches!(rig.finish(50), Event::Sent(Ok(_), _)));
    }
    assert!(stuck, "16 MiB fitted into the socket buffers");
    rig.submit(51, Op::CloseSocket { socket });
    let Event::Sent(_, returned) = rig.finish(50) else { panic!("the send ends") };
    drop((returned, from));
    assert!(matches!(rig.finish(51), Event::SocketClosed));
    rig.assert_all_buffers_home();
}

#[test]
fn a_reset_is_an_error_and_a_stale_socket_is_nobody() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (client, socket) = rig.connect();
    // Unread bytes at close make the peer's kernel send a reset.
    let from = Rc::new(rig.kernel.send_buffer().expect("a free buffer"));
    rig.submit(60, Op::Send { socket, from: Rc::clone(&from), range: 0..9, more: false });
    assert!(matches!(rig.finish(60), Event::Sent(Ok(9), _)));
    let mut one = [0u8; 1];
    (&client).read_exact(&mut one).expect("arrived");
    drop(client);
    receive(&mut rig, socket, 61);
    let Event::Received(Err(error), _) = rig.finish(61) else { panic!("a reset") };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    rig.submit(62, Op::Send { socket, from: Rc::clone(&from), range: 0..9, more: false });
    assert!(matches!(rig.finish(62), Event::Sent(Err(_), _)), "a signal would have killed us");
    rig.close_socket(socket);

    let (_client, second) = rig.connect();
    assert_ne!(second, socket);
    receive(&mut rig, socket, 63);
    assert!(matches!(rig.finish(63), Event::Received(Err(_), _)));
    rig.submit(64, Op::Send { socket, from, range: 0..9, more: false });
    assert!(matches!(rig.finish(64), Event::Sent(Err(_), _)));
    rig.close_socket(second);
    rig.assert_all_buffers_home();
}

#[test]
fn a_range_outside_the_buffer_is_refused() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    let from = Rc::new(rig.kernel.send_buffer().expect("a free buffer"));
    let range = 0..from.len() + 1;
    rig.submit(70, Op::Send { socket, from, range, more: false });
    let Event::Sent(Err(error), _) = rig.finish(70) else { panic!("outside") };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}

#[test]
fn accepting_stops_when_told_and_starts_again() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_first, one) = rig.connect();
    rig.submit(2, Op::StopAccepting { listener: LISTENER });
    let error = rig.accepted().expect_err("the last one");
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    let waiting = TcpStream::connect(rig.addr).expect("into the backlog");
    rig.turn();
    assert_eq!(rig.count(1), 0, "accepted after the last one");
    rig.start_accepting();
    let two = rig.accepted().expect("the one that waited");
    assert_eq!(Some(two.peer), waiting.local_addr().ok());
    rig.close_socket(one);
    rig.close_socket(two.socket);
}

/// At `sockets_max` connections wait in the backlog; each close lets one in.
#[test]
fn a_full_table_pauses_accepting() {
    let mut rig = Rig::new(KernelConfig { sockets_max: 2, ..small() });
    rig.start_accepting();
    let (_a, one) = rig.connect();
    let (_b, two) = rig.connect();
    rig.turn();
    rig.turn();
    let _c = TcpStream::connect(rig.addr).expect("into the backlog");
    rig.turn();
    assert_eq!(rig.count(1), 0, "a third came in");
    rig.close_socket(one);
    let three = rig.accepted().expect("room again");
    assert_eq!(rig.kernel.sockets_open(), 2);
    rig.submit(2, Op::StopAccepting { listener: LISTENER });
    assert!(rig.accepted().is_err(), "stopping while paused answers too");
    rig.close_socket(two);
    rig.close_socket(three.socket);
}

#[test]
fn small_answers_are_not_delayed() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    // With Nagle's algorithm the second small send would wait for the peer's delayed
    // acknowledgement, 40 ms; 50 exchanges would take two seconds.
    let (mut client, socket) = rig.connect();
    let from = Rc::new(rig.kernel.send_buffer().expect("a free buffer"));
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        for token in [80, 81] {
            rig.submit(
                token,
                Op::Send { socket, from: Rc::clone(&from), range: 0..1, more: false },
            );
            assert!(matches!(rig.finish(token), Event::Sent(Ok(1), _)));
        }
        let mut two = [0u8; 2];
        client.read_exact(&mut two).expect("both bytes");
    }
    assert!(begun.elapsed().as_millis() < 1500, "took {:?}", begun.elapsed());
    drop(from);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}
