//! The two manifests of a play, HLS multivariant and DASH MPD, written from the catalog's record.
//! Pure text: reads no clock, ranks nothing, signs nothing; base URLs come with their ticket
//! inside.

mod clones;
mod dash;
mod hls;
mod ladder;

use control_types::catalog::TitleRecord;
use control_types::play::RankedAppliance;

pub(crate) use clones::{Dialect, Has, clones, steering_url_of};
pub(crate) use dash::presentation;
pub(crate) use hls::multivariant;
pub(crate) use ladder::offered_objects;

/// What both manifests are written from.
pub(crate) struct Stage<'a> {
    /// The title, renditions in ladder order.
    pub record: &'a TitleRecord,
    /// Where to stream from, best first; at least one.
    pub ranked: &'a [RankedAppliance],
    /// Tallest rendition the plan may play, pixels.
    pub height_max: u32,
    /// Absolute URL of the play's steering manifest.
    pub steering_url: &'a str,
}

#[cfg(test)]
pub(crate) mod tests {
    //! A title of three rungs, two languages and two audio codecs, and two appliances.

    use control_types::ObjectId;
    use control_types::catalog::{Rendition, Segment, TitleRecord, Track};
    use control_types::play::RankedAppliance;

    fn rendition(number: u8, track: Track, codecs: &str, average_bps: u64) -> Rendition {
        Rendition {
            media: ObjectId([number; 32]),
            media_bytes: 1_000_000,
            playlist: ObjectId([number | 0x80; 32]),
            playlist_bytes: 500,
            track,
            codecs: codecs.to_owned(),
            peak_bps: average_bps * 2,
            average_bps,
            init_bytes: 800,
            index_start: 800,
            index_end: 932,
            segments: vec![Segment { start: 932, bytes: 999_068, duration_ms: 4_000 }],
        }
    }

    fn video(number: u8, height: u32, average_bps: u64) -> Rendition {
        let track = Track::Video { width: height * 16 / 9, height, frames_per_kilosecond: 23_976 };
        rendition(number, track, "avc1.4d401f", average_bps)
    }

    fn audio(number: u8, language: &str, codecs: &str) -> Rendition {
        let track =
            Track::Audio { language: language.to_owned(), channels: 2, sample_rate: 48_000 };
        rendition(number, track, codecs, 128_000)
    }

    pub(crate) fn record() -> TitleRecord {
        TitleRecord {
            id: "night".parse().unwrap(),
            name: "Night".to_owned(),
            synopsis: String::new(),
            year: 2026,
            genres: vec![],
            people: vec![],
            credit: String::new(),
            regions: vec![],
            duration_ms: 4_000,
            artwork: vec![],
            renditions: vec![
                video(1, 360, 400_000),
                video(2, 720, 1_100_000),
                video(3, 1080, 4_000_000),
                audio(4, "en", "mp4a.40.2"),
                audio(5, "de", "mp4a.40.2"),
                audio(6, "en", "opus"),
            ],
        }
    }

    pub(crate) fn ranked() -> Vec<RankedAppliance> {
        ["edge-a1", "edge-b1"]
            .map(|id| RankedAppliance {
                appliance: id.parse().unwrap(),
                site: "site".parse().unwrap(),
                base_url: format!("https://{id}.example/t/TICKET/v/night/"),
                reason: "prefix".to_owned(),
            })
            .to_vec()
    }
}
