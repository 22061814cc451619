//! Which source of an object to ask next, after what each of them did. Reads no clock, asks nobody.
//!
//! ```text
//! a peer that is still to get it   wait and ask again; too long without news of it -> next; much
//!                                  longer while it answers: it is up, and gets other things first
//! not there, lied                  next, at once
//! slow, away, refusing             the next at once if there is one, else the same after a pause;
//!                                  twice is enough; its box is passed over for a while
//! all used up                      the object fails and begins anew later
//!
//! What goes wrong on several lanes at once, or within the pause, is one fault: a source that is
//! started anew, or a moment in which this machine was too busy to shake hands, is not the end of a
//! night whose only source it is.
//! ```

use std::collections::HashMap;

use control_types::fill::Source;
use control_types::ids::ApplianceId;

use crate::limits::{ASK_AGAIN_MS, COOL_MS, FAULTS_MAX, PEER_UP_TIMES};

/// What a source did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 404: it does not have the object.
    NotThere,
    /// Bytes, lengths or seals that are not the object's.
    Lied,
    /// It sent nothing for too long, or too little.
    Slow,
    /// No connection, or a broken one.
    Away,
    /// It answered 401, 403, 503 or another status that is no object.
    Refused,
}

impl Fault {
    /// For reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotThere => "does not have it",
            Self::Lied => "sent bytes that are not the object's",
            Self::Slow => "is too slow",
            Self::Away => "cannot be reached",
            Self::Refused => "refuses",
        }
    }
}

/// What is known of boxes, over all objects.
#[derive(Default)]
pub(crate) struct Reputation {
    boxes: HashMap<ApplianceId, Standing>,
}

#[derive(Default)]
struct Standing {
    cool_until: u64,
    faults: u32,
    /// When it last gave something good.
    good_at: Option<u64>,
    /// Since when it did nothing but fail; none while it did not.
    bad_since: Option<u64>,
}

impl Reputation {
    pub(crate) fn good(&mut self, appliance: &ApplianceId, now: u64) {
        let standing = self.boxes.entry(appliance.clone()).or_default();
        *standing = Standing { good_at: Some(now), ..Standing::default() };
    }

    fn bad(&mut self, appliance: &ApplianceId, now: u64) {
        let standing = self.boxes.entry(appliance.clone()).or_default();
        if now >= standing.cool_until.saturating_add(COOL_MS.1) {
            // Nobody asked it for a long time: it may have been well meanwhile.
            (standing.faults, standing.bad_since) = (0, None);
        }
        standing.bad_since.get_or_insert(now);
        let cool_ms = doubled(COOL_MS, standing.faults);
        // Four lanes that meet one dead box are one fault, not four.
        if now >= standing.cool_until {
            standing.faults += 1;
            standing.cool_until = now + cool_ms;
        }
    }

    /// Whether it failed a while ago and is passed over for now.
    pub(crate) fn cools(&self, appliance: &ApplianceId, now: u64) -> bool {
        self.boxes.get(appliance).is_some_and(|standing| now < standing.cool_until)
    }

    /// For how long it has done nothing but fail, milliseconds.
    fn bad_ms(&self, appliance: &ApplianceId, now: u64) -> u64 {
        let since = self.boxes.get(appliance).and_then(|standing| standing.bad_since);
        since.map_or(0, |since| now.saturating_sub(since))
    }

    fn good_at(&self, appliance: &ApplianceId) -> Option<u64> {
        self.boxes.get(appliance)?.good_at
    }
}

/// The sources of one object and what came of them.
#[derive(Debug)]
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
}

#[derive(Debug)]
struct Rung {
    source: Source,
    faults: u32,
    /// After a fault it is not asked for this object before this time.
    again_at: u64,
    used_up: bool,
    asked_at: Option<u64>,
    asked: u32,
    last: Option<Fault>,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick<'a> {
    /// This one, now.
    Ask(&'a Source),
    /// Nobody now: each that is left failed a moment ago.
    Later,
    /// Nobody: no source is left, or none was known.
    Nobody,
}

/// What to do after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Pick again now.
    Next,
    /// Pick again at this time.
    WaitUntil(u64),
    /// No source is left.
    GiveUp,
}

impl Ladder {
    /// A box that is named twice counts where it is named first: it is one box, and what it does
    /// wrong is held against it once.
    pub(crate) fn new(sources: &[Source]) -> Self {
        let is_first = |(at, source): &(usize, &Source)| {
            sources[..*at].iter().all(|before| before.appliance != source.appliance)
        };
        let named = sources.iter().enumerate().filter(is_first);
        let rungs = named.map(|(_, source)| Rung {
            source: source.clone(),
            faults: 0,
            again_at: 0,
            used_up: false,
            asked_at: None,
            asked: 0,
            last: None,
        });
        Self { rungs: rungs.collect() }
    }

