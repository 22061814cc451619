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
//! io_uring has no sendfile: its splice goes through a thread pool (see `splice` for who does not
//! mind), and a send copies. The system call is made between two enters, at most once for each
//! operation and poll, so that no connection keeps the others waiting.
//!
//! sendfile(2) asks the descriptor, not its caller, whether it may wait, so the socket is switched
//! to non-blocking for it. On some kernels the ring's own operations then end with EAGAIN instead
//! of waiting in the ring: from the first time that one does, sockets are switched back for them.
//!
//! A congestion control that paces (BBR) lets a packet go and holds back the next for as long as
//! the first should take on the wire: microseconds on the loopback, where a packet is 64 KiB, and
//! yet a timer is set, fires and is served for them, which costs more than the sending. An answer
//! of 64 KiB and a head is two packets, so it would have one. Sent the other way round, with what
//! does not fill a packet in front, the second may go at once. Of a long answer, a few full packets
//! go at a time, in turns with other connections: until its next turn the hold is over by itself.
//! Everything at once costs half as much again, and a timer for each packet.

use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use io_uring::{opcode, types};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::complete::RESIDENT_NS;
use super::pace::UNPACED;
use super::pending::Work;
use super::{RingKernel, Socket};
use crate::kernel::{Event, FileId, Head, Nanos, Piece, SocketId, Token};

/// Most bytes of a file in one system call: what a fast socket takes before the next connection's
/// turn. A whole segment, as a rule: its pages and its reader's cache are then used once, together.
const BYTES_PER_CALL_MAX: usize = 4 << 20;

/// Bytes of content that a packet may have at most before the kernel cuts it into segments: 64 KiB
/// less the largest headers.
const PACKET_BYTES_MAX: usize = 65_536 - 1 - 320;
/// What a packet holds as long as nobody has asked; shorter answers are not worth asking for.
pub(super) const LEAST_PACKET: usize = 32 << 10;
/// Packets in a turn of a long answer. With one, calls cost more than timers did; from four on,
/// there are timers again.
const TURN_PACKETS: usize = 3;
/// Less than that ahead of a connection, and it asks what is resident once more.
const SEEN_BYTES_MIN: u64 = 256 << 10;
/// Most bytes that go in front of full packets: their wait is over before the next call.
const ODD_BYTES_MAX: usize = 8 * 1024;
/// Packets from which on a timer more or less does not matter.
const ODD_PACKETS_MAX: usize = 4;
/// A page of a file, which is cut only where it must be.
const PAGE_BYTES: u64 = 4096;

/// A send from the page cache, from its submission to its event.
#[derive(Debug)]
pub(super) struct FileSend {
    pub(super) socket: SocketId,
    pub(super) head: Option<Head>,
    pub(super) file: FileId,
    pub(super) piece: Piece,
    pub(super) more: bool,
}

/// The pages in front of a connection that were resident when it last asked. Kept for each of them,
/// because many read one file at many places.
#[derive(Debug)]
pub(super) struct Seen {
    file: FileId,
    run: Range<u64>,
    asked_at: Nanos,
}

impl Seen {
    fn now(file: FileId, at: u64, bytes: usize, asked_at: Nanos) -> Self {
        Self { file, run: at..at.saturating_add(bytes as u64), asked_at }
    }

