//! Who should serve this member, best first: a pure function of the outlook and the question. No
//! clock, no I/O; the order is that of control's steering, as far as a bundle knows its values.
//!
//! Policy. Nobody who is dead, sick, draining, or an edge without the title is offered while there
//! is anybody else. Then: those that players complain of last, as
//! long as control tells; origins last, boxes that lack part of the title last, full ones last;
//! edges before tiers; the area's classes, which routes and links made; those that are busy behind
//! those that are not; the area's order; and among equals a hash of title and appliance, so that a
//! title's members meet where it is warm. For the first place only: among equals one that carries
//! more than its share lets sessions go on to the next by that hash; a session stays where it
//! streams from while that is as good as the best; a full box lets go of as many as it has too
//! many, and one that was asked to drain of one after the other. No two boxes that fail together
//! stand first and second while another has the whole title.
//! The list is cut to `RANKED_MAX`, its last place kept for an origin.
//!
//! Loads are what neighbours said a second ago, what the bundle says while control makes new ones,
//! or not known: such a box counts as idle, and nobody is passed on to it. All this is control's
//! own rule (`LoadRule`); control's answers under load are a test of it.

use std::net::IpAddr;

use control_types::fleet::{Health, Role};
use control_types::limits::RANKED_MAX;
use control_types::spread::{LoadRule, draw, mix, rendezvous, unit};
use control_types::{TitleId, UnixMillis};

use super::desk::Outlook;
use super::hint::Hint;
use super::neighbours::Sighting;
use super::table::{Candidate, Holders, Holding, Place, holding};

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The member's address.
    pub address: IpAddr,
    /// What is played.
    pub title: &'a TitleId,
    /// Hash of the title's name.
    pub title_hash: u64,
    /// A number of the session, the same at each of its questions.
    pub session: u64,
    /// Where the session streams from, by position.
    pub current: Option<u32>,
    /// Whom control offered to this very session after it made the bundle: they have the title,
    /// whatever the bundle says. Content is told to a player at once and to boxes in its time.
    pub vouched: &'a [u32],
    /// The wall clock's time.
    pub now: UnixMillis,
}

/// What stands against a box, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    Sick,
    Dead,
    Draining,
}

/// One candidate under all rules but the spread; the smaller stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    is_absent: bool,
    trouble: Trouble,
    is_shunned: bool,
    is_origin: bool,
    is_partial: bool,
    is_full: bool,
    role: Role,
    class: u16,
    /// 0 idle, 1 busy, 2 high or full.
    step: u8,
    group: u16,
}

impl Key {
    /// An edge that would have to refuse: it serves what it holds and nothing else.
    fn is_useless(&self) -> bool {
        self.is_absent && self.role == Role::Edge
    }

    /// Whether it may be offered while there is anybody else.
    fn is_good(&self) -> bool {
        !self.is_useless() && self.trouble == Trouble::None
    }

    /// The key without what a session does not leave for.
    fn for_staying(self) -> Self {
        Self { is_full: false, step: 0, group: 0, ..self }
    }
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    at: u32,
    key: Key,
    /// Of equals the least stands first.
    spread: u64,
    hash: u64,
    domain: u32,
    /// Absent where nobody knows.
    load_per_mille: Option<u32>,
    capacity_mbps: u32,
    /// It drains, and this session may stay a little.
    may_stay: bool,
}

impl Standing {
    fn load(&self) -> u32 {
        self.load_per_mille.unwrap_or(0)
    }
}

/// Positions of the appliances to stream from, best first; empty where the area names nobody.
#[must_use]
pub fn decide(outlook: &Outlook, question: &Question<'_>) -> Vec<u32> {
    let places = outlook.table.places(question.address);
    let holders = outlook.table.holders(question.title);
    let standing = |place| standing(outlook, question, holders, place);
    let mut list: Vec<Standing> = places.iter().filter_map(standing).collect();
    if list.iter().any(|one| one.key.is_good()) {
        list.retain(|one| one.key.is_good());
    } else if list.iter().any(|one| !one.key.is_useless()) {
        // All look bad: the last good list is better than none.
        list.retain(|one| !one.key.is_useless());
    }
    list.sort_unstable_by_key(|one| (one.key, one.spread, one.at));
    spill(&mut list, &outlook.table.load_rule, question);
    stay(&mut list, &outlook.table.load_rule, question);
    part_domains(&mut list);
    cut(&mut list);
    list.iter().map(|one| one.at).collect()
}

