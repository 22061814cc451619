//! The ranking written a second time, as plainly as can be: every appliance of the fleet, every
//! prefix, every object, compared one by one. Shares nothing with the crate but its inputs; so slow
//! that it is only good for being right.

#![allow(dead_code)] // Tests and the bench use the parts they need.

pub mod build;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;

use control_types::fleet::{Health, Link, Role};
use ipnet::IpNet;

/// One box with all that is known of it.
#[derive(Clone, Debug)]
pub struct PlainBox {
    pub id: String,
    pub site: usize,
    pub role: Role,
    pub link: Link,
    pub domain: Option<String>,
    pub capacity_mbps: u64,
    pub load_per_mille: u64,
    pub health: Health,
    pub is_late: bool,
    pub is_shunned: bool,
    /// Sessions may leave it one by one: they stay for this long, milliseconds.
    pub drained_for_ms: Option<u64>,
    pub holds: HashSet<u32>,
}

/// One site.
#[derive(Clone, Debug)]
pub struct PlainSite {
    pub id: String,
    pub place: (f64, f64),
    pub fails_as_one: bool,
}

/// One announcement of a prefix to a site, or to one of its boxes.
#[derive(Clone, Debug)]
pub struct PlainRoute {
    pub prefix: IpNet,
    pub site: usize,
    pub only: Option<usize>,
    pub as_path_len: u16,
    pub origin: u8,
    pub med: u32,
}

/// A fleet.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub sites: Vec<PlainSite>,
    pub boxes: Vec<PlainBox>,
    pub routes: Vec<PlainRoute>,
}

/// A question: which objects of which title, for whom.
#[derive(Clone, Debug)]
pub struct PlainQuestion {
    pub ip: IpAddr,
    pub title: String,
    pub objects: Vec<u32>,
    pub session: u64,
    pub current: Option<usize>,
}

#[derive(Clone, Debug)]
struct Candidate<'a> {
    number: usize,
    one: &'a PlainBox,
    way: Option<&'a PlainRoute>,
    held: usize,
    distance_km: Option<f64>,
    score: f64,
    may_stay: bool,
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn name(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

fn fraction(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0
}

fn kilometres(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (a, b) = (from.0.to_radians(), to.0.to_radians());
    let lat = ((b - a) / 2.0).sin();
    let lon = ((to.1 - from.1).to_radians() / 2.0).sin();
    let chord = lat.powi(2) + a.cos() * b.cos() * lon.powi(2);
    2.0 * 6_371.0 * chord.clamp(0.0, 1.0).sqrt().asin()
}

/// The ids of the list, best first.
pub fn ranked(world: &World, question: &PlainQuestion) -> Vec<String> {
    let covering: Vec<&PlainRoute> =
        world.routes.iter().filter(|route| route.prefix.contains(&question.ip)).collect();
    let longest = covering.iter().map(|route| route.prefix.prefix_len()).max();
    let home = covering
        .iter()
        .filter(|route| Some(route.prefix.prefix_len()) == longest)
        .map(|route| route.site)
        .min_by_key(|site| &world.sites[*site].id);
    let mut candidates = candidates(world, question, &covering, home);
    let offered = |one: &Candidate<'_>, strict: bool| {
        let is_edge = one.one.role == Role::Edge;
        let is_well = match one.one.health {
            Health::Healthy => true,
            Health::Unheard => false,
            Health::Draining => one.may_stay,
            Health::Silent | Health::Sick => !strict,
        };
        is_well
            && (one.way.is_some() || !is_edge)
            && (one.held > 0 || question.objects.is_empty() || !is_edge)
    };
    let strict = candidates.iter().any(|one| offered(one, true));
    candidates.retain(|one| offered(one, strict));
    candidates.sort_by(|a, b| {
        compare(a, b, question, true)
            .then(b.score.total_cmp(&a.score))
            .then_with(|| a.one.id.cmp(&b.one.id))
    });
    spill(&mut candidates, question);
    stay(&mut candidates, question);
    part(&mut candidates, world, question);
    cut(&mut candidates);
    candidates.into_iter().map(|one| one.one.id.clone()).collect()
}

