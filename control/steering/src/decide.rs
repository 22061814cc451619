//! Gathers, for one question, the standings of every appliance that could be offered, and has them
//! ranked: a pure function over one immutable fleet. No lock, no I/O, no clock; never knows who the
//! member is.
//!
//! Who could be offered: all appliances of sites that were announced to the member's address, by
//! their record or by a route, and the tiers and origins nearest to the first of these sites. The
//! best route to a site is its longest prefix, then the shortest AS path, origin, MED.

use std::net::IpAddr;

use control_routes::Covers;
use control_types::content::fingerprint;
use control_types::fleet::{Health, Role};
use control_types::spread::{hash_name, mix};
use control_types::{ApplianceId, ObjectId, SiteId, TitleId};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::fleet::Fleet;
use crate::held::{Held, Rows};
use crate::index::NOWHERE;
use crate::policy::Policy;
use crate::rank::{NetworkKey, Ranking, Seeds, Standing, Verdict, Way, rank};

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The member's address.
    pub ip: IpAddr,
    /// What is to be played.
    pub title: &'a TitleId,
    /// Every object a player may ask for: media and playlists of all renditions.
    pub objects: &'a [ObjectId],
    /// How many of them a box may lack and still have the title, see `control_types::presence`.
    pub optional: usize,
    /// A number of the session, the same at each of its questions; absent: the address stands for
    /// it.
    pub session: Option<u64>,
    /// Where the session streams from, if it does.
    pub current: Option<&'a ApplianceId>,
    /// Where the member is, degrees, if GeoIP knows: for distance, the last rule.
    pub whereabouts: Option<(f64, f64)>,
}

impl<'a> Question<'a> {
    /// A question of somebody who does not stream yet.
    #[must_use]
    pub fn new(ip: IpAddr, title: &'a TitleId, objects: &'a [ObjectId]) -> Self {
        let (session, current, whereabouts) = (None, None, None);
        Self { ip, title, objects, optional: 0, session, current, whereabouts }
    }

    /// The same of a title of which a box may lack `optional` objects.
    #[must_use]
    pub fn lacking(self, optional: usize) -> Self {
        Self { optional, ..self }
    }

    /// The same, asked by a session.
    #[must_use]
    pub fn of_session(self, session: u64, current: Option<&'a ApplianceId>) -> Self {
        Self { session: Some(session), current, ..self }
    }

    pub(crate) fn seeds(&self) -> Seeds {
        let session = self.session.unwrap_or_else(|| hash_address(self.ip));
        Seeds { title: hash_name(self.title.as_str()), session: mix(session) }
    }
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

/// The verdict on every candidate.
#[derive(Debug)]
pub struct Decision<'a> {
    pub(crate) fleet: &'a Fleet,
    /// Longest announced prefix that holds the member's address.
    pub matched_prefix: Option<IpNet>,
    /// Ranked ones first and in order.
    pub verdicts: Vec<Verdict>,
    /// What it came to.
    pub ranking: Ranking,
}

/// Candidates of one question that need no memory of their own; more are rare.
const CANDIDATES_USUAL: usize = 32;

/// Ranks the fleet for `question`.
#[must_use]
pub fn decide<'a>(fleet: &'a Fleet, question: &Question<'_>, policy: &Policy) -> Decision<'a> {
    let reach = Reached::of(fleet, question.ip);
    let mut wanted = fleet.library.want_all(question.objects);
    wanted.optional = question.optional;
    let index = &fleet.registry.index;
    let current = question.current.and_then(|id| index.number_of(id));
    let numbers = reach.candidates(fleet);
    // Short loops rather than one long one: in each, the processor waits for the memory of all
    // candidates at once, of their briefs, their sets' heads, their sets' words.
    type Each<T> = SmallVec<[T; CANDIDATES_USUAL]>;
    let held: Each<Option<&Held>> =
        numbers.iter().map(|number| fleet.brief[*number as usize].held.as_deref()).collect();
    let rows: Each<Rows<'_>> =
        held.iter().map(|held| held.map_or(Rows::default(), Held::rows)).collect();
    let counts: Each<usize> = rows.iter().map(|rows| rows.count(&wanted)).collect();
    let wanted = wanted.needed();
    let gather = Gather { fleet, question, reach: &reach, wanted, policy, current };
    let mut verdicts: Vec<Verdict> = numbers
        .iter()
        .zip(counts)
        .map(|(number, held)| Verdict::of(gather.standing(*number, held)))
        .collect();
    let mut ranking = rank(&mut verdicts, policy, question.seeds(), current);
    ranking.last_good |= fleet.is_deaf && ranking.len > 0;
    Decision { fleet, matched_prefix: reach.prefix, verdicts, ranking }
}

/// Whether a member at `ip` could be offered this appliance at all.
pub(crate) fn is_candidate(fleet: &Fleet, ip: IpAddr, number: u32) -> bool {
    Reached::of(fleet, ip).candidates(fleet).contains(&number)
}

