//! A head and bytes of another buffer in one send: neither is copied to stand beside the other.
//! Never waits and never sends a part of it twice; a short send is the caller's to go on with.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{opcode, types};

use super::RingKernel;
use super::complete::outcome;
use super::pending::Work;
use crate::buffer::Buffer;
use crate::kernel::{Event, Head, SocketId, Token};

/// A send of two buffers, from its submission to its event. It does not move meanwhile: the kernel
/// has been given the address of `message`, and that holds the address of `pieces`.
pub(super) struct BehindSend {
    pub(super) socket: SocketId,
    head: Head,
    from: Rc<Buffer>,
    more: bool,
    pieces: [libc::iovec; 2],
    message: libc::msghdr,
}

impl std::fmt::Debug for BehindSend {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BehindSend").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl BehindSend {
    /// `None` when a range is outside of its buffer.
    pub(super) fn new(
        socket: SocketId,
        head: Head,
        (from, range): (Rc<Buffer>, Range<usize>),
        more: bool,
    ) -> Result<Box<Self>, (Rc<Buffer>, Rc<Buffer>)> {
        let piece = |bytes: &[u8]| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let pieces = match (head.from.get(head.range.clone()), from.get(range)) {
            (Some(head), Some(behind)) => [piece(head), piece(behind)],
            _ => return Err((head.from, from)),
        };
        let message = libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: std::ptr::null_mut(),
            msg_iovlen: pieces.len(),
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        let mut send = Box::new(Self { socket, head, from, more, pieces, message });
        send.message.msg_iov = send.pieces.as_mut_ptr();
        Ok(send)
    }
}

impl RingKernel {
    pub(super) fn start_send_behind(&mut self, token: Token, send: Box<BehindSend>) {
        let mind = self.minds_non_blocking;
        let socket = match self.usable(send.socket) {
            Ok(socket) => socket,
            Err(error) => return self.end_send_behind(token, *send, Err(error)),
        };
        socket.under_way += 1;
        socket.be_blocking(mind);
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let more = if send.more { libc::MSG_MORE } else { 0 };
        let flags = (libc::MSG_NOSIGNAL | more).cast_unsigned();
        let entry = opcode::SendMsg::new(descriptor, &raw const send.message).flags(flags).build();
        self.begin(token, Work::SendBehind(send), entry);
    }

    pub(super) fn complete_send_behind(
        &mut self,
        token: Token,
        send: Box<BehindSend>,
        result: i32,
    ) {
        let socket = send.socket;
        if self.meant_to_wait(socket, result) {
            self.start_send_behind(token, send);
        } else {
            self.end_send_behind(token, *send, outcome(result));
        }
        self.leave_socket(socket);
    }

    fn end_send_behind(&mut self, token: Token, send: BehindSend, result: io::Result<usize>) {
        self.ready(token, Event::SentBehind(result, send.head.from, send.from));
    }
}
