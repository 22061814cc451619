//! The catalog in memory: built whole from rows, read without a lock, never changed in place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use control_store::ledger::TitleRow;
use control_types::catalog::{TitleCard, TitleRecord};
use control_types::{ObjectId, TitleId, UnixMillis};

use crate::error::CatalogError;

/// One title in the snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// As registered, renditions in ladder order.
    pub record: TitleRecord,
    /// First registration.
    pub registered_at: UnixMillis,
    /// Last registration.
    pub changed_at: UnixMillis,
}

/// The titles of one genre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenreShelf {
    /// As first written by the operator; genres differing only in case are one.
    pub name: String,
    /// Newest first.
    pub titles: Vec<TitleId>,
}

/// All titles at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    version: u64,
    titles: BTreeMap<TitleId, Arc<Listed>>,
    holders: HashMap<ObjectId, TitleId>,
    newest: Vec<TitleId>,
    shelves: Vec<GenreShelf>,
}

impl Snapshot {
    /// Builds from all rows; `version` is the ledger's when they were read.
    #[must_use]
    pub fn from_rows(version: u64, rows: Vec<TitleRow>) -> Self {
        let titles = rows.into_iter().map(listed).map(|title| (title.record.id.clone(), title));
        Self::build(version, titles.collect())
    }

    /// This snapshot with one title added or replaced.
    #[must_use]
    pub fn with(&self, version: u64, row: TitleRow) -> Self {
        let mut titles = self.titles.clone();
        let title = listed(row);
        titles.insert(title.record.id.clone(), title);
        Self::build(version, titles)
    }

    /// This snapshot with one title removed.
    #[must_use]
    pub fn without(&self, version: u64, title: &TitleId) -> Self {
        let mut titles = self.titles.clone();
        titles.remove(title);
        Self::build(version, titles)
    }

    fn build(version: u64, titles: BTreeMap<TitleId, Arc<Listed>>) -> Self {
        let mut holders = HashMap::new();
        for (id, title) in &titles {
            for rendition in &title.record.renditions {
                holders.insert(rendition.media, id.clone());
                holders.insert(rendition.playlist, id.clone());
            }
        }
        let mut newest: Vec<&Arc<Listed>> = titles.values().collect();
        // Ids break ties, so that two processes show the same order.
        newest
            .sort_by(|a, b| (b.registered_at, &a.record.id).cmp(&(a.registered_at, &b.record.id)));
        let shelves = shelves(&newest);
        let newest = newest.into_iter().map(|title| title.record.id.clone()).collect();
        Self { version, titles, holders, newest, shelves }
    }

    /// The ledger's version this was built from.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many titles there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.titles.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.titles.is_empty()
    }

    /// One title, wherever it may be played.
    #[must_use]
    pub fn title(&self, id: &TitleId) -> Option<&Arc<Listed>> {
        self.titles.get(id)
    }

    /// One title if it may be played in `region` (ISO 3166-1 alpha-2, any case). A member whose
    /// region is unknown may play only what may be played everywhere.
    ///
    /// # Errors
    /// `Unknown`, `NotHere`.
    pub fn playable(
        &self,
        id: &TitleId,
        region: Option<&str>,
    ) -> Result<&Arc<Listed>, CatalogError> {
        let title = self.titles.get(id).ok_or_else(|| CatalogError::Unknown(id.clone()))?;
        if title.is_allowed_in(region) {
            Ok(title)
        } else {
            Err(CatalogError::NotHere { title: id.clone() })
        }
    }

    /// All titles, by id.
    pub fn titles(&self) -> impl Iterator<Item = &Arc<Listed>> {
        self.titles.values()
    }

    /// The newest `count` titles by first registration.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<&Arc<Listed>> {
        self.newest.iter().take(count).filter_map(|id| self.titles.get(id)).collect()
    }

    /// Genres with their titles, fullest first.
    #[must_use]
    pub fn genres(&self) -> &[GenreShelf] {
        &self.shelves
    }

    /// The title that a media file or playlist belongs to.
    #[must_use]
    pub fn holder(&self, object: &ObjectId) -> Option<&TitleId> {
        self.holders.get(object)
    }

    /// Every object of every title with its size in bytes: what the fill can place.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, u64, &TitleId)> {
        self.titles.iter().flat_map(|(id, title)| {
            title.record.renditions.iter().flat_map(move |rendition| {
                [
                    (rendition.media, rendition.media_bytes, id),
                    (rendition.playlist, rendition.playlist_bytes, id),
                ]
            })
        })
    }

    /// The card of a title, with this position on its bar.
    #[must_use]
    pub fn card(&self, id: &TitleId, position_ms: Option<u64>) -> Option<TitleCard> {
        self.titles.get(id).map(|title| title.card(position_ms))
    }
}

impl Listed {
    /// As in a row or a search answer.
    #[must_use]
    pub fn card(&self, position_ms: Option<u64>) -> TitleCard {
        let record = &self.record;
        TitleCard {
            id: record.id.clone(),
            name: record.name.clone(),
            year: record.year,
            duration_ms: record.duration_ms,
            genres: record.genres.clone(),
            artwork: record.artwork.first().map(|image| image.object),
            position_ms,
        }
    }

    /// Whether it may be played in `region`; see [`Snapshot::playable`].
    #[must_use]
    pub fn is_allowed_in(&self, region: Option<&str>) -> bool {
        self.record.regions.is_empty()
            || region.is_some_and(|here| {
                self.record.regions.iter().any(|region| region.eq_ignore_ascii_case(here))
            })
    }
}

fn listed(row: TitleRow) -> Arc<Listed> {
    let TitleRow { record, registered_at, changed_at } = row;
    Arc::new(Listed { record, registered_at, changed_at })
}

fn shelves(newest: &[&Arc<Listed>]) -> Vec<GenreShelf> {
    let mut by_key: BTreeMap<String, GenreShelf> = BTreeMap::new();
    for title in newest {
        for genre in &title.record.genres {
            let shelf = by_key
                .entry(genre.to_lowercase())
                .or_insert_with(|| GenreShelf { name: genre.clone(), titles: Vec::new() });
            shelf.titles.push(title.record.id.clone());
        }
    }
    let mut shelves: Vec<GenreShelf> = by_key.into_values().collect();
    // Stable: shelves of equal length stay in the order of their names.
    shelves.sort_by_key(|shelf| std::cmp::Reverse(shelf.titles.len()));
    shelves
}

/// The media type of an image by its first bytes; `None` for anything a browser would not show.
#[must_use]
pub fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}
