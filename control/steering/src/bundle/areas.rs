//! The ranked lists of an ISP's networks: for each prefix what `decide.rs` would make of routes,
//! links and places alone, and one list for all prefixes that come to the same. Knows no health,
//! load or content, and no bundle's numbering.
//!
//! Mechanics: what was announced to a prefix (sites, boxes, ways) is gathered once; prefixes with
//! the same facts share an order without its being made again, and orders that are the same share
//! an area. A prefix that comes to the area of the next one around it says nothing and is left out.

use ahash::AHashMap;
use control_types::fleet::Role;
use control_types::limits::BUNDLE_AREA_PLACES_MAX;
use ipnet::IpNet;

use crate::decide::{Facts, Reached};
use crate::fleet::Fleet;
use crate::policy::Policy;
use crate::rank::NetworkKey;

/// Appliances by the fleet's numbers, in groups of equals, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Area {
    /// Each of them somebody's.
    pub groups: Vec<Vec<u32>>,
    /// Of each group: groups of one class differ by what counts less than load does.
    pub classes: Vec<u16>,
}

/// The areas of one ISP.
#[derive(Debug, Default)]
pub(crate) struct Areas {
    /// Each once.
    pub areas: Vec<Area>,
    /// Networks and their areas, the shorter first.
    pub prefixes: Vec<(IpNet, u32)>,
    /// Area of an address that no prefix holds.
    pub anywhere: u32,
    /// Places that did not fit.
    pub places_cut: u64,
}

/// What areas are made from.
pub(crate) struct Ground<'a> {
    pub fleet: &'a Fleet,
    pub policy: &'a Policy,
    /// By number: whether it may stand in this ISP's bundle at all.
    pub is_named: &'a [bool],
}

#[derive(Default)]
struct Shared {
    by_facts: AHashMap<Facts, u32>,
    by_area: AHashMap<Area, u32>,
    areas: Vec<Area>,
    places_cut: u64,
}

impl Areas {
    /// Of these networks, which are in order, each before those inside it.
    pub fn of(ground: &Ground<'_>, prefixes: &[IpNet]) -> Self {
        let mut shared = Shared::default();
        let anywhere = shared.area_of(ground, Reached::default());
        let mut around: Vec<(IpNet, u32)> = Vec::new();
        let mut kept: Vec<(IpNet, u32)> = Vec::new();
        for prefix in prefixes {
            let area = shared.area_of(ground, Reached::around(ground.fleet, prefix));
            while around.last().is_some_and(|(outer, _)| !outer.contains(prefix)) {
                around.pop();
            }
            let outer = around.last().map_or(anywhere, |(_, area)| *area);
            if area != outer {
                around.push((*prefix, area));
                kept.push((*prefix, area));
            }
        }
        kept.sort_by_key(|(prefix, _)| prefix.prefix_len());
        Self { areas: shared.areas, prefixes: kept, anywhere, places_cut: shared.places_cut }
    }
}

impl Shared {
    fn area_of(&mut self, ground: &Ground<'_>, reached: Reached) -> u32 {
        let facts = reached.into_facts();
        if let Some(area) = self.by_facts.get(&facts) {
            return *area;
        }
        let reached = Reached::of_facts(facts);
        let (area, cut) = cut(ground, order(ground, &reached));
        let next = self.areas.len() as u32;
        let number = *self.by_area.entry(area).or_insert_with_key(|area| {
            self.areas.push(area.clone());
            self.places_cut += cut as u64;
            next
        });
        self.by_facts.insert(reached.into_facts(), number);
        number
    }
}

/// Everybody who could be offered, in groups of equals.
fn order(ground: &Ground<'_>, reached: &Reached) -> Area {
    let named = |number: &u32| ground.is_named.get(*number as usize).copied().unwrap_or(false);
    let candidates = reached.candidates(ground.fleet).into_iter().filter(named);
    let mut places: Vec<(NetworkKey, u32)> = candidates
        .filter_map(|number| {
            Some((reached.network_key(ground.fleet, number, ground.policy)?, number))
        })
        .collect();
    places.sort_unstable();
    let (mut area, mut class, mut last) = (Area::default(), 0, None);
    for equals in places.chunk_by(|a, b| a.0 == b.0) {
        let key = equals[0].0.class;
        class += u16::from(last.is_some_and(|last| last != key));
        last = Some(key);
        area.groups.push(equals.iter().map(|(_, number)| *number).collect());
        area.classes.push(class);
    }
    area
}

impl Area {
    /// Without what `keep` does not keep, and without the groups that leaves empty.
    pub fn filtered(&self, keep: impl Fn(u32) -> Option<u32>) -> Self {
        let mut left = Self::default();
        for (group, class) in self.groups.iter().zip(&self.classes) {
            let group: Vec<u32> = group.iter().filter_map(|number| keep(*number)).collect();
            if !group.is_empty() {
                left.groups.push(group);
                left.classes.push(*class);
            }
        }
        left
    }
}

/// The area within its bound, and how many places that cost: edges from the end, so that tiers and
/// origins stay.
fn cut(ground: &Ground<'_>, mut area: Area) -> (Area, usize) {
    let places: usize = area.groups.iter().map(Vec::len).sum();
    let Some(too_many) = places.checked_sub(BUNDLE_AREA_PLACES_MAX).filter(|many| *many > 0) else {
        return (area, 0);
    };
    let is_edge = |number: &u32| ground.fleet.brief[*number as usize].role == Role::Edge;
    let mut left = too_many;
    for group in area.groups.iter_mut().rev() {
        let mut at = group.len();
        while left > 0 && at > 0 {
            at -= 1;
            if is_edge(&group[at]) {
                group.remove(at);
                left -= 1;
            }
        }
    }
    // More tiers and origins than places, which their own bounds rule out where they are near.
    for group in area.groups.iter_mut().rev() {
        let kept = group.len().saturating_sub(left);
        left -= group.len() - kept;
        group.truncate(kept);
    }
    (area.filtered(Some), too_many)
}
