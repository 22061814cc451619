//! Plays cut into what they read in each 5 minutes. Knows no policy.

use crate::trace::{Play, Trace};

/// Seconds of a slot.
pub(crate) const SLOT_SECONDS: u32 = 300;
/// Slots of a day.
pub(crate) const SLOTS_PER_DAY: usize = 288;

/// What one play reads in one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// Index of the site.
    pub(crate) site: usize,
    /// Index of the object.
    pub(crate) object: u32,
    /// Which 5 minutes of the object.
    pub(crate) piece: u16,
    /// Bytes of it.
    pub(crate) bytes: u64,
    /// Number of the play, to spread plays over boxes.
    pub(crate) play: u32,
}

/// Plays under way, slot by slot.
pub(crate) struct Reads<'a> {
    plays: &'a [Play],
    next: usize,
    active: Vec<(u32, u16)>,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        Self { plays: &trace.plays, next: 0, active: Vec::new() }
    }

    /// Calls `each` for everything read in `slot`; slots must be asked for one after the other.
    pub(crate) fn slot(&mut self, slot: usize, mut each: impl FnMut(Read)) {
        let end = (slot as u64 + 1) * u64::from(SLOT_SECONDS);
        while let Some(play) = self.plays.get(self.next) {
            if u64::from(play.at) >= end {
                break;
            }
            self.active.push((self.next as u32, 0));
            self.next += 1;
        }
        let plays = self.plays;
        self.active.retain_mut(|(number, piece)| {
            let play = &plays[*number as usize];
            // The whole play in equal parts but for the last: nothing is lost to rounding.
            let until = |pieces: u64| {
                let seconds = (pieces * u64::from(SLOT_SECONDS)).min(u64::from(play.seconds));
                (u128::from(play.bytes) * u128::from(seconds) / u128::from(play.seconds)) as u64
            };
            let done = u64::from(*piece);
            each(Read {
                site: usize::from(play.site),
                object: play.object,
                piece: *piece,
                bytes: until(done + 1) - until(done),
                play: *number,
            });
            *piece += 1;
            u64::from(*piece) * u64::from(SLOT_SECONDS) < u64::from(play.seconds)
        });
    }
}
