//! What players say of one appliance: refusals, failures, slow answers, objects it does not hold
//! although it says so. Pure; believes nobody alone for long, and no crowd for ever.
//!
//! Mechanics: good and bad answers are counted in `BUCKETS` spans of `BUCKET_MS`; complainers are
//! told apart by where they are, so that one member is one voice.
//! Policy:
//! - *Shunned* (offered behind all others) at once when `REFUSERS_MIN` members were refused within
//!   `REFUSED_MS`, or one while its report is overdue, until that report comes; and when
//!   `BAD_PERCENT_SHUN` of at least `VOICES_MIN` answers were bad by the word of `COMPLAINERS_MIN`
//!   members, of whom each counts `BAD_PER_VOICE_MAX` times in a span.
//! - Back after `SHUN_MS`, if bad answers are below `BAD_PERCENT_BACK`; each fall soon after
//!   another
//!   doubles the time, so that a box that is well only while nobody asks does not go to and fro.
//! - An object it was asked for and did not have is *denied* for `DENIED_ALONE_MS` on one member's
//!   word, for `DENIED_MS` on two members', and the box is asked for its whole set. A member whom
//!   nobody bore out is not believed of that object again for `DENIED_MS`, and may deny no more
//!   than `DENIALS_PER_VOICE_MAX` objects of a box.
//! - A clock set back by more than a span takes everything that was to end at a time back with it.

use ahash::AHashMap;
use control_types::UnixMillis;

use crate::limits::{
    BAD_PER_VOICE_MAX, BAD_PERCENT_BACK, BAD_PERCENT_SHUN, BUCKET_MS, COMPLAINERS_MIN, DENIALS_MAX,
    DENIALS_PER_VOICE_MAX, DENIED_ALONE_MS, DENIED_MS, FALLS_DOUBLING_MAX, REFUSED_MS,
    REFUSERS_MIN, RESYNC_MS, SHUN_FORGIVEN_MS, SHUN_MS, VOICES_MIN,
};

/// Spans that are looked at together: half a minute.
const BUCKETS: usize = 6;
/// Complainers told apart in one span; more are as good as these.
const COMPLAINERS_KEPT: usize = 16;

/// One thing a player says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It streams well.
    Good,
    /// It answered, badly or late.
    Bad,
    /// It could not be reached.
    Refused,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    began: u64,
    good: u32,
    bad: u32,
    /// Who, and how many of their bad answers were counted.
    complainers: Vec<(u64, u32)>,
}

/// What is held against one appliance.
#[derive(Clone, Debug, Default)]
pub struct Complaints {
    buckets: [Bucket; BUCKETS],
    refusals: Vec<(u64, u64)>,
    shunned_until: u64,
    is_shunned: bool,
    /// Shunned on one member's word, because a report was overdue.
    is_lone: bool,
    falls: u32,
    fell_at: u64,
    denied: AHashMap<u64, Denial>,
    resync_at: u64,
    wants_resync: bool,
    latest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Denial {
    by: u64,
    until: u64,
    /// Until then the same member alone is not believed again.
    spent_until: u64,
}

impl Complaints {
    /// Takes in one word of the member at `voice`.
    pub fn hear(&mut self, word: Word, voice: u64, is_overdue: bool, now: UnixMillis) {
        self.follow(now);
        let began = now.0 / BUCKET_MS;
        let bucket = &mut self.buckets[(began % BUCKETS as u64) as usize];
        if bucket.began != began {
            *bucket = Bucket { began, ..Bucket::default() };
        }
        if word == Word::Good {
            bucket.good = bucket.good.saturating_add(1);
            return;
        }
        match bucket.complainers.iter_mut().find(|(by, _)| *by == voice) {
            // Still a refusal, if it is one; but no crowd.
            Some((_, counted)) if *counted >= BAD_PER_VOICE_MAX => {}
            Some((_, counted)) => {
                *counted += 1;
                bucket.bad = bucket.bad.saturating_add(1);
            }
            None => {
                if bucket.complainers.len() < COMPLAINERS_KEPT {
                    bucket.complainers.push((voice, 1));
                }
                bucket.bad = bucket.bad.saturating_add(1);
            }
        }
        if word == Word::Refused {
            self.refusals.retain(|(by, at)| *by != voice && now.0.saturating_sub(*at) < REFUSED_MS);
            if self.refusals.len() < COMPLAINERS_KEPT {
                self.refusals.push((voice, now.0));
            }
            if self.refusals.len() >= REFUSERS_MIN {
                return self.shun(now);
            }
            if is_overdue && !self.is_shunned {
                self.shun(now);
                self.is_lone = true;
                return;
            }
        }
        let (good, bad, complainers) = self.window(now);
        let voices = good + bad;
        let is_bad = bad * 100 >= voices * BAD_PERCENT_SHUN;
        if is_bad && voices >= VOICES_MIN && complainers >= COMPLAINERS_MIN {
            self.shun(now);
        }
    }

