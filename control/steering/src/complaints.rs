//! What players say of one appliance: refusals, failures, slow answers, objects it does not hold
//! although it says so. Pure; believes nobody alone for long, and no crowd for ever.
//!
//! Mechanics: good and bad answers are counted in `BUCKETS` spans of `BUCKET_MS`; complainers are
//! told apart by where they are, so that one member is one voice.
//! Policy:
//! - *Shunned* (offered behind all others) at once when `REFUSERS_MIN` members were refused within
//!   `REFUSED_MS`, or one while its report is overdue; and when `BAD_PERCENT_SHUN` of at least
//!   `VOICES_MIN` answers were bad by the word of `COMPLAINERS_MIN` members.
//! - Back after `SHUN_MS`, if bad answers are below `BAD_PERCENT_BACK`; each fall soon after
//!   another
//!   doubles the time, so that a box that is well only while nobody asks does not go to and fro.
//! - An object it was asked for and did not have is *denied* for `DENIED_ALONE_MS` on one member's
//!   word, for `DENIED_MS` on two members', and the box is asked for its whole set.

use ahash::AHashMap;
use control_types::UnixMillis;

use crate::limits::{
    BAD_PERCENT_BACK, BAD_PERCENT_SHUN, BUCKET_MS, COMPLAINERS_MIN, DENIALS_MAX, DENIED_ALONE_MS,
    DENIED_MS, FALLS_DOUBLING_MAX, REFUSED_MS, REFUSERS_MIN, RESYNC_MS, SHUN_FORGIVEN_MS, SHUN_MS,
    VOICES_MIN,
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
    complainers: Vec<u64>,
}

/// What is held against one appliance.
#[derive(Clone, Debug, Default)]
pub struct Complaints {
    buckets: [Bucket; BUCKETS],
    refusals: Vec<(u64, u64)>,
    shunned_until: u64,
    is_shunned: bool,
    falls: u32,
    fell_at: u64,
    denied: AHashMap<u64, Denial>,
    resync_at: u64,
    wants_resync: bool,
}

#[derive(Clone, Copy, Debug)]
struct Denial {
    by: u64,
    until: u64,
}

impl Complaints {
    /// Takes in one word of the member at `voice`.
    pub fn hear(&mut self, word: Word, voice: u64, is_overdue: bool, now: UnixMillis) {
        let began = now.0 / BUCKET_MS;
        let bucket = &mut self.buckets[(began % BUCKETS as u64) as usize];
        if bucket.began != began {
            *bucket = Bucket { began, ..Bucket::default() };
        }
        if word == Word::Good {
            bucket.good = bucket.good.saturating_add(1);
            return;
        }
        bucket.bad = bucket.bad.saturating_add(1);
        if bucket.complainers.len() < COMPLAINERS_KEPT && !bucket.complainers.contains(&voice) {
            bucket.complainers.push(voice);
        }
        if word == Word::Refused {
            self.refusals.retain(|(by, at)| *by != voice && now.0.saturating_sub(*at) < REFUSED_MS);
            if self.refusals.len() < COMPLAINERS_KEPT {
                self.refusals.push((voice, now.0));
            }
            if self.refusals.len() >= REFUSERS_MIN || is_overdue {
                return self.shun(now);
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
        self.denied.retain(|_, denial| denial.until > now.0);
        let is_full = self.denied.len() >= DENIALS_MAX;
        match self.denied.get_mut(&fingerprint) {
            Some(denial) if denial.by == voice => {}
            Some(denial) => denial.until = now.0 + DENIED_MS,
            None if is_full => return,
            None => {
                let denial = Denial { by: voice, until: now.0 + DENIED_ALONE_MS };
                self.denied.insert(fingerprint, denial);
            }
        }
        if now.0.saturating_sub(self.resync_at) >= RESYNC_MS {
            (self.resync_at, self.wants_resync) = (now.0, true);
        }
    }

    /// Whether it stands behind all others; lifts what has lasted long enough.
    pub fn is_shunned(&mut self, now: UnixMillis) -> bool {
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

    fn shun(&mut self, now: UnixMillis) {
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
            voices.extend(&bucket.complainers);
        }
        voices.sort_unstable();
        voices.dedup();
        (good, bad, voices.len())
    }
}
