//! Why what was asked was not there: each missed byte is put to one cause. Judges after the fact;
//! changes nothing.
//!
//! The first of these that holds, for an object missed at a site:
//!
//! * **awaited**: tonight's plan wants it there, and the window was too short or too narrow for it;
//! * **dropped**: the site had it in the week before, and the plan took its room for another;
//! * **rung**: the site has another rung of the title;
//! * **unforeseen**: less was expected of it than a fetch must bring (the break-even rule);
//! * **crowded**: it was expected to pay, and others more.

use crate::report::MissShares;
use crate::trace::Trace;

/// Days for which a site is held to have had what it has no more.
const DROPPED_DAYS: usize = 7;
/// Mark of what a site never had.
const NEVER: usize = usize::MAX;

/// Missed bytes by cause, measured days only.
#[derive(Clone, Copy, Debug, Default)]
struct Missed {
    awaited: u64,
    dropped: u64,
    rung: u64,
    unforeseen: u64,
    crowded: u64,
}

/// What is remembered to tell causes apart.
pub(super) struct Misses {
    /// By site and object: the last plan wants it there.
    wanted: Vec<Vec<bool>>,
    /// By site and object: the last fill day that began with it there.
    had: Vec<Vec<usize>>,
    /// By object: those of its title, itself too.
    title: Vec<Vec<u32>>,
    title_of: Vec<u32>,
    day: usize,
    missed: Missed,
}

impl Misses {
    pub(super) fn new(trace: &Trace, sites: usize) -> Self {
        let objects = trace.objects.len();
        let mut title = vec![Vec::new(); trace.titles.len()];
        for (at, object) in (0_u32..).zip(&trace.objects) {
            title[object.title as usize].push(at);
        }
        Self {
            wanted: vec![vec![false; objects]; sites],
            had: vec![vec![NEVER; objects]; sites],
            title,
            title_of: trace.objects.iter().map(|object| object.title).collect(),
            day: 0,
            missed: Missed::default(),
        }
    }

    /// A fill day begins; `holds` answers for site and object.
    pub(super) fn begin_day(&mut self, day: usize, holds: impl Fn(usize, u32) -> bool) {
        self.day = day;
        for (site, had) in self.had.iter_mut().enumerate() {
            for (object, last) in (0_u32..).zip(had) {
                if holds(site, object) {
                    *last = day;
                }
            }
        }
    }

    /// A site is planned anew: nothing is wanted there yet.
    pub(super) fn begin_plan(&mut self, site: usize) {
        self.wanted[site].fill(false);
    }

    pub(super) fn want(&mut self, site: usize, object: u32) {
        self.wanted[site][object as usize] = true;
    }

    /// `bytes` of `object` were missed at `site`; `pays` says whether a fetch of it would have paid
    /// as far as was foreseen.
    pub(super) fn miss(
        &mut self,
        site: usize,
        object: u32,
        bytes: u64,
        pays: bool,
        holds: impl Fn(u32) -> bool,
    ) {
        let (at, missed) = (object as usize, &mut self.missed);
        let had = self.had[site][at];
        let siblings = &self.title[self.title_of[at] as usize];
        let cause = if self.wanted[site][at] {
            &mut missed.awaited
        } else if had != NEVER && self.day - had <= DROPPED_DAYS {
            &mut missed.dropped
        } else if siblings.iter().any(|sibling| holds(*sibling)) {
            &mut missed.rung
        } else if pays {
            &mut missed.crowded
        } else {
            &mut missed.unforeseen
        };
        *cause += bytes;
    }

    /// By cause, as shares of what was asked.
    pub(super) fn shares(&self, asked: u64) -> MissShares {
        let share = |bytes: u64| bytes as f64 / asked.max(1) as f64;
        MissShares {
            awaited: share(self.missed.awaited),
            dropped: share(self.missed.dropped),
            rung: share(self.missed.rung),
            unforeseen: share(self.missed.unforeseen),
            crowded: share(self.missed.crowded),
        }
    }
}
