//! How long each state of a connection may last, and what becomes of one that lasts longer. Reads
//! no clock but the turn's; those of HTTP/2 are in `h2/deadlines.rs`.

use std::sync::Arc;

use oca_sys::{Kernel, Nanos};

use super::{Connection, Flow, State, h2, send, taken};
use crate::limits::{Bounds, FIRST_REQUEST_MS, LINGER_MS_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::worker::{Fault, Station};

impl Connection {
    /// When this connection wants to be looked at if nothing happens before.
    pub fn due(&self, bounds: &Bounds, parts_idle: bool) -> Option<Nanos> {
        let within = match &self.state {
            State::Closing => return None,
            State::Keys if parts_idle => return Some(self.fresh_until()),
            State::Keys => return Some(self.accepted_at.plus_millis(bounds.handshake_ms)),
            State::Reading if self.flight.is_some() => bounds.send_progress_ms,
            State::Reading if self.has_begun_a_head() => bounds.head_ms,
            State::Reading if parts_idle && self.is_fresh() => return Some(self.fresh_until()),
            State::Reading => bounds.idle_ms,
            State::Fetching(_) => bounds.first_byte_ms,
            State::Sending(sending) => match sending.paused_until() {
                Some(until) => return Some(until),
                None => bounds.send_progress_ms,
            },
            State::Multiplexed(multiplex) => return multiplex.due(self, bounds),
            State::Parting => LINGER_MS_MAX,
        };
        let due = self.progress_at.plus_millis(within);
        Some(self.drain_rate.due(bounds).map_or(due, |slow| slow.min(due)))
    }

    /// It has asked nothing yet.
    fn is_fresh(&self) -> bool {
        self.requests == 0
    }

    fn fresh_until(&self) -> Nanos {
        self.accepted_at.plus_millis(FIRST_REQUEST_MS)
    }

    /// Whether a drain lets it go now: it asks nothing, and is not about to ask for the first time.
    pub(super) fn is_let_go<K: Kernel>(&self, station: &Station<K>) -> bool {
        let may_ask = self.is_fresh() && station.now() < self.fresh_until();
        station.parts_idle && !self.has_begun_a_head() && !may_ask
    }
}

/// The deadline of the state has come.
pub fn overdue<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let rules = Arc::clone(&station.shared.rules);
    let now = station.now();
    if connection.due(&rules.bounds, station.parts_idle).is_none_or(|due| due > now) {
        return Flow::Wait;
    }
    taken::look(connection, station);
    if connection.drain_rate.is_too_slow(now, &rules.bounds) {
        if matches!(connection.state, State::Multiplexed(_)) {
            return h2::too_slow(connection, station);
        }
        return connection.abort(station, CloseReason::SlowReader, Ending::Stalled);
    }
    if connection.due(&rules.bounds, station.parts_idle).is_none_or(|due| due > now) {
        return Flow::Wait;
    }
    let in_flight = connection.flight.is_some();
    let has_begun_a_head = connection.has_begun_a_head();
    let is_let_go = connection.is_let_go(station);
    let parts_idle = station.parts_idle;
    let (reason, ending) = match &mut connection.state {
        State::Keys if parts_idle => (CloseReason::Draining, Ending::ClientGone),
        State::Keys => (CloseReason::HandshakeDeadline, Ending::ClientGone),
        State::Reading if in_flight => (CloseReason::Stalled, Ending::Stalled),
        State::Reading if has_begun_a_head => (CloseReason::HeadDeadline, Ending::ClientGone),
        State::Reading if is_let_go => return connection.part(CloseReason::Draining),
        State::Reading => return connection.part(CloseReason::IdleDeadline),
        State::Fetching(turn) => {
            // The chunk's read may still end: its news must not find another request here.
            turn.extent.note.keep_alive = false;
            return send::failed(connection, station, Fault::Disk);
        }
        State::Sending(sending) if sending.paused_until().is_some() => {
            sending.resume();
            return Flow::Again;
        }
        State::Sending(sending) if sending.waits_for_disk() && !in_flight => {
            (CloseReason::Cut, Ending::Cut)
        }
        State::Sending(_) => (CloseReason::Stalled, Ending::Stalled),
        State::Multiplexed(_) => return h2::overdue(connection, station),
        State::Parting => (CloseReason::PeerClosed, Ending::Complete),
        State::Closing => return Flow::Wait,
    };
    connection.abort(station, reason, ending)
}
