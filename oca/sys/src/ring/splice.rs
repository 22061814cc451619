//! Sends from the page cache on paced sockets: the ring moves the pages by itself, through a pipe,
//! in as many system calls for a thousand connections as for one. Never on the ring's thread, and
//! never waiting for the peer in the kernel's threads.
//!
//! ```text
//! open through the page cache? --no--> OPENAT by the ring, then on
//!  '-yes-> a pipe free? --no--> waits for one, or sendfile(2) when none will come
//!      '-yes-> SEND(head, MSG_MORE) -> SPLICE(file to pipe) -> SPLICE(pipe to socket) -> sent
//!               '------------------'---- what fails ends the chain ---'
//! ```
//! The kernel's splice goes through its thread pool, which costs a hurried send more than the
//! system call that it saves. Sends that nobody waits for share the threads' wake-ups, and the
//! pages are handed over as they are, where a plain send would copy each byte.
//!
//! Where the socket took less than the pipe has, the pipe stays with the socket: the next send of
//! the same file from there on begins with it. Pages in a pipe are held, so they are still those
//! that were asked for.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::pending::{Operation, Work};
use super::send_file::FileSend;
use super::{RingKernel, UNATTENDED};
use crate::kernel::{FileId, Piece, Token};

/// Pipes of one ring, in chains or kept by sockets.
const PIPES_MAX: usize = 128;
/// Room of a pipe, bytes: a segment of some seconds. Below what an unprivileged user may have.
const PIPE_BYTES: usize = 512 << 10;
/// Most bytes of a chain: a piece may begin and end within a page, which then counts whole.
const CHAIN_BYTES_MAX: usize = PIPE_BYTES - 2 * 4096;
/// The kernel's threads for chains, each ring: they copy nothing and wait for nobody.
const THREADS_MAX: u32 = 4;

/// Where in the chain an entry is, in the upper half of its `user_data`.
const HEAD: u64 = 1 << 32;
const FILL: u64 = 2 << 32;
const DRAIN: u64 = 3 << 32;

/// The two ends of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// Bytes of a file that are in a pipe and did not find room in a socket.
#[derive(Debug)]
pub(super) struct Kept {
    pipe: Pipe,
    file: FileId,
    piece: Piece,
}

/// The pipes of a ring.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    free: Vec<Pipe>,
    /// Free, in a chain, or kept.
    made: usize,
    /// In a chain.
    busy: usize,
    /// The machine gave none, or none of that size: it is not asked again.
    refused: bool,
    /// Sends that found no pipe while others are about to give theirs back: one a socket at most.
    waiting: VecDeque<(Token, FileSend)>,
}

impl Pipes {
    fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.free.pop() {
            return Some(pipe);
        }
        if self.refused || self.made >= PIPES_MAX {
            return None;
        }
        match make() {
            Ok(pipe) => {
                self.made += 1;
                Some(pipe)
            }
            Err(_) => {
                self.refused = true;
                None
            }
        }
    }

    /// A pipe that goes with what is in it.
    pub(super) fn forget(&mut self, kept: Option<Kept>) {
        if kept.is_some() {
            self.made -= 1;
        }
    }
}

fn make() -> io::Result<Pipe> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let bytes = i32::try_from(PIPE_BYTES).expect("512 KiB");
    let got = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(bytes))?;
    match usize::try_from(got) {
        Ok(got) if got >= PIPE_BYTES => Ok(Pipe { reader, writer }),
        _ => Err(io::ErrorKind::OutOfMemory.into()),
    }
}

/// A chain under way.
#[derive(Debug)]
pub(super) struct Chain {
    send: FileSend,
    pipe: Pipe,
    /// What the pipe has or is to get.
    bytes: usize,
    /// Bytes to go out: fewer than that when the pipe had more than is wanted now.
    wanted: usize,
    /// Entries that have not completed.
    left: u8,
    /// Results; `ECANCELED` until they are known.
    head: i32,
    filled: i32,
    drained: i32,
}

impl RingKernel {
    /// Keeps the kernel's threads few, and where this one is.
    pub(super) fn bind_threads(&self) {
        // Refused, the kernel decides.
        let _ = self.ring.submitter().register_iowq_max_workers(&mut [0, THREADS_MAX]);
        if let Ok(cores) = crate::machine::allowed_cores() {
            let _ = self.ring.submitter().register_iowq_aff(&cores);
        }
    }

