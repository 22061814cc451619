//! The pace of one connection: told to the kernel when it changes, shared within its ticket.
//! Never delays anything itself; where the kernel cannot pace, `send` does it with pauses.

use std::rc::Rc;

use oca_sys::Kernel;

use super::Connection;
use super::admit::Turn;
use super::read::Note;
use crate::cmcd::Player;
use crate::limits::{Bounds, SMALL_BODY_BYTES_MAX};
use crate::pacing::{media_bps, pace_bps, wire_bytes_per_second};
use crate::tickets::Session;
use crate::worker::Station;

/// The pace of a connection.
#[derive(Default)]
pub struct Tempo {
    /// What the kernel was told last, bytes a second; absent: no limit.
    told: Option<u64>,
    /// The kernel refused once: it is not asked again.
    refused: bool,
    /// Of the answer under way.
    wanted_bps: Option<u64>,
    /// Of its ticket; the place is held for as long as the answer goes.
    share: Option<Share>,
}

/// A part of what a ticket allows.
pub struct Share {
    place: SessionPlace,
    cap_bps: u64,
}

impl Share {
    /// Of the ticket of `turn`, if that has a cap.
    pub fn of(turn: &Turn) -> Option<Self> {
        let session = &turn.extent.ticket.as_ref()?.session;
        Some(Self { place: SessionPlace::take(session), cap_bps: turn.rate_bps_max? })
    }

    /// The pace of an answer that wants `wanted_bps`; one that has no share, that alone.
    pub fn pace_bps(share: Option<&Self>, wanted_bps: Option<u64>) -> Option<u64> {
        let sending = share.map_or(1, |share| share.place.0.sending.get());
        pace_bps(wanted_bps, share.map(|share| share.cap_bps), sending)
    }
}

/// What the player said with a request whose head is `head`.
pub fn player(note: &Note, head: &[u8]) -> Player {
    let part = |at: usize| -> &[u8] {
        let place = note.cmcd.get(at).cloned().unwrap_or(0..0);
        head.get(place).unwrap_or_default()
    };
    Player::of(part(0), [part(1), part(2), part(3), part(4)])
}

/// One of the connections that send for a session.
struct SessionPlace(Rc<Session>);

impl SessionPlace {
    fn take(session: &Rc<Session>) -> Self {
        session.sending.set(session.sending.get() + 1);
        Self(Rc::clone(session))
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        self.0.sending.set(self.0.sending.get().saturating_sub(1));
    }
}

impl Tempo {
    /// Whether the server holds this connection back: then it is not the client that is slow.
    pub fn is_paced(&self) -> bool {
        self.told.is_some() || self.share.is_some()
    }

    /// Whether the kernel was told so little that a client which takes all of it may look slow. No
    /// player can bring that about, only the cap of a ticket.
    pub fn is_slow(&self, bounds: &Bounds) -> bool {
        self.told_bps().is_some_and(|told| told < bounds.slow_reader_bps.saturating_mul(2))
    }

    /// What the kernel was told, bits a second, for people.
    pub fn told_bps(&self) -> Option<u64> {
        self.told.map(|bytes| bytes.saturating_mul(8))
    }

    /// What the player of this answer, or of the last, said that it needs, bits a second; absent:
    /// as fast as it goes.
    pub fn wanted_bps(&self) -> Option<u64> {
        self.wanted_bps
    }

    /// No answer is under way.
    pub fn rest(&mut self) {
        self.share = None;
    }

    /// What the kernel was told, bits a second of media.
    pub fn told_media_bps(&self) -> Option<u64> {
        self.told.map(media_bps)
    }

    fn pace_bps(&self) -> Option<u64> {
        Share::pace_bps(self.share.as_ref(), self.wanted_bps)
    }
}

/// Sets the pace of an answer that is about to go. What the kernel takes over is taken out of
/// `turn`; otherwise the pace is left there for `send`.
pub fn begin<K: Kernel>(connection: &mut Connection, station: &mut Station<K>, turn: &mut Turn) {
    let extent = &turn.extent;
    let bytes = extent.end.saturating_sub(extent.start);
    // It is gone before a pace could matter.
    if !turn.has_body() || bytes <= SMALL_BODY_BYTES_MAX {
        return;
    }
    let player = player(&extent.note, &connection.plain);
    let tempo = &mut connection.tempo;
    tempo.wanted_bps = station.shared.rules.wanted_bps(&player);
    tempo.share = Share::of(turn);
    let pace_bps = tempo.pace_bps();
    turn.rate_bps_max = match tell(connection, station, pace_bps) {
        Told::Kernel => None,
        Told::Nobody => pace_bps,
    };
}

/// Looks whether the session's other connections have come or gone.
pub fn renew<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) {
    if connection.tempo.share.is_some() {
        let pace_bps = connection.tempo.pace_bps();
        tell(connection, station, pace_bps);
    }
}

/// Who paces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The kernel does.
    Kernel,
    /// It cannot: whoever sends has to wait by himself.
    Nobody,
}

/// Tells the kernel a pace, if it is another than before; absent: as fast as it goes.
pub fn tell<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    pace_bps: Option<u64>,
) -> Told {
    let tempo = &mut connection.tempo;
    if tempo.refused {
        return Told::Nobody;
    }
    let wire = pace_bps.map(wire_bytes_per_second);
    if wire == tempo.told {
        return Told::Kernel;
    }
    match station.kernel.pace(connection.socket, wire) {
        Ok(()) => {
            station.counters.paces_set.add(1);
            tempo.told = wire;
            Told::Kernel
        }
        Err(_) => {
            tempo.refused = true;
            Told::Nobody
        }
    }
}
