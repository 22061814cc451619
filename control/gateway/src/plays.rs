//! Plays under way, remembered in memory beside the activity store: players ask for steering every
//! few seconds, and a play must go on when that store is away. Never the only record while it is
//! up.
//!
//! Policy: two generations. When the young one is full it becomes the old one and the former old
//! one is forgotten, so that memory is bounded and the busy plays stay, because finding one in the
//! old generation makes it young again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use control_store::PlayRow;
use control_types::PlayId;

/// Plays of one generation.
const GENERATION_MAX: usize = 50_000;

#[derive(Default)]
pub(crate) struct Plays {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<PlayId, Arc<PlayRow>>,
    old: HashMap<PlayId, Arc<PlayRow>>,
}

impl Plays {
    pub fn remember(&self, play: Arc<PlayRow>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_MAX {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(play.play, play);
    }

    pub fn find(&self, play: &PlayId) -> Option<Arc<PlayRow>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(play) {
            return Some(found.clone());
        }
        let found = generations.old.get(play)?.clone();
        // A full young generation makes room with the next press; until then it stays where it is.
        if generations.young.len() < GENERATION_MAX {
            generations.old.remove(play);
            generations.young.insert(*play, found.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use control_types::{AccountId, ProfileId, UnixMillis};
    use uuid::Uuid;

    use super::*;

    fn play(number: u128) -> Arc<PlayRow> {
        Arc::new(PlayRow {
            play: PlayId(Uuid::from_u128(number)),
            account: AccountId(Uuid::nil()),
            profile: ProfileId(Uuid::nil()),
            title: "night".parse().unwrap(),
            pressed_at: UnixMillis(0),
        })
    }

    #[test]
    fn a_play_that_is_asked_for_twice_is_found_twice() {
        let plays = Plays::default();
        (0..2 * GENERATION_MAX as u128).for_each(|number| plays.remember(play(number)));
        let old = PlayId(Uuid::from_u128(7));
        assert!(plays.find(&old).is_some());
        assert!(plays.find(&old).is_some(), "both generations are full, and it is still known");
    }
}
