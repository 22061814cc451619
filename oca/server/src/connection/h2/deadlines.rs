//! When a connection of HTTP/2 has waited long enough, and what ends then: a pause, a stream, or
//! all of it. Reads no clock but the turn's. Which end a slow reader meets is said in `protocol`.
//!
//! The connection as a whole owes `slow_reader_bps`, as one of HTTP/1.1 does; each of its streams
//! owes its part of that, or half of its own pace where that is less. A socket that the kernel was
//! told to hold back is held to nothing that it could not reach.

use oca_http::h2::Code;
use oca_sys::{Kernel, Nanos};

use super::member::{Around, Blocked, Cut};
use super::{Multiplex, Next, with};
use crate::connection::send::outcome_of;
use crate::connection::{Connection, Flow};
use crate::limits::{Bounds, LINGER_MS_MAX};
use crate::outcome::{CloseReason, Ending};
use crate::protocol::GoAway;
use crate::worker::{Fault, Station};

/// The deadline of the connection, or of one of its streams, has come.
pub fn overdue<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    with(connection, station, |multiplex, connection, station| {
        multiplex.overdue(connection, station)
    })
}

/// The peer takes too little on the connection as a whole.
pub fn too_slow<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    with(connection, station, |multiplex, connection, station| {
        multiplex.end_for_slowness(connection, station, GoAway::SlowReader)
    })
}

impl Multiplex {
    /// Whether the peer holds all of the connection up: its socket takes nothing, or its window.
    pub fn is_held_up(&self, connection: &Connection, bounds: &Bounds) -> bool {
        let by_us = connection.tempo.is_slow(bounds);
        let by_window = || {
            let waits = |member: &super::Member| member.blocked() == Blocked::Window;
            self.session.is_shut() && self.members.iter().any(waits)
        };
        !by_us && !self.members.is_empty() && (connection.flight.is_some() || by_window())
    }

    /// When this connection wants to be looked at if nothing happens before.
    pub fn due(&self, connection: &Connection, bounds: &Bounds) -> Option<Nanos> {
        let since = |from: Nanos, within_ms| Some(from.plus_millis(within_ms));
        let own = if connection.flight.is_some() {
            since(connection.progress_at, bounds.send_progress_ms)
        } else if !self.members.is_empty() {
            None
        } else {
            match self.begun_since {
                Some(begun) => since(begun, bounds.head_ms),
                None => since(self.idle_since, bounds.idle_ms),
            }
        };
        let last_word = self.last_word_until.filter(|_| connection.flight.is_some());
        let half = self.half_since.and_then(|from| since(from, bounds.head_ms));
        let around = self.around(connection);
        let members = self.members.iter().filter_map(|member| member.due(bounds, around));
        members
            .chain(own)
            .chain(half)
            .chain(last_word)
            .chain(connection.drain_rate.due(bounds))
            .min()
    }

    fn around(&self, connection: &Connection) -> Around {
        Around {
            in_flight: connection.flight.is_some(),
            shut_since: self.session.is_shut().then_some(connection.progress_at),
        }
    }

    fn overdue<K: Kernel>(
        &mut self,
        connection: &mut Connection,
        station: &mut Station<K>,
    ) -> Next {
        let (now, bounds) = (station.now(), station.shared.rules.bounds);
        if let (Some(reason), Some(until)) = (self.failed, self.last_word_until)
            && connection.flight.is_some()
            && until <= now
        {
            return Next::Abort(reason, Ending::Stalled);
        }
        let is_stuck = connection.progress_at.plus_millis(bounds.send_progress_ms) <= now;
        if connection.flight.is_some() && is_stuck {
            return Next::Abort(CloseReason::Stalled, Ending::Stalled);
        }
        if self.half_since.is_some_and(|from| from.plus_millis(bounds.head_ms) <= now) {
            return Next::Abort(CloseReason::HeadDeadline, Ending::ClientGone);
        }
        if self.members.is_empty() && connection.flight.is_none() {
            return self.part_idle(station);
        }
        let around = self.around(connection);
        if self.judge_members(now, &bounds, around) && self.session.is_shut() {
            return self.end_for_slowness(connection, station, GoAway::Stalled);
        }
        self.cut(connection, station);
        Next::Again
    }

    /// Nothing was asked for too long, or a head is too long in coming.
    fn part_idle<K: Kernel>(&mut self, station: &Station<K>) -> Next {
        if self.ending.is_some() {
            return Next::Abort(CloseReason::Stalled, Ending::Stalled);
        }
        let has_begun = self.begun_since.is_some();
        let reason = if has_begun { CloseReason::HeadDeadline } else { CloseReason::IdleDeadline };
        self.leave(station, reason);
        Next::Again
    }

    /// Lets every stream whose time has come know; true when one was held up by its windows alone.
    fn judge_members(&mut self, now: Nanos, bounds: &Bounds, around: Around) -> bool {
        let mut was_shut_out = false;
        let streams = self.members.len() as u64;
        for member in &mut self.members {
            if !around.in_flight && member.is_too_slow(now, bounds, streams) {
                member.cut = Some(Cut::Slow);
            }
            if member.progress_due(bounds, around).is_none_or(|due| due > now) {
                continue;
            }
            match member.blocked() {
                Blocked::Paused => member.resume(),
                Blocked::FirstChunk => member.refuse(outcome_of(Fault::Disk), now),
                Blocked::Chunk => member.cut = Some(Cut::Disk),
                Blocked::Window => {
                    member.cut = Some(Cut::Stalled);
                    was_shut_out = true;
                }
                Blocked::Not => {}
            }
        }
        was_shut_out
    }

    /// Ends all of it, and says so where there is still somebody to hear it.
    fn end_for_slowness<K: Kernel>(
        &mut self,
        connection: &Connection,
        station: &mut Station<K>,
        why: GoAway,
    ) -> Next {
        let reason = match why {
            GoAway::SlowReader => CloseReason::SlowReader,
            _ => CloseReason::Stalled,
        };
        // What is under way may still go; it has little time for that.
        self.last_word_until = Some(station.now().plus_millis(LINGER_MS_MAX));
        self.session.end(Code::EnhanceYourCalm);
        station.counters.protocols.go_away(why);
        self.failed = Some(reason);
        self.abandon(connection, station, Ending::Stalled);
        Next::Again
    }
}
