//! Step 2: keys. Drives the handshake, and later turns records into clear bytes.
//! Offers the kernel the key that seals, where that is the engine.
//! Never decides what a request is; it only adds to `plain`.

use std::rc::Rc;

use oca_sys::Kernel;

use super::stream::{Alert, Progress, Pumped, Stream};
use super::{Connection, Flow, Load, More, State, finish, h2};
use crate::engine::{Choice, Engine, Why};
use crate::outcome::{CloseReason, Ending};
use crate::worker::Station;

/// One round of the handshake.
///
/// Keys -> Keys (more to come), Reading (established), Closing (no agreement).
pub fn step<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if !connection.stream.has_incoming() {
        connection.receive(station);
        return Flow::Wait;
    }
    let Some(pumped) = pump(connection, station) else { return Flow::Wait };
    match pumped.progress {
        Progress::NeedsMore => {
            connection.receive(station);
            Flow::Wait
        }
        // A first request may have come along with the end of the handshake.
        Progress::Established | Progress::Decrypted => {
            if let Stream::Tls(tls) = &connection.stream {
                station.counters.handshake(tls.suite(), tls.is_resumed());
            }
            let is_h2 = matches!(&connection.stream, Stream::Tls(tls) if tls.speaks_h2());
            connection.progress_at = station.now();
            connection.state = State::Reading;
            if is_h2 {
                h2::open(connection, station);
            }
            if is_h2 && connection.choice.engine == Engine::KernelTls {
                connection.choice = Choice::user_tls(Why::Multiplexed);
            }
            if connection.choice.engine != Engine::KernelTls {
                settle(connection, station);
            }
            Flow::Again
        }
        Progress::PeerClosed => {
            connection.abort(station, CloseReason::PeerClosed, Ending::ClientGone)
        }
        Progress::Failed => failed(connection, station),
    }
}

/// Offers the key that seals to the kernel, if that is the engine and it has no key yet. Nothing is
/// on its way: what the handshake said last is gone before the kernel seals the first record.
pub fn offer<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) {
    let Stream::Tls(tls) = &mut connection.stream else { return };
    if connection.choice.engine != Engine::KernelTls || tls.kernel_seals() {
        return;
    }
    debug_assert!(connection.flight.is_none());
    let socket = connection.socket;
    let offered = tls.hand_over(|keys| {
        if !station.engines.kernel_tls().seals(keys.version, keys.cipher) {
            return Err(Why::CipherNotInKernel);
        }
        station.kernel.seal_from_here(socket, keys).map_err(|error| {
            station.engines.kernel_tls().refuse(&error);
            Why::HandOverFailed
        })
    });
    match offered {
        // The library still has something to say.
        None => return,
        Some(Ok(())) => {}
        Some(Err(why)) => connection.choice = Choice::user_tls(why),
    }
    settle(connection, station);
}

/// It is known who seals.
fn settle<K: Kernel>(connection: &mut Connection, station: &Station<K>) {
    station.counters.engine_sockets[connection.choice.engine.index()].add(1);
    station.counters.choose(connection.choice);
    if let Stream::Tls(tls) = &mut connection.stream {
        tls.keep_key();
    }
}

/// Decrypts what has arrived, until it is `enough`, which is told how much it has seen before.
/// `Again`: look at `plain`. `Wait`: something is under way.
pub fn decrypt<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    enough: fn(&[u8], usize) -> bool,
) -> Flow {
    let mut seen = 0;
    while connection.stream.has_incoming() && !enough(&connection.plain, seen) {
        seen = connection.plain.len();
        let Some(pumped) = pump(connection, station) else { return Flow::Wait };
        match pumped.progress {
            Progress::Decrypted => {}
            Progress::NeedsMore | Progress::Established => break,
            Progress::PeerClosed => {
                connection.peer_done = true;
                break;
            }
            Progress::Failed => return failed(connection, station),
        }
    }
    if connection.flight.is_some() { Flow::Wait } else { Flow::Again }
}

/// Pumps once and sends what that wrote; `None` when it must be tried again later.
fn pump<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Option<Pumped> {
    if connection.flight.is_some() {
        return None;
    }
    let Some(mut out) = station.send_buffer() else {
        // With the queue full, the deadline decides.
        let _ = station.starve(connection.seat);
        return None;
    };
    let Stream::Tls(tls) = &mut connection.stream else { return None };
    let pumped = tls.pump(&mut connection.plain, &mut out);
    if pumped.wrote > 0 {
        connection.launch(station, Rc::new(out), 0..pumped.wrote, More::Last, Load::NO_MEDIA);
    }
    Some(pumped)
}

/// An alert goes out if there is one, then the end.
fn failed<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if connection.flight.is_some() || say_by_kernel(connection, station) {
        // Answers of HTTP/2 may be under way.
        let state = std::mem::replace(&mut connection.state, State::Parting);
        finish::abandoned(connection, station, state, Ending::ClientGone);
        return connection.part(CloseReason::HandshakeFailed);
    }
    connection.abort(station, CloseReason::HandshakeFailed, Ending::ClientGone)
}

/// Sends what the stream has left to say as an alert that the kernel seals; false when there is
/// nothing, or no buffer: then the peer has to do without.
pub fn say_by_kernel<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> bool {
    let Stream::Tls(tls) = &mut connection.stream else { return false };
    let Some(content) = tls.take_unsaid().map(Alert::content) else { return false };
    let Some(mut out) = station.send_buffer() else { return false };
    out[..content.len()].copy_from_slice(&content);
    connection.launch_alert(station, Rc::new(out), content.len());
    true
}