    /// Sends by a chain, or at once where there is no way to.
    pub(super) fn splice(&mut self, token: Token, send: FileSend) {
        let Some(file) = self.files.get_mut(send.file.0) else {
            return self.try_send_file(token, send);
        };
        if file.cached.is_none() {
            return self.open_cached(token, send);
        }
        let kept = self.sockets.get_mut(send.socket.0).and_then(|socket| socket.kept.take());
        match kept {
            Some(Kept { pipe, file, piece })
                if file == send.file && piece.at == send.piece.at && !has_head(&send) =>
            {
                let filled = i32::try_from(piece.bytes).unwrap_or(i32::MAX);
                return self.chain(token, send, pipe, piece.bytes, Some(filled));
            }
            kept => self.pipes.forget(kept),
        }
        let bytes = self.bytes_there(&send);
        if bytes == 0 {
            return self.try_send_file(token, send);
        }
        match self.pipes.take() {
            Some(pipe) => self.chain(token, send, pipe, bytes, None),
            None if self.pipes.busy > 0 => self.pipes.waiting.push_back((token, send)),
            None => self.try_send_file(token, send),
        }
    }

    /// How many bytes of the piece a chain may take: those of a trusted file all, others those that
    /// are in the page cache.
    fn bytes_there(&mut self, send: &FileSend) -> usize {
        let now = self.now;
        let piece = Piece { bytes: send.piece.bytes.min(CHAIN_BYTES_MAX), ..send.piece };
        match self.files.get_mut(send.file.0) {
            Some(file) if file.trusted => piece.bytes,
            Some(file) => file.resident(piece, now).unwrap_or(0),
            None => 0,
        }
    }

    /// `filled`: how much the pipe has already; absent: it is to be filled.
    fn chain(
        &mut self,
        token: Token,
        send: FileSend,
        pipe: Pipe,
        bytes: usize,
        filled: Option<i32>,
    ) {
        self.pipes.busy += 1;
        let fills = filled.is_none();
        let left = 1 + u8::from(fills) + u8::from(has_head(&send));
        let (cancelled, wanted) = (-libc::ECANCELED, bytes.min(send.piece.bytes));
        let filled = filled.unwrap_or(cancelled);
        let (head, drained) = (cancelled, cancelled);
        let chain = Chain { send, pipe, bytes, wanted, left, head, filled, drained };
        let entries = self.chain_entries(&chain, fills);
        let key = self.pending.insert(token, Work::Splice(Box::new(chain)));
        let entries: Vec<squeue::Entry> = entries
            .unwrap_or_default()
            .into_iter()
            .map(|(stage, entry)| entry.user_data(stage | u64::from(key)))
            .collect();
        // SAFETY: needed because entries hold addresses. The only one is of the head's bytes, in a
        // pool's mapping; its buffer and both ends of the pipe are owned by the chain in `pending`,
        // which stays there until the last entry has completed.
        let pushed = !entries.is_empty()
            && unsafe { self.ring.submission().push_multiple(&entries) }.is_ok();
        // A chain must not be cut in two by a full queue.
        if !pushed && let Some(Work::Splice(chain)) = self.pending.remove(key).map(|it| it.work) {
            self.pipes.busy -= 1;
            // What is in the pipe was not said to have gone.
            self.pipes.made -= 1;
            self.try_send_file(token, chain.send);
        }
    }

    fn chain_entries(&mut self, chain: &Chain, fills: bool) -> Option<Vec<(u64, squeue::Entry)>> {
        let send = &chain.send;
        let socket = self.sockets.get_mut(send.socket.0)?;
        socket.be_non_blocking().ok()?;
        let socket = types::Fd(socket.stream.as_raw_fd());
        let file = self.files.get_mut(send.file.0)?.cached.as_ref()?;
        let file = types::Fd(file.as_raw_fd());
        let (reader, writer) = (chain.pipe.reader.as_raw_fd(), chain.pipe.writer.as_raw_fd());
        let linked = squeue::Flags::IO_LINK;
        let mut entries = Vec::with_capacity(3);
        if has_head(send) {
            let head = send.head.as_ref()?;
            let head = head.from.get(head.range.clone())?;
            let length = u32::try_from(head.len()).ok()?;
            // All of it or an error that ends the chain: a body behind half a head is garbage.
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
            let flags = (flags | libc::MSG_MORE).cast_unsigned();
            let entry = opcode::Send::new(socket, head.as_ptr(), length);
            entries.push((HEAD, entry.flags(flags.cast_signed()).build().flags(linked)));
        }
        if fills {
            let at = i64::try_from(send.piece.at).ok()?;
            let bytes = u32::try_from(chain.bytes).ok()?;
            let entry = opcode::Splice::new(file, at, types::Fd(writer), -1, bytes);
            entries.push((FILL, entry.build().flags(linked)));
        }
        let bytes = u32::try_from(chain.wanted).ok()?;
        let entry = opcode::Splice::new(types::Fd(reader), -1, socket, -1, bytes);
        entries.push((DRAIN, entry.build()));
        Some(entries)
    }

    /// One entry of a chain completed.
    pub(super) fn complete_splice(&mut self, key: u32, stage: u64, result: i32) {
        let found = self.pending.get_mut(key).map(|found| &mut found.work);
        let Some(Work::Splice(chain)) = found else { return };
        match stage {
            HEAD => chain.head = result,
            FILL => chain.filled = result,
            _ => chain.drained = result,
        }
        chain.left -= 1;
        if chain.left > 0 {
            return;
        }
        if let Some(Operation { token, work: Work::Splice(chain) }) = self.pending.remove(key) {
            self.pipes.busy -= 1;
            self.end_splice(token, *chain);
            self.splice_waiting();
        }
    }

