//! First step: is this file a video that members can be shown? Reads all of it once.
//! Trusts no exit status alone: ffmpeg ends well on broken input, so every line it complains
//! counts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::child::{Arguments, Tool, run};
use crate::error::IngestError;

/// Shortest source, milliseconds: one segment needs something in it.
pub const DURATION_MS_MIN: u64 = 1_000;
/// Longest source, milliseconds.
pub const DURATION_MS_MAX: u64 = 12 * 3_600_000;
/// The decoded picture may end this much before the container says so, milliseconds.
const SHORT_MS_MAX: u64 = 750;
/// Sound and picture may differ this much in length without a warning, milliseconds.
const UNEVEN_MS_MAX: u64 = 1_000;

/// Demuxers that make a "video" of text, of one image, or of other files than the one given.
const NOT_A_FILM: [&str; 8] = ["tty", "image2", "concat", "hls", "dash", "bin", "subviewer", "lrc"];

const FETCH_AGAIN: &str = "copy or download it again and compare sizes";
const GIVE_VIDEO: &str = "give a video file such as mp4, mkv, mov or webm";

/// Frames per second as a fraction, always one of the usual rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Frames …
    pub frames: u32,
    /// … in this many seconds: 1 or 1001.
    pub seconds: u32,
}

impl Rate {
    /// The usual rate nearest to `fps`; above 60 is brought down to 60.
    #[must_use]
    pub fn nearest(fps: f64) -> Self {
        const USUAL: [(u32, u32); 8] = [
            (24_000, 1001),
            (24, 1),
            (25, 1),
            (30_000, 1001),
            (30, 1),
            (50, 1),
            (60_000, 1001),
            (60, 1),
        ];
        let off =
            |(frames, seconds): &(u32, u32)| (f64::from(*frames) / f64::from(*seconds) - fps).abs();
        let best = USUAL.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        let (frames, seconds) = best.expect("the list of usual rates is not empty");
        Self { frames, seconds }
    }

    /// Frames per 1000 seconds, as the catalog writes it.
    #[must_use]
    pub fn frames_per_kilosecond(self) -> u32 {
        (u64::from(self.frames) * 1000 / u64::from(self.seconds)) as u32
    }
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Codec in ffmpeg's words.
    pub codec: String,
    /// Pixels across, square, after rotation.
    pub width: u32,
    /// Pixels down, after rotation.
    pub height: u32,
    /// Frame rate the renditions get.
    pub rate: Rate,
    /// Whether fields must be woven before scaling.
    pub interlaced: bool,
}

/// What there is to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Codec in ffmpeg's words.
    pub codec: String,
    /// Channels in the source; renditions are stereo.
    pub channels: u32,
    /// BCP 47, `und` when the source does not say.
    pub language: String,
}

/// A source that was read to its end without a complaint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The file.
    pub path: PathBuf,
    /// Its length, bytes.
    pub bytes: u64,
    /// Length of the picture, milliseconds, as decoded.
    pub duration_ms: u64,
    /// The first picture track.
    pub picture: Picture,
    /// The first sound track; absent when there is none, which is allowed.
    pub sound: Option<Sound>,
    /// Things a person should know and that stop nothing.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    format_name: String,
    #[serde(default)]
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    sample_aspect_ratio: Option<String>,
    field_order: Option<String>,
    avg_frame_rate: Option<String>,
    channels: Option<u32>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    side_data_list: Vec<SideRecord>,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Default, Deserialize)]
struct Tags {
    language: Option<String>,
}

#[derive(Deserialize)]
struct SideRecord {
    rotation: Option<i32>,
}

