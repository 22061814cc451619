//! Which renditions a play offers and how audio goes with video.
//! Policy: every rung up to the plan's height; when even the lowest is taller, the lowest alone, so
//! that a paid plan always shows a picture. Audio of one codec is one group; in it each language
//! once, at its highest rate, because sound is a small part of the bits and a gap in it is heard.

use control_types::ObjectId;
use control_types::catalog::{Rendition, TitleRecord, Track};

/// One rung.
pub(super) struct Video<'a> {
    pub rendition: &'a Rendition,
    pub width: u32,
    pub height: u32,
    pub frames_per_kilosecond: u32,
}

/// One language.
pub(super) struct Audio<'a> {
    pub rendition: &'a Rendition,
    pub language: &'a str,
    pub channels: u32,
    pub sample_rate: u32,
}

/// All languages in one codec.
pub(super) struct AudioGroup<'a> {
    pub codecs: &'a str,
    pub languages: Vec<Audio<'a>>,
}

impl AudioGroup<'_> {
    /// The most a variant needs for sound, bits per second.
    pub fn peak_bps(&self) -> u64 {
        self.languages.iter().map(|audio| audio.rendition.peak_bps).max().unwrap_or(0)
    }

    /// See `peak_bps`, on average.
    pub fn average_bps(&self) -> u64 {
        self.languages.iter().map(|audio| audio.rendition.average_bps).max().unwrap_or(0)
    }
}

/// Rungs within the plan, lowest rate first.
pub(super) fn videos(record: &TitleRecord, height_max: u32) -> Vec<Video<'_>> {
    let mut videos: Vec<Video<'_>> = record.renditions.iter().filter_map(video).collect();
    videos.sort_by_key(|video| video.rendition.average_bps);
    let lowest = videos.iter().map(|video| video.height).min().unwrap_or(0);
    let height_max = height_max.max(lowest);
    videos.retain(|video| video.height <= height_max);
    videos
}

fn video(rendition: &Rendition) -> Option<Video<'_>> {
    match rendition.track {
        Track::Video { width, height, frames_per_kilosecond } => {
            Some(Video { rendition, width, height, frames_per_kilosecond })
        }
        Track::Audio { .. } => None,
    }
}

/// Audio groups, in the order the codecs first appear; languages likewise.
pub(super) fn audio_groups(record: &TitleRecord) -> Vec<AudioGroup<'_>> {
    let mut groups: Vec<AudioGroup<'_>> = Vec::new();
    for rendition in &record.renditions {
        let Track::Audio { language, channels, sample_rate } = &rendition.track else { continue };
        let audio = Audio { rendition, language, channels: *channels, sample_rate: *sample_rate };
        let at = groups.iter().position(|group| group.codecs == rendition.codecs);
        let group = match at {
            Some(at) => &mut groups[at],
            None => {
                groups.push(AudioGroup { codecs: &rendition.codecs, languages: Vec::new() });
                groups.last_mut().expect("a group was pushed on the line above")
            }
        };
        match group.languages.iter_mut().find(|known| known.language == audio.language) {
            Some(known) if known.rendition.average_bps >= rendition.average_bps => {}
            Some(known) => *known = audio,
            None => group.languages.push(audio),
        }
    }
    groups
}

/// Every object a player on this plan may ask for.
pub(crate) fn offered_objects(record: &TitleRecord, height_max: u32) -> Vec<ObjectId> {
    let groups = audio_groups(record);
    let audio = groups.iter().flat_map(|group| &group.languages).map(|audio| audio.rendition);
    let video = videos(record, height_max);
    let video = video.iter().map(|video| video.rendition);
    video.chain(audio).flat_map(|rendition| [rendition.playlist, rendition.media]).collect()
}
