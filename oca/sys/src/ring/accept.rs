//! The life of one listener's accept.
//! It reads nothing from a connection and closes none that the server knows of.
//!
//! ```text
//! Idle -Accept-> Armed -StopAccepting-> Stopping -last completion-> Idle
//!                  |-table full-> Pausing -last completion-> Paused -room-> Armed
//!                  |-error-> Resting -after 100 ms-> Armed
//! ```
//! Pausing leaves further connections in the listener's backlog, where the peer's own time-out and
//! the network's retries look after them. Resting keeps an error that repeats at once, such as too
//! many open files, from filling every turn.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use io_uring::{cqueue, opcode, types};

use super::pace::UNPACED;
use super::pending::Work;
use super::send_file::LEAST_PACKET;
use super::splice::Offers;
use super::{RingKernel, Socket, UNATTENDED};
use crate::kernel::{Accepted, Event, ListenerId, Nanos, SocketId, Token};

/// How long after an error accepting is tried again.
const REST_MS: u64 = 100;

/// A listening socket and what its accept is doing.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    state: Accepting,
    /// Its connections pace what they send by timers of their own.
    paces: bool,
    /// Its connections come switched to non-blocking, as sends from files need them.
    non_blocking: bool,
    /// A new connection will end a patient wait; see `wait`.
    pub(super) hurries: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Idle,
    Armed { key: u32 },
    Pausing,
    Paused { token: Token },
    Resting { token: Token, until: Nanos },
    Stopping,
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        // A non-blocking listener would make the ring answer EAGAIN instead of waiting.
        socket.set_nonblocking(false)?;
        // Accepted sockets inherit it, which saves a system call for each connection.
        set_no_delay(&socket)?;
        let paces = paces(&socket);
        Ok(Self { socket, state: Accepting::Idle, paces, non_blocking: false, hurries: false })
    }

    /// Whether connections come in, and none of them would end a patient wait yet.
    pub(super) fn may_hurry(&self) -> bool {
        !self.hurries && matches!(self.state, Accepting::Armed { .. })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether the congestion control that connections inherit holds back what comes behind a full
/// packet. One that cannot be asked is taken as one that does not.
fn paces(socket: &TcpListener) -> bool {
    use nix::sys::socket::{getsockopt, sockopt::TcpCongestion};
    getsockopt(socket, TcpCongestion).is_ok_and(|name| name.to_string_lossy().starts_with("bbr"))
}

fn set_no_delay(socket: &TcpListener) -> io::Result<()> {
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::TcpNoDelay, &true)?;
    Ok(())
}

impl RingKernel {
    pub(super) fn start_accept(&mut self, token: Token, id: ListenerId) {
        let listener = id.0 as usize;
        match self.listeners.get(listener).map(|listener| listener.state) {
            Some(Accepting::Idle) => self.arm(listener, token),
            Some(_) => self.ready_accept_error(token, libc::EALREADY),
            None => self.ready_accept_error(token, libc::EBADF),
        }
    }

    pub(super) fn stop_accepting(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(id.0 as usize) else { return };
        match listener.state {
            Accepting::Idle | Accepting::Stopping => {}
            Accepting::Pausing => listener.state = Accepting::Stopping,
            Accepting::Paused { token } | Accepting::Resting { token, .. } => {
                listener.state = Accepting::Idle;
                self.ready_accept_error(token, libc::ECANCELED);
            }
            Accepting::Armed { key } => {
                listener.state = Accepting::Stopping;
                self.cancel_accept(key);
            }
        }
    }

