//! Composes a home page from the model, a profile's history and the shelf. Pure; never fails, and
//! leaves out a row that would be empty.

use std::cmp::Ordering;

use ahash::{AHashMap, AHashSet};
use control_types::catalog::{HistoryItem, RowKind};
use control_types::{TitleId, UnixMillis};

use crate::limits::{BECAUSE_TITLES_MIN, GENRE_ROWS_MAX, HISTORY_RANKED_MAX, ROW_TITLES_MAX};
use crate::model::Model;
use crate::shelf::{CatalogEntry, Shelf};

/// One row, before the catalog dresses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPlan {
    /// What put these titles together.
    pub kind: RowKind,
    /// What members read above it.
    pub heading: String,
    /// Left to right, best first.
    pub titles: Vec<TitleId>,
}

/// All that the rows look at.
pub(crate) struct Page<'a> {
    pub model: &'a Model,
    pub shelf: &'a Shelf,
    /// Newest first.
    pub history: Vec<&'a HistoryItem>,
    /// Fading plays of a title, live ones included.
    pub trend: &'a dyn Fn(&TitleId) -> f64,
}

impl<'a> Page<'a> {
    pub(crate) fn new(
        model: &'a Model,
        shelf: &'a Shelf,
        history: &'a [HistoryItem],
        trend: &'a dyn Fn(&TitleId) -> f64,
    ) -> Self {
        let mut history: Vec<&HistoryItem> = history.iter().collect();
        history.sort_by_key(|item| std::cmp::Reverse(item.watched_at));
        Self { model, shelf, history, trend }
    }

    /// The whole page, top to bottom.
    pub(crate) fn rows(&self) -> Vec<RowPlan> {
        let mut rows = Vec::new();
        rows.extend(self.continue_watching());
        rows.extend(self.because_you_watched());
        rows.extend(self.trending());
        rows.extend(self.top_picks());
        rows.extend(self.new_here());
        rows.extend(self.genres());
        rows
    }

    fn continue_watching(&self) -> Option<RowPlan> {
        let unfinished = self.history.iter().filter(|item| {
            !item.finished && item.position_ms > 0 && self.shelf.find(&item.title).is_some()
        });
        let titles = unfinished.map(|item| item.title.clone()).take(ROW_TITLES_MAX).collect();
        row(RowKind::ContinueWatching, "Continue watching", titles)
    }

    /// From the newest title that the model knows enough about.
    fn because_you_watched(&self) -> Option<RowPlan> {
        let started = self.started();
        let allowed =
            |title: &TitleId| !started.contains(title) && self.shelf.find(title).is_some();
        self.history.iter().find_map(|item| {
            let near = self.model.near(&item.title, &allowed, ROW_TITLES_MAX);
            let seed = self.shelf.find(&item.title)?;
            if near.len() < BECAUSE_TITLES_MIN {
                return None;
            }
            let titles = near.into_iter().map(|(title, _)| title).collect();
            row(RowKind::BecauseYouWatched, &format!("Because you watched {}", seed.name), titles)
        })
    }

    fn trending(&self) -> Option<RowPlan> {
        let mut played: Vec<(f64, &CatalogEntry)> = self
            .shelf
            .entries()
            .iter()
            .map(|entry| ((self.trend)(&entry.id), entry))
            .filter(|(plays, _)| *plays > 0.0)
            .collect();
        played.sort_by(|a, b| by_weight(a.0, b.0));
        row(RowKind::Trending, "Trending now", ids(played.into_iter().map(|(_, entry)| entry)))
    }

    /// Best by the whole history; filled up with what is trending and new, so that a member nothing
    /// is known of has picks as well.
    fn top_picks(&self) -> Option<RowPlan> {
        let started = self.started();
        let scores = self.scores();
        let mut open: Vec<&CatalogEntry> =
            self.shelf.entries().iter().filter(|entry| !started.contains(&entry.id)).collect();
        self.sort_by_taste(&mut open, &scores);
        row(RowKind::TopPicks, "Top picks for you", ids(open.into_iter()))
    }

    fn new_here(&self) -> Option<RowPlan> {
        row(RowKind::NewHere, "New here", ids(self.shelf.entries().iter()))
    }

    /// One row for each genre this profile watches most, then for the largest of the shelf.
    fn genres(&self) -> Vec<RowPlan> {
        let scores = self.scores();
        let rows = self.favourite_genres().into_iter().filter_map(|genre| {
            let mut entries: Vec<&CatalogEntry> =
                self.shelf.entries().iter().filter(|entry| entry.genres.contains(&genre)).collect();
            self.sort_by_taste(&mut entries, &scores);
            row(RowKind::Genre, &genre, ids(entries.into_iter()))
        });
        rows.take(GENRE_ROWS_MAX).collect()
    }

