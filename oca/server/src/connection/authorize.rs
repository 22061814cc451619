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
    /// The text of `ticket`.
    pub proof: Option<&'a str>,
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
    let (peer, mut request) = (peer.ip(), request);
    request.note.peer = Some(peer);
    if matches!(request.route, Route::Lab) || !station.shared.gate.is_required() {
        return Ok(Allowed { request, ticket: None, proof: None, peer });
    }
    let Some(text) = request.ticket else {
        return Err(Refusal::new(request.note, Outcome::TicketAbsent));
    };
    // The URL keeps the ticket that it was written with; one that was renewed comes beside it. When
    // neither is good, the URL's says why.
    let mut refused = (Outcome::TicketAbsent, None);
    for text in request.renewed.into_iter().chain([text]) {
        match judge(text, request.path, peer, station) {
            Ok(ticket) => {
                let (ticket, proof) = (Some(ticket), Some(text));
                return Ok(Allowed { request, ticket, proof, peer });
            }
            Err(why) => refused = why,
        }
    }
    let (outcome, ticket) = refused;
    let mut refusal = Refusal::new(request.note, outcome);
    refusal.ticket = ticket;
    Err(refusal)
}

/// One ticket, or why it opens nothing here; with the ticket itself when it is good elsewhere.
fn judge<K: Kernel>(
    text: &str,
    path: &str,
    peer: IpAddr,
    station: &mut Station<K>,
) -> Result<Verified, (Outcome, Option<Verified>)> {
    let (wall, now) = (UnixMillis(station.kernel.wall_ms()), station.kernel.now());
    let ticket = station
        .tickets
        .check(&station.shared.gate, text, wall, now)
        .map_err(|error| (ticket_outcome(error), None))?;
    count(station, &ticket);
    if !ticket.claims.allows_path(path) {
        return Err((Outcome::TicketElsewhere, Some(ticket)));
    }
    if !ticket.claims.allows_address(peer) {
        return Err((Outcome::TicketNetwork, Some(ticket)));
    }
    Ok(ticket)
}

fn count<K>(station: &Station<K>, ticket: &Verified) {
    match ticket.remembered {
        true => station.counters.tickets_remembered.add(1),
        false => station.counters.tickets_verified.add(1),
    }
    station.counters.tickets_excused.add(u64::from(ticket.excused));
}