    /// Takes in that it did not have an object, by the word of the member at `voice`.
    pub fn deny(&mut self, fingerprint: u64, voice: u64, now: UnixMillis) {
        self.follow(now);
        self.denied.retain(|_, denial| denial.spent_until > now.0);
        let own = self.denied.values().filter(|denial| denial.by == voice).count();
        let is_full = self.denied.len() >= DENIALS_MAX || own >= DENIALS_PER_VOICE_MAX;
        match self.denied.get_mut(&fingerprint) {
            Some(denial) if denial.by == voice => return,
            Some(denial) => {
                denial.until = now.0 + DENIED_MS;
                denial.spent_until = denial.until;
            }
            None if is_full => return,
            None => {
                let until = now.0 + DENIED_ALONE_MS;
                let denial = Denial { by: voice, until, spent_until: until + DENIED_MS };
                self.denied.insert(fingerprint, denial);
            }
        }
        if now.0.saturating_sub(self.resync_at) >= RESYNC_MS {
            (self.resync_at, self.wants_resync) = (now.0, true);
        }
    }

    /// Whether it stands behind all others; lifts what has lasted long enough.
    pub fn is_shunned(&mut self, now: UnixMillis) -> bool {
        self.follow(now);
        if self.is_shunned && now.0 >= self.shunned_until {
            let (good, bad, _) = self.window(now);
            let is_bad = bad * 100 > (good + bad) * BAD_PERCENT_BACK;
            if is_bad && good + bad >= VOICES_MIN {
                self.shunned_until = now.0 + BUCKET_MS;
            } else {
                self.is_shunned = false;
                self.refusals.clear();
                self.buckets = Default::default();
            }
        }
        self.is_shunned
    }

    /// Fingerprints it is not believed to hold, sorted; empty for nearly every box.
    #[must_use]
    pub fn denied(&self, now: UnixMillis) -> Vec<u64> {
        let live = self.denied.iter().filter(|(_, denial)| denial.until > now.0);
        let mut keys: Vec<u64> = live.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Whether its whole set should be asked for, once.
    pub fn take_resync(&mut self) -> bool {
        std::mem::take(&mut self.wants_resync)
    }

    /// Whether nobody has said anything that still counts.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        !self.is_shunned && self.denied.is_empty()
    }

    /// Its report came: what one member alone said because it had not is taken back.
    pub fn reported(&mut self) {
        if self.is_shunned && self.is_lone {
            (self.is_shunned, self.is_lone) = (false, false);
            self.falls = self.falls.saturating_sub(1);
        }
    }

    /// Follows a clock that was set back, or what is to end would end as much later. Words that
    /// overtake each other are no such clock.
    fn follow(&mut self, now: UnixMillis) {
        let back = self.latest.saturating_sub(now.0);
        if back <= BUCKET_MS {
            self.latest = self.latest.max(now.0);
            return;
        }
        self.latest = now.0;
        self.buckets = Default::default();
        self.refusals.clear();
        let times = [&mut self.shunned_until, &mut self.fell_at, &mut self.resync_at];
        times.into_iter().for_each(|at| *at = at.saturating_sub(back));
        for denial in self.denied.values_mut() {
            denial.until = denial.until.saturating_sub(back);
            denial.spent_until = denial.spent_until.saturating_sub(back);
        }
    }

    fn shun(&mut self, now: UnixMillis) {
        // Others say so too by now: its report does not lift it any more.
        self.is_lone = false;
        if self.is_shunned {
            return;
        }
        if now.0.saturating_sub(self.fell_at) > SHUN_FORGIVEN_MS {
            self.falls = 0;
        }
        let held_ms = SHUN_MS << self.falls.min(FALLS_DOUBLING_MAX);
        (self.is_shunned, self.shunned_until) = (true, now.0 + held_ms);
        self.falls = self.falls.saturating_add(1);
        self.fell_at = self.shunned_until;
    }

    /// Good and bad answers, and complainers, of the last half minute.
    fn window(&self, now: UnixMillis) -> (u64, u64, usize) {
        let oldest = (now.0 / BUCKET_MS).saturating_sub(BUCKETS as u64 - 1);
        let live = self.buckets.iter().filter(|bucket| bucket.began >= oldest);
        let (mut good, mut bad, mut voices) = (0, 0, Vec::<u64>::new());
        for bucket in live {
            good += u64::from(bucket.good);
            bad += u64::from(bucket.bad);
            voices.extend(bucket.complainers.iter().map(|(by, _)| *by));
        }
        voices.sort_unstable();
        voices.dedup();
        (good, bad, voices.len())
    }
}