    fn favourite_genres(&self) -> Vec<String> {
        let mut weights: AHashMap<&str, u32> = AHashMap::new();
        let known = self.history.iter().take(HISTORY_RANKED_MAX);
        for entry in known.filter_map(|item| self.shelf.find(&item.title)) {
            for genre in &entry.genres {
                *weights.entry(genre).or_default() += 1;
            }
        }
        // The shelf's order (largest first) breaks ties, as the sort is stable.
        let mut genres: Vec<String> = self.shelf.genres().to_vec();
        genres.sort_by_key(|genre| std::cmp::Reverse(weights.get(genre.as_str()).copied()));
        genres
    }

    /// Likeness to the whole history; what was never watched together with it is absent.
    fn scores(&self) -> AHashMap<TitleId, f32> {
        let titles: Vec<TitleId> =
            self.history.iter().take(HISTORY_RANKED_MAX).map(|item| item.title.clone()).collect();
        let on_shelf = |title: &TitleId| self.shelf.find(title).is_some();
        self.model.rank(&titles, &on_shelf, usize::MAX).into_iter().collect()
    }

    /// By likeness, then by what is trending, then newest first (the shelf's own order).
    fn sort_by_taste(&self, entries: &mut [&CatalogEntry], scores: &AHashMap<TitleId, f32>) {
        let score = |entry: &CatalogEntry| f64::from(scores.get(&entry.id).copied().unwrap_or(0.0));
        entries.sort_by_cached_key(|entry| Weight(score(entry), (self.trend)(&entry.id)));
    }

    fn started(&self) -> AHashSet<&TitleId> {
        self.history.iter().map(|item| &item.title).collect()
    }
}

/// What goes with `title`: watched by the same members, then of the same genres.
pub(crate) fn more_like_this(
    model: &Model,
    shelf: &Shelf,
    title: &TitleId,
    trend: &dyn Fn(&TitleId) -> f64,
) -> Vec<TitleId> {
    let allowed = |other: &TitleId| other != title && shelf.find(other).is_some();
    let near = model.near(title, &allowed, ROW_TITLES_MAX);
    let mut titles: Vec<TitleId> = near.into_iter().map(|(title, _)| title).collect();
    let Some(own) = shelf.find(title) else { return titles };
    let taken: AHashSet<TitleId> = titles.iter().cloned().collect();
    let shared = |entry: &CatalogEntry| {
        entry.genres.iter().filter(|genre| own.genres.contains(genre)).count()
    };
    let mut others: Vec<&CatalogEntry> = shelf
        .entries()
        .iter()
        .filter(|entry| allowed(&entry.id) && !taken.contains(&entry.id) && shared(entry) > 0)
        .collect();
    others.sort_by_cached_key(|entry| Weight(shared(entry) as f64, trend(&entry.id)));
    titles.extend(others.into_iter().map(|entry| entry.id.clone()));
    titles.truncate(ROW_TITLES_MAX);
    titles
}

/// Sorts the heavier first, by the first number, then by the second.
#[derive(PartialEq)]
struct Weight(f64, f64);

impl Eq for Weight {}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        by_weight(self.0, other.0).then_with(|| by_weight(self.1, other.1))
    }
}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn by_weight(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

fn ids<'a>(entries: impl Iterator<Item = &'a CatalogEntry>) -> Vec<TitleId> {
    entries.take(ROW_TITLES_MAX).map(|entry| entry.id.clone()).collect()
}

fn row(kind: RowKind, heading: &str, titles: Vec<TitleId>) -> Option<RowPlan> {
    (!titles.is_empty()).then(|| RowPlan { kind, heading: heading.to_owned(), titles })
}

/// The page of a profile.
pub(crate) fn home(
    model: &Model,
    shelf: &Shelf,
    history: &[HistoryItem],
    trend: &dyn Fn(&TitleId) -> f64,
) -> Vec<RowPlan> {
    Page::new(model, shelf, history, trend).rows()
}

/// Fading plays: learned ones and those pressed since.
pub(crate) fn trend(
    model: &Model,
    live: &AHashMap<TitleId, f64>,
    title: &TitleId,
    now: UnixMillis,
) -> f64 {
    model.trending(title, now) + live.get(title).copied().unwrap_or(0.0)
}