fn candidates<'a>(
    world: &'a World,
    question: &PlainQuestion,
    covering: &[&'a PlainRoute],
    home: Option<usize>,
) -> Vec<Candidate<'a>> {
    let place = home.map(|site| world.sites[site].place);
    let distance = |site: usize| match home {
        Some(home) if home == site => Some(0.0),
        _ => place.map(|from| kilometres(from, world.sites[site].place).floor()),
    };
    let mut near: Vec<usize> = Vec::new();
    for (role, max) in [(Role::Tier, 4), (Role::Origin, 2)] {
        let mut all: Vec<usize> =
            (0..world.boxes.len()).filter(|at| world.boxes[*at].role == role).collect();
        all.sort_by(|a, b| {
            let far = |at: &usize| distance(world.boxes[*at].site).unwrap_or(f64::MAX);
            far(a).total_cmp(&far(b)).then_with(|| world.boxes[*a].id.cmp(&world.boxes[*b].id))
        });
        near.extend(all.into_iter().take(max));
    }
    let mut found = Vec::new();
    for (number, one) in world.boxes.iter().enumerate() {
        let is_reached = covering.iter().any(|route| route.site == one.site);
        if !is_reached && !near.contains(&number) {
            continue;
        }
        let mine = covering
            .iter()
            .filter(|route| route.site == one.site && route.only.is_none_or(|at| at == number));
        let way = mine.min_by_key(|route| {
            let bits = 255 - route.prefix.prefix_len();
            (bits, route.as_path_len, route.origin, route.med)
        });
        let share = fraction(mix(name(&question.title) ^ name(&one.id).rotate_left(17)));
        let stays_ms = mix(question.session) % 30_000;
        let leaves_slowly = one.health == Health::Draining
            && one.drained_for_ms.is_some_and(|drained_ms| drained_ms < stays_ms);
        found.push(Candidate {
            number,
            one,
            way: way.copied(),
            held: question.objects.iter().filter(|object| one.holds.contains(object)).count(),
            distance_km: distance(one.site),
            score: one.capacity_mbps as f64 / -share.ln(),
            may_stay: leaves_slowly && question.current == Some(number),
        });
    }
    found
}

/// The rules in their order; `taste` leaves none out, without it load and distance are not asked.
fn compare(
    a: &Candidate<'_>,
    b: &Candidate<'_>,
    question: &PlainQuestion,
    taste: bool,
) -> Ordering {
    let wanted = question.objects.len();
    let first = |order: Ordering, next: Ordering| if order.is_ne() { order } else { next };
    let step = |one: &Candidate<'_>| match one.one.load_per_mille {
        0..700 => 0,
        700..850 => 1,
        850..950 => 2,
        _ => 3,
    };
    let is_full = |one: &Candidate<'_>| taste && step(one) == 3;
    let mut order = (a.held == 0 && wanted > 0).cmp(&(b.held == 0 && wanted > 0));
    order = first(order, a.one.is_late.cmp(&b.one.is_late));
    order = first(order, a.one.is_shunned.cmp(&b.one.is_shunned));
    order = first(order, (a.one.role == Role::Origin).cmp(&(b.one.role == Role::Origin)));
    order = first(order, (a.held < wanted).cmp(&(b.held < wanted)));
    order = first(order, is_full(a).cmp(&is_full(b)));
    order = first(order, a.one.role.cmp(&b.one.role));
    let bits = |one: &Candidate<'_>| one.way.map_or(-1, |way| i32::from(way.prefix.prefix_len()));
    order = first(order, bits(b).cmp(&bits(a)));
    let path = |one: &Candidate<'_>| one.way.map_or(0, |way| way.as_path_len.min(255));
    order = first(order, path(a).cmp(&path(b)));
    let origin = |one: &Candidate<'_>| one.way.map_or(0, |way| way.origin);
    order = first(order, origin(a).cmp(&origin(b)));
    let med = |one: &Candidate<'_>| one.way.map_or(0, |way| way.med);
    order = first(order, med(a).cmp(&med(b)));
    order = first(order, a.one.link.cmp(&b.one.link));
    if !taste {
        return order;
    }
    order = first(order, step(a).min(2).cmp(&step(b).min(2)));
    let far = |one: &Candidate<'_>| one.distance_km.map_or(i64::MAX, |km| km as i64 / 50);
    first(order, far(a).cmp(&far(b)))
}

