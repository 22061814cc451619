//! Ranks appliances for one member and one title: a pure function over one immutable fleet. No
//! lock, no I/O, no clock; never knows who the member is.
//!
//! Mechanics: every appliance of the fleet gets a verdict. Those not excluded are sorted by the
//! rules below, first difference decides; then no site may take both first places while another has
//! the title; then the list is cut to `RANKED_MAX`, keeping the origin.
//!
//! | rule | smaller stands first |
//! |---|---|
//! | absent | holds something of the title; a tier or origin that holds nothing is a last resort |
//! | fallback | not the origin: the origin is everyone's spare |
//! | partial | holds all of the title |
//! | full | below `LOAD_FULL_PERCENT` of its capacity |
//! | role | edge, tier, origin |
//! | prefix | longest prefix announced to its site |
//! | link | embedded, private peering, public peering, transit |
//! | headroom | idle, busy, high |
//! | distance | from the site with the longest prefix, in steps of `DISTANCE_STEP_KM` |
//! | spread | rendezvous hash of title and appliance: equals share titles, and keep them |
//!
//! An edge is offered only to prefixes announced to its site. Who is silent is judged by `ear.rs`,
//! which doubts control before it doubts most of the fleet. When nothing at all may be offered, the
//! appliances last known good are, silent or sick: control losing sight of the fleet must not stop
//! members whose appliances are fine.

use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

use control_types::fleet::{Health, Link, Role};
use control_types::limits::RANKED_MAX;
use control_types::{ApplianceId, ObjectId, SiteId, TitleId, UnixMillis};

use crate::ear::Sight;
use crate::fleet::{Fleet, Held, Registered, Seen};
use crate::limits::{DISTANCE_STEP_KM, LOAD_BUSY_PERCENT, LOAD_FULL_PERCENT, LOAD_HIGH_PERCENT};

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The member's address.
    pub ip: IpAddr,
    /// What is to be played.
    pub title: &'a TitleId,
    /// Every object a player may ask for: media and playlists of all renditions.
    pub objects: &'a [ObjectId],
}

/// One place of a ranked list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Which box.
    pub appliance: ApplianceId,
    /// Where it stands.
    pub site: SiteId,
    /// `https://host:port`, without a trailing slash.
    pub media_url: String,
    /// The rule that put it here, in one word.
    pub reason: String,
}

/// The verdict on the whole fleet.
#[derive(Debug)]
pub struct Decision<'a> {
    /// Longest announced prefix that holds the member's address, as text.
    pub matched_prefix: Option<String>,
    /// Every appliance: ranked ones first and in order, then the others by id.
    pub verdicts: Vec<Verdict<'a>>,
    /// The list is of appliances last known good, because none is known good now.
    pub last_good: bool,
}

/// The verdict on one appliance.
#[derive(Debug)]
pub struct Verdict<'a> {
    pub(crate) registered: &'a Registered,
    pub(crate) seen: Option<&'a Seen>,
    pub(crate) standing: Standing,
    pub(crate) place: Place,
}

/// Ranked, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Ranked { rank: u32, rule: Rule },
    Excluded(Exclusion),
}

/// Why an appliance is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    NotAnnounced,
    Unheard,
    Silent,
    Sick,
    Draining,
    Absent,
    ListFull,
}

/// The rules, in the order they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Absent,
    Fallback,
    Partial,
    Full,
    Role,
    Prefix,
    Link,
    Headroom,
    Distance,
    Spread,
    /// Moved up so that two sites share the first two places.
    Site,
    /// Nothing to compare it with.
    Only,
}

/// All that the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) health: Health,
    /// Offered although it is silent: too many others are, too.
    pub(crate) is_doubted: bool,
    /// Of the longest prefix announced to its site that holds the address.
    pub(crate) prefix_len: Option<u8>,
    pub(crate) held: usize,
    pub(crate) wanted: usize,
    pub(crate) role: Role,
    pub(crate) link: Link,
    pub(crate) load_percent: u64,
    /// Absent when nobody knows where the member is.
    pub(crate) distance_km: Option<f64>,
    pub(crate) spread: u64,
}

