//! Tells steering which objects the catalog has, so that it keeps what appliances hold by number.
//! Called when the catalog changed; steering answers rightly, and more slowly, without it.

use std::collections::HashSet;

use control_steering::{LibraryObject, LibraryTitle};

use crate::errors::chain;
use crate::gateway::Services;

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
        LibraryTitle { title: listed.record.id.clone(), objects }
    });
    let titles: Vec<LibraryTitle> = titles.collect();
    if let Err(error) = services.steering.learn(&titles) {
        tracing::error!(cause = chain(&error), "steering does not know all objects");
    }
}
