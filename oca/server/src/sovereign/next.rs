//! Whom a refusal names: appliances where the same path and ticket may do, from the bundle. Never
//! asks anybody, and never names this box.
//!
//! The order is that of steering: those that hold the title, healthy and with room, edges before
//! tiers before origins, as this member's network would be sent there now.

use std::net::IpAddr;

use control_types::spread::hash_name;
use control_types::{TitleId, UnixMillis};

use super::decide::{Question, decide};
use super::desk::Outlook;
use crate::limits::NEXT_MAX;

/// Their URLs, best first; empty when the bundle knows nobody.
#[must_use]
pub fn next(outlook: &Outlook, address: IpAddr, title: &TitleId) -> Vec<String> {
    let table = &*outlook.table;
    let title_hash = hash_name(title.as_str());
    let session = title_hash;
    // Nobody streams from here by it: no drain is spread for it, whatever the time.
    let now = UnixMillis(0);
    let (current, vouched) = (None, &[][..]);
    let question = Question { address, title, title_hash, session, current, vouched, now };
    let others = decide(outlook, &question).into_iter().filter(|at| table.own != Some(*at));
    let others = others.filter_map(|at| table.candidates.get(at as usize));
    others.take(NEXT_MAX).map(|one| one.media_url.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::Sighting;
    use super::super::tests::{bundle, outlook_of};
    use super::*;

    fn named(outlook: &Outlook) -> Vec<String> {
        let title = bundle().titles.keys().next().unwrap().clone();
        next(outlook, "192.0.2.1".parse().unwrap(), &title)
    }

    #[test]
    fn somebody_else_who_is_there_is_named_and_never_this_box() {
        let mut outlook = outlook_of(bundle());
        let all = named(&outlook);
        assert!(!all.is_empty() && all.len() <= NEXT_MAX, "{all:?}");
        let own = outlook.table.own.and_then(|at| outlook.table.candidates.get(at as usize));
        let own = own.map(|one| one.media_url.clone()).unwrap();
        assert!(!all.contains(&own), "{all:?}");
        // The first of them is seen to be dead: the next one takes its place.
        let candidates = &outlook.table.candidates;
        let dead = candidates.iter().position(|one| one.media_url == all[0]).unwrap();
        outlook.sightings = vec![Sighting::Unknown; candidates.len()];
        outlook.sightings[dead] = Sighting::Out;
        let without = named(&outlook);
        assert!(!without.contains(&all[0]) && !without.is_empty(), "{all:?}, then {without:?}");
    }
}
