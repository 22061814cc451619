//! Step 1: a socket becomes a connection with a seat. Never reads from it.

use oca_sys::{Accepted, Kernel};

use super::drain_rate::DrainRate;
use super::send::LentByConnection;
use super::stream::Stream;
use super::taken::Taken;
use super::tempo::Tempo;
use super::{Connection, State};
use crate::clients::ClientPlace;
use crate::engine::Newcomer;
use crate::protocol::Protocol;
use crate::worker::{Seat, Station};

/// Seats an accepted socket; its first state follows from whether this server speaks TLS.
pub fn accept<K: Kernel>(
    seat: Seat,
    accepted: Accepted,
    client: Option<ClientPlace>,
    station: &mut Station<K>,
) -> Connection {
    station.counters.accepted.add(1);
    let stream = Stream::new(station.shared.tls.as_ref());
    let is_encrypted = stream.is_encrypted();
    let own = match station.engines.asks_for_own(accepted.peer, is_encrypted) {
        true => station.kernel.local_address(accepted.socket),
        false => None,
    };
    let newcomer = Newcomer { peer: accepted.peer, own, is_encrypted };
    let choice = station.engines.choose(newcomer, station.now());
    let state = if stream.is_encrypted() {
        // Counted when it is known who seals.
        State::Keys
    } else {
        station.counters.engine_sockets[choice.engine.index()].add(1);
        station.counters.choose(choice);
        State::Reading
    };
    Connection {
        seat,
        socket: accepted.socket,
        peer: accepted.peer,
        client,
        accepted_at: station.now(),
        stream,
        choice,
        plain: Vec::new(),
        state,
        receiving: false,
        flight: None,
        spare: None,
        lent: LentByConnection::from(own),
        peer_done: false,
        shut: false,
        progress_at: station.now(),
        drain_rate: DrainRate::default(),
        taken: Taken::default(),
        tempo: Tempo::default(),
        protocol: Protocol::H1,
        requests: 0,
        sent_bytes: 0,
        reason: None,
    }
}
