//! Step 5 of a request for what is not here, or is here and cannot be read: it is sent on to an
//! appliance that has it, or refused. Never asks anybody: what the bundle and the configuration say
//! is what there is.
//!
//! The next URL is the same path and query with the ticket that was found good in its path,
//! whatever brought it here: headers of this request may not travel, and cookies do not. `hop` in
//! the query counts how often a request was sent on; at [`HOPS_MAX`] a miss is a miss.

use std::net::SocketAddr;

use control_types::TitleId;
use oca_http::Outcome;
use oca_http::answer::LOCATION_BYTES_MAX;
use oca_sys::Kernel;

use super::authorize::{self, Allowed};
use super::locate::refused;
use super::read::{self, Refusal, Route, Short};
use crate::limits::HOPS_MAX;
use crate::sovereign;
use crate::worker::Station;

/// Query parameter that counts.
const HOP: &str = "hop";
/// Query parameter that may carry a ticket.
const TICKET: &str = "CAT";

/// 307 to who has it, or `outcome` when nobody is known to.
pub fn answer<K>(allowed: Allowed<'_>, station: &Station<K>, outcome: Outcome) -> Box<Refusal> {
    let Some(location) = location(&allowed, station) else { return refused(allowed, outcome) };
    let answer = Short::Elsewhere(location.into());
    let Allowed { request, ticket, .. } = allowed;
    Box::new(Refusal { note: request.note, answer, ticket })
}

/// The same for what was found and cannot be read, before a byte of its answer went out. `head` is
/// the request's: it is judged anew, as the first judgement's words are not kept with a turn.
pub fn or_refused<K: Kernel>(
    head: &[u8],
    peer: SocketAddr,
    station: &mut Station<K>,
    outcome: Outcome,
) -> Short {
    let refused = Short::Refused { outcome, total: None };
    let lost = [Outcome::DiskFailed, Outcome::ChunkBad, Outcome::UnknownObject];
    let shared = &station.shared;
    // A box that stands alone judges nothing twice.
    let is_alone = shared.steering.outlook().is_none() && shared.peers.at(0).is_none();
    if is_alone || !lost.contains(&outcome) {
        return refused;
    }
    let Ok(Some(request)) = read::request(head, station) else { return refused };
    // A ticket that ended meanwhile opens nothing elsewhere either.
    let Ok(allowed) = authorize::check(request, peer, station) else { return refused };
    location(&allowed, station).map_or(refused, |url| Short::Elsewhere(url.into()))
}

fn location<K>(allowed: &Allowed<'_>, station: &Station<K>) -> Option<String> {
    // Appliances that fill know their sources; a lab has no neighbours.
    let Route::Member { title, .. } = allowed.request.route else { return None };
    let query = allowed.request.head.query;
    let hops = hops(query)?;
    let outlook = station.shared.steering.outlook();
    let base = match &outlook {
        Some(outlook) => {
            let title: TitleId = title.parse().ok()?;
            sovereign::holder(outlook, allowed.peer, &title, hops)?.media_url.as_str().into()
        }
        None => station.shared.peers.at(hops)?,
    };
    let path = allowed.request.path;
    let ticket = allowed.proof.map_or(String::new(), |ticket| format!("/t/{ticket}"));
    let short = format!("{base}{ticket}{path}?{HOP}={}", hops + 1);
    let rest: Vec<&str> = query.into_iter().flat_map(|query| query.split('&')).collect();
    let long =
        rest.iter().filter(|pair| !is_ours(pair)).fold(short.clone(), |url, pair| url + "&" + pair);
    // What players say of themselves is worth less than the object.
    [long, short].into_iter().find(|url| fits(url))
}

fn fits(url: &str) -> bool {
    url.len() <= LOCATION_BYTES_MAX && url.bytes().all(|byte| (0x21..0x7f).contains(&byte))
}

fn is_ours(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    matches!(name, HOP | TICKET | "")
}

/// How often the request was sent on; none when that was often enough, or it says nonsense.
fn hops(query: Option<&str>) -> Option<u32> {
    let mut said = query.into_iter().flat_map(|query| query.split('&'));
    let said = said.find_map(|pair| pair.strip_prefix(HOP)?.strip_prefix('='));
    let hops = said.map_or(Some(0), |text| text.parse().ok())?;
    (hops < HOPS_MAX).then_some(hops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_and_end() {
        for (query, wanted) in [
            (None, Some(0)),
            (Some("CMCD=hop%3D9"), Some(0)),
            (Some("a=b&hop=1"), Some(1)),
            (Some("hop=2"), None),
            (Some("hop=99999999999"), None),
            (Some("hop="), None),
            (Some("hop=-1"), None),
            (Some("hop=0&hop=9"), Some(0)),
        ] {
            assert_eq!(hops(query), wanted, "{query:?}");
        }
    }

    #[test]
    fn tickets_and_counts_are_not_handed_on() {
        let kept: Vec<&str> = "CAT=x&CMCD=bl%3D1&hop=1&hopper=2&&z"
            .split('&')
            .filter(|pair| !is_ours(pair))
            .collect();
        assert_eq!(kept, ["CMCD=bl%3D1", "hopper=2", "z"]);
        assert!(fits("https://b.example/v/t/x.mp4?hop=1"));
        assert!(!fits("https://b.example/a b") && !fits(&"u".repeat(LOCATION_BYTES_MAX + 1)));
    }
}
