//! Follows the journals of a set of volumes: what was published and taken away since the last look.
//! Takes no lock, keeps no file open and never waits: call it on a timer.

use control_types::ObjectId;

use crate::error::StoreError;
use crate::journal::{self, Kind, Record};
use crate::volume::Volume;

/// One thing that happened on a volume (its position in what `Index::load` was given).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object can be served.
    Published {
        /// Where.
        volume: usize,
        /// Which object, with its size, title and type.
        record: Record,
    },
    /// An object was pruned.
    Removed {
        /// Where.
        volume: usize,
        /// Which.
        object: ObjectId,
    },
    /// An object was found bad and moved away.
    Quarantined {
        /// Where.
        volume: usize,
        /// Which.
        object: ObjectId,
    },
    /// The journal was written anew: forget what was known of the volume and replay these.
    Rebuilt {
        /// Where.
        volume: usize,
        /// All of the new journal.
        records: Vec<Record>,
    },
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Polled {
    /// In order, volume by volume.
    pub changes: Vec<Change>,
    /// Journals that could not be read this time; they are tried again at the next look.
    pub problems: Vec<StoreError>,
}

/// A place in each journal.
#[derive(Clone, Debug)]
pub struct Tail {
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    volume: Volume,
    /// Absent until a usable journal was seen.
    at: Option<At>,
}

#[derive(Clone, Copy, Debug)]
struct At {
    epoch: u64,
    bytes: u64,
}

impl Tail {
    pub(crate) fn new(volumes: &[Volume]) -> Self {
        let place = |volume: &Volume| Place { volume: volume.clone(), at: None };
        Self { places: volumes.iter().map(place).collect() }
    }

    pub(crate) fn seek(&mut self, volume: usize, epoch: u64, bytes: u64) {
        self.places[volume].at = Some(At { epoch, bytes });
    }

    /// Looks at every journal once. A few system calls a volume when nothing happened.
    pub fn poll(&mut self) -> Polled {
        let mut polled = Polled::default();
        for (number, place) in self.places.iter_mut().enumerate() {
            if let Err(error) = place.poll(number, &mut polled.changes) {
                polled.problems.push(error);
            }
        }
        polled
    }
}

impl Place {
    fn poll(&mut self, volume: usize, changes: &mut Vec<Change>) -> Result<(), StoreError> {
        if let Some(At { epoch, bytes }) = self.at
            && let Some((records, bytes)) = journal::replay_from(&self.volume, epoch, bytes)?
        {
            self.at = Some(At { epoch, bytes });
            changes.extend(records.into_iter().map(|record| change(volume, record)));
            return Ok(());
        }
        match journal::replay(&self.volume) {
            Ok(replay) => {
                self.at = Some(At { epoch: replay.epoch, bytes: replay.whole_bytes });
                changes.push(Change::Rebuilt { volume, records: replay.records });
                Ok(())
            }
            // Nothing was ever written here: not a fault, and nothing to tell.
            Err(error) if self.at.is_none() && journal::is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn change(volume: usize, record: Record) -> Change {
    let object = record.object;
    match record.kind {
        Kind::Published => Change::Published { volume, record },
        Kind::Removed => Change::Removed { volume, object },
        Kind::Quarantined => Change::Quarantined { volume, object },
    }
}