/// Positions of the edges that are well and could serve somebody at `address`, whatever they hold,
/// best first; without this box.
#[must_use]
pub fn edges(outlook: &Outlook, address: IpAddr, title_hash: u64) -> Vec<u32> {
    let table = &*outlook.table;
    let mut edges: Vec<(u16, u64, u32)> = Vec::new();
    for place in table.places(address) {
        let Some(one) = table.candidates.get(place.at as usize) else { continue };
        let is_well = trouble(outlook, one, place.at) == Trouble::None;
        if one.role == Role::Edge && table.own != Some(place.at) && is_well {
            let score = rendezvous(title_hash, one.hash, one.share);
            edges.push((place.class, u64::MAX - score.to_bits(), place.at));
        }
    }
    edges.sort_unstable();
    edges.into_iter().map(|(_, _, at)| at).collect()
}

/// Whether somebody answers there, also one who wants nobody new.
#[must_use]
pub fn is_there(outlook: &Outlook, at: u32) -> bool {
    let Some(one) = outlook.table.candidates.get(at as usize) else { return false };
    outlook.table.own == Some(at)
        || (outlook.sightings.get(at as usize) != Some(&Sighting::Out)
            && trouble(outlook, one, at) != Trouble::Dead)
}

fn standing(
    outlook: &Outlook,
    question: &Question<'_>,
    holders: Option<&Holders>,
    place: &Place,
) -> Option<Standing> {
    let one = outlook.table.candidates.get(place.at as usize)?;
    let is_own = outlook.table.own == Some(place.at);
    let holding = match question.vouched.contains(&place.at) {
        true => Holding::Full,
        false => holding(holders, place.at, one.role),
    };
    let load_per_mille = load(outlook, place.at);
    let step = outlook.steps.get(place.at as usize).copied();
    let step = step.unwrap_or_else(|| outlook.table.load_rule.step(load_per_mille.unwrap_or(0)));
    let stands = if is_own { own_trouble(outlook) } else { trouble(outlook, one, place.at) };
    let may_stay = stands == Trouble::Draining
        && question.current == Some(place.at)
        && may_stay(outlook, question, place.at);
    let key = Key {
        is_absent: holding == Holding::Nothing,
        trouble: if may_stay { Trouble::None } else { stands },
        is_shunned: outlook.loads_count && one.shunned,
        is_origin: one.role == Role::Origin,
        is_partial: holding != Holding::Full,
        is_full: step >= 3 || (is_own && outlook.own.full),
        role: one.role,
        class: place.class,
        step: step.min(2),
        group: place.group,
    };
    let score = rendezvous(question.title_hash, one.hash, one.share);
    // A positive float's bits rise with it; the greatest is to stand first.
    let spread = u64::MAX - score.to_bits();
    let (at, hash, domain) = (place.at, one.hash, one.domain);
    let capacity_mbps = one.capacity_mbps;
    Some(Standing { at, key, spread, hash, domain, load_per_mille, capacity_mbps, may_stay })
}

/// Whether the session leaves a box that was asked to drain later: they leave one by one, in an
/// order of their own, which is control's. Nobody stays for a drain of tomorrow: a clock is wrong.
fn may_stay(outlook: &Outlook, question: &Question<'_>, at: u32) -> bool {
    let table = &*outlook.table;
    let told = table.candidates.get(at as usize).and_then(|one| one.drains_since);
    let since = match table.own == Some(at) {
        true => outlook.own.asked_at.and(told).or(outlook.own.asked_at),
        false => told.filter(|_| outlook.sightings.get(at as usize) != Some(&Sighting::Out)),
    };
    let Some(since) = since else { return false };
    let spread_ms = table.drain_spread_ms;
    since.millis_since(question.now) <= spread_ms
        && question.now.millis_since(since) < question.session % spread_ms.max(1)
}

/// What is known of a box's load.
pub(super) fn load(outlook: &Outlook, at: u32) -> Option<u32> {
    let one = outlook.table.candidates.get(at as usize)?;
    if outlook.table.own == Some(at) {
        return Some(outlook.own.load_per_mille);
    }
    let said = outlook.hints.get(at as usize).copied().flatten();
    let told = outlook.loads_count.then_some(one.load_per_mille);
    said.and_then(Hint::number).or(told)
}

