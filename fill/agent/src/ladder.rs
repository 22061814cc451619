//! Which source of an object to ask next, after what each of them did. Reads no clock, asks nobody.
//!
//! ```text
//! a peer that is still to get it   wait and ask again; too long without news of it -> next
//! not there, lied                  next, at once
//! slow, away, refusing             again, then next; its box is passed over for a while
//! all used up                      the object fails and begins anew later
//! ```

use std::collections::HashMap;

use control_types::fill::Source;
use control_types::ids::ApplianceId;

use crate::limits::{ASK_AGAIN_MS, COOL_MS, FAULTS_MAX};

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
}

impl Reputation {
    pub(crate) fn good(&mut self, appliance: &ApplianceId, now: u64) {
        let standing = self.boxes.entry(appliance.clone()).or_default();
        *standing = Standing { cool_until: 0, faults: 0, good_at: Some(now) };
    }

    fn bad(&mut self, appliance: &ApplianceId, now: u64) {
        let standing = self.boxes.entry(appliance.clone()).or_default();
        let cool_ms = doubled(COOL_MS, standing.faults);
        // Four lanes that meet one dead box are one fault, not four.
        if now >= standing.cool_until {
            standing.faults += 1;
            standing.cool_until = now + cool_ms;
        }
    }

    fn cools(&self, appliance: &ApplianceId, now: u64) -> bool {
        self.boxes.get(appliance).is_some_and(|standing| now < standing.cool_until)
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
    used_up: bool,
    asked_at: Option<u64>,
    asked: u32,
    last: Option<Fault>,
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
    pub(crate) fn new(sources: &[Source]) -> Self {
        let rungs = sources.iter().map(|source| Rung {
            source: source.clone(),
            faults: 0,
            used_up: false,
            asked_at: None,
            asked: 0,
            last: None,
        });
        Self { rungs: rungs.collect() }
    }

    /// The source to ask now: the first that is not used up and not cooling off, else the first
    /// that is not used up.
    pub(crate) fn pick(&self, reputation: &Reputation, now: u64) -> Option<&Source> {
        let open = || self.rungs.iter().filter(|rung| !rung.used_up);
        // A peer still to get it is waited for even while it is away: further is dearer.
        let ready = open()
            .find(|rung| rung.source.pending || !reputation.cools(&rung.source.appliance, now));
        ready.or_else(|| open().next()).map(|rung| &rung.source)
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
            if now.saturating_sub(news) < peer_wait_ms {
                rung.asked += 1;
                return Then::WaitUntil(now + doubled(ASK_AGAIN_MS, rung.asked - 1));
            }
        }
        rung.faults += if fault == Fault::Lied { FAULTS_MAX } else { 1 };
        rung.used_up = waits || fault == Fault::NotThere || rung.faults >= FAULTS_MAX;
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

    fn named(picked: Option<&Source>) -> Option<&str> {
        picked.map(|source| source.appliance.as_str())
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
            match ladder.fault(&peer, Fault::NotThere, &mut reputation, now, 20_000) {
                Then::WaitUntil(then) => now = then,
                then => assert_eq!(then, Then::Next),
            }
        }
        assert!((21_000..27_000).contains(&now) && asked < 12, "{asked} times until {now}");
        assert_eq!(named(ladder.pick(&reputation, now)), Some("origin"));
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
}