    /// How much of `wanted` is known to be there, from its first byte on; 0: better asked again.
    fn covers(&self, file: FileId, wanted: Piece, now: Nanos) -> usize {
        let known = self.run.end.saturating_sub(wanted.at);
        let is_known = self.file == file
            && now.since(self.asked_at) <= RESIDENT_NS
            && self.run.start <= wanted.at
            && known >= SEEN_BYTES_MIN.min(wanted.bytes as u64);
        if is_known { usize::try_from(known).unwrap_or(usize::MAX).min(wanted.bytes) } else { 0 }
    }
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
        self.send_file_its_way(token, send);
    }

    /// What nobody waits for goes by the ring alone.
    fn send_file_its_way(&mut self, token: Token, send: FileSend) {
        let socket = self.sockets.get_mut(send.socket.0);
        if socket.is_some_and(|socket| socket.unsent_max < UNPACED) {
            self.splice(token, send);
        } else {
            self.try_send_file(token, send);
        }
    }

    /// The socket has room, or something happened to it, or the poll was cancelled.
    pub(super) fn room_for_file(&mut self, token: Token, send: FileSend, result: i32) {
        let closing = self.sockets.get_mut(send.socket.0).is_none_or(|it| it.closing.is_some());
        if result < 0 || closing || self.ending {
            let code = if result < 0 { -result } else { libc::ECANCELED };
            return self.end_send_file(token, send, Err(io::Error::from_raw_os_error(code)));
        }
        self.send_file_its_way(token, send);
    }

    pub(super) fn try_send_file(&mut self, token: Token, mut send: FileSend) {
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
        let socket = self.sockets.get_mut(send.socket.0).ok_or_else(gone)?;
        let wanted = Piece { bytes: send.piece.bytes.min(BYTES_PER_CALL_MAX), ..send.piece };
        let seen = socket.seen.as_ref().map_or(0, |seen| seen.covers(send.file, wanted, self.now));
        let resident = if seen > 0 {
            seen
        } else {
            let resident = file.resident(wanted, self.now)?;
            socket.seen = Some(Seen::now(send.file, wanted.at, resident, self.now));
            resident
        };
        let cached = file.cached()?;
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
        let piece = Piece { at: send.piece.at, bytes: resident };
        let Turn { bytes: offered, odd } = match &mut socket.held_packet {
            Some(packet) => {
                if went > 0 && resident >= LEAST_PACKET {
                    *packet = packet_to(&socket.stream).unwrap_or(LEAST_PACKET);
                }
                turn(*packet, went, piece)
            }
            None => Turn { bytes: resident, odd: 0 },
        };
        let piece = Piece { bytes: offered, ..piece };
        let sent = match send_pieces(socket.stream.as_fd(), cached, piece, odd) {
            // The head went; what is wrong with the socket shows at the next try.
            Err(_) if went > 0 => 0,
            sent => sent?,
        };
        self.tallies.file_sends += 1;
        if went + sent == 0 {
            return Ok(Tried::Full);
        }
        Ok(Tried::Went { bytes: went + sent, full: sent < offered })
    }

    pub(super) fn poll_for_room(&mut self, token: Token, send: FileSend) {
        let Some(socket) = self.sockets.get_mut(send.socket.0) else {
            return self.fail_send_file(token, send, libc::EBADF);
        };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::PollAdd::new(descriptor, libc::POLLOUT as u32).build();
        let key = self.pending.insert(token, Work::SendFile(Box::new(send)));
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    /// Ends an operation that socket and file know of.
    pub(super) fn end_send_file(
        &mut self,
        token: Token,
        send: FileSend,
        result: io::Result<usize>,
    ) {
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
    pub(super) fn be_non_blocking(&mut self) -> io::Result<()> {
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

/// What a connection whose packets are held back sends at a time.
#[derive(Debug, PartialEq, Eq)]
struct Turn {
    /// Bytes of the piece.
    bytes: usize,
    /// How many of them go in front, in a call of their own; 0: none.
    odd: usize,
}

/// Content of a full packet to the peer: as many segments as fit, of which one may be larger than
/// that. It grows with the peer's window in the first answers, so it is asked for at each.
fn packet_to(stream: &TcpStream) -> Option<usize> {
    use nix::sys::socket::{getsockopt, sockopt::TcpMaxSeg};
    Some(packet_of(usize::try_from(getsockopt(stream, TcpMaxSeg).ok()?).ok()?))
}

fn packet_of(segment: usize) -> usize {
    let segment = segment.max(1);
    (PACKET_BYTES_MAX / segment).max(1) * segment
}

/// The turn of `piece`, behind `head` bytes, where a packet holds `packet` bytes.
fn turn(packet: usize, head: usize, piece: Piece) -> Turn {
    let whole = head + piece.bytes;
    let (packets, odd) = (whole / packet, whole % packet);
    if packets > ODD_PACKETS_MAX || (packets == ODD_PACKETS_MAX && odd > ODD_BYTES_MAX) {
        let most = (TURN_PACKETS * packet).saturating_sub(head).max(packet);
        return Turn { bytes: piece.bytes.min(most), odd: 0 };
    }
    if head == 0 || packets == 0 || odd > ODD_BYTES_MAX {
        return Turn { bytes: piece.bytes, odd: 0 };
    }
    // To the end of a page, so that no page is in two packets.
    let least = piece.at.saturating_add(odd.saturating_sub(head).max(1) as u64);
    let odd = usize::try_from(least.next_multiple_of(PAGE_BYTES) - piece.at).unwrap_or(0);
    Turn { bytes: piece.bytes, odd }
}

/// The first `odd` bytes, then the others; less when there is no room.
fn send_pieces(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    Piece { at, bytes }: Piece,
    odd: usize,
) -> io::Result<usize> {
    if odd == 0 || odd >= bytes {
        return send_file_now(socket, file, at, bytes);
    }
    let first = send_file_now(socket, file, at, odd)?;
    if first < odd {
        return Ok(first);
    }
    // What is wrong with the socket shows at the next try.
    Ok(first + send_file_now(socket, file, at + odd as u64, bytes - odd).unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Of the loopback.
    const PACKET: usize = 65_483;

    fn odd(head: usize, at: u64, bytes: usize) -> usize {
        let turn = turn(PACKET, head, Piece { at, bytes });
        assert!(turn.odd == 0 || turn.bytes == bytes, "{turn:?}");
        turn.odd
    }

    #[test]
    fn only_what_does_not_fill_a_packet_goes_in_front() {
        assert_eq!(odd(700, 0, 64 << 10), 4096, "to the end of the page");
        assert_eq!(odd(700, 4000, 64 << 10), 96, "the rest of it is enough");
        assert_eq!(odd(700, 4090, 64 << 10), 6 + 4096, "and here it is not");
        assert_eq!(odd(700, 0, 60 << 10), 0, "one packet");
        assert_eq!(odd(700, 0, 100 << 10), 0, "too much to go in front");
        assert_eq!(odd(700, 0, 4 << 20), 0, "many packets");
        assert_eq!(odd(0, 0, 64 << 10), 0, "in the middle of an answer");
        for bytes in 1..200_000 {
            let odd = odd(700, 5000, bytes);
            assert!(odd < bytes && odd <= ODD_BYTES_MAX + PAGE_BYTES as usize, "{bytes}: {odd}");
        }
    }

    #[test]
    fn a_long_answer_goes_in_turns_of_full_packets() {
        let (mut at, mut left, mut head) = (0, 4 << 20, 400);
        let mut turns = 0;
        while left > 0 {
            let turn = turn(PACKET, head, Piece { at, bytes: left });
            assert!(turn.odd == 0 && turn.bytes > 0 && turn.bytes <= left, "{turn:?} of {left}");
            let is_last = turn.bytes == left;
            assert!(is_last || (head + turn.bytes).is_multiple_of(PACKET), "{turn:?}");
            assert!(turn.bytes <= (ODD_PACKETS_MAX + 1) * PACKET, "{turn:?}");
            (at, left, head) = (at + turn.bytes as u64, left - turn.bytes, 0);
            turns += 1;
        }
        assert!((20..=22).contains(&turns), "{turns}");
        let whole = Turn { bytes: 100_000, odd: 0 };
        assert_eq!(turn(PACKET, 0, Piece { at: 0, bytes: 100_000 }), whole);
        let long_head = turn(1448, 6000, Piece { at: 0, bytes: 1 << 20 });
        assert_eq!(long_head, Turn { bytes: 1448, odd: 0 }, "something of the file goes, too");
    }

    #[test]
    fn what_a_connection_has_seen_is_believed_for_a_moment_and_as_far_as_it_goes() {
        let (file, other) = (FileId(1), FileId(2));
        let (now, soon) = (Nanos(1_000), Nanos(1_000 + RESIDENT_NS));
        let seen = Seen::now(file, 1 << 20, 4 << 20, now);
        let at = |at: u64, bytes| Piece { at, bytes };
        assert_eq!(seen.covers(file, at(1 << 20, 4 << 20), soon), 4 << 20);
        assert_eq!(seen.covers(file, at(2 << 20, 4 << 20), soon), 3 << 20, "what is left of it");
        assert_eq!(seen.covers(file, at((5 << 20) - 1000, 4 << 20), soon), 0, "too little is left");
        assert_eq!(seen.covers(file, at((5 << 20) - 1000, 1000), soon), 1000, "the end of a body");
        assert_eq!(seen.covers(file, at(0, 1 << 20), soon), 0, "in front of it");
        assert_eq!(seen.covers(file, at(9 << 20, 1 << 20), soon), 0, "behind it");
        assert_eq!(seen.covers(other, at(1 << 20, 1 << 20), soon), 0, "another file");
        assert_eq!(seen.covers(file, at(1 << 20, 1 << 20), Nanos(soon.0 + 1)), 0, "too long ago");
    }

    #[test]
    fn a_packet_is_whole_segments() {
        assert_eq!(packet_of(65_483), 65_483, "the loopback's own");
        assert_eq!(packet_of(1448), 45 * 1448, "as on a network");
        assert_eq!(packet_of(0), PACKET_BYTES_MAX);
    }

    #[test]
    fn a_file_in_two_pieces_is_the_same_file() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut reader = TcpStream::connect(address).expect("connected");
        let (socket, _) = listener.accept().expect("accepted");
        socket.set_nonblocking(true).expect("non-blocking");
        let bytes: Vec<u8> = (0..80_000u32).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&bytes).expect("written");
        let piece = Piece { at: 5000, bytes: 66_000 };
        let sent = send_pieces(socket.as_fd(), file.as_file().as_fd(), piece, 3192).expect("sent");
        assert!(sent >= 3192, "{sent}");
        drop(socket);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("read");
        assert!(got == bytes[5000..5000 + sent], "{} bytes", got.len());
    }
}