    /// The source to ask now: of those that are not used up and did not fail a moment ago the first
    /// whose box is not cooling off, else the first.
    pub(crate) fn pick(&self, reputation: &Reputation, now: u64) -> Pick<'_> {
        let ready = || self.rungs.iter().filter(|rung| !rung.used_up && now >= rung.again_at);
        // A peer still to get it is waited for even while it is away: further is dearer.
        let warm = ready()
            .find(|rung| rung.source.pending || !reputation.cools(&rung.source.appliance, now));
        match warm.or_else(|| ready().next()) {
            Some(rung) => Pick::Ask(&rung.source),
            None if self.rungs.iter().all(|rung| rung.used_up) => Pick::Nobody,
            None => Pick::Later,
        }
    }

    /// As [`Self::pick`], for an object that is not begun. A peer that is still to get it and is
    /// away is waited for without being asked: with thousands of objects to come from it, lanes
    /// would do nothing but meet it, and give the window's rate and bytes to that. Once it has been
    /// away for `peer_wait_ms` it is left by all of them, and asked no more than others that fail.
    pub(crate) fn pick_to_begin(
        &self,
        reputation: &Reputation,
        now: u64,
        peer_wait_ms: u64,
    ) -> Pick<'_> {
        let ready = || self.rungs.iter().filter(|rung| !rung.used_up && now >= rung.again_at);
        for rung in ready() {
            let appliance = &rung.source.appliance;
            if !reputation.cools(appliance, now) {
                return Pick::Ask(&rung.source);
            }
            if rung.source.pending && reputation.bad_ms(appliance, now) < peer_wait_ms {
                return Pick::Later;
            }
        }
        match ready().find(|rung| !rung.source.pending) {
            Some(rung) => Pick::Ask(&rung.source),
            None => self.pick(reputation, now),
        }
    }

    /// Takes in what `appliance` did wrong.
    pub(crate) fn fault(
        &mut self,
        appliance: &ApplianceId,
        fault: Fault,
        reputation: &mut Reputation,
        now: u64,
        peer_wait_ms: u64,
    ) -> Then {
        if !matches!(fault, Fault::NotThere) {
            reputation.bad(appliance, now);
        }
        let Some(rung) = self.rungs.iter_mut().find(|rung| rung.source.appliance == *appliance)
        else {
            return Then::Next;
        };
        rung.last = Some(fault);
        let waits = rung.source.pending && fault != Fault::Lied;
        if waits {
            // As long as the peer gives other objects it is at work and this one will come.
            let since = rung.asked_at.get_or_insert(now);
            let news = reputation.good_at(appliance).map_or(*since, |good| good.max(*since));
            // Who asks further away as long as it is up fetches across a border what it fetches
            // too.
            let times = if fault == Fault::NotThere { PEER_UP_TIMES } else { 1 };
            if now.saturating_sub(news) < peer_wait_ms.saturating_mul(times) {
                rung.asked += 1;
                return Then::WaitUntil(now + doubled(ASK_AGAIN_MS, rung.asked - 1));
            }
        }
        if fault == Fault::Lied {
            rung.faults = FAULTS_MAX;
        } else if now >= rung.again_at {
            rung.faults += 1;
            rung.again_at = now.saturating_add(COOL_MS.0);
        }
        // Not taken back by what another lane, which asked before, meets after it.
        rung.used_up |= waits || fault == Fault::NotThere || rung.faults >= FAULTS_MAX;
        if self.rungs.iter().all(|rung| rung.used_up) { Then::GiveUp } else { Then::Next }
    }

    /// Every source with what it last did, for a report.
    pub(crate) fn told(&self) -> String {
        let told = self.rungs.iter().filter_map(|rung| {
            rung.last.map(|fault| format!("{} {}", rung.source.appliance, fault.word()))
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { "no source is known".to_owned() } else { told.join(", ") }
    }
}

/// The `times`-th of a series that begins at the first and doubles up to the second, milliseconds.
pub(crate) fn doubled((first, most): (u64, u64), times: u32) -> u64 {
    first.saturating_mul(1 << times.min(30)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_types::fill::SourceKind;

    fn source(name: &str, kind: SourceKind, pending: bool) -> Source {
        let appliance = name.parse().unwrap();
        Source { kind, appliance, media_url: format!("https://{name}"), pending }
    }

    fn named(picked: Pick<'_>) -> Option<&str> {
        match picked {
            Pick::Ask(source) => Some(source.appliance.as_str()),
            Pick::Later | Pick::Nobody => None,
        }
    }

    #[test]
    fn a_pending_peer_is_waited_for_and_then_left() {
        let sources =
            [source("peer", SourceKind::Peer, true), source("origin", SourceKind::Origin, false)];
        let mut ladder = Ladder::new(&sources);
        let mut reputation = Reputation::default();
        let peer = sources[0].appliance.clone();
        let mut now = 1000;
        let mut asked = 0;
        while named(ladder.pick(&reputation, now)) == Some("peer") {
            asked += 1;
            match ladder.fault(&peer, Fault::Away, &mut reputation, now, 20_000) {
                Then::WaitUntil(then) => now = then,
                then => assert_eq!(then, Then::Next),
            }
        }
        assert!((21_000..27_000).contains(&now) && asked < 12, "{asked} times until {now}");
        assert_eq!(named(ladder.pick(&reputation, now)), Some("origin"));
    }

    /// Goal: a master with a long list is not given up on by all who wait for its last object.
    #[test]
    fn a_pending_peer_that_answers_is_waited_for_much_longer() {
        let peer = source("peer", SourceKind::Peer, true);
        let mut ladder = Ladder::new(std::slice::from_ref(&peer));
        let mut reputation = Reputation::default();
        let mut fault =
            |fault, now| ladder.fault(&peer.appliance, fault, &mut reputation, now, 20_000);
        for now in (0..20_000 * PEER_UP_TIMES).step_by(5_000) {
            assert!(matches!(fault(Fault::NotThere, now), Then::WaitUntil(_)), "left after {now}");
        }
        assert_eq!(fault(Fault::NotThere, 20_000 * PEER_UP_TIMES), Then::GiveUp);
    }

    #[test]
    fn a_peer_that_gives_others_is_waited_for_longer() {
        let peer = source("peer", SourceKind::Peer, true);
        let mut ladder = Ladder::new(std::slice::from_ref(&peer));
        let mut reputation = Reputation::default();
        for now in (0..100_000).step_by(5_000) {
            reputation.good(&peer.appliance, now);
            let then = ladder.fault(&peer.appliance, Fault::NotThere, &mut reputation, now, 20_000);
            assert!(matches!(then, Then::WaitUntil(_)));
        }
    }

    #[test]
    fn a_liar_is_left_at_once_and_a_slow_one_after_two_tries() {
        let sources: Vec<Source> =
            ["a", "b", "c"].map(|name| source(name, SourceKind::Origin, false)).into();
        let mut ladder = Ladder::new(&sources);
        let mut reputation = Reputation::default();
        let id = |at: usize| sources[at].appliance.clone();
        assert_eq!(ladder.fault(&id(0), Fault::Lied, &mut reputation, 0, 0), Then::Next);
        assert_eq!(named(ladder.pick(&reputation, 0)), Some("b"));
        assert_eq!(ladder.fault(&id(1), Fault::Slow, &mut reputation, 0, 0), Then::Next);
        assert_eq!(named(ladder.pick(&reputation, 0)), Some("c"), "b cools off");
        assert_eq!(named(ladder.pick(&reputation, 60_000)), Some("b"));
        assert_eq!(ladder.fault(&id(1), Fault::Slow, &mut reputation, 60_000, 0), Then::Next);
        assert_eq!(ladder.fault(&id(2), Fault::NotThere, &mut reputation, 60_000, 0), Then::GiveUp);
        let told = ladder.told();
        assert!(told.contains("a sent bytes") && told.contains("c does not have it"), "{told}");
    }

    /// Goal: one hiccup of the only source, met by every lane at once, costs a pause and not the
    /// object; a source that stays away is left all the same.
    #[test]
    fn lanes_that_meet_one_hiccup_of_the_only_source_count_it_once_and_come_back() {
        let origin = source("origin", SourceKind::Origin, false);
        let mut ladder = Ladder::new(std::slice::from_ref(&origin));
        let mut reputation = Reputation::default();
        let pause = COOL_MS.0;
        for lane in 0..8 {
            let away = Fault::Away;
            let then = ladder.fault(&origin.appliance, away, &mut reputation, 1_000 + lane, 0);
            assert_eq!(then, Then::Next, "lane {lane}");
        }
        assert!(matches!(ladder.pick(&reputation, 1_000 + pause - 1), Pick::Later));
        // Another object had something of it since.
        reputation.good(&origin.appliance, 1_500);
        assert!(matches!(ladder.pick(&reputation, 1_500), Pick::Later), "asked without a pause");
        assert_eq!(named(ladder.pick(&reputation, 1_000 + pause)), Some("origin"));
        let again = 1_000 + pause;
        let then = ladder.fault(&origin.appliance, Fault::Away, &mut reputation, again, 0);
        assert_eq!(then, Then::GiveUp);
        assert!(matches!(ladder.pick(&reputation, again + pause), Pick::Nobody));
    }

    #[test]
    fn a_box_that_is_named_twice_is_left_like_any_other() {
        let twice = ["a", "a"].map(|name| source(name, SourceKind::Origin, false));
        let mut ladder = Ladder::new(&twice);
        let mut reputation = Reputation::default();
        let id = &twice[0].appliance;
        assert_eq!(ladder.fault(id, Fault::Lied, &mut reputation, 0, 0), Then::GiveUp);
        assert!(matches!(ladder.pick(&reputation, 0), Pick::Nobody));
    }
}
