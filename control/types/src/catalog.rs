//! Bodies of titles, renditions, home pages and search.

use serde::{Deserialize, Serialize};

use crate::ids::{ObjectId, TitleId};
use crate::time::UnixMillis;

/// A title as the operator registers it: `PUT /v1/operator/titles/{title}`. Replaces the earlier
/// one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TitleRecord {
    /// Same as in the path.
    pub id: TitleId,
    /// What members read.
    pub name: String,
    /// One or two sentences.
    pub synopsis: String,
    /// Year of release.
    pub year: u16,
    /// For example `Drama`.
    #[serde(default)]
    pub genres: Vec<String>,
    /// Cast and crew, for search.
    #[serde(default)]
    pub people: Vec<String>,
    /// Licence credit that must be shown with the title; empty when none is due.
    #[serde(default)]
    pub credit: String,
    /// ISO 3166-1 alpha-2 codes where it may be played; empty means everywhere.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Length, milliseconds.
    pub duration_ms: u64,
    /// Thumbnails, best first; images were posted to `/v1/operator/artwork` before.
    pub artwork: Vec<Artwork>,
    /// Video and audio encodes; at least one of each unless the source is silent.
    pub renditions: Vec<Rendition>,
}

/// One image of a title, kept by the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Artwork {
    /// Served at `/v1/artwork/{object}`.
    pub object: ObjectId,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Where in the title it was cut, milliseconds.
    pub at_ms: u64,
}

/// One encode of one track: one CMAF file with byte-range addressing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rendition {
    /// The CMAF track file (`ftyp moov sidx (moof mdat)*`).
    pub media: ObjectId,
    /// Size of `media`, bytes.
    pub media_bytes: u64,
    /// The HLS media playlist that addresses `media` by byte ranges. Itself an object, so that a
    /// playing member needs appliances only.
    pub playlist: ObjectId,
    /// Size of `playlist`, bytes.
    pub playlist_bytes: u64,
    /// Video or audio, with what only that kind has.
    pub track: Track,
    /// RFC 6381, for example `avc1.4d401f` or `mp4a.40.2`.
    pub codecs: String,
    /// Peak segment bit rate, bits per second (RFC 8216 `BANDWIDTH`): the highest segment's.
    pub peak_bps: u64,
    /// Average bit rate, bits per second (RFC 8216 `AVERAGE-BANDWIDTH`).
    pub average_bps: u64,
    /// First byte after the initialization section: init is `0..init_bytes` (`ftyp` + `moov`).
    pub init_bytes: u64,
    /// The `sidx` box is `index_start..index_end` (end exclusive), for DASH `indexRange`.
    pub index_start: u64,
    /// See `index_start`.
    pub index_end: u64,
    /// Media segments in time order, without gaps: the first starts at time 0.
    pub segments: Vec<Segment>,
}

/// One CMAF segment inside a rendition's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// First byte in the file.
    pub start: u64,
    /// Length, bytes.
    pub bytes: u64,
    /// Duration, milliseconds, rounded.
    pub duration_ms: u32,
}

/// What kind of track a rendition is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Track {
    /// A rung of the ladder.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per second, times 1000 (23976 for 24000/1001).
        frames_per_kilosecond: u32,
    },
    /// One language.
    Audio {
        /// BCP 47 tag, `und` when unknown.
        language: String,
        /// Channels.
        channels: u32,
        /// Hz.
        sample_rate: u32,
    },
}

/// A title in a row or a search result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TitleCard {
    /// Leads to `GET /v1/titles/{id}`.
    pub id: TitleId,
    /// What members read.
    pub name: String,
    /// Year of release.
    pub year: u16,
    /// Length, milliseconds.
    pub duration_ms: u64,
    /// Genres, most fitting first.
    pub genres: Vec<String>,
    /// The image to show, if the title has one.
    pub artwork: Option<ObjectId>,
    /// How far this profile is, milliseconds; absent when never started or finished.
    pub position_ms: Option<u64>,
}

/// `GET /v1/titles/{title}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TitlePage {
    /// As in a row.
    pub card: TitleCard,
    /// One or two sentences.
    pub synopsis: String,
    /// Cast and crew.
    pub people: Vec<String>,
    /// Licence credit to show; empty when none is due.
    pub credit: String,
    /// All thumbnails, best first.
    pub artwork: Vec<ObjectId>,
    /// Titles watched by the members who watched this one, best first.
    pub more_like_this: Vec<TitleCard>,
}

/// `GET /v1/profiles/{profile}/home`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Home {
    /// Top to bottom; a row that would be empty is left out.
    pub rows: Vec<Row>,
}

/// One row of the home page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Row {
    /// What put these titles together.
    pub kind: RowKind,
    /// What members read above it.
    pub heading: String,
    /// Left to right, best first.
    pub titles: Vec<TitleCard>,
}

/// Closed set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// Started and not finished, newest first.
    ContinueWatching,
    /// Co-watched with the last title finished or started.
    BecauseYouWatched,
    /// Most played lately, weighted towards now.
    Trending,
    /// Best for this profile's whole history.
    TopPicks,
    /// Newest in the catalog.
    NewHere,
    /// One genre.
    Genre,
}

/// `GET /v1/search?q=…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchAnswer {
    /// The question as understood.
    pub query: String,
    /// Best first, at most 40.
    pub titles: Vec<TitleCard>,
}

/// `GET /v1/profiles/{profile}/history`: one title a profile has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryItem {
    /// Which.
    pub title: TitleId,
    /// How far, milliseconds.
    pub position_ms: u64,
    /// Whether the end was reached (credits count as the end).
    pub finished: bool,
    /// Last time it was watched.
    pub watched_at: UnixMillis,
}

/// Answer of `POST /v1/operator/artwork`: the image is kept under the hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredArtwork {
    /// Served at `/v1/artwork/{object}`; goes into `Artwork::object`.
    pub object: ObjectId,
}
