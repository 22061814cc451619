//! Bytes of a file straight from the page cache into a socket, by sendfile(2) on the ring's thread.
//! Never waits: not for a disk, because only what is resident is sent, and not for the peer,
//! because a full socket is polled by the ring.
//!
//! ```text
//! start -> resident? --no--> FileSent(0)
//!             '-yes-> sendfile --some--> FileSent(n), and if the socket took less than asked,
//!                        |               the next one begins with the poll
//!                        '-none-> POLL_ADD(POLLOUT) -> resident? …
//! ```
//! io_uring has no sendfile: its splice goes through a thread pool, and a send copies. The system
//! call is made between two enters, at most once for each operation and poll, so that no connection
//! keeps the others waiting.
//!
//! sendfile(2) asks the descriptor, not its caller, whether it may wait, so the socket is switched
//! to non-blocking for it. On some kernels the ring's own operations then end with EAGAIN instead
//! of waiting in the ring: from the first time that one does, sockets are switched back for them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use io_uring::{opcode, types};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::pending::Work;
use super::{RingKernel, Socket};
use crate::kernel::{Event, FileId, Head, Piece, SocketId, Token};

/// Most bytes of a file in one system call: what a fast socket takes before the next connection's
/// turn. A whole segment, as a rule: its pages and its reader's cache are then used once, together.
const BYTES_PER_CALL_MAX: usize = 4 << 20;

/// A send from the page cache, from its submission to its event.
#[derive(Debug)]
pub(super) struct FileSend {
    pub(super) socket: SocketId,
    pub(super) head: Option<Head>,
    pub(super) file: FileId,
    pub(super) piece: Piece,
    pub(super) more: bool,
}

/// What one try came to.
enum Tried {
    /// This many bytes went; `full` when the socket took less than was offered.
    Went { bytes: usize, full: bool },
    /// The socket takes nothing now.
    Full,
}

impl RingKernel {
    pub(super) fn start_send_file(&mut self, token: Token, send: FileSend) {
        let known = self.files.get_mut(send.file.0).is_some_and(|file| file.closing.is_none());
        let socket = match self.usable(send.socket) {
            Ok(socket) if known => socket,
            Ok(_) => return self.fail_send_file(token, send, libc::EBADF),
            Err(_) => return self.fail_send_file(token, send, libc::EBADF),
        };
        socket.under_way += 1;
        let full = std::mem::take(&mut socket.full);
        if let Some(file) = self.files.get_mut(send.file.0) {
            file.under_way += 1;
        }
        if full {
            return self.poll_for_room(token, send);
        }
        self.try_send_file(token, send);
    }

    /// The socket has room, or something happened to it, or the poll was cancelled.
    pub(super) fn room_for_file(&mut self, token: Token, send: FileSend, result: i32) {
        let closing = self.sockets.get_mut(send.socket.0).is_none_or(|it| it.closing.is_some());
        if result < 0 || closing || self.ending {
            let code = if result < 0 { -result } else { libc::ECANCELED };
            return self.end_send_file(token, send, Err(io::Error::from_raw_os_error(code)));
        }
        self.try_send_file(token, send);
    }

    fn try_send_file(&mut self, token: Token, mut send: FileSend) {
        match self.send_file_once(&mut send) {
            Ok(Tried::Full) => self.poll_for_room(token, send),
            Ok(Tried::Went { bytes, full }) => {
                if let Some(socket) = self.sockets.get_mut(send.socket.0) {
                    socket.full = full;
                }
                self.end_send_file(token, send, Ok(bytes));
            }
            Err(error) => self.end_send_file(token, send, Err(error)),
        }
    }