/// Whoever asks has reached this box: it is not dead, whatever the bundle says.
fn own_trouble(outlook: &Outlook) -> Trouble {
    match outlook.own {
        own if own.draining => Trouble::Draining,
        own if own.sick => Trouble::Sick,
        _ => Trouble::None,
    }
}

/// What was seen lately goes before what control believed when it made the bundle.
fn trouble(outlook: &Outlook, one: &Candidate, at: u32) -> Trouble {
    let sighting = outlook.sightings.get(at as usize).copied().unwrap_or_default();
    let said = outlook.hints.get(at as usize).copied().flatten();
    if one.draining || one.health == Health::Draining || said == Some(Hint::Leave) {
        return Trouble::Draining;
    }
    match (sighting, one.health) {
        (Sighting::Out, _) | (Sighting::Unknown, Health::Silent | Health::Unheard) => Trouble::Dead,
        (_, Health::Sick) => Trouble::Sick,
        _ => Trouble::None,
    }
}

/// For the first place, one that carries more than its share of what its equals carry together is
/// passed over, the more often the more it carries. Nobody is passed on to a box of which nothing
/// is known.
fn spill(list: &mut [Standing], rule: &LoadRule, question: &Question<'_>) {
    let Some(first) = list.first() else { return };
    let key = first.key;
    let equals = list.iter().take_while(|one| one.key == key).count();
    if equals < 2 || first.load_per_mille.is_none() {
        return;
    }
    let known = || list[..equals].iter().filter(|one| one.load_per_mille.is_some());
    let load: u64 = known().map(|one| u64::from(one.load()) * u64::from(one.capacity_mbps)).sum();
    let capacity: u64 = known().map(|one| u64::from(one.capacity_mbps)).sum();
    let mean = load as f64 / capacity.max(1) as f64;
    let keeps = |one: &Standing| {
        let drawn = draw(question.session, question.title_hash, one.hash);
        one.load_per_mille.is_some_and(|load| rule.keeps(load, mean, drawn))
    };
    let kept = list[..equals].iter().position(keeps);
    let least = || {
        let loads =
            list[..equals].iter().enumerate().filter(|(_, one)| one.load_per_mille.is_some());
        loads.min_by_key(|(_, one)| one.load()).map_or(0, |(at, _)| at)
    };
    let at = kept.unwrap_or_else(least);
    list[..=at].rotate_right(1);
}

/// A session that streams already stays where it is while that is as good as the best.
fn stay(list: &mut [Standing], rule: &LoadRule, question: &Question<'_>) {
    let Some(current) = question.current else { return };
    let Some(at) = list.iter().position(|one| one.at == current) else { return };
    let (own, best) = (list[at], list[0]);
    if own.may_stay {
        list[..=at].rotate_right(1);
        return;
    }
    let too_much = own.load().saturating_sub(rule.full_per_mille);
    let coin = unit(mix(question.session ^ own.hash));
    if coin * f64::from(own.load().max(1)) < f64::from(too_much) * 2.0 {
        return;
    }
    if own.key.for_staying() <= best.key.for_staying() {
        list[..=at].rotate_right(1);
    }
}

/// When one failure domain has both first places, the best of another takes the second: one with
/// the whole title and room, or else with the whole title.
fn part_domains(list: &mut [Standing]) {
    let [first, second, ..] = list else { return };
    let domain = first.domain;
    if second.domain != domain {
        return;
    }
    let other = |one: &Standing| one.domain != domain && !one.key.is_partial;
    let roomy = |one: &Standing| other(one) && !one.key.is_full;
    if let Some(at) = list.iter().position(roomy).or_else(|| list.iter().position(other)) {
        list[1..=at].rotate_right(1);
    }
}

fn cut(list: &mut Vec<Standing>) {
    let origin = list.iter().position(|one| one.key.is_origin);
    if let Some(at) = origin.filter(|at| *at >= RANKED_MAX) {
        list[RANKED_MAX - 1..=at].rotate_right(1);
    }
    list.truncate(RANKED_MAX);
}
