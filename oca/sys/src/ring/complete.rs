//! Completion entries into events, and the few follow-ups the server need not know of:
//! opening again without O_DIRECT, reading on after a short read, closing when the last user left.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, types};
use nix::fcntl::{FcntlArg, OFlag, PosixFadviseAdvice, fcntl, posix_fadvise};

use super::pending::{Operation, Work};
use super::start::{Opening, open_entry};
use super::{OpenFile, RingKernel};
use crate::buffer::{BUFFER_ALIGN_BYTES, Buffer};
use crate::kernel::{Access, Event, FileId, Nanos, Piece, SocketId, Token};
use crate::residency::resident_bytes;

/// For how long an answer about the page cache is taken as true.
pub(super) const RESIDENT_NS: u64 = 20_000_000;

/// A read that may go on.
struct Unread {
    file: FileId,
    at: u64,
    into: Buffer,
    access: Access,
    /// Bytes that are there.
    done: usize,
}

impl RingKernel {
    pub(super) fn complete(&mut self, user_data: u64, result: i32, flags: u32) {
        // The key, and where in a chain it is.
        let (key, stage) = (user_data as u32, user_data & !u64::from(u32::MAX));
        // Those that complete more than once.
        match self.pending.get_mut(key).map(|found| &found.work) {
            Some(Work::Accept { listener }) => {
                let listener = *listener;
                return self.complete_accept(key, listener, result, flags);
            }
            Some(Work::SendLent(_)) => return self.complete_send_lent(key, result, flags),
            Some(Work::Splice(_)) => return self.complete_splice(key, stage, result),
            Some(Work::Pace { .. }) => return self.complete_pace(key, result),
            _ => {}
        }
        let Some(Operation { token, work }) = self.pending.remove(key) else { return };
        match work {
            Work::Accept { .. } | Work::SendLent(_) | Work::Pace { .. } | Work::Splice(_) => {}
            Work::OpenCached { path, send } => {
                drop(path);
                self.complete_open_cached(token, *send, result);
            }
            Work::Receive { socket, into } if self.meant_to_wait(socket, result) => {
                self.start_receive(token, socket, into);
                self.leave_socket(socket);
            }
            Work::Receive { socket, into } => {
                self.ready(token, Event::Received(outcome(result), into));
                self.leave_socket(socket);
            }
            Work::ReceiveAny { socket } => {
                self.complete_receive_any(token, socket, result, flags);
            }
            Work::Send { socket, from, range } if self.meant_to_wait(socket, result) => {
                self.start_send(token, socket, from, range, libc::MSG_NOSIGNAL);
                self.leave_socket(socket);
            }
            Work::Send { socket, from, .. } => {
                self.ready(token, Event::Sent(outcome(result), from));
                self.leave_socket(socket);
            }
            Work::SendBehind(send) => self.complete_send_behind(token, send, result),
            Work::SendFile(send) => self.room_for_file(token, *send, result),
            Work::EmptyPipe { pipe, bytes } => self.complete_empty_pipe(pipe, bytes, result),
            Work::Hurry { listener } => self.complete_hurry(listener),
            Work::SendRecord(send) => self.room_for_record(token, *send, result),
            Work::Shutdown { socket } => {
                self.ready(token, Event::ShutDown(outcome(result).map(drop)));
                self.leave_socket(socket);
            }
            Work::CloseSocket => self.ready(token, Event::SocketClosed),
            Work::CloseFile => self.ready(token, Event::FileClosed),
            Work::Open { path, how } => self.complete_open(token, path, how, result),
            Work::Read { file, at, into, access, done } => {
                self.complete_read(token, Unread { file, at, into, access, done }, result);
            }
            Work::ReadMany(unread) => self.complete_read_many(token, unread, result),
            Work::Wake { count } => {
                // How often it was woken says nothing: wakes fold.
                drop(count);
                if !self.ending {
                    self.ready(token, Event::Woken);
                    self.listen_for_wakes();
                }
            }
        }
    }

    /// Whether an operation found its socket switched to non-blocking by a sendfile, and minded: it
    /// is tried again, and this kernel is known.
    pub(super) fn meant_to_wait(&mut self, id: SocketId, result: i32) -> bool {
        let meant = result == -libc::EAGAIN
            && !self.ending
            && self.sockets.get_mut(id.0).is_some_and(|it| it.closing.is_none() && it.non_blocking);
        self.minds_non_blocking |= meant;
        meant
    }

