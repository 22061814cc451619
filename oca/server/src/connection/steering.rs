//! Step 5 of a steering question: no object is looked for; the answer is made from the desk.
//! Never asks control, never waits: what the admin thread laid out is what there is.

use std::rc::Rc;

use control_types::TitleId;
use oca_http::Outcome;

use super::authorize::Allowed;
use super::read::{Refusal, Route, Short};
use crate::sovereign::{self, Ask, Reply};
use crate::worker::Station;

/// Where the session should stream from, or 503: then it keeps its last list.
pub fn answer<K>(allowed: Allowed<'_>, station: &Station<K>) -> Box<Refusal> {
    let text = manifest(&allowed, station);
    let answer = match text {
        Some(text) => Short::Steering(text),
        None => Short::Refused { outcome: Outcome::NoBundle, total: None },
    };
    Box::new(Refusal { note: allowed.request.note, answer, ticket: allowed.ticket })
}

fn manifest<K>(allowed: &Allowed<'_>, station: &Station<K>) -> Option<Rc<[u8]>> {
    let Route::Steering { title } = allowed.request.route else { return None };
    let title: TitleId = title.parse().ok()?;
    let outlook = station.shared.steering.outlook()?;
    let claims = allowed.ticket.as_ref().map(|ticket| &ticket.claims);
    let reply = Reply {
        address: allowed.peer,
        title: &title,
        subject: claims.map_or("", |claims| &claims.subject),
        ticket: allowed.proof,
        issued_at: claims.map(|claims| claims.not_before),
    };
    sovereign::answer(&outlook, &reply, &Ask::of(allowed.request.head.query)).map(Rc::from)
}