    /// Called once a turn: resumes what rested or paused, pauses what would overflow the table.
    /// Answers `until`, or earlier if a rest ends before.
    pub(super) fn rest_accepts(&mut self, until: Option<Nanos>) -> Option<Nanos> {
        let full = self.sockets.len() >= self.config.sockets_max as usize;
        let mut earliest = until;
        for listener in 0..self.listeners.len() {
            match self.listeners.get(listener).map(|listener| listener.state) {
                Some(Accepting::Armed { key }) if full => {
                    self.set_state(listener, Accepting::Pausing);
                    self.cancel_accept(key);
                }
                Some(Accepting::Paused { token }) if !full => self.arm(listener, token),
                Some(Accepting::Resting { token, until }) if until <= self.now => {
                    self.arm(listener, token);
                }
                Some(Accepting::Resting { until, .. }) => {
                    earliest = Some(earliest.map_or(until, |earliest| earliest.min(until)));
                }
                _ => {}
            }
        }
        earliest
    }

    fn arm(&mut self, listener: usize, token: Token) {
        // Where the ring's own operations mind that, they are switched when they have to be.
        let non_blocking = !self.minds_non_blocking;
        let Some(found) = self.listeners.get_mut(listener) else { return };
        found.non_blocking = non_blocking;
        let descriptor = types::Fd(found.socket.as_raw_fd());
        let flags = libc::SOCK_CLOEXEC | if non_blocking { libc::SOCK_NONBLOCK } else { 0 };
        let entry = opcode::AcceptMulti::new(descriptor).flags(flags).build();
        let key = self.pending.insert(token, Work::Accept { listener });
        self.set_state(listener, Accepting::Armed { key });
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    fn cancel_accept(&mut self, key: u32) {
        let which = types::CancelBuilder::user_data(u64::from(key));
        let entry = opcode::AsyncCancel2::new(which).build();
        self.later.push_back(entry.user_data(UNATTENDED));
    }

    fn set_state(&mut self, listener: usize, state: Accepting) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.state = state;
        }
    }

    fn ready_accept_error(&mut self, token: Token, code: i32) {
        let error = io::Error::from_raw_os_error(code);
        self.ready(token, Event::Accepted(Err(error)));
    }

    /// One completion of an accept. Without the "more" flag it was the accept's last.
    pub(super) fn complete_accept(&mut self, key: u32, listener: usize, result: i32, flags: u32) {
        let Some(token) = self.pending.get_mut(key).map(|operation| operation.token) else {
            return;
        };
        if result >= 0 {
            self.adopt(token, listener, result);
        }
        if cqueue::more(flags) {
            return;
        }
        self.pending.remove(key);
        if self.ending {
            return;
        }
        match self.listeners.get(listener).map(|listener| listener.state) {
            Some(Accepting::Stopping) => {
                self.set_state(listener, Accepting::Idle);
                self.ready_accept_error(token, libc::ECANCELED);
            }
            Some(Accepting::Pausing) => self.set_state(listener, Accepting::Paused { token }),
            // The kernel ends a multishot accept when completions overflow, or for no reason.
            _ if result >= 0 => self.arm(listener, token),
            _ => {
                let until = self.now.plus_millis(REST_MS);
                self.set_state(listener, Accepting::Resting { token, until });
                self.ready_accept_error(token, -result);
            }
        }
    }

    fn adopt(&mut self, token: Token, listener: usize, descriptor: i32) {
        // SAFETY: needed to own what the kernel accepted for us. `descriptor` is the non-negative
        // result of an accept, reported once, and nothing else in this process has been told of it.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        if self.ending {
            return;
        }
        let stream = TcpStream::from(owned);
        // A peer that has already reset is nobody: the socket closes by dropping.
        let Ok(peer) = stream.peer_addr() else { return };
        let is_local = peer.ip().to_canonical().is_loopback();
        let Some(listener) = self.listeners.get(listener) else { return };
        let (paces, non_blocking) = (listener.paces, listener.non_blocking);
        let socket = Socket {
            stream,
            under_way: 0,
            closing: None,
            non_blocking,
            full: false,
            on_loan: 0,
            seen: None,
            held_packet: (is_local && paces).then_some(LEAST_PACKET),
            unsent_max: UNPACED,
            kept: None,
            offers: Offers::default(),
        };
        if let Ok(id) = self.sockets.insert(socket) {
            let socket = SocketId(id);
            self.ready(token, Event::Accepted(Ok(Accepted { socket, peer })));
        }
    }
}