    /// Those that wait for a pipe, as far as there are any.
    fn splice_waiting(&mut self) {
        while self.pipes.busy == 0 || !self.pipes.free.is_empty() {
            let Some((token, send)) = self.pipes.waiting.pop_front() else { return };
            self.room_for_file(token, send, 0);
        }
    }

    fn end_splice(&mut self, token: Token, chain: Chain) {
        let Chain { send, pipe, head, filled, drained, .. } = chain;
        let count = |result: i32| usize::try_from(result).unwrap_or(0);
        let went = count(head) + count(drained);
        let in_pipe = count(filled).saturating_sub(count(drained));
        let socket = self.sockets.get_mut(send.socket.0).filter(|it| it.closing.is_none());
        let is_full = in_pipe > 0 && (drained >= 0 || drained == -libc::EAGAIN);
        match socket {
            _ if in_pipe == 0 => self.pipes.free.push(pipe),
            Some(socket) if !self.ending => {
                // What follows waits until the socket has room again.
                socket.full = is_full;
                let at = send.piece.at + count(drained) as u64;
                let piece = Piece { at, bytes: in_pipe };
                socket.kept = Some(Kept { pipe, file: send.file, piece });
            }
            _ => self.pipes.made -= 1,
        }
        if went > 0 {
            self.tallies.file_sends += 1;
            self.tallies.spliced += 1;
            return self.end_send_file(token, send, Ok(went));
        }
        let closing = self.sockets.get_mut(send.socket.0).is_none_or(|it| it.closing.is_some());
        if closing || self.ending {
            let cancelled = io::Error::from_raw_os_error(libc::ECANCELED);
            return self.end_send_file(token, send, Err(cancelled));
        }
        // Nothing went: because of the head, or of the file, or of the socket.
        let broken = match () {
            () if has_head(&send) && head < 0 => head,
            // The disk, or a file that was cut: the other way finds out which.
            () if filled <= 0 => return self.try_send_file(token, send),
            () => drained,
        };
        match broken {
            full if full == 0 || full == -libc::EAGAIN || full == -libc::EINTR => {
                self.poll_for_room(token, send);
            }
            // Short from the file: what the pipe has goes, and the rest is asked for again.
            short if short == -libc::ECANCELED => self.splice(token, send),
            _ => self.end_send_file(token, send, Err(io::Error::from_raw_os_error(-broken))),
        }
    }

    /// Opens the file a second time, through the page cache, and goes on with `send` then.
    fn open_cached(&mut self, token: Token, send: FileSend) {
        let file = self.files.get_mut(send.file.0).map(|file| file.file.as_raw_fd());
        let path = file.and_then(|file| CString::new(format!("/proc/self/fd/{file}")).ok());
        let Some(path) = path else { return self.try_send_file(token, send) };
        let entry = super::start::open_entry(&path, false);
        let key = self.pending.insert(token, Work::OpenCached { path, send: Box::new(send) });
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    pub(super) fn complete_open_cached(&mut self, token: Token, send: FileSend, result: i32) {
        if result >= 0 {
            // SAFETY: needed to own what the kernel opened for us. `result` is the non-negative
            // result of an open, reported once, and nothing else here has been told of it.
            let opened = unsafe { OwnedFd::from_raw_fd(result) };
            self.keep_cached(send.file, opened);
        }
        let can = self.files.get_mut(send.file.0).is_some_and(|file| file.cached.is_some());
        if can { self.room_for_file(token, send, 0) } else { self.try_send_file(token, send) }
    }

    /// As `OpenFile::cached` does it: reads are random, so that nothing comes in that nobody asked
    /// for.
    fn keep_cached(&mut self, id: FileId, opened: OwnedFd) {
        match self.files.get_mut(id.0).filter(|file| file.cached.is_none()) {
            Some(file) => {
                let descriptor = types::Fd(opened.as_raw_fd());
                let advice = opcode::Fadvise::new(descriptor, 0, libc::POSIX_FADV_RANDOM).build();
                file.cached = Some(opened);
                // Ahead of whatever reads through it.
                if let Err(entry) = self.push(advice.user_data(UNATTENDED)) {
                    self.later.push_front(entry);
                }
            }
            // Another send was faster.
            None => self.close_later(opened),
        }
    }

    /// Closes what nobody waits for.
    pub(super) fn close_later(&mut self, descriptor: OwnedFd) {
        let entry = opcode::Close::new(types::Fd(descriptor.into_raw_fd())).build();
        self.later.push_back(entry.user_data(UNATTENDED));
    }
}

fn has_head(send: &FileSend) -> bool {
    send.head.as_ref().is_some_and(|head| !head.range.is_empty())
}