/// Ranks the whole fleet for `question`.
#[must_use]
pub fn decide<'a>(
    fleet: &'a Fleet,
    question: &Question<'_>,
    silent_ms: u64,
    now: UnixMillis,
) -> Decision<'a> {
    let sight = Sight::of(fleet, silent_ms, now);
    let covers = fleet.registry.prefixes.covers(question.ip);
    let anchor = covers.first().and_then(|cover| cover.sites.first());
    let mut verdicts: Vec<Verdict<'a>> = Vec::with_capacity(fleet.registry.appliances.len());
    for (id, registered) in &fleet.registry.appliances {
        let site = &registered.record.site;
        let cover = covers.iter().find(|cover| cover.sites.binary_search(site).is_ok());
        let seen = fleet.seen.get(id).map(|seen| &**seen);
        let (health, is_doubted) = sight.judge(registered, seen);
        let standing = Standing {
            health,
            is_doubted,
            prefix_len: cover.map(|cover| cover.prefix.prefix_len()),
            held: seen.map_or(0, |seen| count_held(&seen.held, question.objects)),
            wanted: question.objects.len(),
            role: registered.record.role,
            link: registered.record.link,
            load_percent: seen.map_or(0, |seen| load_percent(registered, seen)),
            distance_km: anchor.and_then(|anchor| distance_km(fleet, anchor, site)),
            spread: rendezvous(question.title, id),
        };
        let place = Place::Excluded(Exclusion::ListFull);
        verdicts.push(Verdict { registered, seen, standing, place });
    }
    let has_none = decide_places(&mut verdicts);
    let has_list = verdicts.iter().any(|verdict| matches!(verdict.place, Place::Ranked { .. }));
    let last_good = has_none || (sight.is_deaf && has_list);
    let matched_prefix = covers.first().map(|cover| cover.prefix.to_string());
    Decision { matched_prefix, verdicts, last_good }
}

/// Gives every verdict its place and sorts them; says whether it had to fall back on last good.
fn decide_places(verdicts: &mut Vec<Verdict<'_>>) -> bool {
    let strict = |verdict: &Verdict<'_>| exclusion(&verdict.standing, Trust::Reports);
    let last_good = !verdicts.is_empty() && verdicts.iter().all(|v| strict(v).is_some());
    let trust = if last_good { Trust::LastGood } else { Trust::Reports };
    let (mut list, mut rest): (Vec<_>, Vec<_>) =
        verdicts.drain(..).partition(|verdict| exclusion(&verdict.standing, trust).is_none());
    let has_list = !list.is_empty();
    for verdict in &mut rest {
        let why = exclusion(&verdict.standing, trust).unwrap_or(Exclusion::ListFull);
        verdict.place = Place::Excluded(why);
    }
    list.sort_by(|a, b| compare(&a.standing, &b.standing).0);
    let moved = part_sites(&mut list);
    let mut cut = cut_list(&mut list);
    let places: Vec<Place> = (0..list.len()).map(|at| place_at(&list, at, moved)).collect();
    for (verdict, place) in list.iter_mut().zip(places) {
        verdict.place = place;
    }
    cut.append(&mut rest);
    cut.sort_by(|a, b| a.registered.record.id.cmp(&b.registered.record.id));
    list.append(&mut cut);
    *verdicts = list;
    last_good && has_list
}

/// Whether reports decide who is offered, or what was known before they went wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Reports,
    LastGood,
}

fn exclusion(standing: &Standing, trust: Trust) -> Option<Exclusion> {
    if standing.role == Role::Edge && standing.prefix_len.is_none() {
        return Some(Exclusion::NotAnnounced);
    }
    match standing.health {
        Health::Unheard => return Some(Exclusion::Unheard),
        Health::Draining => return Some(Exclusion::Draining),
        Health::Silent if trust == Trust::Reports => return Some(Exclusion::Silent),
        Health::Sick if trust == Trust::Reports => return Some(Exclusion::Sick),
        Health::Silent | Health::Sick | Health::Healthy => {}
    }
    (standing.is_absent() && standing.role == Role::Edge).then_some(Exclusion::Absent)
}

impl Standing {
    fn is_absent(&self) -> bool {
        self.held == 0 && self.wanted > 0
    }

    fn is_partial(&self) -> bool {
        self.held < self.wanted
    }

    fn is_full(&self) -> bool {
        self.load_percent >= LOAD_FULL_PERCENT
    }

    fn load_step(&self) -> u8 {
        u8::from(self.load_percent >= LOAD_BUSY_PERCENT)
            + u8::from(self.load_percent >= LOAD_HIGH_PERCENT)
    }

    /// Steps rather than kilometres, so that a few of them do not outweigh an even spread.
    fn distance_steps(&self) -> u32 {
        // The quotient is at most half the equator in steps, far inside u32.
        self.distance_km.map_or(u32::MAX, |km| (km / DISTANCE_STEP_KM) as u32)
    }
}