/// Looks at `path` and decodes all of it.
///
/// # Errors
/// [`IngestError::Source`] with what is wrong and the cure, or that ffmpeg is not installed.
pub fn probe(path: &Path) -> Result<Probe, IngestError> {
    let reject = |wrong: String, cure| IngestError::Source { path: path.to_owned(), wrong, cure };
    let meta = std::fs::metadata(path)
        .map_err(|e| reject(format!("cannot be read ({e})"), "check the path and its rights"))?;
    if !meta.is_file() {
        return Err(reject("is not a file".to_owned(), GIVE_VIDEO));
    }
    if meta.len() == 0 {
        return Err(reject("is empty (0 bytes)".to_owned(), FETCH_AGAIN));
    }
    let said = probe_streams(path)?;
    let (picture, claimed_ms) = probe_picture(path, &said)?;
    let sound = said.streams.iter().find(|s| s.is("audio")).map(sound_of);
    let picture_ms = decode_all(path, "-map 0:V:0 -fps_mode passthrough")?;
    let sound_ms = match &sound {
        Some(_) => decode_all(path, "-map 0:a:0")?,
        None => 0,
    };
    let decoded_ms = picture_ms.max(sound_ms);
    if decoded_ms + SHORT_MS_MAX < claimed_ms * 99 / 100 {
        let wrong = format!(
            "is cut short: it says it is {claimed_ms} ms long and ends after {decoded_ms} ms"
        );
        return Err(reject(wrong, FETCH_AGAIN));
    }
    if !(DURATION_MS_MIN..=DURATION_MS_MAX).contains(&picture_ms) {
        let wrong = format!("has a picture of {picture_ms} ms");
        return Err(reject(wrong, "give between 1 second and 12 hours of video"));
    }
    let mut warnings = Vec::new();
    if sound.is_none() {
        warnings.push("the source has no sound track: the title will be silent".to_owned());
    } else if sound_ms.abs_diff(picture_ms) > UNEVEN_MS_MAX {
        warnings.push(format!(
            "the picture lasts {picture_ms} ms and the sound {sound_ms} ms: the sound is fitted"
        ));
    }
    let duration_ms = picture_ms;
    Ok(Probe { path: path.to_owned(), bytes: meta.len(), duration_ms, picture, sound, warnings })
}

fn probe_streams(path: &Path) -> Result<Said, IngestError> {
    let arguments = Arguments::default()
        .words("-v error -protocol_whitelist file -show_streams -show_format -of json -i")
        .arg(file_url(path));
    let ended = run(Tool::Ffprobe, arguments, "look at the source")?;
    let reject = |wrong, cure| IngestError::Source { path: path.to_owned(), wrong, cure };
    if !ended.success {
        let last = ended.last_lines.back().map(|l| without_path(l, path)).unwrap_or_default();
        let cut = ended.last_lines.iter().any(|l| l.contains("moov atom not found"));
        return Err(if cut {
            let wrong =
                "has no index of its frames (moov): it was cut short, or is not a video".to_owned();
            reject(wrong, FETCH_AGAIN)
        } else {
            reject(format!("is not a video that ffprobe knows ({last})"), GIVE_VIDEO)
        });
    }
    let said: Said = serde_json::from_slice(&ended.stdout)
        .map_err(|e| reject(format!("ffprobe's answer cannot be read ({e})"), GIVE_VIDEO))?;
    let name = said.format.as_ref().map(|f| f.format_name.as_str()).unwrap_or_default();
    if name.ends_with("_pipe") || name.split(',').any(|n| NOT_A_FILM.contains(&n)) {
        return Err(reject(format!("is not a film but {name}"), GIVE_VIDEO));
    }
    Ok(said)
}

/// The picture track, and how long the container says it all is, milliseconds.
fn probe_picture(path: &Path, said: &Said) -> Result<(Picture, u64), IngestError> {
    let reject = |wrong: &str| IngestError::Source {
        path: path.to_owned(),
        wrong: wrong.to_owned(),
        cure: GIVE_VIDEO,
    };
    let has_sound = said.streams.iter().any(|s| s.is("audio"));
    let stream = said.streams.iter().find(|s| s.is("video")).ok_or_else(|| {
        reject(if has_sound { "has sound and no picture" } else { "has no picture" })
    })?;
    let (Some(width), Some(height)) = (stream.width, stream.height) else {
        return Err(reject("has a picture without a size"));
    };
    if !(16..=8192).contains(&width) || !(16..=8192).contains(&height) {
        return Err(reject("has a picture that is not between 16 and 8192 pixels a side"));
    }
    let (over, under) = fraction(stream.sample_aspect_ratio.as_deref(), ':').unwrap_or((1.0, 1.0));
    let mut size = ((f64::from(width) * over / under).round() as u32, height);
    if stream.side_data_list.iter().any(|s| s.rotation.is_some_and(|r| r.rem_euclid(180) == 90)) {
        size = (size.1, size.0);
    }
    let (frames, seconds) = fraction(stream.avg_frame_rate.as_deref(), '/').unwrap_or((24.0, 1.0));
    let interlaced =
        !matches!(stream.field_order.as_deref(), None | Some("progressive" | "unknown"));
    let claimed = said.format.as_ref().and_then(|f| f.duration.as_deref());
    let claimed_ms = claimed.and_then(|d| d.parse::<f64>().ok()).map_or(0, |s| (s * 1e3) as u64);
    let codec = stream.codec_name.clone().unwrap_or_default();
    let rate = Rate::nearest(frames / seconds);
    Ok((Picture { codec, width: size.0, height: size.1, rate, interlaced }, claimed_ms))
}

