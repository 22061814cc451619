//! A title that keeps every rule, to be spoilt one rule at a time, and the service over real
//! stores.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.
#![allow(dead_code)] // Each test file is a crate of its own and uses its share.

use bytes::Bytes;
use control_catalog::Catalog;
use control_store::{Ports, open_embedded};
use control_types::catalog::{Artwork, Rendition, Segment, TitleRecord, Track};
use control_types::{ObjectId, TitleId, UnixMillis};
use tempfile::TempDir;

pub const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a small picture";

pub struct Bench {
    pub catalog: Catalog,
    pub ports: Ports,
    pub state: TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let ports = open_embedded(state.path()).await.unwrap();
        let catalog = open(&ports).await;
        catalog.put_artwork(Bytes::from_static(JPEG)).await.unwrap();
        Self { catalog, ports, state }
    }

    pub async fn put(&self, record: TitleRecord, now: UnixMillis) {
        let id = record.id.clone();
        self.catalog.put(&id, record, now).await.unwrap();
    }

    /// All mistakes of a record, as the operator reads them.
    pub async fn mistakes(&self, record: TitleRecord) -> Vec<String> {
        let id = record.id.clone();
        match self.catalog.put(&id, record, NOW).await {
            Err(control_catalog::CatalogError::Invalid { title, mistakes }) => {
                assert_eq!(title, id);
                mistakes
            }
            other => panic!("expected mistakes, got {other:?}"),
        }
    }
}

pub async fn open(ports: &Ports) -> Catalog {
    Catalog::open(ports.ledger.clone(), ports.blobs.clone(), ports.events.clone()).await.unwrap()
}

pub fn id(name: &str) -> TitleId {
    name.parse().unwrap()
}

/// An object id that depends on what it is for.
pub fn object(words: &str) -> ObjectId {
    ObjectId(*blake3::hash(words.as_bytes()).as_bytes())
}

fn rendition(title: &str, track: Track, kbps: u64) -> Rendition {
    let index_end = 900;
    let bytes = kbps * 1_000 / 8 * 4;
    let segments: Vec<Segment> = (0..5)
        .map(|n| Segment { start: index_end + n * bytes, bytes, duration_ms: 4_000 })
        .collect();
    Rendition {
        media: object(&format!("{title} {track:?} {kbps} media")),
        media_bytes: index_end + 5 * bytes,
        playlist: object(&format!("{title} {track:?} {kbps} playlist")),
        playlist_bytes: 400,
        codecs: match track {
            Track::Video { .. } => "avc1.4d401f".to_owned(),
            Track::Audio { .. } => "mp4a.40.2".to_owned(),
        },
        track,
        peak_bps: kbps * 1_000,
        average_bps: kbps * 1_000,
        init_bytes: 800,
        index_start: 800,
        index_end,
        segments,
    }
}

pub fn video(title: &str, height: u32, kbps: u64) -> Rendition {
    let track = Track::Video { width: height * 16 / 9, height, frames_per_kilosecond: 24_000 };
    rendition(title, track, kbps)
}

pub fn audio(title: &str, language: &str) -> Rendition {
    let language = language.to_owned();
    rendition(title, Track::Audio { language, channels: 2, sample_rate: 48_000 }, 128)
}

/// A title of 20 s with three rungs and one language; renditions in no order.
pub fn film(name: &str) -> TitleRecord {
    TitleRecord {
        id: id(name),
        name: format!("The {name}"),
        synopsis: "Somebody goes somewhere.".to_owned(),
        year: 2021,
        genres: vec!["Drama".to_owned(), "Short".to_owned()],
        people: vec!["Ana Sousa".to_owned()],
        credit: String::new(),
        regions: Vec::new(),
        duration_ms: 20_000,
        artwork: vec![Artwork {
            object: ObjectId(*blake3::hash(JPEG).as_bytes()),
            width: 640,
            height: 360,
            at_ms: 9_000,
        }],
        renditions: vec![
            audio(name, "en"),
            video(name, 1080, 4_000),
            video(name, 360, 400),
            video(name, 720, 1_500),
        ],
    }
}
