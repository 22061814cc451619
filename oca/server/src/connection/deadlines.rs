//! How long each state of a connection may last, and what becomes of one that lasts longer. Reads
//! no clock but the turn's; those of HTTP/2 are in `h2/deadlines.rs`.

use std::sync::Arc;

use oca_sys::{Kernel, Nanos};

use super::{Connection, Flow, State, h2, send, taken};
use crate::limits::{Bounds, LINGER_MS_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::worker::{Fault, Station};

impl Connection {
    /// When this connection wants to be looked at if nothing happens before.
    pub fn due(&self, bounds: &Bounds) -> Option<Nanos> {
        let within = match &self.state {
            State::Closing => return None,
            State::Keys => return Some(self.accepted_at.plus_millis(bounds.handshake_ms)),
            State::Reading if self.flight.is_some() => bounds.send_progress_ms,
            State::Reading if self.has_begun_a_head() => bounds.head_ms,
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
}

/// The deadline of the state has come.
pub fn overdue<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    let rules = Arc::clone(&station.shared.rules);
    let now = station.now();
    if connection.due(&rules.bounds).is_none_or(|due| due > now) {
        return Flow::Wait;
    }
    taken::look(connection, station);
    if connection.drain_rate.is_too_slow(now, &rules.bounds) {
        if matches!(connection.state, State::Multiplexed(_)) {
            return h2::too_slow(connection, station);
        }
        return connection.abort(station, CloseReason::SlowReader, Ending::Stalled);
    }
    if connection.due(&rules.bounds).is_none_or(|due| due > now) {
        return Flow::Wait;
    }
    let in_flight = connection.flight.is_some();
    let has_begun_a_head = connection.has_begun_a_head();
    let (reason, ending) = match &mut connection.state {
        State::Keys => (CloseReason::HandshakeDeadline, Ending::ClientGone),
        State::Reading if in_flight => (CloseReason::Stalled, Ending::Stalled),
        State::Reading if has_begun_a_head => (CloseReason::HeadDeadline, Ending::ClientGone),
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
