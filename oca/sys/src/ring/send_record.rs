//! Records that are not content (alerts) into a socket that the kernel seals for, by sendmsg(2) on
//! the ring's thread. Never waits: a full socket is polled by the ring.
//!
//! ```text
//! start -> POLL_ADD(POLLOUT) -> sendmsg --gone--> Sent
//!              '-----------------none-----'
//! ```
//! It begins with the poll even where there may be room: what the kernel has sealed and could not
//! pass on yet lies in front of this record, and a FIN behind it would cut that off. A socket that
//! has room again has room for both.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use io_uring::{opcode, types};

use super::RingKernel;
use super::pending::Work;
use crate::buffer::Buffer;
use crate::kernel::{Event, SocketId, Token};
use crate::ktls::send_record_now;

/// A record on its way, from its submission to its event.
#[derive(Debug)]
pub(super) struct RecordSend {
    pub(super) socket: SocketId,
    pub(super) kind: u8,
    pub(super) from: Rc<Buffer>,
    pub(super) range: Range<usize>,
}

impl RingKernel {
    pub(super) fn start_send_record(&mut self, token: Token, send: RecordSend) {
        match self.usable(send.socket) {
            Ok(socket) => socket.under_way += 1,
            Err(error) => return self.ready(token, Event::Sent(Err(error), send.from)),
        }
        self.poll_for_record(token, send);
    }

    /// The socket has room, or something happened to it, or the poll was cancelled.
    pub(super) fn room_for_record(&mut self, token: Token, send: RecordSend, result: i32) {
        let closing = self.sockets.get_mut(send.socket.0).is_none_or(|it| it.closing.is_some());
        let answer = if result < 0 || closing || self.ending {
            let code = if result < 0 { -result } else { libc::ECANCELED };
            Err(io::Error::from_raw_os_error(code))
        } else {
            self.send_record_once(&send)
        };
        let answer = match answer {
            Ok(false) => return self.poll_for_record(token, send),
            Ok(true) => Ok(send.range.len()),
            Err(error) => Err(error),
        };
        self.ready(token, Event::Sent(answer, send.from));
        self.leave_socket(send.socket);
    }

    fn send_record_once(&mut self, send: &RecordSend) -> io::Result<bool> {
        let bytes = send.from.get(send.range.clone()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "range outside the buffer")
        })?;
        let gone = || io::Error::from_raw_os_error(libc::EBADF);
        let socket = self.sockets.get_mut(send.socket.0).ok_or_else(gone)?;
        send_record_now(socket.stream.as_fd(), send.kind, bytes)
    }

    fn poll_for_record(&mut self, token: Token, send: RecordSend) {
        let Some(socket) = self.sockets.get_mut(send.socket.0) else {
            let error = io::Error::from_raw_os_error(libc::EBADF);
            return self.ready(token, Event::Sent(Err(error), send.from));
        };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::PollAdd::new(descriptor, libc::POLLOUT as u32).build();
        let key = self.pending.insert(token, Work::SendRecord(Box::new(send)));
        self.later.push_back(entry.user_data(u64::from(key)));
    }
}
