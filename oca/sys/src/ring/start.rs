//! Operations into submission entries. There is room for one entry when `start` is called.
//! An operation that cannot begin completes at once, with an error and its buffer.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;

use io_uring::{opcode, squeue, types};

use super::pending::Work;
use super::send_behind::BehindSend;
use super::send_file::FileSend;
use super::send_record::RecordSend;
use super::{RingKernel, Socket, UNATTENDED};
use crate::buffer::{BUFFER_ALIGN_BYTES, Buffer};
use crate::kernel::{Access, Event, FileId, Op, SocketId, Token};

impl RingKernel {
    pub(super) fn start(&mut self, token: Token, op: Op) {
        match op {
            Op::Accept { listener } => self.start_accept(token, listener),
            Op::StopAccepting { listener } => self.stop_accepting(listener),
            Op::Receive { socket, into } => self.start_receive(token, socket, into),
            Op::ReceiveAny { socket } => self.start_receive_any(token, socket),
            Op::Send { socket, from, range, more } => {
                let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
                self.start_send(token, socket, from, range, flags);
            }
            Op::SendBehind { socket, head, from, range, more } => {
                match BehindSend::new(socket, head, (from, range), more) {
                    Ok(send) => self.start_send_behind(token, send),
                    Err((head, from)) => {
                        let error = io::Error::from(io::ErrorKind::InvalidInput);
                        self.ready(token, Event::SentBehind(Err(error), head, from));
                    }
                }
            }
            Op::SendLent { socket, from, range, more } => {
                self.start_send_lent(token, socket, from, range, more);
            }
            Op::SendFile { socket, head, file, piece, more } => {
                self.start_send_file(token, FileSend { socket, head, file, piece, more });
            }
            Op::SendRecord { socket, kind, from, range } => {
                self.start_send_record(token, RecordSend { socket, kind, from, range });
            }
            Op::Shutdown { socket } => self.start_shutdown(token, socket),
            Op::CloseSocket { socket } => self.start_close_socket(token, socket),
            Op::Open { path, follows } => self.start_open(token, path, follows),
            Op::Read { file, at, into, access } => {
                self.start_read(token, file, at, into, access);
            }
            Op::ReadMany { file, at, into } => self.start_read_many(token, file, at, into),
            Op::CloseFile { file } => self.start_close_file(token, file),
        }
    }

    /// The socket of `id`, unless it is stale or being closed.
    pub(super) fn usable(&mut self, id: SocketId) -> io::Result<&mut Socket> {
        match self.sockets.get_mut(id.0) {
            Some(socket) if socket.closing.is_none() => Ok(socket),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    pub(super) fn start_receive(&mut self, token: Token, id: SocketId, mut into: Buffer) {
        let mind = self.minds_non_blocking;
        let socket = match self.usable(id) {
            Ok(socket) => socket,
            Err(error) => return self.ready(token, Event::Received(Err(error), into)),
        };
        socket.under_way += 1;
        socket.be_blocking(mind);
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let bytes = length(into.len());
        let entry = opcode::Recv::new(descriptor, into.start_mut(), bytes).build();
        self.begin(token, Work::Receive { socket: id, into }, entry);
    }

    pub(super) fn start_send(
        &mut self,
        token: Token,
        id: SocketId,
        from: Rc<Buffer>,
        range: Range<usize>,
        flags: i32,
    ) {
        let Some(bytes) = from.get(range.clone()).map(|part| (part.as_ptr(), length(part.len())))
        else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "range outside the buffer");
            return self.ready(token, Event::Sent(Err(error), from));
        };
        let mind = self.minds_non_blocking;
        let socket = match self.usable(id) {
            Ok(socket) => socket,
            Err(error) => return self.ready(token, Event::Sent(Err(error), from)),
        };
        socket.under_way += 1;
        socket.be_blocking(mind);
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::Send::new(descriptor, bytes.0, bytes.1).flags(flags).build();
        self.begin(token, Work::Send { socket: id, from, range }, entry);
    }

    fn start_shutdown(&mut self, token: Token, id: SocketId) {
        let socket = match self.usable(id) {
            Ok(socket) => socket,
            Err(error) => return self.ready(token, Event::ShutDown(Err(error))),
        };
        socket.under_way += 1;
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::Shutdown::new(descriptor, libc::SHUT_WR).build();
        self.begin(token, Work::Shutdown { socket: id }, entry);
    }

