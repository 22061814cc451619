//! Every rule a title must keep, all mistakes at once. Pure: whether artwork exists and who holds
//! an object are asked of the caller's snapshot, not looked up here.
//!
//! The rules on files are what players rely on: segments tile the file without gaps, every video
//! rung is cut at the same places (so that a switch lands on a key frame), and the declared peak is
//! not below what a segment needs (so that a player does not choose a rung it cannot keep).

use std::collections::HashSet;

use control_types::catalog::{Artwork, Rendition, Segment, TitleRecord, Track};
use control_types::limits::{OBJECT_BYTES_MAX, RENDITIONS_MAX};

const NAME_CHARS_MAX: usize = 200;
const SYNOPSIS_CHARS_MAX: usize = 2_000;
const CREDIT_CHARS_MAX: usize = 1_000;
const GENRES_MAX: usize = 12;
const GENRE_CHARS_MAX: usize = 40;
const PEOPLE_MAX: usize = 100;
const PERSON_CHARS_MAX: usize = 100;
const REGIONS_MAX: usize = 250;
const ARTWORK_MAX: usize = 64;
const PIXELS_MAX: u32 = 16_384;
const YEARS: std::ops::RangeInclusive<u16> = 1888..=2200;
const DURATION_MS_MAX: u64 = 24 * 3_600_000;
const SEGMENTS_MAX: usize = 100_000;

/// A track may end this much before or after the title says, milliseconds, and by this part of it.
const DURATION_SLACK_MS: u64 = 5_000;
const DURATION_SLACK_PERCENT: u64 = 5;

/// The same segment of two rungs may differ by this much: one frame at 10 a second, milliseconds.
const SEGMENT_SLACK_MS: u32 = 100;

/// Mistakes told in one answer; a record with more is hopeless anyway.
const MISTAKES_MAX: usize = 50;

/// All that is wrong with a record, one sentence each, at most 50; empty when it may be registered.
#[must_use]
pub fn mistakes(record: &TitleRecord) -> Vec<String> {
    let mut found = Vec::new();
    check_words(record, &mut found);
    check_regions(&record.regions, &mut found);
    if record.artwork.len() > ARTWORK_MAX {
        found.push(format!("artwork holds {}; at most {ARTWORK_MAX}", record.artwork.len()));
    }
    for (index, image) in record.artwork.iter().enumerate() {
        check_artwork(record, index, image, &mut found);
    }
    check_ladder(record, &mut found);
    for (index, rendition) in record.renditions.iter().enumerate() {
        check_rendition(record, index, rendition, &mut found);
    }
    check_alignment(&record.renditions, &mut found);
    found.truncate(MISTAKES_MAX);
    found
}

fn check_words(record: &TitleRecord, found: &mut Vec<String>) {
    check_text("name", &record.name, 1, NAME_CHARS_MAX, found);
    check_text("synopsis", &record.synopsis, 0, SYNOPSIS_CHARS_MAX, found);
    check_text("credit", &record.credit, 0, CREDIT_CHARS_MAX, found);
    check_list("genres", &record.genres, GENRES_MAX, GENRE_CHARS_MAX, found);
    check_list("people", &record.people, PEOPLE_MAX, PERSON_CHARS_MAX, found);
    if !YEARS.contains(&record.year) {
        found.push(format!("year {} is outside {}..={}", record.year, YEARS.start(), YEARS.end()));
    }
    if record.duration_ms == 0 || record.duration_ms > DURATION_MS_MAX {
        found.push(format!("duration_ms {} is outside 1..={DURATION_MS_MAX}", record.duration_ms));
    }
}

