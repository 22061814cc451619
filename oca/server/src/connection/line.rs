//! A connection as people see it at `/debug/connections`. Never says enough of a ticket to be one.

use oca_sys::Nanos;

use super::{Connection, State};
use crate::worker::ConnectionLine;

/// Characters of a ticket's subject that are shown: enough to find a play, too few to be one.
const SUBJECT_CHARS: usize = 8;

impl Connection {
    /// Subject of the ticket of the answer under way.
    fn play(&self) -> Option<&str> {
        let ticket = match &self.state {
            State::Fetching(turn) => turn.extent.ticket.as_ref(),
            State::Sending(sending) => sending.record.ticket.as_ref(),
            State::Multiplexed(multiplex) => return multiplex.play(),
            _ => None,
        };
        ticket.map(|ticket| &*ticket.claims.subject)
    }

    /// One line for people.
    pub fn line(&self, now: Nanos) -> ConnectionLine {
        let state = match self.state {
            State::Keys => "keys",
            State::Reading => "reading",
            State::Fetching(_) => "fetching",
            State::Sending(_) => "sending",
            State::Multiplexed(_) => "multiplexed",
            State::Parting => "parting",
            State::Closing => "closing",
        };
        let age_ms = now.since(self.accepted_at) / 1_000_000;
        let streams = match &self.state {
            State::Multiplexed(multiplex) => Some(multiplex.lines()),
            _ => None,
        };
        let (streams, stream_lines) =
            streams.map_or((None, Vec::new()), |(count, lines)| (Some(count), lines));
        ConnectionLine {
            peer: self.peer.to_string(),
            state,
            age_ms,
            requests: self.requests,
            sent_bytes: self.sent_bytes,
            rate_bps: self.sent_bytes.saturating_mul(8_000) / age_ms.max(1),
            pace_bps: self.tempo.told_bps(),
            play: self.play().map(|play| play.chars().take(SUBJECT_CHARS).collect()),
            keys: self.stream.keys(),
            protocol: self.protocol.word(),
            streams,
            stream_lines,
            engine: self.choice.engine.word(),
            why: self.choice.why,
        }
    }
}
