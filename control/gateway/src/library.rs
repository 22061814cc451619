//! Tells steering which objects the catalog has, so that it keeps what appliances hold by number.
//! Called when the catalog changed; steering answers rightly, and more slowly, without it.

use std::collections::HashSet;

use control_steering::{LibraryObject, LibraryTitle};
use control_types::catalog::{TitleRecord, Track};
use control_types::presence::optional_objects;

use crate::errors::chain;
use crate::gateway::Services;

/// How many of the objects of `record` up to `height_max` a box may lack and still have the title.
pub(crate) fn optional(record: &TitleRecord, height_max: u32) -> usize {
    let height = |track: &Track| match track {
        Track::Video { height, .. } => Some(*height).filter(|height| *height <= height_max),
        Track::Audio { .. } => None,
    };
    // A track and its playlist.
    optional_objects(record.renditions.iter().flat_map(|one| [height(&one.track); 2]))
}

/// Steering learns the catalog as it is now.
pub fn learn_titles(services: &Services) {
    let snapshot = services.catalog.snapshot();
    let titles = snapshot.titles().map(|listed| {
        let mut seen = HashSet::new();
        let objects = listed.record.renditions.iter().flat_map(|rendition| {
            [
                LibraryObject { object: rendition.playlist, bytes: rendition.playlist_bytes },
                LibraryObject { object: rendition.media, bytes: rendition.media_bytes },
            ]
        });
        let objects = objects.filter(|one| seen.insert(one.object)).collect();
        let optional = optional(&listed.record, u32::MAX);
        LibraryTitle { title: listed.record.id.clone(), objects, optional }
    });
    let titles: Vec<LibraryTitle> = titles.collect();
    if let Err(error) = services.steering.learn(&titles) {
        tracing::error!(cause = chain(&error), "steering does not know all objects");
    }
}
