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
//! A chain is as long as what such a socket took before: what does not find room is in the pipe.
//! It stays there with the socket, and the next send of the same file from there on begins with it.
//! Pages in a pipe are held, so they are still those that were asked for. Pipes are few, and a
//! paced socket has room again after a second: where many keep one, the others' are emptied (see
//! `pipes`) and what was in them is asked for again.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};

use super::pending::{Operation, Work};
use super::pipes::{Kept, PIPE_BYTES, Pipe};
use super::send_file::FileSend;
use super::{RingKernel, UNATTENDED};
use crate::kernel::{FileId, Piece, Token};

/// Most bytes of a chain: a piece may begin and end within a page, which then counts whole.
const CHAIN_BYTES_MAX: usize = PIPE_BYTES - 2 * 4096;
/// Least that is offered to a socket, bytes: what has room for less tells of it late.
const OFFER_BYTES_MIN: usize = 16 << 10;
/// Offers that a socket takes whole before it is offered more: what it leaves costs a pipe a while.
const TAKEN_BEFORE_MORE: u8 = 4;
/// The kernel's threads for chains, each ring: they copy nothing and wait for nobody.
const THREADS_MAX: u32 = 4;

/// Where in the chain an entry is, in the upper half of its `user_data`.
const HEAD: u64 = 1 << 32;
const FILL: u64 = 2 << 32;
const DRAIN: u64 = 3 << 32;

/// How much a socket is offered at once, bytes, as it took it before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers {
    /// At the start of an answer, when the socket is empty as a rule.
    first: usize,
    /// In the middle of one, when it has just told of room.
    next: usize,
    /// Offers in a row that were taken whole.
    taken: u8,
}

impl Default for Offers {
    fn default() -> Self {
        Self { first: CHAIN_BYTES_MAX, next: CHAIN_BYTES_MAX, taken: 0 }
    }
}

impl Offers {
    fn of(&mut self, send: &FileSend) -> &mut usize {
        if has_head(send) { &mut self.first } else { &mut self.next }
    }

    /// `offered` bytes were, and `took` of them found room. Answers whether there is likely no room
    /// for more: all of them did, and they were what it took before.
    fn learn(&mut self, send: &FileSend, offered: usize, took: usize) -> bool {
        let taken = self.taken;
        let offer = self.of(send);
        if took < offered {
            *offer = took.max(OFFER_BYTES_MIN);
            self.taken = 0;
            return true;
        }
        if offered < *offer || *offer == CHAIN_BYTES_MAX {
            return false;
        }
        if taken + 1 == TAKEN_BEFORE_MORE {
            *offer = (*offer + *offer / 8).min(CHAIN_BYTES_MAX);
        }
        self.taken = (taken + 1) % TAKEN_BEFORE_MORE;
        true
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
                self.pipes.take_kept();
                let filled = i32::try_from(piece.bytes).unwrap_or(i32::MAX);
                return self.chain(token, send, pipe, piece.bytes, Some(filled));
            }
            kept => self.forget_kept(kept),
        }
        let bytes = self.bytes_there(&send);
        if bytes == 0 {
            return self.try_send_file(token, send);
        }
        match self.pipes.take() {
            Some(pipe) => self.chain(token, send, pipe, bytes, None),
            None if self.pipes.may_come() => self.pipes.waiting.push_back((token, send)),
            None => self.try_send_file(token, send),
        }
    }

    /// How many bytes of the piece a chain may take, by what the socket took before: those of a
    /// trusted file all, others those that are in the page cache.
    fn bytes_there(&mut self, send: &FileSend) -> usize {
        let now = self.now;
        let socket = self.sockets.get_mut(send.socket.0);
        let offer = socket.map_or(CHAIN_BYTES_MAX, |socket| *socket.offers.of(send));
        let piece = Piece { bytes: send.piece.bytes.min(offer), ..send.piece };
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
            // What is in the pipe was not said to have gone.
            self.pipes.lose(chain.pipe);
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
            self.end_splice(token, *chain);
        }
    }

    /// Those that wait for a pipe, as far as there are any: before each wait, when the chains that
    /// ended have given theirs back.
    pub(super) fn splice_waiting(&mut self) {
        let waiting = self.pipes.waiting.len();
        for _ in 0..waiting {
            if !self.pipes.prepare() {
                return;
            }
            let Some((token, send)) = self.pipes.waiting.pop_front() else { return };
            self.room_for_file(token, send, 0);
        }
    }

    fn end_splice(&mut self, token: Token, chain: Chain) {
        let Chain { send, pipe, wanted, head, filled, drained, .. } = chain;
        let count = |result: i32| usize::try_from(result).unwrap_or(0);
        let went = count(head) + count(drained);
        let in_pipe = count(filled).saturating_sub(count(drained));
        // Anything else says nothing about room.
        let is_told = filled > 0 && (drained >= 0 || drained == -libc::EAGAIN);
        let socket = self.sockets.get_mut(send.socket.0).filter(|it| it.closing.is_none());
        let mut keeps = None;
        if let Some(socket) = socket {
            if is_told {
                // What follows waits until the socket has room again.
                socket.full = socket.offers.learn(&send, wanted, count(drained));
            }
            // Asked for again, a file that was short would be short again: that is kept always.
            let may_keep = self.pipes.may_keep() || drained == -libc::ECANCELED;
            keeps = Some(socket).filter(|_| may_keep && !self.ending);
        }
        match keeps {
            _ if in_pipe == 0 => self.pipes.give_back(pipe),
            Some(socket) => {
                let at = send.piece.at + count(drained) as u64;
                let piece = Piece { at, bytes: in_pipe };
                socket.kept = Some(Kept { pipe, file: send.file, piece });
                self.pipes.keep();
            }
            None => self.empty_pipe(pipe, in_pipe),
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
        // Its path is a link of the kernel's own, to the very file.
        let how = super::start::Opening { follows: true, direct: false };
        let entry = super::start::open_entry(&path, how);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::SocketId;

    fn send(bytes: usize) -> FileSend {
        let piece = Piece { at: 0, bytes };
        FileSend { socket: SocketId(0), head: None, file: FileId(0), piece, more: false }
    }

    #[test]
    fn a_socket_is_offered_what_it_took_and_now_and_then_a_little_more() {
        let (mut offers, send) = (Offers::default(), send(1 << 20));
        assert!(!offers.learn(&send, CHAIN_BYTES_MAX, CHAIN_BYTES_MAX), "nothing is known of it");
        assert!(offers.learn(&send, CHAIN_BYTES_MAX, 160_000), "it is full");
        assert_eq!(*offers.of(&send), 160_000);
        assert!(!offers.learn(&send, 40_000, 40_000), "the end of an answer says nothing");
        assert_eq!(*offers.of(&send), 160_000);
        for _ in 0..TAKEN_BEFORE_MORE {
            assert_eq!(*offers.of(&send), 160_000);
            assert!(offers.learn(&send, 160_000, 160_000), "it is full again, most likely");
        }
        assert_eq!(*offers.of(&send), 180_000);
        assert!(offers.learn(&send, 180_000, 0));
        assert_eq!(*offers.of(&send), OFFER_BYTES_MIN, "never nothing");
        assert_eq!(offers.first, CHAIN_BYTES_MAX, "that of an answer's start is another");
        for _ in 0..400 {
            let offered = *offers.of(&send);
            offers.learn(&send, offered, offered);
        }
        assert_eq!(*offers.of(&send), CHAIN_BYTES_MAX, "a socket that grew is found out");
    }
}