/// Numbers of the edges that were announced to an address, whatever they hold.
pub(crate) fn edges_around(fleet: &Fleet, ip: IpAddr) -> Vec<u32> {
    let reached = Reached::of(fleet, ip);
    let is_announced = |number: &u32| {
        let one = &fleet.brief[*number as usize];
        one.role == Role::Edge && reached.way_to(one.site, *number).is_some()
    };
    reached.candidates(fleet).into_iter().filter(is_announced).collect()
}

/// Sites and boxes that were announced to an address.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// By site; the best way of all its boxes.
    sites: Vec<(u32, Reach)>,
    prefix: Option<IpNet>,
    /// The first site of the longest prefix: it stands for the member, whose own place nobody tells
    /// us.
    anchor: Option<u32>,
}

/// The first site of the longest prefix, and all sites with their ways.
pub(crate) type Facts = (Option<u32>, Vec<(u32, Reach)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    way: Way,
    /// The only box that was meant.
    only: Option<u32>,
}

impl Reached {
    fn of(fleet: &Fleet, ip: IpAddr) -> Self {
        Self::through(fleet, ip, u8::MAX, fleet.routes.lookup(ip))
    }

    /// What was announced to those addresses of a network that no longer prefix holds.
    pub(crate) fn around(fleet: &Fleet, network: &IpNet) -> Self {
        let routes = fleet.routes.around(network);
        Self::through(fleet, network.network(), network.prefix_len(), routes)
    }

    fn through(fleet: &Fleet, ip: IpAddr, len_max: u8, routes: Covers<'_>) -> Self {
        let mut reached = Self::default();
        let index = &fleet.registry.index;
        fleet.registry.prefixes.each_cover(ip, |prefix, sites| {
            if prefix.prefix_len() > len_max {
                return;
            }
            let plain = Way { prefix_len: prefix.prefix_len(), as_path_len: 0, origin: 0, med: 0 };
            for site in sites {
                if let Some(site) = index.site_number(site) {
                    reached.add(prefix, site, Reach { way: plain, only: None });
                }
            }
        });
        for cover in routes.iter() {
            for choice in cover.choices {
                let site = fleet.route_sites.get(choice.site.0 as usize).copied();
                let Some(site) = site.filter(|site| *site != NOWHERE) else { continue };
                let only = match choice.appliance {
                    None => None,
                    Some(key) => match fleet.route_boxes.get(key.0 as usize).copied() {
                        Some(number) if number != NOWHERE => Some(number),
                        _ => continue,
                    },
                };
                let way = Way {
                    prefix_len: cover.prefix.prefix_len(),
                    as_path_len: choice.as_path_len,
                    origin: choice.origin as u8,
                    med: choice.med,
                };
                reached.add(cover.prefix, site, Reach { way, only });
            }
        }
        reached
    }

    /// All that an order made of this depends on.
    pub(crate) fn into_facts(self) -> Facts {
        (self.anchor, self.sites)
    }

    /// The same from its facts.
    pub(crate) fn of_facts((anchor, sites): Facts) -> Self {
        Self { sites, prefix: None, anchor }
    }

    /// Numbers of all appliances that could be offered.
    pub(crate) fn candidates(&self, fleet: &Fleet) -> SmallVec<[u32; CANDIDATES_USUAL]> {
        let index = &fleet.registry.index;
        let mut numbers = SmallVec::new();
        for (at, (site, _)) in self.sites.iter().enumerate() {
            if !self.sites[..at].iter().any(|(earlier, _)| earlier == site) {
                numbers.extend_from_slice(&index.sites[*site as usize].members);
            }
        }
        let far = index.spares_near(self.anchor).iter().filter(|(_, number)| {
            let site = fleet.brief[*number as usize].site;
            !self.sites.iter().any(|(reached, _)| *reached == site)
        });
        numbers.extend(far.map(|(_, number)| *number));
        numbers
    }

    /// Kilometres to a box from the first site of the longest prefix.
    fn distance_km(&self, fleet: &Fleet, number: u32) -> u16 {
        let index = &fleet.registry.index;
        let site = fleet.brief[number as usize].site;
        let Some(anchor) = self.anchor else { return u16::MAX };
        if anchor == site {
            return 0;
        }
        let known = index.spares_near(Some(anchor)).iter().find(|(_, spare)| *spare == number);
        known.map_or_else(|| index.distance_km(anchor, site), |(km, _)| *km)
    }

    /// Where a box stands by what routes and links alone say, the smaller first; absent when it
    /// may not be offered to anybody reached so.
    pub(crate) fn network_key(
        &self,
        fleet: &Fleet,
        number: u32,
        policy: &Policy,
    ) -> Option<NetworkKey> {
        let one = &fleet.brief[number as usize];
        let way = self.way_to(one.site, number);
        if way.is_none() && one.role == Role::Edge {
            return None;
        }
        let (role, link, distance_km) = (one.role, one.link, self.distance_km(fleet, number));
        let standing = Standing { role, link, way, distance_km, ..Standing::NOBODY };
        Some(standing.network_key(policy))
    }

