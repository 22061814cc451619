//! Puts the candidates of one question in order: a pure function of their standings and a policy.
//! Never knows a fleet: `decide.rs` gathers the standings, a replay reads them from the log.
//!
//! Mechanics: a candidate's values under all rules are packed, in the policy's order, into one
//! number; the smaller stands first. Then, for the first place only: among equals, more than its
//! share moves on (*spill*); a session stays where it streams from while that is as good as the
//! best (*current*); and no failure domain takes both first places while another box has the whole
//! title (*domain*). Then the list is cut to `RANKED_MAX`, keeping an origin.

use control_types::fleet::{Health, Link, Role};
use control_types::limits::RANKED_MAX;
use control_types::spread::{self, mix, unit};

use crate::policy::{ORDER, Policy, Rule};

/// The route a candidate was announced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Bits of the prefix.
    pub prefix_len: u8,
    /// Networks on the way.
    pub as_path_len: u16,
    /// 0 from the network's own configuration, 1 from EGP, 2 by other means.
    pub origin: u8,
    /// Multi-exit discriminator.
    pub med: u32,
}

/// All that the rules look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Which box, by the caller's numbers.
    pub place: u32,
    /// Boxes of one number fail together.
    pub domain: u32,
    /// What for.
    pub role: Role,
    /// How members reach it.
    pub link: Link,
    /// As believed now.
    pub health: Health,
    /// Offered although it is silent: too many others are, too.
    pub is_doubted: bool,
    /// Its report is overdue.
    pub is_late: bool,
    /// Players complain of it.
    pub is_shunned: bool,
    /// It drains, and this session may stay a little.
    pub may_stay: bool,
    /// The best route to it; absent when none was announced to its site.
    pub way: Option<Way>,
    /// Objects of the question that it holds.
    pub held: u16,
    /// Objects of the question.
    pub wanted: u16,
    /// Of its capacity.
    pub load_per_mille: u32,
    /// The load's step with hysteresis; absent: as the policy says.
    pub step: Option<u8>,
    /// Megabits a second it may send.
    pub capacity_mbps: u32,
    /// Multiplies its share; 1 unless a policy says otherwise.
    pub weight: f32,
    /// From the member; `u16::MAX` when nobody knows.
    pub distance_km: u16,
    /// Of its name: the same in every process and after every restart.
    pub hash: u64,
}

/// What the hashes are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    /// Of the title.
    pub title: u64,
    /// Of the session, or of the member's address.
    pub session: u64,
}

/// Why an appliance is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// No prefix that holds the address was announced to its site.
    NotAnnounced,
    /// Never reported.
    Unheard,
    /// Reports stopped.
    Silent,
    /// Disks or errors are bad.
    Sick,
    /// Drains, or is under maintenance.
    Draining,
    /// An edge that holds nothing of the title.
    Absent,
    /// Better ones filled the list.
    ListFull,
}

/// Ranked, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the list.
    Ranked {
        /// 1 for the first choice.
        rank: u32,
        /// What put it there.
        rule: Rule,
    },
    /// Not on it.
    Excluded(Exclusion),
}

/// Why the first place is not the nearest appliance announced to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is.
    Hit,
    /// The nearest lacks the title, or part of it.
    Content,
    /// The nearest is silent, late, sick, shunned, draining.
    Health,
    /// No edge was announced to the member's address.
    Route,
    /// The nearest has no room, shares a failure domain, or another rule speaks against it.
    Policy,
}

/// One candidate and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What was looked at.
    pub standing: Standing,
    /// What came of it.
    pub place: Place,
    key: u128,
    moved: Option<Rule>,
}

impl Verdict {
    /// Not yet decided.
    #[must_use]
    pub fn of(standing: Standing) -> Self {
        let place = Place::Excluded(Exclusion::ListFull);
        Self { standing, place, key: 0, moved: None }
    }
}

/// What a ranking came to, beside the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// How many of the verdicts are on the list; they stand first, in order.
    pub len: usize,
    /// The list is of appliances last known good, because none is known good now.
    pub last_good: bool,
    /// How the first place came about.
    pub outcome: Outcome,
}

/// Whether reports decide who is offered, or what was known before they went wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Reports,
    LastGood,
}

