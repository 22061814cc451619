//! For how long a worker lets completions gather before it looks at them, by who is there.
//! It waits for nothing itself.
//!
//! A wait helps when many connections are calm: each look then serves many of them. It is only
//! taken while nobody is in a hurry, and kept short while somebody may ask for something new.

use crate::connection::Mood;
use crate::limits::{CALM_GATHER_MS, IDLE_GATHER_MS, IDLE_PER_CALM_MAX};

/// How many connections are in which mood.
#[derive(Debug, Default)]
pub struct Crowd {
    hasty: usize,
    idle: usize,
    calm: usize,
}

impl Crowd {
    /// One connection's mood changes; absent: it is not there.
    pub fn change(&mut self, from: &mut Option<Mood>, to: Option<Mood>) {
        if *from == to {
            return;
        }
        if let Some(before) = std::mem::replace(from, to) {
            *self.count(before) -= 1;
        }
        if let Some(now) = to {
            *self.count(now) += 1;
        }
    }

    fn count(&mut self, mood: Mood) -> &mut usize {
        match mood {
            Mood::Hasty => &mut self.hasty,
            Mood::Idle => &mut self.idle,
            Mood::Calm => &mut self.calm,
        }
    }

    /// For how long completions may gather, milliseconds.
    #[must_use]
    pub fn gather_ms(&self) -> u64 {
        if self.hasty > 0 || self.calm == 0 || self.idle > self.calm * IDLE_PER_CALM_MAX {
            0
        } else if self.idle > 0 {
            IDLE_GATHER_MS
        } else {
            CALM_GATHER_MS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_calm_crowd_is_patient_and_it_counts_everybody_once() {
        let mut crowd = Crowd::default();
        let mut moods = [None; 4];
        let check = |crowd: &Crowd, wanted| assert_eq!(crowd.gather_ms(), wanted, "{crowd:?}");
        check(&crowd, 0);
        crowd.change(&mut moods[0], Some(Mood::Idle));
        check(&crowd, 0);
        crowd.change(&mut moods[1], Some(Mood::Calm));
        check(&crowd, IDLE_GATHER_MS);
        crowd.change(&mut moods[2], Some(Mood::Calm));
        crowd.change(&mut moods[2], Some(Mood::Calm));
        check(&crowd, IDLE_GATHER_MS);
        crowd.change(&mut moods[3], Some(Mood::Hasty));
        check(&crowd, 0);
        crowd.change(&mut moods[3], Some(Mood::Calm));
        crowd.change(&mut moods[0], None);
        check(&crowd, CALM_GATHER_MS);
        for mood in &mut moods {
            crowd.change(mood, None);
        }
        check(&crowd, 0);
    }
}