/// The order of two appliances, and the first rule that told them apart.
fn compare(a: &Standing, b: &Standing) -> (Ordering, Rule) {
    let is_origin = |standing: &Standing| standing.role == Role::Origin;
    let steps: [(Rule, Ordering); 9] = [
        (Rule::Absent, a.is_absent().cmp(&b.is_absent())),
        (Rule::Fallback, is_origin(a).cmp(&is_origin(b))),
        (Rule::Partial, a.is_partial().cmp(&b.is_partial())),
        (Rule::Full, a.is_full().cmp(&b.is_full())),
        (Rule::Role, a.role.cmp(&b.role)),
        (Rule::Prefix, Reverse(a.prefix_len).cmp(&Reverse(b.prefix_len))),
        (Rule::Link, a.link.cmp(&b.link)),
        (Rule::Headroom, a.load_step().cmp(&b.load_step())),
        (Rule::Distance, a.distance_steps().cmp(&b.distance_steps())),
    ];
    steps
        .into_iter()
        .find(|(_, order)| order.is_ne())
        .map_or((b.spread.cmp(&a.spread), Rule::Spread), |(rule, order)| (order, rule))
}

/// When one site has both first places, the best of another site takes the second, unless it is
/// only a spare: origin, full, or short of the title. Says whether one was moved.
fn part_sites(list: &mut [Verdict<'_>]) -> bool {
    let [first, second, ..] = &list[..] else { return false };
    let site = &first.registered.record.site;
    if second.registered.record.site != *site {
        return false;
    }
    let found = list.iter().position(|verdict| {
        let standing = &verdict.standing;
        verdict.registered.record.site != *site
            && standing.role != Role::Origin
            && !standing.is_full()
            && !standing.is_partial()
    });
    let Some(at) = found else { return false };
    list[1..=at].rotate_right(1);
    true
}

/// Cuts the list to `RANKED_MAX`, its last place kept for the best origin; returns what was cut
/// off.
fn cut_list<'a>(list: &mut Vec<Verdict<'a>>) -> Vec<Verdict<'a>> {
    if list.len() <= RANKED_MAX {
        return Vec::new();
    }
    let origin = list.iter().position(|verdict| verdict.standing.role == Role::Origin);
    if let Some(at) = origin.filter(|at| *at >= RANKED_MAX) {
        list[RANKED_MAX - 1..=at].rotate_right(1);
    }
    let mut cut = list.split_off(RANKED_MAX);
    for verdict in &mut cut {
        verdict.place = Place::Excluded(Exclusion::ListFull);
    }
    cut
}

/// The first place is explained by what puts it above the second, each other by what puts it below
/// the one before; around a moved one, the rules are asked as if it had not been moved.
fn place_at(list: &[Verdict<'_>], at: usize, moved: bool) -> Place {
    let told_apart = |a: usize, b: usize| compare(&list[a].standing, &list[b].standing).1;
    let rule = match at {
        0 if list.len() == 1 => Rule::Only,
        // A moved list has at least three places: the two of one site, and the one between them.
        0 if moved => told_apart(0, 2),
        0 => told_apart(0, 1),
        1 | 2 if moved => Rule::Site,
        _ => told_apart(at - 1, at),
    };
    let rank = u32::try_from(at).map_or(u32::MAX, |at| at + 1);
    Place::Ranked { rank, rule }
}

fn count_held(held: &Held, wanted: &[ObjectId]) -> usize {
    wanted.iter().filter(|object| held.objects.contains(object)).count()
}

fn load_percent(registered: &Registered, seen: &Seen) -> u64 {
    let capacity = registered.record.capacity_bps.max(1);
    seen.report.sending_bps.saturating_mul(100) / capacity
}

/// Great-circle kilometres between two sites; the anchor stands for the member, whose own place
/// nobody tells us.
fn distance_km(fleet: &Fleet, from: &SiteId, to: &SiteId) -> Option<f64> {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let (a, b) = (fleet.registry.sites.get(from)?, fleet.registry.sites.get(to)?);
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.longitude - a.longitude).to_radians() / 2.0).sin();
    let chord = half_lat.powi(2) + lat_a.cos() * lat_b.cos() * half_lon.powi(2);
    Some(2.0 * EARTH_RADIUS_KM * chord.clamp(0.0, 1.0).sqrt().asin())
}

/// Highest score wins. A fixed function of both names, so that every control process and every
/// restart sends a title to the same box: FNV-1a, then a finalizer that spreads its low entropy.
fn rendezvous(title: &TitleId, appliance: &ApplianceId) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in title.as_str().bytes().chain([0]).chain(appliance.as_str().bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