fn spill(list: &mut Vec<Candidate<'_>>, question: &PlainQuestion) {
    if list.is_empty() {
        return;
    }
    let best = list[0].clone();
    let equals: Vec<usize> = (0..list.len())
        .filter(|at| compare(&best, &list[*at], question, true) == Ordering::Equal)
        .collect();
    if equals.len() < 2 {
        return;
    }
    let carried: u64 =
        equals.iter().map(|at| list[*at].one.load_per_mille * list[*at].one.capacity_mbps).sum();
    let room: u64 = equals.iter().map(|at| list[*at].one.capacity_mbps).sum();
    let mean = carried as f64 / room.max(1) as f64;
    let session = mix(question.session);
    let keeps = |at: &&usize| {
        let own = list[**at].one.load_per_mille as f64;
        let share = (mean / own).powi(12);
        own <= mean
            || own < 50.0
            || fraction(mix(session ^ mix(name(&question.title) ^ name(&list[**at].one.id))))
                < share
    };
    let least = equals.iter().min_by_key(|at| list[**at].one.load_per_mille);
    let chosen = equals.iter().find(keeps).or(least).copied().unwrap_or(0);
    let one = list.remove(chosen);
    list.insert(0, one);
}

fn stay(list: &mut Vec<Candidate<'_>>, question: &PlainQuestion) {
    let Some(current) = question.current else { return };
    let Some(at) = list.iter().position(|one| one.number == current) else { return };
    if !list[at].may_stay {
        let load = list[at].one.load_per_mille;
        let coin = fraction(mix(mix(question.session) ^ name(&list[at].one.id)));
        let is_shed = coin * load.max(1) as f64 <= load.saturating_sub(950) as f64 * 2.0;
        let is_worse = compare(&list[at], &list[0], question, false) == Ordering::Greater;
        if (is_shed && load > 950) || is_worse {
            return;
        }
    }
    let one = list.remove(at);
    list.insert(0, one);
}

fn part(list: &mut Vec<Candidate<'_>>, world: &World, question: &PlainQuestion) {
    if list.len() < 2 {
        return;
    }
    let domain = |one: &Candidate<'_>| {
        let site = &world.sites[one.one.site];
        match &one.one.domain {
            _ if site.fails_as_one => format!("site {}", site.id),
            Some(domain) => format!("site {} domain {domain}", site.id),
            None => format!("box {}", one.one.id),
        }
    };
    let own = domain(&list[0]);
    if domain(&list[1]) != own {
        return;
    }
    let is_other = |one: &Candidate<'_>| domain(one) != own && one.held == question.objects.len();
    let has_room = |one: &Candidate<'_>| {
        one.one.load_per_mille < 950 && !one.one.is_late && !one.one.is_shunned
    };
    let roomy = list.iter().position(|one| is_other(one) && has_room(one));
    let Some(at) = roomy.or_else(|| list.iter().position(is_other)) else { return };
    let one = list.remove(at);
    list.insert(1, one);
}

fn cut(list: &mut Vec<Candidate<'_>>) {
    if list.len() <= 8 {
        return;
    }
    let origin = list.iter().position(|one| one.one.role == Role::Origin);
    if let Some(at) = origin.filter(|at| *at >= 8) {
        let one = list.remove(at);
        list.insert(7, one);
    }
    list.truncate(8);
}