/// Ranks `verdicts`: the list first, in order, the others behind it. `current` is where the session
/// streams from.
pub fn rank(
    verdicts: &mut [Verdict],
    policy: &Policy,
    seeds: Seeds,
    current: Option<u32>,
) -> Ranking {
    let strict = |verdict: &Verdict| exclusion(&verdict.standing, Trust::Reports).is_none();
    let last_good = !verdicts.is_empty() && !verdicts.iter().any(strict);
    let trust = if last_good { Trust::LastGood } else { Trust::Reports };
    let packing = Packing::of(policy);
    let mut len = 0;
    for at in 0..verdicts.len() {
        match exclusion(&verdicts[at].standing, trust) {
            Some(why) => verdicts[at].place = Place::Excluded(why),
            None => {
                verdicts[at].key = packing.key(&verdicts[at].standing, policy, seeds);
                verdicts.swap(at, len);
                len += 1;
            }
        }
    }
    let list = &mut verdicts[..len];
    list.sort_unstable_by_key(|verdict| (verdict.key, verdict.standing.place));
    spill(list, &packing, policy, seeds);
    stay(list, policy, seeds, current);
    part_domains(list);
    len = cut(list);
    let list = &mut verdicts[..len];
    for at in 0..len {
        let rule = rule_at(list, at, &packing, policy);
        let rank = at as u32 + 1;
        list[at].place = Place::Ranked { rank, rule };
    }
    let outcome = outcome(verdicts, len, &packing, policy);
    Ranking { len, last_good: last_good && len > 0, outcome }
}

fn exclusion(standing: &Standing, trust: Trust) -> Option<Exclusion> {
    if standing.role == Role::Edge && standing.way.is_none() {
        return Some(Exclusion::NotAnnounced);
    }
    match standing.health {
        Health::Unheard => return Some(Exclusion::Unheard),
        Health::Draining if !standing.may_stay => return Some(Exclusion::Draining),
        Health::Silent if trust == Trust::Reports => return Some(Exclusion::Silent),
        Health::Sick if trust == Trust::Reports => return Some(Exclusion::Sick),
        Health::Draining | Health::Silent | Health::Sick | Health::Healthy => {}
    }
    (standing.is_absent() && standing.role == Role::Edge).then_some(Exclusion::Absent)
}

/// Rules that look at routes, links and places only, and not at how a box is just now.
const NETWORK: [Rule; 8] = [
    Rule::Fallback,
    Rule::Role,
    Rule::Prefix,
    Rule::AsPath,
    Rule::Origin,
    Rule::Med,
    Rule::Link,
    Rule::Distance,
];

/// Values under those rules, packed; the smaller stands first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NetworkKey {
    /// Under all of them.
    pub whole: u128,
    /// Under those that count more than load does.
    pub class: u128,
}

impl Standing {
    /// A box with nothing to say for or against it, to be filled in.
    pub(crate) const NOBODY: Self = Self {
        place: 0,
        domain: 0,
        role: Role::Edge,
        link: Link::Embedded,
        health: Health::Healthy,
        is_doubted: false,
        is_late: false,
        is_shunned: false,
        may_stay: false,
        way: None,
        held: 0,
        wanted: 0,
        load_per_mille: 0,
        step: None,
        capacity_mbps: 0,
        weight: 1.0,
        distance_km: 0,
        hash: 0,
    };

    /// Its values under the rules of the network alone, in the policy's order, packed.
    pub(crate) fn network_key(&self, policy: &Policy) -> NetworkKey {
        let mut key = NetworkKey::default();
        let mut is_before_load = true;
        for rule in &policy.order {
            is_before_load &= *rule != Rule::Headroom;
            if NETWORK.contains(rule) {
                let (value, bits) = self.value(*rule, policy);
                key.whole = key.whole << bits | u128::from(value);
                if is_before_load {
                    key.class = key.whole;
                }
            }
        }
        key
    }

    fn is_absent(&self) -> bool {
        self.held == 0 && self.wanted > 0
    }

    fn is_partial(&self) -> bool {
        self.held < self.wanted
    }

    fn step(&self, policy: &Policy) -> u8 {
        self.step.unwrap_or_else(|| policy.step_of(self.load_per_mille))
    }

    /// The value under one rule, and how many bits it may take.
    #[inline]
    fn value(&self, rule: Rule, policy: &Policy) -> (u32, u32) {
        let way = self.way.unwrap_or(Way { prefix_len: 0, as_path_len: 0, origin: 0, med: 0 });
        match rule {
            Rule::Absent => (u32::from(self.is_absent()), 1),
            Rule::Late => (u32::from(self.is_late), 1),
            Rule::Shunned => (u32::from(self.is_shunned), 1),
            Rule::Fallback => (u32::from(self.role == Role::Origin), 1),
            Rule::Partial => (u32::from(self.is_partial()), 1),
            Rule::Full => (u32::from(self.step(policy) >= 3), 1),
            Rule::Role => (self.role as u32, 2),
            Rule::Prefix => (self.way.map_or(256, |way| 255 - u32::from(way.prefix_len)), 9),
            Rule::AsPath => (u32::from(way.as_path_len.min(255)), 8),
            Rule::Origin => (u32::from(way.origin.min(3)), 2),
            Rule::Med => (way.med, 32),
            Rule::Link => (self.link as u32, 2),
            Rule::Headroom => (u32::from(self.step(policy).min(2)), 2),
            Rule::Distance => {
                let steps = self.distance_km / policy.distance_step_km.max(1);
                (if self.distance_km == u16::MAX { 1_023 } else { u32::from(steps.min(1_022)) }, 10)
            }
            Rule::Spread | Rule::Spill | Rule::Current | Rule::Domain | Rule::Only => (0, 0),
        }
    }
}

