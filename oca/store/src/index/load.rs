//! Reads what volumes hold into an index: journals line by line, or seals where a journal is no
//! use. Never fails as a whole: a sick volume is a problem in the answer, not the others' end.

use std::sync::Arc;

use super::shard::{SHARDS, Shard, Slot, shard_of};
use super::titles::Titles;
use super::{Index, Loaded};
use crate::error::StoreError;
use crate::journal::{self, Kind, Line, Place};
use crate::scan::scan;
use crate::tail::Tail;
use crate::volume::Volume;

/// How a volume's contents became known.
#[derive(Debug)]
pub(crate) enum Known {
    /// By its journal, whole but for a torn end.
    Journal(Place),
    /// By its seals; the journal is damaged or absent.
    Scan,
    /// Not at all: the volume is sick. The problem is in the list.
    Sick,
}

/// Loads `volumes` and says how each became known.
pub(crate) fn load_known(volumes: &[Volume]) -> (Loaded, Vec<Known>) {
    let mut index = Index::empty(volumes);
    let mut tail = Tail::new(volumes);
    let mut problems = Vec::new();
    let mut known = Vec::with_capacity(volumes.len());
    for (number, volume) in volumes.iter().enumerate() {
        let Some(rank) = index.rank_of(number) else { continue };
        known.push(match load_journal(volume, rank, index.titles()) {
            Ok((place, taken)) => {
                tail.seek(number, place.epoch, place.whole_bytes);
                index.absorb(rank, taken);
                Known::Journal(place)
            }
            Err(fault) if is_no_use(&fault) => {
                // Nothing was ever written here: not a fault.
                problems.extend(Some(fault).filter(|fault| !journal::is_absent(fault)));
                load_scan(volume, rank, &mut index, &mut problems)
            }
            Err(error) => {
                problems.push(error);
                Known::Sick
            }
        });
    }
    index.count_all();
    (Loaded { index, tail, problems }, known)
}

fn is_no_use(error: &StoreError) -> bool {
    matches!(error, StoreError::Journal { .. }) || journal::is_absent(error)
}

fn load_scan(
    volume: &Volume,
    rank: u16,
    index: &mut Index,
    problems: &mut Vec<StoreError>,
) -> Known {
    let found = match scan(volume) {
        Ok(found) => found,
        Err(error) => {
            problems.push(error);
            return Known::Sick;
        }
    };
    problems.extend(found.bad);
    let mut taken = Taken::new();
    for record in &found.records {
        let title = index.titles().number(&record.title);
        let (object, bytes, media_type) = (record.object, record.bytes, record.media_type);
        taken.say(Slot { object, bytes, title, rank, media_type });
    }
    index.absorb(rank, taken);
    Known::Scan
}

fn load_journal(
    volume: &Volume,
    rank: u16,
    titles: &mut Titles,
) -> Result<(Place, Taken), StoreError> {
    let mut taken = Taken::new();
    let place = journal::read(volume, |line: &Line<'_>| {
        let Line { object, bytes, media_type, .. } = *line;
        let title = match line.kind {
            Kind::Published => titles.number_of_bytes(line.title),
            Kind::Removed | Kind::Quarantined => Some(GONE),
        };
        let Some(title) = title else { return false };
        taken.say(Slot { object, bytes, title, rank, media_type });
        true
    })?;
    Ok((place, taken))
}

/// What one volume's journal says, not yet sorted: the last word on an object counts.
pub(super) struct Taken {
    /// Each line as a slot with its place in the journal, so that the last word can be told after
    /// sorting.
    shards: Vec<Vec<(Slot, u32)>>,
    lines: u32,
}

/// The title number of a line that takes an object away.
const GONE: u32 = u32::MAX;

impl Taken {
    fn new() -> Self {
        Self { shards: vec![Vec::new(); SHARDS], lines: 0 }
    }

    fn say(&mut self, slot: Slot) {
        self.lines = self.lines.wrapping_add(1);
        self.shards[shard_of(&slot.object)].push((slot, self.lines));
    }

    /// The last words, shard by shard.
    pub(super) fn into_held(self) -> impl Iterator<Item = Vec<Slot>> {
        self.shards.into_iter().map(|mut said| {
            said.sort_unstable_by_key(|(slot, line)| (slot.object, *line));
            let last = |at: usize| {
                let next = said.get(at + 1);
                next.is_none_or(|(next, _)| next.object != said[at].0.object)
            };
            let held = (0..said.len()).filter(|&at| last(at)).map(|at| said[at].0);
            held.filter(|slot| slot.title != GONE).collect()
        })
    }
}

impl Index {
    pub(super) fn empty(volumes: &[Volume]) -> Self {
        let mut by_rank: Vec<u16> =
            (0..volumes.len()).map_while(|v| u16::try_from(v).ok()).collect();
        // Flash first, then the order of the configuration.
        by_rank.sort_by_key(|number| (volumes[usize::from(*number)].class(), *number));
        let mut ranks = vec![0u16; by_rank.len()];
        for (rank, number) in (0u16..).zip(&by_rank) {
            ranks[usize::from(*number)] = rank;
        }
        Self {
            volumes: volumes.into(),
            by_rank: by_rank.into(),
            ranks: ranks.into(),
            titles: Arc::default(),
            // One empty shard for all: each is made its own when something comes into it.
            shards: std::iter::repeat_n(Arc::new(Shard::default()), SHARDS).collect(),
            used_bytes: vec![0; volumes.len()].into(),
            objects: 0,
            held_bytes: 0,
            digest: [0; 32],
        }
    }

    /// Adds what one volume holds; the sums are made by `count_all`.
    fn absorb(&mut self, rank: u16, taken: Taken) {
        debug_assert!(self.by_rank.len() > usize::from(rank), "every rank has its volume");
        for (shard, held) in self.shards.iter_mut().zip(taken.into_held()) {
            if !held.is_empty() {
                Arc::make_mut(shard).absorb(held);
            }
        }
    }
}