/// Decodes the track that `selection` names to nowhere; its length, milliseconds.
fn decode_all(path: &Path, selection: &str) -> Result<u64, IngestError> {
    // V in a selection and not v: a cover picture is not the film.
    let arguments = Arguments::default()
        .words("-nostdin -hide_banner -v error -xerror -err_detect explode")
        .words("-protocol_whitelist file,pipe -i")
        .arg(file_url(path))
        .words(selection)
        .words("-f null -progress pipe:1 -");
    let ended = run(Tool::Ffmpeg, arguments, "decode the source")?;
    if !ended.success || ended.stderr_lines > 0 {
        let (lines, first) = (ended.stderr_lines, without_path(&ended.first_line, path));
        let wrong =
            format!("is cut short or damaged ({lines} decoding errors, the first: {first})");
        return Err(IngestError::Source { path: path.to_owned(), wrong, cure: FETCH_AGAIN });
    }
    let progress = String::from_utf8_lossy(&ended.stdout);
    let micros = progress.lines().rev().find_map(|l| l.strip_prefix("out_time_us="));
    Ok(micros.and_then(|m| m.trim().parse::<u64>().ok()).unwrap_or(0) / 1000)
}

fn sound_of(stream: &Stream) -> Sound {
    Sound {
        codec: stream.codec_name.clone().unwrap_or_default(),
        channels: stream.channels.unwrap_or(2),
        language: bcp47(stream.tags.language.as_deref().unwrap_or("und")),
    }
}

impl Stream {
    fn is(&self, kind: &str) -> bool {
        self.codec_type.as_deref() == Some(kind) && self.disposition.attached_pic == 0
    }
}

/// Containers name languages by ISO 639-2; BCP 47 wants the two-letter code where there is one.
fn bcp47(language: &str) -> String {
    const SHORT: [(&str, &str); 14] = [
        ("ara", "ar"),
        ("chi", "zh"),
        ("deu", "de"),
        ("dut", "nl"),
        ("eng", "en"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("ger", "de"),
        ("hin", "hi"),
        ("ita", "it"),
        ("jpn", "ja"),
        ("kor", "ko"),
        ("por", "pt"),
        ("spa", "es"),
    ];
    let known = SHORT.iter().find(|(long, _)| *long == language).map(|(_, short)| *short);
    let tag = known.unwrap_or(language);
    let sound = (2..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase());
    if sound { tag.to_owned() } else { "und".to_owned() }
}

fn fraction(text: Option<&str>, between: char) -> Option<(f64, f64)> {
    let (over, under) = text?.split_once(between)?;
    let (over, under) = (over.parse().ok()?, under.parse().ok()?);
    (over > 0.0 && under > 0.0).then_some((over, under))
}

/// With the scheme written out, a name with a colon or a leading dash is still a file.
pub(crate) fn file_url(path: &Path) -> std::ffi::OsString {
    let mut url = std::ffi::OsString::from("file:");
    url.push(path);
    url
}

/// The tools begin many lines with the path, which our message already has.
fn without_path(line: &str, path: &Path) -> String {
    line.replace(&format!("file:{}: ", path.display()), "").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_rate_becomes_the_usual_one_it_stands_for() {
        for (measured, frames_per_kilosecond) in [
            (23.98, 23976),
            (24.0, 24000),
            (25.01, 25000),
            (29.97, 29970),
            (119.88, 60000),
            (12.0, 23976),
        ] {
            let rate = Rate::nearest(measured);
            assert_eq!(rate.frames_per_kilosecond(), frames_per_kilosecond, "{measured}");
        }
    }

    #[test]
    fn a_language_becomes_a_tag_or_und() {
        let tags = ["eng", "de", "gsw", "und", "", "En glish"].map(bcp47);
        assert_eq!(tags, ["en", "de", "gsw", "und", "und", "und"]);
    }
}