fn check_text(field: &str, text: &str, least: usize, most: usize, found: &mut Vec<String>) {
    let chars = text.trim().chars().count();
    if chars < least || chars > most {
        found.push(format!("{field} has {chars} characters; give {least} to {most}"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        found.push(format!("{field} holds a control character"));
    }
}

fn check_list(
    field: &str,
    list: &[String],
    count_max: usize,
    chars_max: usize,
    found: &mut Vec<String>,
) {
    if list.len() > count_max {
        found.push(format!("{field} holds {}; at most {count_max}", list.len()));
    }
    let mut seen = HashSet::new();
    for entry in list.iter().take(count_max) {
        check_text(field, entry, 1, chars_max, found);
        if !seen.insert(entry.trim().to_lowercase()) {
            found.push(format!("{field} names {entry:?} twice"));
        }
    }
}

fn check_regions(regions: &[String], found: &mut Vec<String>) {
    if regions.len() > REGIONS_MAX {
        found.push(format!("regions holds {}; at most {REGIONS_MAX}", regions.len()));
    }
    for region in regions.iter().take(REGIONS_MAX) {
        if region.len() != 2 || !region.bytes().all(|byte| byte.is_ascii_uppercase()) {
            found.push(format!("region {region:?} is not two capitals of ISO 3166-1"));
        }
    }
}

fn check_artwork(record: &TitleRecord, index: usize, image: &Artwork, found: &mut Vec<String>) {
    let sides = [image.width, image.height];
    if sides.iter().any(|side| *side == 0 || *side > PIXELS_MAX) {
        found.push(format!(
            "artwork {index} is {}x{}; sides are 1 to {PIXELS_MAX}",
            image.width, image.height
        ));
    }
    if image.at_ms > record.duration_ms {
        found.push(format!("artwork {index} was cut at {} ms, after the end", image.at_ms));
    }
}

fn check_ladder(record: &TitleRecord, found: &mut Vec<String>) {
    let count = record.renditions.len();
    if count > RENDITIONS_MAX {
        found.push(format!("renditions holds {count}; at most {RENDITIONS_MAX}"));
    }
    if !record.renditions.iter().any(|one| matches!(one.track, Track::Video { .. })) {
        found.push("renditions holds no video".to_owned());
    }
    let mut seen = HashSet::new();
    for rendition in &record.renditions {
        for object in [rendition.media, rendition.playlist] {
            if !seen.insert(object) {
                found.push(format!("object {object} is named twice; every file is its own"));
            }
        }
    }
}

fn check_rendition(record: &TitleRecord, index: usize, one: &Rendition, found: &mut Vec<String>) {
    let mut wrong =
        |what: String| found.push(format!("rendition {index} ({}): {what}", one.codecs));
    if one.media_bytes == 0 || one.media_bytes > OBJECT_BYTES_MAX {
        wrong(format!("media_bytes {} is outside 1..={OBJECT_BYTES_MAX}", one.media_bytes));
    }
    if one.playlist_bytes == 0 || one.playlist_bytes > OBJECT_BYTES_MAX {
        wrong(format!("playlist_bytes {} is outside 1..={OBJECT_BYTES_MAX}", one.playlist_bytes));
    }
    // The word goes into manifests between quotes: nothing that could end them.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_,".contains(&byte);
    if one.codecs.is_empty() || one.codecs.len() > 100 || !one.codecs.bytes().all(plain) {
        wrong("codecs is not an RFC 6381 list".to_owned());
    }
    if one.average_bps == 0 || one.peak_bps < one.average_bps {
        wrong(format!("peak_bps {} is below average_bps {}", one.peak_bps, one.average_bps));
    }
    if one.init_bytes == 0 || one.index_start < one.init_bytes || one.index_end <= one.index_start {
        wrong(format!(
            "init 0..{} and index {}..{} do not follow each other",
            one.init_bytes, one.index_start, one.index_end
        ));
    }
    match &one.track {
        Track::Video { width, height, frames_per_kilosecond } => {
            if [*width, *height].iter().any(|side| *side == 0 || *side > PIXELS_MAX) {
                wrong(format!("{width}x{height} is outside 1..={PIXELS_MAX}"));
            }
            if *frames_per_kilosecond == 0 || *frames_per_kilosecond > 1_000_000 {
                wrong(format!("frames_per_kilosecond {frames_per_kilosecond} is not a frame rate"));
            }
        }
        Track::Audio { language, channels, sample_rate } => {
            let tag = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if language.is_empty() || language.len() > 35 || !language.bytes().all(tag) {
                wrong(format!("language {language:?} is not a BCP 47 tag"));
            }
            if *channels == 0 || *channels > 64 {
                wrong(format!("{channels} channels is outside 1..=64"));
            }
            if *sample_rate < 4_000 || *sample_rate > 768_000 {
                wrong(format!("sample_rate {sample_rate} is outside 4000..=768000"));
            }
        }
    }
    check_segments(record.duration_ms, one, &mut wrong);
}

fn check_segments(title_ms: u64, one: &Rendition, wrong: &mut impl FnMut(String)) {
    if one.segments.is_empty() || one.segments.len() > SEGMENTS_MAX {
        wrong(format!("{} segments is outside 1..={SEGMENTS_MAX}", one.segments.len()));
        return;
    }
    // One sentence a rendition: after the first gap every later segment looks wrong too.
    let mut end = one.index_end;
    for (index, segment) in one.segments.iter().enumerate() {
        if segment.start != end || segment.bytes == 0 || segment.duration_ms == 0 {
            wrong(format!(
                "segment {index} (start {}, {} bytes, {} ms) does not follow byte {end}",
                segment.start, segment.bytes, segment.duration_ms
            ));
            return;
        }
        end = end.saturating_add(segment.bytes);
    }
    if end != one.media_bytes {
        wrong(format!("segments end at byte {end}, the file at {}", one.media_bytes));
    }
    let total_ms: u64 = one.segments.iter().map(|segment| u64::from(segment.duration_ms)).sum();
    let slack_ms = DURATION_SLACK_MS.max(title_ms / 100 * DURATION_SLACK_PERCENT);
    if total_ms.abs_diff(title_ms) > slack_ms {
        wrong(format!("segments last {total_ms} ms, the title {title_ms} ms"));
    }
    let needed = peak_needed_bps(&one.segments);
    // One part in a hundred: durations are rounded to milliseconds.
    if u128::from(one.peak_bps) * 101 < u128::from(needed) * 100 {
        wrong(format!("peak_bps {} is below its busiest segment's {needed}", one.peak_bps));
    }
}

/// Rate of the busiest segment, bits per second. Segments shorter than half the longest do not
/// count (RFC 8216 measures peaks over 0.5 to 1.5 target durations): a last crumb is no peak.
fn peak_needed_bps(segments: &[Segment]) -> u64 {
    let longest_ms = segments.iter().map(|segment| segment.duration_ms).max().unwrap_or(0);
    let rate = |segment: &Segment| {
        let bits = u128::from(segment.bytes) * 8_000 / u128::from(segment.duration_ms.max(1));
        u64::try_from(bits).unwrap_or(u64::MAX)
    };
    let full = segments.iter().filter(|segment| segment.duration_ms >= longest_ms.div_ceil(2));
    full.map(rate).max().unwrap_or(0)
}

fn check_alignment(renditions: &[Rendition], found: &mut Vec<String>) {
    let mut rungs = renditions
        .iter()
        .enumerate()
        .filter(|(_, rendition)| matches!(rendition.track, Track::Video { .. }));
    let Some((first, model)) = rungs.next() else { return };
    for (index, rung) in rungs {
        if rung.segments.len() != model.segments.len() {
            found.push(format!(
                "rendition {index} has {} segments and rendition {first} has {}: video rungs must \
                 be cut at the same places",
                rung.segments.len(),
                model.segments.len()
            ));
            continue;
        }
        let apart = rung
            .segments
            .iter()
            .zip(&model.segments)
            .position(|(a, b)| a.duration_ms.abs_diff(b.duration_ms) > SEGMENT_SLACK_MS);
        if let Some(segment) = apart {
            found.push(format!(
                "segment {segment} lasts {} ms in rendition {index} and {} ms in rendition \
                 {first}: video rungs must be cut at the same places",
                rung.segments[segment].duration_ms, model.segments[segment].duration_ms
            ));
        }
    }
}
