//! When lent memory comes back: some time after its last byte was taken, or lost; in any order, and
//! also when the connection, or the socket, is long gone. It reads no memory itself.

use oca_sys::{Event, Lending};

use super::{Happening, World};
use crate::network::End;
use crate::weather::{SECOND, happens, latency};

/// How long a peer may take nothing before a socket that was given up is forgotten.
const ORPHAN_SILENCE: u64 = 30 * SECOND;

impl World {
    /// Bytes may have left the wire: what was lent for them comes back in a while.
    pub(crate) fn acknowledge(&mut self, wire: u32) {
        let (forgetful, notice_max) = (self.weather.forgets_loans, self.weather.notice_max);
        let it = self.wire(wire);
        // A kernel that forgets says so before anything was taken.
        let waiting = if forgetful { 0 } else { it.to_client.len() };
        for loan in it.loans.take_due(waiting) {
            let nanos = latency(&mut self.random, notice_max);
            self.later(nanos, Happening::Returns(wire, loan));
        }
    }

    pub(super) fn returns(&mut self, wire: u32, loan: u64) {
        let copied = happens(&mut self.random, self.weather.copies_loans);
        let Some((token, memory)) = self.wire(wire).loans.end(loan) else { return };
        let lending = if copied { Lending::Copied } else { Lending::Used };
        if let Some(memory) = memory {
            self.tell(token, Event::Returned(lending, memory));
        }
    }

    /// The server gave a socket up whose bytes may still be on their way.
    pub(super) fn watch_orphan(&mut self, wire: u32) {
        let it = self.wire(wire);
        if it.loans.count() > 0 {
            let left = it.loans.left(it.to_client.len());
            self.later(ORPHAN_SILENCE, Happening::GivesUp(wire, left));
        }
    }

    /// A client that took nothing since `seen` is not there any more.
    pub(super) fn gives_up(&mut self, wire: u32, seen: u64) {
        let it = self.wire(wire);
        if it.loans.left(it.to_client.len()) == seen {
            it.to_client.clear();
            it.server = End::Reset;
            self.acknowledge(wire);
        }
        self.watch_orphan(wire);
    }

    /// Bytes that the client has not taken.
    pub(crate) fn queued(&self, wire: u32) -> Option<u64> {
        Some(self.wires.get(&wire)?.to_client.len() as u64)
    }

    /// Loans that are not back, of all wires.
    #[must_use]
    pub fn loans(&self) -> usize {
        self.wires.values().map(|wire| wire.loans.count()).sum()
    }
}
