//! The rungs of a catalog: what one play of a title reads. Forecasts nothing.
//!
//! A play is of one rung: the objects of one picture height and what goes with every height. So the
//! forecast is made of rungs, and a rung's bytes are shared among its objects by size.

use std::collections::{BTreeMap, HashMap};

use control_types::fill::{FillState, PlaceableObject, WatchedDay};
use control_types::ids::TitleId;

/// Kinds of heights that a forecast tells apart.
const KINDS: usize = 16;

/// One rung of a title.
pub(super) struct Rung {
    /// Pixels; 0 for a title without pictures.
    pub(super) height: u32,
    /// Bytes of all its objects.
    pub(super) bytes: u64,
}

/// All rungs of all titles of a history, by title.
pub(super) struct Rungs {
    all: Vec<Rung>,
    of_title: Vec<Vec<usize>>,
    heights: Vec<u32>,
    titles: HashMap<TitleId, usize>,
}

impl Rungs {
    pub(super) fn new(state: &FillState) -> Self {
        let history = &state.history;
        let titles: HashMap<TitleId, usize> =
            history.iter().enumerate().map(|(at, one)| (one.title.clone(), at)).collect();
        let mut by_height: Vec<BTreeMap<u32, u64>> = vec![BTreeMap::new(); history.len()];
        let mut common = vec![0_u64; history.len()];
        for object in &state.objects {
            let Some(title) = titles.get(&object.title) else { continue };
            match object.height {
                Some(height) => *by_height[*title].entry(height).or_default() += object.bytes,
                None => common[*title] += object.bytes,
            }
        }
        let (mut all, mut of_title) = (Vec::new(), vec![Vec::new(); history.len()]);
        for (title, mut heights) in by_height.into_iter().enumerate() {
            if heights.is_empty() && common[title] > 0 {
                heights.insert(0, 0);
            }
            for (height, bytes) in heights {
                of_title[title].push(all.len());
                all.push(Rung { height, bytes: bytes + common[title] });
            }
        }
        let mut heights: Vec<u32> = all.iter().map(|rung| rung.height).collect();
        heights.sort_unstable();
        heights.dedup();
        Self { all, of_title, heights, titles }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn rung(&self, at: usize) -> &Rung {
        &self.all[at]
    }

    /// Position in the history of a title; none when the history does not know it.
    pub(super) fn title(&self, title: &TitleId) -> Option<usize> {
        self.titles.get(title).copied()
    }

    /// Rungs of the title at `title` in the history.
    pub(super) fn of_title(&self, title: usize) -> &[usize] {
        &self.of_title[title]
    }

    /// Rungs whose plays read `object`, with its share of their bytes.
    pub(super) fn of_object(&self, title: usize, object: &PlaceableObject) -> Vec<(usize, f64)> {
        let takes = |at: &usize| object.height.is_none_or(|own| own == self.all[*at].height);
        let share = |at: usize| object.bytes as f64 / self.all[at].bytes.max(1) as f64;
        self.of_title[title].iter().copied().filter(takes).map(|at| (at, share(at))).collect()
    }

    /// The forecast's kind of a rung; beyond sixteen heights neighbours share one.
    pub(super) fn kind(&self, at: usize) -> u8 {
        let place = self.heights.binary_search(&self.all[at].height).unwrap_or_default();
        (place * KINDS / self.heights.len().max(KINDS)) as u8
    }

    /// How the bytes of one entry of a history are spread over rungs: all of them on the one of its
    /// height; a height the title does not have counts for the whole ladder.
    pub(super) fn spread(
        &self,
        title: usize,
        day: &WatchedDay,
    ) -> impl Iterator<Item = (usize, f64)> {
        let ladder = &self.of_title[title];
        let exact = ladder.iter().find(|at| self.all[**at].height == day.height);
        let taken = exact.map_or(ladder.as_slice(), std::slice::from_ref);
        let whole: u64 = taken.iter().map(|at| self.all[*at].bytes).sum();
        let bytes = day.bytes as f64 / whole.max(1) as f64;
        taken.iter().map(move |at| (*at, bytes * self.all[*at].bytes as f64))
    }

    /// Plays that one entry of a history stands for, when one play takes `play_share` of a rung.
    pub(super) fn plays(&self, title: usize, day: &WatchedDay, play_share: f64) -> f64 {
        let of = |(at, bytes): (usize, f64)| bytes / (self.all[at].bytes.max(1) as f64);
        self.spread(title, day).map(of).sum::<f64>() / play_share
    }
}
