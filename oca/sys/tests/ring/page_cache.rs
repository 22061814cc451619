//! Sending from the page cache: whole, short, cold, cut, and to peers that go away.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use oca_sys::{Access, Event, FileId, Head, Kernel, Op, Piece, SocketId};

use crate::rig::{Rig, pattern_file, small};

const MIB: usize = 1 << 20;

/// Whether the socket is paced, which the pages' way depends on.
const WAYS: [bool; 2] = [false, true];

/// A pace that holds nobody up.
fn connect(rig: &mut Rig, paced: bool) -> (TcpStream, SocketId) {
    let (client, socket) = rig.connect();
    if paced {
        rig.kernel.pace(socket, Some(1 << 32)).expect("this machine paces");
    }
    (client, socket)
}

fn send(rig: &mut Rig, token: u64, socket: SocketId, file: FileId, piece: Piece) {
    rig.submit(token, Op::SendFile { socket, head: None, file, piece, more: false });
}

/// A reader that takes its time gets every byte, head first, although the socket is full again and
/// again; and the ring's own receive works on that socket before and after.
#[test]
fn a_slow_reader_gets_head_and_file() {
    WAYS.into_iter().for_each(check_a_slow_reader_gets_head_and_file);
}

fn check_a_slow_reader_gets_head_and_file(paced: bool) {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, content) = pattern_file(dir.path(), 9 * MIB + 7);
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let (client, socket) = connect(&mut rig, paced);
    let total = content.len() + 5 - 3;
    let reader = std::thread::spawn(move || {
        let (mut client, mut taken) = (client, Vec::new());
        let mut piece = [0u8; 50_000];
        while taken.len() < total {
            let bytes = client.read(&mut piece).expect("readable");
            assert!(bytes > 0, "the end came after {} bytes", taken.len());
            taken.extend_from_slice(&piece[..bytes]);
        }
        std::io::Write::write_all(&mut client, b"thanks").expect("the other way is open");
        (client, taken)
    });
    let mut head = rig.kernel.send_buffer().expect("a free buffer");
    head[..5].copy_from_slice(b"head:");
    let mut head = Some(Head { from: std::rc::Rc::new(head), range: 0..5 });
    let (mut at, mut sent) = (3, 0);
    while at < content.len() as u64 {
        let piece = Piece { at, bytes: content.len() - at as usize };
        let lent = head.take();
        let had_head = lent.is_some();
        rig.submit(20, Op::SendFile { socket, head: lent, file, piece, more: false });
        let Event::FileSent(Ok(bytes), back) = rig.finish(20) else { panic!("it is resident") };
        assert!(bytes > 0 && back.is_some() == had_head);
        sent += bytes;
        at = 3 + sent as u64 - 5;
    }
    let (_client, taken) = reader.join().expect("every byte");
    assert_eq!(&taken[..5], b"head:");
    assert!(taken[5..] == content[3..]);
    let tallies = rig.kernel.tallies();
    assert!(tallies.file_sends >= 3 && (tallies.spliced > 0) == paced, "{tallies:?}");
    let into = rig.kernel.receive_buffer().expect("a free buffer");
    rig.submit(21, Op::Receive { socket, into });
    assert!(matches!(rig.finish(21), Event::Received(Ok(6), _)), "it waits in the ring again");
    rig.close_socket(socket);
    rig.close_file(file);
    rig.assert_all_buffers_home();
}

/// What is not resident is not sent; a read through the page cache makes it so.
#[test]
fn a_cold_chunk_is_not_sent_until_it_was_read() {
    WAYS.into_iter().for_each(check_a_cold_chunk_is_not_sent_until_it_was_read);
}

