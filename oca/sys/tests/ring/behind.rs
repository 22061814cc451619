//! A head and a chunk in one send: in order, short, refused, and both buffers back every time.

use std::io::Read;
use std::rc::Rc;

use oca_sys::{Buffer, Event, Head, Kernel, Op, SocketId};

use crate::rig::{Rig, small};

fn buffers(rig: &mut Rig) -> (Head, Rc<Buffer>) {
    let mut head = rig.kernel.send_buffer().expect("a free buffer");
    head[..8].copy_from_slice(b"..head:.");
    let mut chunk = rig.kernel.chunk_buffer().expect("a free chunk");
    for (at, byte) in chunk.iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    (Head { from: Rc::new(head), range: 2..7 }, Rc::new(chunk))
}

fn send(rig: &mut Rig, socket: SocketId, head: Head, from: Rc<Buffer>) -> std::io::Result<usize> {
    let range = 1..from.len();
    let names = (Rc::as_ptr(&head.from), Rc::as_ptr(&from));
    rig.submit(80, Op::SendBehind { socket, head, from, range, more: false });
    match rig.finish(80) {
        Event::SentBehind(answer, head, from) => {
            assert_eq!((Rc::as_ptr(&head), Rc::as_ptr(&from)), names, "each in its place");
            answer
        }
        other => panic!("not a send of both: {other:?}"),
    }
}

#[test]
fn the_head_comes_first_and_the_chunk_as_far_as_there_is_room() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (mut client, socket) = rig.connect();
    let (head, chunk) = buffers(&mut rig);
    let sent = send(&mut rig, socket, head, Rc::clone(&chunk)).expect("the peer is there");
    assert!(sent > 5 && sent < 5 + chunk.len(), "{sent}");
    let mut got = vec![0; sent];
    client.read_exact(&mut got).expect("all of it");
    assert_eq!(&got[..5], b"head:");
    assert!(got[5..] == chunk[1..sent - 4]);
    drop(chunk);
    rig.close_socket(socket);
    rig.assert_all_buffers_home();
}

#[test]
fn what_cannot_be_sent_comes_back() {
    let mut rig = Rig::new(small());
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    let (head, chunk) = buffers(&mut rig);
    let outside = Head { range: 0..head.from.len() + 1, ..head.clone() };
    assert!(send(&mut rig, socket, outside, Rc::clone(&chunk)).is_err(), "outside its buffer");
    rig.close_socket(socket);
    assert!(send(&mut rig, socket, head, chunk).is_err(), "a stale socket");
    rig.assert_all_buffers_home();
}
