//! How much hurry a connection is in, for the worker's next wait.
//! Never waits and never decides for how long: `worker::patience` does.
//!
//! | mood | who | what a wait costs them |
//! |---|---|---|
//! | hasty | shaking hands, in the middle of a head, answered as fast as it goes | speed |
//! | idle | between two answers, or new | time to the first byte of the next |
//! | calm | its player has said that it has enough to play from | nothing that anybody sees |
//!
//! Calm is only who said so: a cap of a ticket alone may be met by a player that waits for its
//! first picture. And a pace that empties what the socket holds within a few waits is not calm
//! either.

use super::{Connection, State};
use crate::limits::CALM_BPS_MAX;

/// How much hurry a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// The worker must not wait for others on its behalf.
    Hasty,
    /// A short wait is not noticed.
    Idle,
    /// A longer one is not either.
    Calm,
}

impl Connection {
    /// Its mood until something happens to it.
    pub fn mood(&self) -> Mood {
        let is_calm = self.tempo.wanted_bps().is_some_and(|bps| bps <= CALM_BPS_MAX);
        match &self.state {
            State::Parting | State::Closing => Mood::Calm,
            State::Reading | State::Fetching(_) | State::Sending(_) if is_calm => Mood::Calm,
            State::Reading if self.flight.is_none() && !self.has_begun_a_head() => Mood::Idle,
            State::Multiplexed(multiplex) if self.flight.is_none() && multiplex.is_quiet() => {
                Mood::Idle
            }
            _ => Mood::Hasty,
        }
    }
}