    pub(super) fn leave_socket(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.under_way = socket.under_way.saturating_sub(1);
            self.close_socket_when_free(id);
        }
    }

    /// Closes a socket that is being given up and that no operation uses any more.
    pub(super) fn close_socket_when_free(&mut self, id: SocketId) {
        let free = self.sockets.get_mut(id.0).filter(|socket| socket.under_way == 0);
        let Some(key) = free.and_then(|socket| socket.closing) else { return };
        if let Some(socket) = self.sockets.remove(id.0) {
            socket.bound_loans();
            self.forget_kept(socket.kept);
            self.close(OwnedFd::from(socket.stream), key);
        }
    }

    /// Closes a file that is being given up and that no read uses any more.
    pub(super) fn close_file_when_free(&mut self, id: FileId) {
        let free = self.files.get_mut(id.0).filter(|file| file.under_way == 0);
        let Some(key) = free.and_then(|file| file.closing) else { return };
        if let Some(file) = self.files.remove(id.0) {
            if let Some(cached) = file.cached {
                self.close_later(cached);
            }
            self.close(file.file, key);
        }
    }

    /// From here the descriptor belongs to the close under `key`.
    fn close(&mut self, descriptor: OwnedFd, key: u32) {
        let entry = opcode::Close::new(types::Fd(descriptor.into_raw_fd())).build();
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    fn complete_open(&mut self, token: Token, path: CString, how: Opening, result: i32) {
        // A file system that cannot bypass the page cache says so when asked to.
        if result == -libc::EINVAL && how.direct && !self.ending {
            let how = Opening { direct: false, ..how };
            let entry = open_entry(&path, how);
            let key = self.pending.insert(token, Work::Open { path, how });
            return self.later.push_back(entry.user_data(u64::from(key)));
        }
        if result < 0 {
            return self.ready(token, Event::Opened(outcome(result).map(|_| FileId(0))));
        }
        // SAFETY: needed to own what the kernel opened for us. `result` is the non-negative result
        // of an open, reported once, and nothing else in this process has been told of it.
        let file = unsafe { OwnedFd::from_raw_fd(result) };
        let opened = OpenFile {
            file,
            direct: how.direct,
            trusted: false,
            cached: None,
            resident_run: None,
            under_way: 0,
            closing: None,
        };
        let answer = self.files.insert(opened).map(FileId);
        let answer = answer.map_err(|_| io::Error::from_raw_os_error(libc::EMFILE));
        self.ready(token, Event::Opened(answer));
    }

    fn complete_read(&mut self, token: Token, unread: Unread, result: i32) {
        let Unread { file: id, at, mut into, access, done } = unread;
        let go_on = match result {
            // Interrupted, or out of request memory for a moment.
            _ if self.ending => None,
            result if result == -libc::EINTR || result == -libc::EAGAIN => Some(done),
            // Some file systems take O_DIRECT at open and refuse it at the first read.
            result if result == -libc::EINVAL => self.use_page_cache(id).then_some(done),
            // Short inside the file: the rest may still be there. A tail that is not a multiple of
            // the alignment can only be the end.
            result if result > 0 => {
                let done = done + usize::try_from(result).unwrap_or(0);
                let more = done < into.len() && done.is_multiple_of(BUFFER_ALIGN_BYTES);
                more.then_some(done)
            }
            _ => None,
        };
        if let Some(done) = go_on
            && let Some(entry) = self.read_entry(id, at, &mut into, access, done)
        {
            let key = self.pending.insert(token, Work::Read { file: id, at, into, access, done });
            return self.later.push_back(entry.user_data(u64::from(key)));
        }
        let answer = outcome(result).map(|read| read + done);
        self.ready(token, Event::Read(answer, into));
        self.leave_file(id);
    }

    pub(super) fn leave_file(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(id.0) {
            file.under_way = file.under_way.saturating_sub(1);
            self.close_file_when_free(id);
        }
    }

    /// Turns direct reading off for a file; answers whether it was on.
    pub(super) fn use_page_cache(&mut self, id: FileId) -> bool {
        let Some(file) = self.files.get_mut(id.0).filter(|file| file.direct) else { return false };
        file.direct = false;
        let flags = fcntl(&file.file, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        let cleared = flags.map(|flags| flags.difference(OFlag::O_DIRECT));
        cleared.and_then(|flags| fcntl(&file.file, FcntlArg::F_SETFL(flags))).is_ok()
    }
}

impl OpenFile {
    /// How many bytes of `piece`, from its first on, are in the page cache. A run that was there
    /// a moment ago is not asked for again: reclaim takes what was used last at the very end.
    pub(super) fn resident(&mut self, piece: Piece, now: Nanos) -> io::Result<usize> {
        let end = piece.at.saturating_add(piece.bytes as u64);
        if let Some((run, asked_at)) = &self.resident_run
            && now.since(*asked_at) <= RESIDENT_NS
            && run.start <= piece.at
            && end <= run.end
        {
            return Ok(piece.bytes);
        }
        let bytes = resident_bytes(self.cached()?, piece.at, piece.bytes)?;
        self.resident_run = Some((piece.at..piece.at.saturating_add(bytes as u64), now));
        Ok(bytes)
    }

    /// The file through the page cache, opened on first use: its inode is in memory because the
    /// file is open, so this waits for no disk. It is told that reads are random, so that nothing
    /// comes in that nobody asked for: a page that was never checked must not look like one that
    /// was.
    pub(super) fn cached(&mut self) -> io::Result<BorrowedFd<'_>> {
        if self.cached.is_none() {
            let again = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
            posix_fadvise(&again, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)?;
            self.cached = Some(OwnedFd::from(again));
        }
        Ok(self.cached.as_ref().map_or_else(|| self.file.as_fd(), OwnedFd::as_fd))
    }
}

pub(super) fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()))
}