    fn add(&mut self, prefix: IpNet, site: u32, reach: Reach) {
        let longest = self.prefix.map(|prefix| prefix.prefix_len());
        let is_longer = longest.is_none_or(|longest| prefix.prefix_len() > longest);
        let is_first =
            longest == Some(prefix.prefix_len()) && self.anchor.is_none_or(|anchor| site < anchor);
        if is_longer || is_first {
            (self.prefix, self.anchor) = (Some(prefix), Some(site));
        }
        let same = |one: &&mut (u32, Reach)| one.0 == site && one.1.only == reach.only;
        match self.sites.iter_mut().find(same) {
            Some((_, held)) if is_better(&reach.way, &held.way) => held.way = reach.way,
            Some(_) => {}
            None => self.sites.push((site, reach)),
        }
    }

    /// The best way to a box: to its whole site, or to it alone.
    fn way_to(&self, site: u32, number: u32) -> Option<Way> {
        let mut best: Option<Way> = None;
        for (reached, reach) in &self.sites {
            let is_meant = reach.only.is_none_or(|only| only == number);
            if *reached == site && is_meant && best.is_none_or(|best| is_better(&reach.way, &best))
            {
                best = Some(reach.way);
            }
        }
        best
    }
}

fn is_better(a: &Way, b: &Way) -> bool {
    let key = |way: &Way| (255 - way.prefix_len, way.as_path_len, way.origin, way.med);
    key(a) < key(b)
}

/// What every standing of one question is made from.
struct Gather<'a> {
    fleet: &'a Fleet,
    question: &'a Question<'a>,
    reach: &'a Reached,
    /// How many objects a box needs; more than that count as that many.
    wanted: usize,
    policy: &'a Policy,
    current: Option<u32>,
}

impl Gather<'_> {
    fn standing(&self, number: u32, held: usize) -> Standing {
        let one = &self.fleet.brief[number as usize];
        let distance_km = match self.question.whereabouts {
            Some(place) => self.fleet.registry.index.distance_from_km(place, one.site),
            None => self.reach.distance_km(self.fleet, number),
        };
        let held = if one.is_denied { self.believed(number, held) } else { held };
        Standing {
            place: number,
            domain: one.domain,
            role: one.role,
            link: one.link,
            health: one.health,
            is_doubted: one.is_doubted,
            is_late: one.is_late,
            is_shunned: one.is_shunned,
            may_stay: self.current == Some(number) && self.may_stay(number),
            way: self.reach.way_to(one.site, number),
            held: u16::try_from(held.min(self.wanted)).unwrap_or(u16::MAX),
            wanted: u16::try_from(self.wanted).unwrap_or(u16::MAX),
            load_per_mille: one.load_per_mille,
            step: one.step,
            capacity_mbps: one.capacity_mbps,
            weight: self.weight(number),
            distance_km,
            hash: one.hash,
        }
    }

    fn weight(&self, number: u32) -> f32 {
        if self.policy.weights.is_empty() {
            return 1.0;
        }
        let id = &self.fleet.registry.index.boxes[number as usize].id;
        self.policy.weights.get(id).map_or(1.0, |weight| *weight as f32)
    }

    /// What is left of `held` without what players were told is there, and was not: what one of
    /// them missed is not among what may lack.
    fn believed(&self, number: u32, held: usize) -> usize {
        let state = &self.fleet.states[number as usize];
        let Some(seen) = &state.seen else { return 0 };
        let mut wanted = Vec::with_capacity(self.question.objects.len());
        self.fleet.library.want(self.question.objects, &mut wanted);
        let denied = self.question.objects.iter().zip(&wanted).filter(|(object, one)| {
            state.denied.binary_search(&fingerprint(object)).is_ok() && seen.held.has(**one)
        });
        match denied.count() {
            0 => held,
            denied => held.saturating_sub(denied).min(self.wanted.saturating_sub(1)),
        }
    }

    /// Sessions leave a box that drains one by one, in an order of their own.
    fn may_stay(&self, number: u32) -> bool {
        let state = &self.fleet.states[number as usize];
        if state.health != Health::Draining || state.drains_since.0 == 0 {
            return false;
        }
        // A drain of tomorrow: the clock was set back, and they would stay until it is tomorrow.
        if state.drains_since.millis_since(self.fleet.at) > self.policy.drain_spread_ms {
            return false;
        }
        let leaves_after = self.question.seeds().session % self.policy.drain_spread_ms.max(1);
        self.fleet.at.millis_since(state.drains_since) < leaves_after
    }
}

/// An IPv4 address, or the network of an IPv6 one: a member's addresses inside it are one member's.
#[must_use]
pub fn hash_address(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => mix(u64::from(u32::from(v4))),
        IpAddr::V6(v6) => mix((u128::from(v6) >> 64) as u64),
    }
}