    /// The head, as long as there is one, then as much of the piece as is resident.
    fn send_file_once(&mut self, send: &mut FileSend) -> io::Result<Tried> {
        let gone = || io::Error::from_raw_os_error(libc::EBADF);
        let file = self.files.get_mut(send.file.0).ok_or_else(gone)?;
        let wanted = send.piece.bytes.min(BYTES_PER_CALL_MAX);
        let resident = file.resident(Piece { at: send.piece.at, bytes: wanted }, self.now)?;
        let cached = file.cached()?;
        let socket = self.sockets.get_mut(send.socket.0).ok_or_else(gone)?;
        let mut went = 0;
        if let Some(head) = send.head.as_ref().filter(|head| !head.range.is_empty()) {
            let bytes = head.from.get(head.range.clone()).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "range outside the buffer")
            })?;
            let more = resident > 0 || send.more;
            went = match send_now(socket.stream.as_fd(), bytes, more)? {
                0 => return Ok(Tried::Full),
                went if went < bytes.len() => return Ok(Tried::Went { bytes: went, full: true }),
                went => went,
            };
        }
        if resident == 0 {
            return Ok(Tried::Went { bytes: went, full: false });
        }
        socket.be_non_blocking()?;
        let sent = match send_file_now(socket.stream.as_fd(), cached, send.piece.at, resident) {
            // The head went; what is wrong with the socket shows at the next try.
            Err(_) if went > 0 => 0,
            sent => sent?,
        };
        self.tallies.file_sends += 1;
        if went + sent == 0 {
            return Ok(Tried::Full);
        }
        Ok(Tried::Went { bytes: went + sent, full: sent < resident })
    }

    fn poll_for_room(&mut self, token: Token, send: FileSend) {
        let Some(socket) = self.sockets.get_mut(send.socket.0) else {
            return self.fail_send_file(token, send, libc::EBADF);
        };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::PollAdd::new(descriptor, libc::POLLOUT as u32).build();
        let key = self.pending.insert(token, Work::SendFile(Box::new(send)));
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    /// Ends an operation that socket and file know of.
    fn end_send_file(&mut self, token: Token, send: FileSend, result: io::Result<usize>) {
        let FileSend { socket, head, file, .. } = send;
        self.ready_next(token, Event::FileSent(result, head.map(|head| head.from)));
        self.leave_file(file);
        self.leave_socket(socket);
    }

    /// Ends an operation that never began.
    fn fail_send_file(&mut self, token: Token, send: FileSend, code: i32) {
        let error = io::Error::from_raw_os_error(code);
        self.ready(token, Event::FileSent(Err(error), send.head.map(|head| head.from)));
    }
}

impl Socket {
    fn be_non_blocking(&mut self) -> io::Result<()> {
        if !self.non_blocking {
            self.set_flags(OFlag::O_NONBLOCK)?;
            self.non_blocking = true;
        }
        Ok(())
    }

    /// For the ring's own operations, on kernels where these `mind`. A socket that cannot be
    /// switched is broken, and they say so.
    pub(super) fn be_blocking(&mut self, mind: bool) {
        if mind && self.non_blocking && self.set_flags(OFlag::empty()).is_ok() {
            self.non_blocking = false;
        }
    }

    /// A socket has no other status flags of ours.
    fn set_flags(&self, flags: OFlag) -> io::Result<()> {
        fcntl(&self.stream, FcntlArg::F_SETFL(OFlag::O_RDWR | flags))?;
        Ok(())
    }
}

/// One send that does not wait; 0 when there is no room.
fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    let more = if more { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more;
    // SAFETY: needed because nix's send takes its own set of flags and no borrowed descriptor. The
    // pointer and length are of a live slice that the call only reads.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    would_block_is_none(sent)
}

/// One sendfile that does not wait; 0 when there is no room.
fn send_file_now(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    at: u64,
    bytes: usize,
) -> io::Result<usize> {
    let mut at = i64::try_from(at).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: needed because nix is built without sendfile. The offset is a live integer that the
    // call reads and writes; the descriptors are borrowed and thereby open.
    let sent = unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut at, bytes) };
    match would_block_is_none(sent) {
        // The file is shorter than its residency said: it was cut.
        Ok(0) if sent == 0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        answer => answer,
    }
}

fn would_block_is_none(answer: isize) -> io::Result<usize> {
    if let Ok(bytes) = usize::try_from(answer) {
        return Ok(bytes);
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(0),
        error => Err(error),
    }
}
