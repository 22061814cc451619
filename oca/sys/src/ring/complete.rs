//! Completion entries into events, and the few follow-ups the server need not know of:
//! opening again without O_DIRECT, reading on after a short read, closing when the last user left.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, types};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::pending::{Operation, Work};
use super::start::open_entry;
use super::{OpenFile, RingKernel};
use crate::buffer::{BUFFER_ALIGN_BYTES, Buffer};
use crate::kernel::{Event, FileId, SocketId, Token};

impl RingKernel {
    pub(super) fn complete(&mut self, user_data: u64, result: i32, flags: u32) {
        let Ok(key) = u32::try_from(user_data) else { return };
        if let Some(Work::Accept { listener }) = self.pending.get_mut(key).map(|found| &found.work)
        {
            let listener = *listener;
            return self.complete_accept(key, listener, result, flags);
        }
        let Some(Operation { token, work }) = self.pending.remove(key) else { return };
        match work {
            Work::Accept { .. } => {}
            Work::Receive { socket, into } => {
                self.ready(token, Event::Received(outcome(result), into));
                self.leave_socket(socket);
            }
            Work::Send { socket, from } => {
                self.ready(token, Event::Sent(outcome(result), from));
                self.leave_socket(socket);
            }
            Work::Shutdown { socket } => {
                self.ready(token, Event::ShutDown(outcome(result).map(drop)));
                self.leave_socket(socket);
            }
            Work::CloseSocket => self.ready(token, Event::SocketClosed),
            Work::CloseFile => self.ready(token, Event::FileClosed),
            Work::Open { path, direct } => self.complete_open(token, path, direct, result),
            Work::Read { file, at, into, done } => {
                self.complete_read(token, file, at, into, done, result);
            }
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

    fn leave_socket(&mut self, id: SocketId) {
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
            self.close(OwnedFd::from(socket.stream), key);
        }
    }

    /// Closes a file that is being given up and that no read uses any more.
    pub(super) fn close_file_when_free(&mut self, id: FileId) {
        let free = self.files.get_mut(id.0).filter(|file| file.under_way == 0);
        let Some(key) = free.and_then(|file| file.closing) else { return };
        if let Some(file) = self.files.remove(id.0) {
            self.close(file.file, key);
        }
    }

    /// From here the descriptor belongs to the close under `key`.
    fn close(&mut self, descriptor: OwnedFd, key: u32) {
        let entry = opcode::Close::new(types::Fd(descriptor.into_raw_fd())).build();
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    fn complete_open(&mut self, token: Token, path: std::ffi::CString, direct: bool, result: i32) {
        // A file system that cannot bypass the page cache says so when asked to.
        if result == -libc::EINVAL && direct && !self.ending {
            let entry = open_entry(&path, false);
            let key = self.pending.insert(token, Work::Open { path, direct: false });
            return self.later.push_back(entry.user_data(u64::from(key)));
        }
        if result < 0 {
            return self.ready(token, Event::Opened(outcome(result).map(|_| FileId(0))));
        }
        // SAFETY: needed to own what the kernel opened for us. `result` is the non-negative result
        // of an open, reported once, and nothing else in this process has been told of it.
        let file = unsafe { OwnedFd::from_raw_fd(result) };
        let opened = OpenFile { file, direct, under_way: 0, closing: None };
        let answer = self.files.insert(opened).map(FileId);
        let answer = answer.map_err(|_| io::Error::from_raw_os_error(libc::EMFILE));
        self.ready(token, Event::Opened(answer));
    }

    fn complete_read(
        &mut self,
        token: Token,
        id: FileId,
        at: u64,
        mut into: Buffer,
        done: usize,
        result: i32,
    ) {
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
            && let Some(entry) = self.read_entry(id, at, &mut into, done)
        {
            let key = self.pending.insert(token, Work::Read { file: id, at, into, done });
            return self.later.push_back(entry.user_data(u64::from(key)));
        }
        let answer = outcome(result).map(|read| read + done);
        self.ready(token, Event::Read(answer, into));
        if let Some(file) = self.files.get_mut(id.0) {
            file.under_way = file.under_way.saturating_sub(1);
            self.close_file_when_free(id);
        }
    }

    /// Turns direct reading off for a file; answers whether it was on.
    fn use_page_cache(&mut self, id: FileId) -> bool {
        let Some(file) = self.files.get_mut(id.0).filter(|file| file.direct) else { return false };
        file.direct = false;
        let flags = fcntl(&file.file, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
        let cleared = flags.map(|flags| flags.difference(OFlag::O_DIRECT));
        cleared.and_then(|flags| fcntl(&file.file, FcntlArg::F_SETFL(flags))).is_ok()
    }
}

fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.saturating_neg()))
}
