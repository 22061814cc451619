//! Which appliance answers a player's steering questions from the start: an edge whose own bundle
//! knows the member's network. Ranks nobody for media; without such an edge control answers.
//!
//! Policy. The first of the player's list that is an edge and has a bundle; or else an edge of the
//! member's network that does not hold the title, because steering needs none of it: a tier or an
//! origin has its own ISP's bundle, which names nobody near this member, so who is sent there would
//! not come back when an edge has the title. Only members to whom no edge was announced at all may
//! ask the first box of their list, whatever it is.

use std::net::IpAddr;

use control_types::TitleId;
use control_types::fleet::{Health, Role};
use control_types::spread::{hash_name, rendezvous};

use crate::decide::{Ranked, edges_around};
use crate::fleet::Fleet;

/// The media URL of the appliance to ask; `ranked` is the player's list.
pub(crate) fn desk_for(
    fleet: &Fleet,
    ip: IpAddr,
    title: &TitleId,
    ranked: &[Ranked],
) -> Option<String> {
    let index = &fleet.registry.index;
    let is_edge = |number: u32| fleet.brief[number as usize].role == Role::Edge;
    let listed = || {
        let numbers = ranked.iter().map(|one| (index.number_of(&one.appliance), one));
        numbers.filter_map(|(number, one)| Some((number?, one)))
    };
    let first = listed().find(|(number, _)| is_edge(*number) && has_bundle(fleet, *number));
    if let Some((_, one)) = first {
        return Some(one.media_url.clone());
    }
    let around = edges_around(fleet, ip);
    if around.is_empty() {
        let (number, first) = listed().next()?;
        return has_bundle(fleet, number).then(|| first.media_url.clone());
    }
    let title = hash_name(title.as_str());
    let score = |number: u32| {
        let one = &fleet.brief[number as usize];
        rendezvous(title, one.hash, f64::from(one.capacity_mbps.max(1)))
    };
    let able = around.into_iter().filter(|number| is_well(fleet, *number));
    let able = able.filter(|number| has_bundle(fleet, *number));
    let best = able.max_by(|a, b| score(*a).total_cmp(&score(*b)))?;
    let seen = fleet.states[best as usize].seen.as_ref()?;
    Some(seen.report.media_url.clone())
}

fn has_bundle(fleet: &Fleet, number: u32) -> bool {
    let seen = fleet.states[number as usize].seen.as_ref();
    seen.is_some_and(|seen| seen.report.more.steering_serial.is_some())
}

fn is_well(fleet: &Fleet, number: u32) -> bool {
    let (one, state) = (&fleet.brief[number as usize], &fleet.states[number as usize]);
    one.health == Health::Healthy && !one.is_late && state.drains_since.0 == 0
}
