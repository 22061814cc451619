//! Who has an object that this box lacks: the best appliance that the bundle lists with all of its
//! title. Never asks anybody, and never names this box.
//!
//! Boxes hold a title's core and those of its other rungs that pay for their room, and a disk may
//! be lost; so a box that was rightly offered is asked for what it has not got. A play must not end
//! by that.
//!
//! A redirect leads up or sideways once: an edge may name an edge that has all of the title to
//! whoever has not been sent here, and after that only a box of a higher role is named. So no two
//! boxes send a request to and fro, whatever their bundles say.

use std::net::IpAddr;

use control_types::fleet::Role;
use control_types::spread::hash_name;
use control_types::{TitleId, UnixMillis};

use super::decide::{Question, decide};
use super::desk::Outlook;
use super::table::{Candidate, is_whole};

/// The appliance to send a request of `address` for an object of `title` to; `hops` is how often it
/// was sent on already. None when nobody is known to have it.
#[must_use]
pub fn holder<'a>(
    outlook: &'a Outlook,
    address: IpAddr,
    title: &TitleId,
    hops: u32,
) -> Option<&'a Candidate> {
    let table = &*outlook.table;
    let title_hash = hash_name(title.as_str());
    let session = title_hash;
    // Nobody streams from here by it: no drain is spread for it, whatever the time.
    let now = UnixMillis(0);
    let (current, vouched) = (None, &[][..]);
    let question = Question { address, title, title_hash, session, current, vouched, now };
    let holders = table.holders(title);
    let own_role = table.own.and_then(|at| table.candidates.get(at as usize)).map(|one| one.role);
    let own_role = own_role.unwrap_or(Role::Edge);
    decide(outlook, &question)
        .into_iter()
        .filter(|at| table.own != Some(*at))
        .filter_map(|at| Some((at, table.candidates.get(at as usize)?)))
        .filter(|(at, one)| is_whole(holders, *at, one.role))
        .map(|(_, one)| one)
        .find(|one| match (own_role, one.role) {
            (Role::Edge, Role::Edge) => hops == 0,
            (own, other) => height(other) > height(own),
        })
}

/// How much a role is expected to hold.
fn height(role: Role) -> u8 {
    match role {
        Role::Edge => 0,
        Role::Tier => 1,
        Role::Origin => 2,
    }
}
