//! Paced members who take little at a time share the ring's pipes: who waits for room keeps none
//! that others need, and everybody gets every byte.

use std::io::Read;
use std::net::TcpStream;

use oca_sys::{Event, Kernel, KernelConfig, Op, Piece, SocketId};

use crate::rig::{Rig, pattern_file, small};

/// More than may keep a pipe at once.
const MEMBERS: usize = 40;
const FILE_BYTES: usize = (5 << 20) + 11;

struct Member {
    client: TcpStream,
    socket: SocketId,
    sent: usize,
    under_way: bool,
    taken: Vec<u8>,
}

#[test]
fn more_members_than_may_keep_a_pipe_get_every_byte() {
    let dir = tempfile::tempdir_in(".").expect("a directory on a disk");
    let (path, content) = pattern_file(dir.path(), FILE_BYTES);
    let mut rig =
        Rig::new(KernelConfig { sockets_max: MEMBERS as u32, operations_max: 512, ..small() });
    rig.start_accepting();
    let file = rig.open(&path).expect("it is there");
    let mut members: Vec<Member> = (0..MEMBERS)
        .map(|_| {
            let (client, socket) = rig.connect();
            client.set_nonblocking(true).expect("a socket can");
            rig.kernel.pace(socket, Some(1 << 32)).expect("this machine paces");
            Member { client, socket, sent: 0, under_way: false, taken: Vec::new() }
        })
        .collect();
    let mut piece = vec![0; 64 << 10];
    let begun = rig.kernel.now();
    while members.iter().any(|member| member.taken.len() < content.len()) {
        let waited = rig.kernel.now().since(begun);
        assert!(waited < 60_000_000_000, "{:?}", members.iter().map(|it| it.taken.len()).max());
        for (index, member) in members.iter_mut().enumerate() {
            let token = 1000 + index as u64;
            if member.under_way && rig.count(token) > 0 {
                let Event::FileSent(Ok(bytes), None) = rig.finish(token) else {
                    panic!("it is resident, and read")
                };
                (member.sent, member.under_way) = (member.sent + bytes, false);
            }
            if !member.under_way && member.sent < content.len() {
                let (at, bytes) = (member.sent as u64, content.len() - member.sent);
                let piece = Piece { at, bytes };
                let socket = member.socket;
                rig.submit(token, Op::SendFile { socket, head: None, file, piece, more: false });
                member.under_way = true;
            }
            // A little at a time, so that all of them have full sockets at once.
            if let Ok(bytes) = member.client.read(&mut piece) {
                member.taken.extend_from_slice(&piece[..bytes]);
            }
        }
        rig.turn();
    }
    assert!(members.iter().all(|member| member.taken == content), "other bytes than the file's");
    let tallies = rig.kernel.tallies();
    assert!(tallies.spliced > 0, "{tallies:?}");
    for member in members {
        rig.close_socket(member.socket);
    }
    rig.close_file(file);
}
