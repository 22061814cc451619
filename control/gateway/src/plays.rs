//! Plays under way, remembered in memory beside the activity store: players ask for steering every
//! few seconds, and a play must go on when that store is away. Never the only record while it is
//! up.

use std::sync::Arc;

use control_store::PlayRow;
use control_types::PlayId;

use crate::generations::Generations;
use crate::limits::PLAYS_REMEMBERED_MAX;

pub(crate) struct Plays(Generations<PlayId, Arc<PlayRow>>);

impl Default for Plays {
    fn default() -> Self {
        Self(Generations::new(PLAYS_REMEMBERED_MAX / 2))
    }
}

impl Plays {
    pub fn remember(&self, play: Arc<PlayRow>) {
        self.0.put(play.play, play);
    }

    pub fn find(&self, play: &PlayId) -> Option<Arc<PlayRow>> {
        self.0.find(play)
    }
}