    /// A close waits for the socket's other operations; they are cancelled, or they might not end.
    fn start_close_socket(&mut self, token: Token, id: SocketId) {
        let Ok(socket) = self.usable(id) else {
            return self.ready(token, Event::SocketClosed);
        };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let under_way = socket.under_way;
        let key = self.pending.insert(token, Work::CloseSocket);
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.closing = Some(key);
        }
        if under_way == 0 {
            return self.close_socket_when_free(id);
        }
        // In the queue behind the operations it is to cancel, whether they went in before or in
        // this turn, so it finds all of them.
        let every = types::CancelBuilder::fd(descriptor).all();
        let entry = opcode::AsyncCancel2::new(every).build();
        self.later.push_back(entry.user_data(UNATTENDED));
    }

    fn start_open(&mut self, token: Token, path: PathBuf, follows: bool) {
        let Ok(path) = CString::new(path.into_os_string().into_vec()) else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a path with a zero byte");
            return self.ready(token, Event::Opened(Err(error)));
        };
        let how = Opening { follows, direct: true };
        let entry = open_entry(&path, how);
        self.begin(token, Work::Open { path, how }, entry);
    }

    fn start_read(&mut self, token: Token, id: FileId, at: u64, mut into: Buffer, access: Access) {
        if !at.is_multiple_of(BUFFER_ALIGN_BYTES as u64) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "read at an unaligned byte");
            return self.ready(token, Event::Read(Err(error), into));
        }
        let Some(entry) = self.read_entry(id, at, &mut into, access, 0) else {
            let error = io::Error::from_raw_os_error(libc::EBADF);
            return self.ready(token, Event::Read(Err(error), into));
        };
        if let Some(file) = self.files.get_mut(id.0) {
            file.under_way += 1;
        }
        self.begin(token, Work::Read { file: id, at, into, access, done: 0 }, entry);
    }

    fn start_close_file(&mut self, token: Token, id: FileId) {
        match self.files.get_mut(id.0) {
            Some(file) if file.closing.is_none() => {
                file.closing = Some(self.pending.insert(token, Work::CloseFile));
                self.close_file_when_free(id);
            }
            _ => self.ready(token, Event::FileClosed),
        }
    }

    /// Reads the rest of `into` from byte `done` on; `None` when the file is stale or closing and
    /// nothing of this read has been done.
    pub(super) fn read_entry(
        &mut self,
        id: FileId,
        at: u64,
        into: &mut Buffer,
        access: Access,
        done: usize,
    ) -> Option<squeue::Entry> {
        let index = self.fixed_reads.index_of(&self.chunk_pool, into);
        let file = self.files.get_mut(id.0)?;
        if file.closing.is_some() && file.under_way == 0 {
            return None;
        }
        let descriptor = types::Fd(match access {
            Access::Direct => file.file.as_raw_fd(),
            Access::Cached => file.cached().ok()?.as_raw_fd(),
        });
        let rest = into.get_mut(done..)?;
        let (start, bytes) = (rest.as_mut_ptr(), length(rest.len()));
        let at = at.saturating_add(done as u64);
        Some(match index {
            Some(index) => {
                opcode::ReadFixed::new(descriptor, start, bytes, index).offset(at).build()
            }
            None => opcode::Read::new(descriptor, start, bytes).offset(at).build(),
        })
    }

    pub(super) fn begin(&mut self, token: Token, work: Work, entry: squeue::Entry) {
        let key = self.pending.insert(token, work);
        let entry = entry.user_data(u64::from(key));
        if let Err(entry) = self.push(entry) {
            // `submit` saw room; only our own bookkeeping could have taken it since.
            self.later.push_back(entry);
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// Through symbolic links.
    pub(super) follows: bool,
    /// Past the page cache.
    pub(super) direct: bool,
}

impl Opening {
    /// For the kernel, which reads it when the entry is submitted. Read-only.
    fn as_told(self) -> &'static types::OpenHow {
        const fn how(follows: bool, direct: bool) -> types::OpenHow {
            let flags = libc::O_RDONLY | libc::O_CLOEXEC | if direct { libc::O_DIRECT } else { 0 };
            let resolve = if follows { 0 } else { libc::RESOLVE_NO_SYMLINKS };
            types::OpenHow::new().flags(flags.cast_unsigned() as u64).resolve(resolve)
        }
        static HOWS: [[types::OpenHow; 2]; 2] =
            [[how(false, false), how(false, true)], [how(true, false), how(true, true)]];
        &HOWS[usize::from(self.follows)][usize::from(self.direct)]
    }
}

/// The entry points into `path`.
pub(super) fn open_entry(path: &CString, how: Opening) -> squeue::Entry {
    let here = types::Fd(libc::AT_FDCWD);
    opcode::OpenAt2::new(here, path.as_ptr(), how.as_told()).build()
}

/// Buffers are far below 4 GiB; a longer one is used in part.
pub(super) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
