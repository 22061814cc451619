//! Whether a peer takes what its socket holds for it, asked when nothing else has moved for long.
//! Closes nothing.
//!
//! A full socket takes more only when a third of it is free: with megabytes in it, a player that
//! reads steadily and slowly seems to stand still for half a minute. Before a deadline is held
//! against a client, its kernel's acknowledgements are looked at.

use oca_sys::Kernel;

use super::Connection;
use crate::worker::Station;

/// Bytes of a connection that its peer was found to have acknowledged.
#[derive(Debug, Default)]
pub struct Taken {
    bytes: u64,
}

/// Looks how much the peer has; more than at the last look is progress.
pub fn look<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) {
    if connection.flight.is_none() {
        // Nothing waits for the socket.
        return;
    }
    let Some(queued) = station.kernel.queued(connection.socket) else { return };
    let bytes = connection.sent_bytes.saturating_sub(queued);
    let more = bytes.saturating_sub(connection.taken.bytes);
    if more > 0 {
        connection.taken.bytes = bytes;
        connection.progress_at = station.now();
        connection.drain_rate.take_late(more);
    }
}
