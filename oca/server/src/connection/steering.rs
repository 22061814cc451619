//! Step 5 of a steering question: no object is looked for; the answer is made from the desk.
//! Never asks control, never waits: what the admin thread laid out is what there is.

use std::rc::Rc;

use control_token::Claims;
use control_types::{TitleId, UnixMillis};
use oca_http::Outcome;
use oca_sys::Kernel;

use super::authorize::Allowed;
use super::read::{Refusal, Route, Short};
use crate::sovereign::{self, Ask, Reply};
use crate::worker::Station;

/// Where the session should stream from, or 503: then it keeps its last list.
pub fn answer<K: Kernel>(allowed: Allowed<'_>, station: &Station<K>) -> Box<Refusal> {
    let text = manifest(&allowed, station);
    let answer = match text {
        Some(text) => Short::Steering(text),
        None => Short::Refused { outcome: Outcome::NoBundle, total: None },
    };
    Box::new(Refusal { note: allowed.request.note, answer, ticket: allowed.ticket })
}

fn manifest<K: Kernel>(allowed: &Allowed<'_>, station: &Station<K>) -> Option<Rc<[u8]>> {
    let Route::Steering { title } = allowed.request.route else { return None };
    let title: TitleId = title.parse().ok()?;
    let outlook = station.shared.steering.outlook()?;
    let now = UnixMillis(station.kernel.wall_ms());
    let claims = allowed.ticket.as_ref().map(|ticket| &ticket.claims);
    let reply = Reply {
        address: allowed.peer,
        title: &title,
        subject: claims.map_or("", |claims| &claims.subject),
        ticket: allowed.proof,
        issued_at: claims.map(|claims| claims.not_before),
        is_ending: claims.is_some_and(|claims| is_ending(claims, now)),
        now,
    };
    sovereign::answer(&outlook, &reply, &Ask::of(allowed.request.head.query)).map(Rc::from)
}

/// Whether control would give another ticket for this one: three quarters into the time in which it
/// says that it may be renewed. A player that renews by itself has done so by then.
fn is_ending(claims: &Claims, now: UnixMillis) -> bool {
    let Some(renewal) = &claims.renewal else { return false };
    let left_ms = claims.expires_at.millis_since(now);
    left_ms <= renewal.deadline_s.saturating_mul(750)
}

#[cfg(test)]
mod tests {
    use control_token::{Renewal, RenewedBy};

    use super::*;

    #[test]
    fn a_ticket_is_ending_with_three_sixteenths_left_unless_it_is_the_last() {
        let (from, until) = (UnixMillis(0), UnixMillis(1_600_000));
        let claims = Claims::play("play".to_owned(), &"night".parse().unwrap(), from, until);
        let renewal = Renewal { by: RenewedBy::Header, extend_s: 1_600, deadline_s: 400 };
        assert!(!is_ending(&claims, until), "nobody gives another");
        let claims = Claims { renewal: Some(renewal), ..claims };
        assert!(!is_ending(&claims, UnixMillis(1_299_999)));
        assert!(is_ending(&claims, UnixMillis(1_300_000)));
        assert!(is_ending(&claims, UnixMillis(1_900_000)), "control was away when it ended");
    }
}
