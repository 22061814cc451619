//! Sends that lend the memory they send from: the network reads it where it lies, and says when it
//! has no more use for it. Never lets go of a buffer before that, whatever became of the socket.
//!
//! ```text
//! SEND_ZC -> its end       -> Event::Sent, the buffer stays with the operation
//!         -> notification  -> Event::Returned(Used or Copied)
//! SEND_ZC -> its end, and no notification to come -> Event::Sent, Event::Returned(Nothing)
//! ```
//! The notification comes when the last byte was acknowledged, or when the kernel gives the
//! connection up. Nobody waits for it: an operation that ended holds its buffer and nothing else,
//! not its socket and no place among the operations that the server may have under way.
//!
//! A kernel (6.10 on) that joins a send to the last packet of the one before makes one notification
//! of two, and then says of the second that it was copied. A send that is longer than a packet has
//! one of its own, and of a shorter one the word is not taken.
//!
//! A buffer of the registered pool is lent by its registration, which costs the kernel no look at
//! page tables; any other has its pages pinned for this one send.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{cqueue, opcode, types};

use super::complete::outcome;
use super::pace::set;
use super::pending::Work;
use super::start::length;
use super::{RingKernel, Socket};
use crate::buffer::Buffer;
use crate::kernel::{Event, Lending, SocketId, Token};

/// Asks to be told, with the notification, what became of the memory (IORING_SEND_ZC_REPORT_USAGE).
pub(crate) const REPORT_USAGE: u16 = 1 << 3;
/// The answer, in the notification's result (IORING_NOTIF_USAGE_ZC_COPIED): some of it was copied.
const USAGE_COPIED: u32 = 1 << 31;
/// Longest content of a packet inside the kernel, bytes.
const PACKET_BYTES_MAX: usize = 65_536;
/// How long a peer may acknowledge nothing before the kernel forgets a socket that was given up
/// while its memory was lent, milliseconds: what is on its way to a slow reader still arrives, and
/// what is on its way to nobody comes back.
const ORPHAN_SILENCE_MS: u32 = 30_000;

/// A lending send, from its submission to the return of its memory.
#[derive(Debug)]
pub(super) struct LentSend {
    socket: SocketId,
    from: Rc<Buffer>,
    /// The send itself ended, with so many bytes: only the notification is to come.
    ended: Option<usize>,
    /// The notification came in front of the end: the two of a send that went at once may.
    noticed: Option<i32>,
}

/// What a notification says of a send of so many bytes.
fn lending_of(notice: i32, bytes: usize) -> Lending {
    match notice.cast_unsigned() & USAGE_COPIED {
        0 => Lending::Used,
        _ if bytes <= PACKET_BYTES_MAX => Lending::Unsure,
        _ => Lending::Copied,
    }
}

impl RingKernel {
    pub(super) fn start_send_lent(
        &mut self,
        token: Token,
        id: SocketId,
        from: Rc<Buffer>,
        range: Range<usize>,
        more: bool,
    ) {
        let fixed = self.fixed_reads.index_of(&self.chunk_pool, &from);
        let Some(bytes) = from.get(range).map(|part| (part.as_ptr(), length(part.len()))) else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "range outside the buffer");
            return self.fail_send_lent(token, error, from);
        };
        let socket = match self.usable(id) {
            Ok(socket) => socket,
            Err(error) => return self.fail_send_lent(token, error, from),
        };
        // On a non-blocking socket a full one would end it, with a notification besides.
        socket.be_blocking(true);
        socket.under_way += 1;
        let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        let descriptor = types::Fd(socket.stream.as_raw_fd());
        let entry = opcode::SendZc::new(descriptor, bytes.0, bytes.1)
            .flags(flags)
            .zc_flags(REPORT_USAGE)
            .buf_index(fixed)
            .build();
        let send = LentSend { socket: id, from, ended: None, noticed: None };
        self.begin(token, Work::SendLent(send), entry);
    }

    /// A send that never began: both of its events, as for any other.
    fn fail_send_lent(&mut self, token: Token, error: io::Error, from: Rc<Buffer>) {
        self.ready(token, Event::Sent(Err(error), Rc::clone(&from)));
        self.ready(token, Event::Returned(Lending::Nothing, from));
    }

    /// The send's end, or the notification behind it. Whichever is not followed by another takes
    /// the operation, and with it the buffer, out of the kernel's hands.
    pub(super) fn complete_send_lent(&mut self, key: u32, result: i32, flags: u32) {
        let is_notice = cqueue::notif(flags);
        let Some(operation) = self.pending.get_mut(key) else { return };
        let (token, Work::SendLent(send)) = (operation.token, &mut operation.work) else { return };
        let (id, from) = (send.socket, Rc::clone(&send.from));
        if is_notice {
            let Some(bytes) = send.ended else {
                send.noticed = Some(result);
                return;
            };
            let lending = lending_of(result, bytes);
            self.count_lending(lending);
            self.pending.remove(key);
            self.pending.return_lent();
            if let Some(socket) = self.sockets.get_mut(id.0) {
                socket.on_loan = socket.on_loan.saturating_sub(1);
            }
            return self.ready(token, Event::Returned(lending, from));
        }
        let bytes = usize::try_from(result).unwrap_or(0);
        send.ended = Some(bytes);
        let noticed = send.noticed.map(|notice| lending_of(notice, bytes));
        let returned = noticed.or((!cqueue::more(flags)).then_some(Lending::Nothing));
        self.ready(token, Event::Sent(outcome(result), Rc::clone(&from)));
        match returned {
            Some(lending) => {
                self.count_lending(lending);
                self.pending.remove(key);
                self.ready(token, Event::Returned(lending, from));
            }
            None => {
                self.pending.lend();
                if let Some(socket) = self.sockets.get_mut(id.0) {
                    socket.on_loan += 1;
                }
            }
        }
        self.leave_socket(id);
    }

    fn count_lending(&mut self, lending: Lending) {
        match lending {
            Lending::Used => self.tallies.zero_copy += 1,
            Lending::Copied | Lending::Unsure => self.tallies.zero_copy_copied += 1,
            Lending::Nothing => {}
        }
    }
}

impl Socket {
    /// The socket is about to be closed: from here on nobody but the kernel watches its peer.
    pub(super) fn bound_loans(&self) {
        if self.on_loan > 0 {
            // Refused, the kernel's own patience with a silent peer is the bound.
            let _ =
                set(&self.stream, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &ORPHAN_SILENCE_MS);
        }
    }
}
