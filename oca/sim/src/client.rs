//! The other end of the wire: what a simulated client is, and what it may do when it wakes.
//! It never sees the server, only bytes, ends and resets.

use fastrand::Rng;

use crate::agenda::Moment;
use crate::answer::Complaint;
use crate::network::{End, take_front};
use crate::tls::ClientTls;
use crate::world::{Happening, World};

/// A scripted peer. It acts only when woken: after a moment it asked for, or when bytes arrive.
pub trait Client {
    /// Does what there is to do at this moment.
    fn wake(&mut self, side: &mut ClientSide<'_>);

    /// Whether it wants nothing more, ever.
    fn is_done(&self) -> bool;

    /// Whether the server owes it every answer.
    fn is_polite(&self) -> bool;

    /// What the server owed it and did not deliver, or delivered wrongly, if anything.
    fn complaint(&self) -> Option<&Complaint>;

    /// Where it stands, for a run that does not come to rest.
    fn describe(&self) -> String;

    /// Longest wait from the last byte of a request to the first of its answer, nanoseconds.
    fn longest_wait(&self) -> Moment {
        0
    }

    /// Whether it speaks HTTP/2 from its first byte on.
    fn speaks_h2(&self) -> bool {
        false
    }

    /// Answers that came in full.
    fn answers(&self) -> usize;
}

/// What the client can tell about the server's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEnd {
    /// It may send more.
    Open,
    /// It said its last byte.
    Finished,
    /// It tore the connection down; bytes may be lost.
    Reset,
}

/// One client's hands, lent for one wake.
pub struct ClientSide<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) client: usize,
    pub(crate) wire: u32,
    /// Absent: the wire is clear.
    pub(crate) tls: &'w mut Option<ClientTls>,
}

impl ClientSide<'_> {
    /// Virtual time, nanoseconds.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.world.now
    }

    /// The run's one source of chance.
    pub fn random(&mut self) -> &mut Rng {
        &mut self.world.random
    }

    /// Takes at most `max` bytes off the wire; answers what they say in clear.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        let wire = self.world.wire(self.wire);
        let got = max.min(wire.to_client.len());
        wire.loans.fetch(&mut wire.to_client, got);
        let bytes = take_front(&mut wire.to_client, got);
        self.world.acknowledge(self.wire);
        self.world.offer_send(self.wire);
        let Some(tls) = self.tls.as_mut() else { return bytes };
        tls.take(&bytes);
        let clear = tls.read();
        self.flush();
        clear
    }

    /// Bytes that have arrived and were not read.
    #[must_use]
    pub fn arrived(&mut self) -> usize {
        let clear = self.tls.as_ref().map_or(0, ClientTls::waiting);
        clear + self.world.wire(self.wire).to_client.len()
    }

    /// What the server said that is not TLS, when it should be.
    #[must_use]
    pub fn tls_trouble(&self) -> Option<&str> {
        self.tls.as_ref()?.trouble()
    }

    /// Whether keys are still being agreed on, and what was sent still waits for them.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(ClientTls::is_handshaking)
    }

    /// How far the server has gone, once every arrived byte is read.
    pub fn server_end(&mut self) -> ServerEnd {
        let wire = self.world.wire(self.wire);
        match wire.server {
            End::Reset => ServerEnd::Reset,
            End::Finished | End::Gone if wire.to_client.is_empty() => ServerEnd::Finished,
            _ => ServerEnd::Open,
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.tls.as_mut() {
            Some(tls) => {
                tls.send(bytes);
                self.flush();
            }
            None => self.put(bytes),
        }
    }

    /// Says the last byte.
    pub fn finish(&mut self) {
        if let Some(tls) = self.tls.as_mut() {
            tls.finish();
            self.flush();
        }
        let wire = self.world.wire(self.wire);
        if wire.client == End::Open {
            wire.client = End::Finished;
        }
        self.world.offer_receive(self.wire);
    }

    fn flush(&mut self) {
        let bytes = self.tls.as_mut().map(ClientTls::output).unwrap_or_default();
        if !bytes.is_empty() {
            self.put(&bytes);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let wire = self.world.wire(self.wire);
        if wire.server == End::Gone {
            // The peer's kernel answers with a reset.
            wire.server = End::Reset;
        } else if wire.client == End::Open {
            wire.to_server.extend(bytes);
        }
        self.world.offer_receive(self.wire);
    }

    /// Tears the connection down.
    pub fn reset(&mut self) {
        self.world.wire(self.wire).reset_by_client();
        self.world.acknowledge(self.wire);
        self.world.offer_receive(self.wire);
        self.world.offer_send(self.wire);
    }

    /// Wakes again after `nanos`, even if nothing arrives.
    pub fn wake_after(&mut self, nanos: Moment) {
        let what = Happening::ClientWakes(self.client);
        self.world.later(nanos.max(1), what);
    }
}
