//! The titles one group of members may be shown, as an immutable value that rankings filter by
//! while they rank. Knows no member; the caller makes one for each region and keeps it until the
//! catalog changes.

use ahash::AHashMap;
use control_types::{TitleId, UnixMillis};

/// One title that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Which.
    pub id: TitleId,
    /// What members read.
    pub name: String,
    /// Most fitting first.
    pub genres: Vec<String>,
    /// When members could first see it.
    pub published_at: UnixMillis,
}

/// Titles that may be shown.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Newest first.
    entries: Vec<CatalogEntry>,
    places: AHashMap<TitleId, usize>,
    /// Genres by number of titles, largest first.
    genres: Vec<String>,
}

impl Shelf {
    /// A shelf of these titles; of two with one id the newer stays.
    #[must_use]
    pub fn new(mut entries: Vec<CatalogEntry>) -> Self {
        entries.sort_by(|a, b| b.published_at.cmp(&a.published_at).then_with(|| a.id.cmp(&b.id)));
        let mut places = AHashMap::with_capacity(entries.len());
        entries.retain(|entry| places.insert(entry.id.clone(), 0).is_none());
        for (place, entry) in entries.iter().enumerate() {
            places.insert(entry.id.clone(), place);
        }
        let mut counts: AHashMap<&str, usize> = AHashMap::new();
        for genre in entries.iter().flat_map(|entry| &entry.genres) {
            *counts.entry(genre).or_default() += 1;
        }
        let mut genres: Vec<(&str, usize)> = counts.into_iter().collect();
        genres.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let genres = genres.into_iter().map(|(genre, _)| genre.to_owned()).collect();
        Self { entries, places, genres }
    }

    /// All titles, newest first.
    #[must_use]
    pub fn entries(&self) -> &[CatalogEntry] {
        &self.entries
    }

    /// The title, if it may be shown.
    #[must_use]
    pub fn find(&self, title: &TitleId) -> Option<&CatalogEntry> {
        self.places.get(title).and_then(|place| self.entries.get(*place))
    }

    /// All genres, the one with most titles first.
    #[must_use]
    pub fn genres(&self) -> &[String] {
        &self.genres
    }
}