/// How many bits the spread is left with.
struct Packing {
    spread_bits: u32,
    /// The order is the usual one, which is packed without asking for it rule by rule.
    is_usual: bool,
}

impl Packing {
    fn of(policy: &Policy) -> Self {
        let taken: u32 =
            policy.order.iter().map(|rule| Standing::NOBODY.value(*rule, policy).1).sum();
        // All rules together take 74 bits, and each stands once.
        Self { spread_bits: (128 - taken.min(74)).min(63), is_usual: policy.order == ORDER }
    }

    fn key(&self, standing: &Standing, policy: &Policy, seeds: Seeds) -> u128 {
        let mut key = 0u128;
        if self.is_usual {
            // The same loop over a constant, so that the compiler sees each rule by itself.
            for rule in ORDER {
                let (value, bits) = standing.value(rule, policy);
                key = key << bits | u128::from(value);
            }
        } else {
            for rule in &policy.order {
                let (value, bits) = standing.value(*rule, policy);
                key = key << bits | u128::from(value);
            }
        }
        let score = rendezvous(standing, seeds.title);
        // A positive float's bits rise with it; the greatest score is to stand first.
        let spread = (i64::MAX as u64).saturating_sub(score.to_bits());
        key << self.spread_bits | u128::from(spread >> (63 - self.spread_bits))
    }

    /// Whether two stand equal under all rules but the spread.
    fn are_equal(&self, a: &Verdict, b: &Verdict) -> bool {
        a.key >> self.spread_bits == b.key >> self.spread_bits
    }
}

/// Weighted rendezvous: the share of titles at which a box wins is its share of all weights.
fn rendezvous(standing: &Standing, title: u64) -> f64 {
    spread::rendezvous(title, standing.hash, share_of(standing.capacity_mbps, standing.weight))
}

/// What a box weighs among its equals.
pub(crate) fn share_of(capacity_mbps: u32, weight: f32) -> f64 {
    f64::from(capacity_mbps.max(1)) * f64::from(weight)
}

/// For the first place, one that carries more than its share of what its equals carry together is
/// passed over, the more often the more it carries: the same sessions for as long as loads are what
/// they are, and each title's sessions to the same second box.
fn spill(list: &mut [Verdict], packing: &Packing, policy: &Policy, seeds: Seeds) {
    let Some(first) = list.first() else { return };
    let equals = list.iter().take_while(|other| packing.are_equal(first, other)).count();
    if equals < 2 {
        return;
    }
    let (mut load, mut capacity) = (0u64, 0u64);
    for verdict in &list[..equals] {
        let standing = &verdict.standing;
        load += u64::from(standing.load_per_mille) * u64::from(standing.capacity_mbps);
        capacity += u64::from(standing.capacity_mbps);
    }
    let mean = load as f64 / capacity.max(1) as f64;
    let rule = policy.load_rule();
    let keeps = |standing: &Standing| {
        let drawn = spread::draw(seeds.session, seeds.title, standing.hash);
        rule.keeps(standing.load_per_mille, mean, drawn)
    };
    let kept = list[..equals].iter().position(|verdict| keeps(&verdict.standing));
    let least = || {
        let loads = list[..equals].iter().enumerate();
        loads.min_by_key(|(_, one)| one.standing.load_per_mille).map_or(0, |(at, _)| at)
    };
    move_up(list, kept.unwrap_or_else(least), 0, Rule::Spill);
}

/// A session that streams already stays where it is, unless a rule that is no matter of taste
/// speaks against it. A full box lets go of just as many as it has too many.
fn stay(list: &mut [Verdict], policy: &Policy, seeds: Seeds, current: Option<u32>) {
    let Some(current) = current else { return };
    let Some(at) = list.iter().position(|one| one.standing.place == current) else { return };
    let own = list[at].standing;
    if own.may_stay {
        return move_up(list, at, 0, Rule::Current);
    }
    let too_much = own.load_per_mille.saturating_sub(policy.full_percent as u32 * 10);
    let coin = unit(mix(seeds.session ^ own.hash));
    if coin * f64::from(own.load_per_mille.max(1)) < f64::from(too_much) * 2.0 {
        return;
    }
    let best = list[0].standing;
    let matters = |rule: &&Rule| !matches!(rule, Rule::Full | Rule::Headroom | Rule::Distance);
    let mut orders = policy
        .order
        .iter()
        .filter(matters)
        .map(|rule| own.value(*rule, policy).0.cmp(&best.value(*rule, policy).0));
    if orders.find(|order| order.is_ne()).is_none_or(std::cmp::Ordering::is_lt) {
        move_up(list, at, 0, Rule::Current);
    }
}