fn check_a_cold_chunk_is_not_sent_until_it_was_read(paced: bool) {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, content) = pattern_file(dir.path(), MIB);
    let own = std::fs::File::open(&path).expect("just made");
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let (mut client, socket) = connect(&mut rig, paced);
    let piece = Piece { at: 0, bytes: 256 * 1024 };
    assert_eq!(rig.kernel.resident(file, piece), piece.bytes, "just written");
    posix_fadvise(own.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("advised");
    if rig.kernel.resident(file, piece) > 0 {
        // A file system that keeps its pages: nothing is ever cold on it.
        return;
    }
    send(&mut rig, 30, socket, file, piece);
    assert!(matches!(rig.finish(30), Event::FileSent(Ok(0), None)));
    let into = rig.kernel.chunk_buffer().expect("a free chunk");
    rig.submit(31, Op::Read { file, at: 0, into, access: Access::Cached });
    let Event::Read(Ok(read), buffer) = rig.finish(31) else { panic!("the file is good") };
    assert!(buffer[..read] == content[..read]);
    drop(buffer);
    assert_eq!(rig.kernel.resident(file, piece), piece.bytes, "read, so it is there");
    let beyond = Piece { at: 512 * 1024, bytes: 1 };
    assert_eq!(rig.kernel.resident(file, beyond), 0, "and nothing that nobody asked for");
    send(&mut rig, 32, socket, file, piece);
    let Event::FileSent(Ok(sent), None) = rig.finish(32) else { panic!("it is resident") };
    let mut taken = vec![0; sent];
    client.read_exact(&mut taken).expect("sent");
    assert!(taken == content[..sent]);
}

#[test]
fn a_peer_that_resets_in_the_middle_ends_the_send() {
    WAYS.into_iter().for_each(check_a_peer_that_resets_in_the_middle_ends_the_send);
}

fn check_a_peer_that_resets_in_the_middle_ends_the_send(paced: bool) {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, content) = pattern_file(dir.path(), 4 * MIB);
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let (client, socket) = connect(&mut rig, paced);
    let piece = Piece { at: 0, bytes: content.len() };
    let mut client = Some(client);
    let error = loop {
        send(&mut rig, 40, socket, file, piece);
        // One more than the sockets hold: it waits for room, and the peer goes.
        rig.turn();
        if rig.count(40) == 0 {
            // Unread bytes make its close a reset.
            client = None;
        }
        match rig.finish(40) {
            Event::FileSent(Ok(bytes), None) => assert!(bytes > 0),
            Event::FileSent(Err(error), None) => break error,
            other => panic!("not a send of a file: {other:?}"),
        }
    };
    assert!(client.is_none());
    let code = error.raw_os_error();
    assert!(matches!(code, Some(libc::ECONNRESET | libc::EPIPE)), "{error}");
    rig.close_socket(socket);
    rig.close_file(file);
}

#[test]
fn closing_ends_a_send_that_waits_for_room() {
    WAYS.into_iter().for_each(check_closing_ends_a_send_that_waits_for_room);
}

fn check_closing_ends_a_send_that_waits_for_room(paced: bool) {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, content) = pattern_file(dir.path(), 4 * MIB);
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let (_client, socket) = connect(&mut rig, paced);
    let piece = Piece { at: 0, bytes: content.len() };
    loop {
        send(&mut rig, 50, socket, file, piece);
        rig.turn();
        if rig.count(50) == 0 {
            break;
        }
        assert!(matches!(rig.finish(50), Event::FileSent(Ok(1..), None)));
    }
    rig.submit(51, Op::CloseSocket { socket });
    let Event::FileSent(Err(error), None) = rig.finish(50) else { panic!("nobody reads") };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    assert!(matches!(rig.finish(51), Event::SocketClosed));
    send(&mut rig, 52, socket, file, piece);
    assert!(matches!(rig.finish(52), Event::FileSent(Err(_), None)), "a stale socket");
    rig.close_file(file);
}

/// A file that was cut under us has fewer bytes than it is asked for: never others.
#[test]
fn a_cut_file_sends_nothing_beyond_its_end() {
    WAYS.into_iter().for_each(check_a_cut_file_sends_nothing_beyond_its_end);
}

fn check_a_cut_file_sends_nothing_beyond_its_end(paced: bool) {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, _) = pattern_file(dir.path(), MIB);
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let (_client, socket) = connect(&mut rig, paced);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(4096))
        .expect("cut");
    send(&mut rig, 60, socket, file, Piece { at: 8192, bytes: 4096 });
    match rig.finish(60) {
        Event::FileSent(Ok(0), None) => {}
        Event::FileSent(Err(error), None) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        other => panic!("bytes that are not there: {other:?}"),
    }
}
