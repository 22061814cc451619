//! What moves on the wires: accepts, receives, sends, ends. Each is offered when it becomes
//! possible and happens a moment later, unless something else made it impossible by then.
//! It decides nothing about when; chance and the weather do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use oca_sys::{Accepted, Event, Lending, SocketId};

use super::{ECANCELED, Happening, POISON, World};
use crate::network::{End, Receiving, Sent};
use crate::weather::happens;

const ECONNRESET: i32 = 104;
const EPIPE: i32 = 32;
const EMFILE: i32 = 24;

impl World {
    pub(crate) fn offer_accept(&mut self) {
        let room = self.sockets < self.weather.sockets_max;
        if self.accepting.is_some() && room && !self.accept_due && !self.backlog.is_empty() {
            self.accept_due = true;
            self.soon(Happening::Accepts);
        }
    }

    pub(super) fn accepts(&mut self) {
        self.accept_due = false;
        let Some(token) = self.accepting else { return };
        if happens(&mut self.random, self.weather.accept_error) {
            let error = io::Error::from_raw_os_error(EMFILE);
            self.tell(token, Event::Accepted(Err(error)));
        } else if let Some(wire) = self.backlog.pop_front() {
            self.sockets += 1;
            let peer = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 10_000 + wire as u16));
            let accepted = Accepted { socket: SocketId(wire), peer };
            self.tell(token, Event::Accepted(Ok(accepted)));
        }
        self.offer_accept();
    }

    pub(crate) fn offer_receive(&mut self, wire: u32) {
        let offered = self.wire(wire);
        if offered.can_receive() && !offered.receive_due {
            offered.receive_due = true;
            self.soon(Happening::Receives(wire));
        }
    }

    pub(crate) fn offer_send(&mut self, wire: u32) {
        let offered = self.wire(wire);
        if offered.can_send() && !offered.send_due {
            offered.send_due = true;
            self.soon(Happening::Sends(wire));
        }
    }

    pub(crate) fn offer_close(&mut self, wire: u32) {
        if self.wire(wire).can_close() {
            self.soon(Happening::Closes(wire));
        }
    }

    pub(super) fn receives(&mut self, id: u32) {
        let short = happens(&mut self.random, self.weather.short_receive);
        let cut = self.random.usize(1..=64);
        let wire = self.wire(id);
        wire.receive_due = false;
        if !wire.can_receive() {
            return;
        }
        let Some(receiving) = wire.receiving.take() else { return };
        let ended = if wire.closing.is_some() {
            Some(Err(io::Error::from_raw_os_error(ECANCELED)))
        } else if wire.client == End::Reset {
            Some(Err(io::Error::from_raw_os_error(ECONNRESET)))
        } else {
            wire.to_server.is_empty().then_some(Ok(()))
        };
        let is_lent = receiving.into.is_some();
        let Some(mut into) = receiving.into.or_else(|| self.receive_pool.take()) else {
            let token = receiving.token;
            match ended {
                Some(ended) => self.tell(token, Event::ReceiveEnded(ended)),
                // No free buffer: it goes on when one is.
                None => {
                    let wire = self.wire(id);
                    wire.receiving = Some(Receiving { token, into: None });
                    wire.receive_due = true;
                    return self.soon(Happening::Receives(id));
                }
            }
            return self.offer_close(id);
        };
        let event = match ended {
            Some(ended) if is_lent => Event::Received(ended.map(|()| 0), into),
            Some(ended) => Event::ReceiveEnded(ended),
            None => {
                let wire = self.wire(id);
                let mut got = wire.to_server.len().min(into.len());
                if short {
                    got = got.min(cut);
                }
                for (to, from) in into.iter_mut().zip(wire.to_server.drain(..got)) {
                    *to = from;
                }
                Event::Received(Ok(got), into)
            }
        };
        self.tell(receiving.token, event);
        self.offer_close(id);
    }

    pub(super) fn sends(&mut self, id: u32) {
        let short = happens(&mut self.random, self.weather.short_send);
        let cut = self.random.usize(1..=2000);
        let forgetful = self.weather.forgets_loans;
        let wire = self.wire(id);
        wire.send_due = false;
        if !wire.can_send() {
            return;
        }
        let Some(sending) = wire.sending.take() else { return };
        let answer = if wire.closing.is_some() {
            Err(io::Error::from_raw_os_error(ECANCELED))
        } else if matches!(wire.client, End::Gone | End::Reset) {
            Err(io::Error::from_raw_os_error(EPIPE))
        } else {
            let bytes = sending.what.bytes();
            let room = wire.room_max - wire.to_client.len();
            let mut sent = bytes.len().min(room);
            if short {
                sent = sent.min(cut);
            }
            match &sending.what {
                Sent::Lent(from, range) => {
                    let range = range.start..range.start + sent;
                    wire.loans.lend(sending.token, (from, range), forgetful);
                    wire.to_client.extend(std::iter::repeat_n(POISON, sent));
                }
                _ => {
                    wire.loans.pass(sent);
                    wire.to_client.extend(&bytes[..sent]);
                }
            }
            Ok(sent)
        };
        if let (Sent::Chain(chain), Ok(sent)) = (&sending.what, &answer) {
            let rest = chain.rest(*sent);
            self.keep_rest(id, rest);
        }
        // A send that lends and failed has its memory back at once.
        let unlent = match &sending.what {
            Sent::Lent(from, _) if answer.is_err() => Some(Rc::clone(from)),
            _ => None,
        };
        let token = sending.token;
        self.tell(token, sending.what.into_event(answer));
        if let Some(from) = unlent {
            self.tell(token, Event::Returned(Lending::Nothing, from));
        }
        self.acknowledge(id);
        self.soon(Happening::ClientWakes(id as usize - 1));
        self.offer_close(id);
    }

    pub(super) fn shuts_down(&mut self, id: u32) {
        let wire = self.wire(id);
        let Some(token) = wire.shutting.take() else { return };
        let reset = wire.client == End::Reset;
        wire.server = End::Finished;
        let answer = if reset { Err(io::Error::from(io::ErrorKind::NotConnected)) } else { Ok(()) };
        self.tell(token, Event::ShutDown(answer));
        self.soon(Happening::ClientWakes(id as usize - 1));
        self.offer_close(id);
    }

    pub(super) fn closes(&mut self, id: u32) {
        let wire = self.wire(id);
        if !wire.can_close() {
            return;
        }
        let Some(token) = wire.closing.take() else { return };
        wire.closed_by_server();
        self.sockets -= 1;
        self.tell(token, Event::SocketClosed);
        self.acknowledge(id);
        self.watch_orphan(id);
        self.soon(Happening::ClientWakes(id as usize - 1));
        self.offer_accept();
    }
}
