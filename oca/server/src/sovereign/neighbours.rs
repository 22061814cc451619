//! Which other boxes this one looks at, and what it makes of what it sees. Pure: looks are done
//! elsewhere, and their results come in.
//!
//! Policy. Looked at are the boxes of this site, then those that stand with it in an area, and two
//! tiers or origins as witnesses. Two failed looks in a row and a box is out; three good ones and
//! it is back. When every one of them is out and control is away too, it is this box that is cut
//! off, and the bundle is believed instead. Witnesses are looked at seldom: everybody has the same.

use std::collections::BTreeMap;

use control_types::fleet::Role;

use super::hint::Hint;
use super::table::{Candidate, Table};
use crate::limits::{NEIGHBOURS_MAX, PROBE_GOODS, PROBE_MISSES, WITNESS_EVERY, WITNESSES_MAX};

/// What a look asks for: no ticket, no object and no disk, only whether somebody answers at all.
/// Nobody else asks for it, so it stays out of access logs.
pub const LOOK_PATH: &str = "/v/";

/// What is known of a box from looking at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sighting {
    /// Not looked at, or not to be trusted.
    #[default]
    Unknown,
    /// It answers.
    Alive,
    /// It answered until the last look: it is offered, and nobody is told to ask it next.
    Doubted,
    /// It does not.
    Out,
}

impl Sighting {
    /// One word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Alive => "alive",
            Self::Doubted => "doubted",
            Self::Out => "out",
        }
    }
}

/// One box that is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// It stands at our site: it is looked at also while control is there.
    pub is_near: bool,
    /// A tier or an origin.
    pub is_witness: bool,
    /// What its last looks came to.
    pub sighting: Sighting,
    /// What it said of itself when it answered last, as long as it is looked at.
    pub hint: Option<Hint>,
    /// Looks in a row that speak for a change.
    streak: u8,
}

/// What came of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Somebody spoke HTTP.
    pub has_answered: bool,
    /// What it said of itself, if anything.
    pub hint: Option<Hint>,
}

impl Look {
    /// Nobody answered.
    pub const MISS: Self = Self { has_answered: false, hint: None };
    /// Somebody answered and said nothing.
    pub const ANSWER: Self = Self { has_answered: true, hint: None };
}

impl Neighbour {
    /// One look's result.
    fn note(&mut self, has_answered: bool) {
        let is_change = match self.sighting {
            Sighting::Out => has_answered,
            // The first look at all decides at once where it is good.
            Sighting::Unknown | Sighting::Alive | Sighting::Doubted => !has_answered,
        };
        self.streak = if is_change { self.streak.saturating_add(1) } else { 0 };
        self.sighting = match (self.sighting, has_answered) {
            (Sighting::Out, true) if self.streak < PROBE_GOODS => return,
            (Sighting::Out, false) => return,
            (_, true) => Sighting::Alive,
            (_, false) if self.streak >= PROBE_MISSES => Sighting::Out,
            (Sighting::Unknown, false) => return,
            (_, false) => return self.sighting = Sighting::Doubted,
        };
        self.streak = 0;
    }
}

/// All boxes that are looked at, by URL: a new bundle may number them otherwise.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    neighbours: BTreeMap<String, Neighbour>,
    round: u32,
}

impl Watch {
    /// Looks at the neighbours that `table` names from here on. What was seen of those at our site
    /// stays known; of the others control has just told us.
    pub fn follow(&mut self, table: &Table) {
        let mut neighbours = BTreeMap::new();
        for (candidate, is_near) in chosen(table) {
            let url = candidate.media_url.clone();
            let known = self.neighbours.get(&url).copied().filter(|_| is_near).unwrap_or_default();
            let is_witness = candidate.role != Role::Edge;
            neighbours.insert(url, Neighbour { is_near, is_witness, ..known });
        }
        self.neighbours = neighbours;
    }

    /// Who is to be looked at in this round. One that is out is looked at until it is back. What
    /// one said who is looked at no more is forgotten.
    pub fn due(&mut self, control_is_away: bool) -> Vec<String> {
        let is_their_turn = self.round.is_multiple_of(WITNESS_EVERY);
        self.round = self.round.wrapping_add(1);
        let is_due = |one: &Neighbour| {
            let is_out = one.sighting == Sighting::Out;
            one.is_near || is_out || (control_is_away && (is_their_turn || !one.is_witness))
        };
        let mut due = Vec::new();
        for (url, one) in &mut self.neighbours {
            if is_due(one) {
                due.push(url.clone());
            } else if !(control_is_away && one.is_witness) {
                one.hint = None;
            }
        }
        due
    }

    /// A look at `url` has ended. True when somebody came or went by it; a load alone is no change.
    pub fn note(&mut self, url: &str, look: Look) -> bool {
        let Some(one) = self.neighbours.get_mut(url) else { return false };
        let before = one.sighting;
        one.note(look.has_answered);
        if look.has_answered {
            one.hint = look.hint;
        }
        one.sighting != before
    }

    /// What is known of how loaded the others are, by position in `table`.
    #[must_use]
    pub fn hints(&self, table: &Table, control_is_away: bool) -> Vec<Option<Hint>> {
        if control_is_away && self.is_cut_off() {
            return Vec::new();
        }
        let of = |one: &Candidate| self.neighbours.get(&one.media_url).and_then(|one| one.hint);
        table.candidates.iter().map(of).collect()
    }

    /// What is known, by position in `table`. Whoever hears control is not cut off.
    #[must_use]
    pub fn sightings(&self, table: &Table, control_is_away: bool) -> Vec<Sighting> {
        if control_is_away && self.is_cut_off() {
            return Vec::new();
        }
        let of = |one: &Candidate| {
            self.neighbours.get(&one.media_url).map_or(Sighting::Unknown, |one| one.sighting)
        };
        table.candidates.iter().map(of).collect()
    }

    /// Whether nobody at all answers: then it is not they who are away.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        let mut seen = self.neighbours.values().filter(|one| one.sighting != Sighting::Unknown);
        seen.clone().next().is_some() && seen.all(|one| one.sighting == Sighting::Out)
    }

    /// All of them, for people.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Neighbour)> {
        self.neighbours.iter().map(|(url, one)| (url.as_str(), one))
    }
}

/// Whom to look at, and whether they stand at our site.
fn chosen(table: &Table) -> Vec<(&Candidate, bool)> {
    let own = table.own.and_then(|at| table.candidates.get(at as usize));
    let is_other = |one: &&Candidate| own.is_none_or(|own| own.media_url != one.media_url);
    let site = own.map(|own| &own.site);
    let is_near = |one: &Candidate| site == Some(&one.site);
    let others = || table.candidates.iter().filter(is_other);
    let edges = others().filter(|one| one.role == Role::Edge);
    let mut witnesses: Vec<_> = others().filter(|one| one.role != Role::Edge).collect();
    let mut near: Vec<_> = edges.clone().filter(|one| is_near(one)).collect();
    let mut far: Vec<_> = edges.filter(|one| !is_near(one)).collect();
    // Every box begins elsewhere, so that the first of a list are not looked at by everybody.
    let own_hash = own.map_or(0, |own| own.hash);
    for list in [&mut near, &mut far, &mut witnesses] {
        list.sort_by_key(|one| one.hash ^ own_hash);
    }
    let edges = near.into_iter().chain(far).take(NEIGHBOURS_MAX - WITNESSES_MAX);
    edges.chain(witnesses.into_iter().take(WITNESSES_MAX)).map(|one| (one, is_near(one))).collect()
}