/// When one failure domain has both first places, the best of another takes the second: one with
/// the whole title and room, or else with the whole title.
fn part_domains(list: &mut [Verdict]) {
    let [first, second, ..] = list else { return };
    let domain = first.standing.domain;
    if second.standing.domain != domain {
        return;
    }
    let other = |one: &Verdict| one.standing.domain != domain && !one.standing.is_partial();
    let roomy = |one: &Verdict| {
        other(one)
            && one.standing.load_per_mille < 950
            && !one.standing.is_late
            && !one.standing.is_shunned
    };
    let found = list.iter().position(roomy).or_else(|| list.iter().position(other));
    if let Some(at) = found {
        move_up(list, at, 1, Rule::Domain);
    }
}

fn move_up(list: &mut [Verdict], from: usize, to: usize, rule: Rule) {
    if from > to {
        list[to..=from].rotate_right(1);
        list[to].moved = Some(rule);
    }
}

/// Cuts to `RANKED_MAX`, the last place kept for the best origin; answers the new length.
fn cut(list: &mut [Verdict]) -> usize {
    if list.len() <= RANKED_MAX {
        return list.len();
    }
    let origin = list.iter().position(|one| one.standing.role == Role::Origin);
    if let Some(at) = origin.filter(|at| *at >= RANKED_MAX) {
        list[RANKED_MAX - 1..=at].rotate_right(1);
    }
    list[RANKED_MAX..].iter_mut().for_each(|one| {
        one.place = Place::Excluded(Exclusion::ListFull);
    });
    RANKED_MAX
}

/// The first place is explained by what puts it above the next that was not moved, each other by
/// what puts it below the one before.
fn rule_at(list: &[Verdict], at: usize, packing: &Packing, policy: &Policy) -> Rule {
    let own = &list[at];
    if let Some(rule) = own.moved {
        return rule;
    }
    if at == 0 {
        let below = |is_moved: bool| {
            let mut others = list[1..].iter();
            others.find(|other| other.moved.is_some() == is_moved && other.key >= own.key)
        };
        let below = below(false).or_else(|| below(true));
        return below.map_or(Rule::Only, |below| told_apart(own, below, packing, policy));
    }
    let before = &list[at - 1];
    match before.moved {
        Some(rule) if before.key > own.key => rule,
        _ => told_apart(before, own, packing, policy),
    }
}

fn told_apart(a: &Verdict, b: &Verdict, packing: &Packing, policy: &Policy) -> Rule {
    if packing.are_equal(a, b) {
        return Rule::Spread;
    }
    let differs =
        |rule: &&Rule| a.standing.value(**rule, policy).0 != b.standing.value(**rule, policy).0;
    policy.order.iter().find(differs).copied().unwrap_or(Rule::Spread)
}

/// Compares the first place with the edge that the network alone would have chosen.
fn outcome(verdicts: &[Verdict], len: usize, packing: &Packing, policy: &Policy) -> Outcome {
    let network = |standing: &Standing| {
        standing.way.map(|way| {
            let Way { prefix_len, as_path_len, origin, med } = way;
            (255 - prefix_len, as_path_len, origin, med, standing.link)
        })
    };
    let edges = verdicts.iter().filter(|one| one.standing.role == Role::Edge);
    let Some(nearest) = edges
        .filter_map(|one| Some((network(&one.standing)?, one)))
        .min_by_key(|(key, one)| (*key, one.rank()))
    else {
        return Outcome::Route;
    };
    let (key, nearest) = nearest;
    let Some(first) = verdicts[..len].first() else { return outcome_of(nearest.place) };
    if first.standing.role == Role::Edge && network(&first.standing) == Some(key) {
        return Outcome::Hit;
    }
    match nearest.place {
        Place::Excluded(_) => outcome_of(nearest.place),
        Place::Ranked { .. } => match told_apart(first, nearest, packing, policy) {
            Rule::Absent | Rule::Partial => Outcome::Content,
            Rule::Late | Rule::Shunned => Outcome::Health,
            _ => Outcome::Policy,
        },
    }
}

fn outcome_of(place: Place) -> Outcome {
    match place {
        Place::Excluded(Exclusion::Absent) => Outcome::Content,
        Place::Excluded(Exclusion::NotAnnounced) => Outcome::Route,
        Place::Excluded(Exclusion::ListFull) | Place::Ranked { .. } => Outcome::Policy,
        Place::Excluded(_) => Outcome::Health,
    }
}

impl Verdict {
    fn rank(&self) -> u32 {
        match self.place {
            Place::Ranked { rank, .. } => rank,
            Place::Excluded(_) => u32::MAX,
        }
    }
}
