//! Step 4: a `Request` becomes `Allowed`, from memory, without asking anyone.
//! Never looks at what exists: a stranger learns nothing about our objects.

use std::net::{IpAddr, SocketAddr};

use control_types::UnixMillis;
use oca_http::Outcome;
use oca_sys::Kernel;

use super::read::{Refusal, Request, Route};
use crate::outcome::ticket_outcome;
use crate::tickets::Verified;
use crate::worker::Station;

/// A request whose sender may have what it names.
pub struct Allowed<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Its ticket; absent only where none is required.
    pub ticket: Option<Verified>,
    /// Who asks.
    pub peer: IpAddr,
}

/// Checks the ticket: signature (once), time (always), path and network.
///
/// # Errors
/// 403 with the word for what is wrong with it.
pub fn check<'a, K: Kernel>(
    request: Request<'a>,
    peer: SocketAddr,
    station: &mut Station<K>,
) -> Result<Allowed<'a>, Box<Refusal>> {
    if matches!(request.route, Route::Lab) || !station.shared.gate.is_required() {
        return Ok(Allowed { request, ticket: None, peer: peer.ip() });
    }
    let Some(text) = request.ticket else {
        return Err(Refusal::new(request.note, Outcome::TicketAbsent));
    };
    let now = UnixMillis(station.kernel.wall_ms());
    let ticket = match station.tickets.check(&station.shared.gate, text, now) {
        Ok(ticket) => ticket,
        Err(error) => return Err(Refusal::new(request.note, ticket_outcome(error))),
    };
    count(station, &ticket);
    let refused = if !ticket.claims.allows_path(request.path) {
        Some(Outcome::TicketElsewhere)
    } else if !ticket.claims.allows_address(peer.ip()) {
        Some(Outcome::TicketNetwork)
    } else {
        None
    };
    match refused {
        None => Ok(Allowed { request, ticket: Some(ticket), peer: peer.ip() }),
        Some(outcome) => {
            let mut refusal = Refusal::new(request.note, outcome);
            refusal.ticket = Some(ticket);
            Err(refusal)
        }
    }
}

fn count<K>(station: &Station<K>, ticket: &Verified) {
    match ticket.remembered {
        true => station.counters.tickets_remembered.add(1),
        false => station.counters.tickets_verified.add(1),
    }
}
