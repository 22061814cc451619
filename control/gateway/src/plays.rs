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
        let found = generations.old.remove(play)?;
        if generations.young.len() < GENERATION_MAX {
            generations.young.insert(*play, found.clone());
        }
        Some(found)
    }
}
